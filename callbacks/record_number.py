"""Under which number a validation stands in the record."""

from __future__ import annotations

import lightning as L


def validation_record(trainer: L.Trainer) -> int:
    """The number under which Lightning has just logged the scores of a validation: 299 after 300 optimizer steps."""
    return trainer.fit_loop.epoch_loop._batches_that_stepped
