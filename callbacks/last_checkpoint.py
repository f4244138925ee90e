"""Keeps `last.ckpt` fresh, so that a crash costs little and a finished run nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint


class LastCheckpoint(Checkpoint):
    """Saves `checkpoints/last.ckpt` after every validation, at each epoch's end, every so many steps, and at the end.

    Put it after the callback that keeps the best checkpoints, so that it records which is the best. Lightning's own
    `save_last` saves only when a best checkpoint is due, so that the last steps of a run may be lost.

    Args:
        every_n_steps: Optimizer steps between saves; at least 1.

    Raises:
        ValueError: If `every_n_steps` is below 1.
    """

    def __init__(self, every_n_steps: int = 500) -> None:
        if every_n_steps < 1:
            raise ValueError(f"LastCheckpoint.every_n_steps {every_n_steps} must be at least 1.")
        self.every_n_steps = every_n_steps
        self._saved_step = -1

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves every so many steps, and at the end of an epoch or of the run."""
        loop = trainer.fit_loop.epoch_loop
        due = trainer.global_step % self.every_n_steps == 0 or trainer.global_step == trainer.max_steps
        if (due or loop.batch_progress.is_last_batch) and not loop._should_accumulate():
            self._save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Saves with the scores of the validation."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._saved_step = -1
            self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Saves if steps have been taken since."""
        self._save(trainer)

    def _save(self, trainer: L.Trainer) -> None:
        if trainer.global_step != self._saved_step:
            trainer.save_checkpoint(last_checkpoint(trainer), weights_only=False)
            self._saved_step = trainer.global_step


def last_checkpoint(trainer: L.Trainer) -> Path:
    """Where a run's last checkpoint stands."""
    return Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt"
