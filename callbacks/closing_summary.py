"""What a person wants to see when training ends: examples, and where everything is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from rich.console import Console

from callbacks.best_checkpoint import BestCheckpoint
from callbacks.last_checkpoint import last_checkpoint
from callbacks.step_rows import read_rows
from callbacks.watcher import Watcher
from reports.curves import draw_curves
from reports.published_names import language_name


class ClosingSummary(Watcher):
    """Prints summaries before training and of the best validation beside their references, and the paths of the run.

    The summaries are those of `SummaryTable`; without it, and of a module that generates none, the paths alone. They
    are of the last validation where no `BestCheckpoint` names the best by its step.

    Args:
        examples: Summaries printed of each language; at least 0.
    """

    def __init__(self, examples: int = 2) -> None:
        self.examples = examples

    def teardown(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Prints, after every other callback has ended its work."""
        if stage != "fit" or not trainer.is_global_zero:
            return
        console = Console(highlight=False)
        written = read_rows(Path(trainer.default_root_dir) / "summaries.jsonl")
        before = {(row["language"], row["id"]): row["generated"] for row in written if row["step"] == 0}
        rows = _best(written, trainer)
        for language in sorted({row["language"] for row in rows}):
            console.rule(f"{language_name(language)}, summaries after step {rows[0]['step']}")
            for row in [one for one in rows if one["language"] == language][: self.examples]:
                _print_example(console, row, before.get((language, row["id"])))
        console.rule("Run")
        for name, path in self._paths(trainer).items():
            console.print(f"{name:<18}{path}", soft_wrap=True)

    def _paths(self, trainer: L.Trainer) -> dict[str, str]:
        folder = Path(trainer.default_root_dir)
        paths = {"run": str(folder)}
        if any(isinstance(logger, CSVLogger) for logger in trainer.loggers):
            for logger in trainer.loggers:
                logger.save()
            paths["curves"] = str(draw_curves(folder, folder / "curves.png"))
        best = [callback.best_model_path for callback in trainer.checkpoint_callbacks if _is_monitored(callback)]
        for name, path in (("best", best[0] if best else ""), ("last", str(last_checkpoint(trainer)))):
            if Path(path).is_file():
                paths[f"{name} checkpoint"] = f"{path} ({Path(path).stat().st_size / 2**20:.1f} MiB)"
        return paths


def _print_example(console: Console, row: dict[str, Any], before: str | None) -> None:
    shown = {"reference": row["reference"], "before": before, "after": row["generated"]}
    for place, (name, text) in enumerate((name, text) for name, text in shown.items() if text is not None):
        console.print(f"[bold]{row['id'] if place == 0 else ' ' * len(row['id'])}[/bold] {name + ':':<11}", end="")
        console.print(text or "(empty)", markup=False)


def _best(rows: list[dict[str, Any]], trainer: L.Trainer) -> list[dict[str, Any]]:
    """The rows of the best step, or of the last."""
    best = [callback.best_step for callback in trainer.checkpoint_callbacks if isinstance(callback, BestCheckpoint)]
    steps = [row["step"] for row in rows]
    wanted = best[0] if best and best[0] in steps else max(steps, default=None)
    return [row for row in rows if row["step"] == wanted]


def _is_monitored(callback: L.Callback) -> bool:
    return isinstance(callback, ModelCheckpoint) and callback.monitor is not None
