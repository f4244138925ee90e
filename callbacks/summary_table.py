"""The same few articles after every validation: how summaries change while a model learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import WandbLogger

from callbacks.record_number import validation_record
from callbacks.step_rows import add_rows
from callbacks.watcher import Watcher

COLUMNS = ["step", "language", "id", "source", "reference", "generated", "rougeL"]


class SummaryTable(Watcher):
    """Writes fixed examples of each validation to `summaries.jsonl` in the run's folder, and to W&B as `val/summaries`.

    The examples of a language are those whose ids come first in alphabetical order: the same after every validation and
    in every run on the same data. The sanity check's summaries are those before training, of step 0; it looks at few
    batches, so that they may be of other articles. The table on W&B holds all validations of the run so far.

    Args:
        examples: Summaries of each language; at least 1.

    Raises:
        ValueError: If `examples` is below 1.
    """

    def __init__(self, examples: int = 3) -> None:
        if examples < 1:
            raise ValueError(f"SummaryTable.examples {examples} must be at least 1; leave the callback out instead.")
        self.examples = examples

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Appends the examples."""
        resumed = trainer.sanity_checking and trainer.global_step > 0
        if trainer.state.fn != "fit" or resumed or not trainer.is_global_zero:
            return
        path = Path(trainer.default_root_dir) / "summaries.jsonl"
        added = self._rows(pl_module.evaluation.by_language(), trainer.global_step)
        rows = add_rows(path, trainer.global_step, added)
        for logger in [] if trainer.sanity_checking else trainer.loggers:
            if isinstance(logger, WandbLogger):
                data = [[row[column] for column in COLUMNS] for row in rows]
                logger.log_table("val/summaries", columns=COLUMNS, data=data, step=validation_record(trainer))

    def _rows(self, by_language: dict[str, list[Any]], step: int) -> list[dict[str, Any]]:
        rows = []
        for language, summaries in by_language.items():
            for summary in sorted(summaries, key=lambda one: one.id)[: self.examples]:
                texts = (summary.id, summary.article, summary.reference, summary.prediction)
                row = (step, language, *texts, round(summary.scores["rougeL"], 2))
                rows.append(dict(zip(COLUMNS, row, strict=True)))
        return rows
