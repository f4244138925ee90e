"""Keeps `last.ckpt` fresh, so that a crash costs little and a finished run nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from lightning_modules.training_loops import require_step_ends


class LastCheckpoint(Checkpoint):
    """Saves `checkpoints/last.ckpt` after every validation, at each epoch's end, every so many steps, and at the end.

    It is saved between optimizer steps, when all that a step logs is logged. Put this callback after the one that keeps
    the best checkpoints, so that it records which is the best. Lightning's own `save_last` saves only when a best
    checkpoint is due, so that the last steps of a run may be lost.

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
        self._due = False

    @property
    def state_key(self) -> str:
        """Name of this callback's state in a checkpoint: several callbacks with other intervals keep theirs apart."""
        return self._generate_state_key(every_n_steps=self.every_n_steps)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse a trainer that never calls `on_step_end`."""
        require_step_ends(trainer)

    def on_step_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save every so many steps, at the end of an epoch or of the run, and if a validation inside a step asked."""
        step, progress = trainer.global_step, trainer.fit_loop.epoch_loop.batch_progress
        if self._due or step % self.every_n_steps == 0 or step == trainer.max_steps or progress.is_last_batch:
            self._save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save with the scores of the validation; one inside an accumulated step waits for the step's end."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._saved_step = -1
        if trainer.fit_loop.epoch_loop._should_accumulate():
            self._due = True
        else:
            self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save if steps have been taken since."""
        self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return what has been saved and what is due, so that a resumed run saves when the uninterrupted one does."""
        return {"saved_step": self._saved_step, "due": self._due}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it over."""
        self._saved_step, self._due = state_dict["saved_step"], state_dict["due"]

    def _save(self, trainer: L.Trainer) -> None:
        if trainer.global_step != self._saved_step:
            self._saved_step, self._due = trainer.global_step, False
            trainer.save_checkpoint(last_checkpoint(trainer), weights_only=False)


def last_checkpoint(trainer: L.Trainer) -> Path:
    """Return where a run's last checkpoint stands."""
    return Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt"
