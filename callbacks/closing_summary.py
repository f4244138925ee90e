"""What a person wants to see when training ends: examples, and where everything is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from rich.console import Console

from callbacks.last_checkpoint import last_checkpoint
from callbacks.watcher import Watcher
from lightning_modules.evaluation import Evaluation
from reports.curves import draw_curves


class ClosingSummary(Watcher):
    """Prints summaries of the last validation beside their references, and the paths of run, curves and checkpoints.

    Of a module that generates no summaries, such as that of pretraining, the paths alone.

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
        evaluation = getattr(pl_module, "evaluation", None) or Evaluation()
        summaries = sorted(evaluation.summaries, key=lambda summary: summary.id)
        for language in sorted({summary.language for summary in summaries}):
            console.rule(language)
            for summary in [one for one in summaries if one.language == language][: self.examples]:
                console.print(f"[bold]{summary.id}[/bold] reference: ", end="")
                console.print(summary.reference, markup=False)
                console.print(f"{' ' * len(summary.id)} generated: ", end="")
                console.print(summary.prediction or "(empty)", markup=False)
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


def _is_monitored(callback: L.Callback) -> bool:
    return isinstance(callback, ModelCheckpoint) and callback.monitor is not None
