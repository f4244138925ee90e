"""Writes what `test` finds, so that it can be read, compared and drawn later."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
from rich.console import Console

from callbacks.bertscore import BertScore
from callbacks.environment import git_state, package_versions
from lightning_modules.evaluation import EvaluatedSummary
from metrics.lead import mean_word_count
from metrics.score_intervals import Bootstrap, score_intervals
from metrics.significance import Values
from reports.results import Results, write_predictions, write_results
from reports.results_table import figures_table, results_table


class ResultsWriter(L.Callback):
    """Writes `test/results.json` and `test/predictions.jsonl` into the run's folder, and prints tables.

    Every score comes with its bootstrap interval; a score that some summaries of a language lack is left out there, and
    named. `reports.results` reads the files. A second test of the same run replaces both. `validate` only prints.

    Args:
        bootstrap: Settings of the intervals.
    """

    def __init__(self, bootstrap: Bootstrap = Bootstrap()) -> None:
        self.bootstrap = bootstrap
        self._loaded_step: int | None = None

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remembers the step, which a test does not take over."""
        self._loaded_step = checkpoint["global_step"]

    def teardown(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Writes and prints, after every other callback has added its scores."""
        if stage not in ("validate", "test") or not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir) / "test"
        results = self._results(trainer, pl_module)
        if stage == "test":
            write_predictions(folder / "predictions.jsonl", map(asdict, pl_module.evaluation.summaries))
            write_results(folder / "results.json", results)
        _print(results)
        if stage == "test":
            print(f"Results: {folder / 'results.json'}", flush=True)

    def _results(self, trainer: L.Trainer, pl_module: Any) -> Results:
        by_language: dict[str, list[EvaluatedSummary]] = pl_module.evaluation.by_language()
        names = dict.fromkeys(name for one in pl_module.evaluation.summaries for name in one.scores)
        incomplete = {language: _incomplete(summaries, names) for language, summaries in by_language.items()}
        tables = {language: _table(summaries, incomplete[language]) for language, summaries in by_language.items()}
        languages, overall = score_intervals(tables, self.bootstrap)
        return Results(
            counts={language: len(summaries) for language, summaries in by_language.items()},
            languages=languages,
            overall=overall,
            incomplete=incomplete,
            bootstrap=asdict(self.bootstrap),
            settings=_settings(trainer, pl_module, by_language),
            model={
                "checkpoint": trainer.ckpt_path and str(trainer.ckpt_path),
                "step": self._loaded_step if trainer.ckpt_path else trainer.global_step,
                "base": pl_module.base_identity,
            },
            packages=package_versions(),
            git=git_state(),
        )


def _print(results: Results) -> None:
    console = Console()
    console.print(results_table(results))
    console.print(figures_table(results))
    for language, names in results.incomplete.items():
        if names:
            print(f"Left out in {language}, since summaries lack them: {names}", flush=True)


def _settings(trainer: L.Trainer, pl_module: Any, by_language: dict[str, list[EvaluatedSummary]]) -> dict[str, Any]:
    """All that the scores depend on beside the model."""
    scorers = [one for one in trainer.callbacks if isinstance(one, BertScore)]  # type: ignore[attr-defined]
    report = getattr(trainer.datamodule, "report", None)  # type: ignore[attr-defined]
    splits = report.splits if report is not None else []
    return {
        "generation": asdict(pl_module.generation),
        "scoring": asdict(pl_module.scoring),
        # The k of the baseline lead_*.
        "lead_words": {code: mean_word_count([one.reference for one in rows]) for code, rows in by_language.items()},
        "bertscore": scorers[0].settings if scorers else None,
        "data": {f"{one.source} {one.language}": one.fingerprint for one in splits if one.split == "test"},
    }


def _table(summaries: Sequence[EvaluatedSummary], incomplete: dict[str, int]) -> dict[str, tuple[Values, Values]]:
    """Numerators and denominators of each score that all summaries have."""
    table: dict[str, tuple[Values, Values]] = {}
    if "loss" not in incomplete:
        table["loss"] = ([one.loss for one in summaries], [one.label_tokens for one in summaries])
    for name in summaries[0].scores:
        if name not in incomplete:
            table[name] = ([one.scores[name] for one in summaries], [1.0] * len(summaries))
    return table


def _incomplete(summaries: Sequence[EvaluatedSummary], names: Iterable[str]) -> dict[str, int]:
    """Scores that some summaries lack, with how many do: a mean over the others would be one of other summaries."""
    lacking = {name: sum(not math.isfinite(one.scores.get(name, math.nan)) for one in summaries) for name in names}
    lacking["loss"] = sum(not (one.label_tokens and math.isfinite(one.loss)) for one in summaries)
    return {name: count for name, count in lacking.items() if count}
