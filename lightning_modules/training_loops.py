"""Training loops whose checkpoints say where they were taken, so that a run resumes exactly from any of them.

Lightning infers from its counters at which hook a checkpoint was saved, and corrects them when it resumes. That fails
where interruptions, ends of epochs and validations meet: epochs are trained twice, records move by a step, validations
are lost. Here a checkpoint states its place, and nothing is inferred.

All private names of Lightning's loops that ozet overrides are in this file (tested with 2.6.6; they fail
tests/lightning_modules/test_training_loops.py when they change).
"""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from lightning.pytorch.loops.evaluation_loop import _EvaluationLoop
from lightning.pytorch.loops.fit_loop import RestartStage, _FitLoop
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.trainer.states import RunningStage, TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_warn

from datamodules.position import batches_taken


def install(trainer: L.Trainer) -> None:
    """Replace a new trainer's loops by those of this file."""
    old = trainer.fit_loop
    trainer.fit_loop = FitLoop(trainer, min_epochs=old.min_epochs, max_epochs=old.max_epochs)
    trainer.fit_loop.epoch_loop = EpochLoop(trainer, old.epoch_loop.min_steps, old.epoch_loop.max_steps)


def require_step_ends(trainer: L.Trainer) -> None:
    """Refuse a trainer whose loops do not call `on_step_end`.

    Raises:
        TypeError: If the trainer's loops are Lightning's own.
    """
    if not isinstance(trainer.fit_loop, FitLoop):
        raise TypeError("This callback needs ozet's training loops: call training_loops.install(trainer) first.")


class ValidationLoop(_EvaluationLoop):
    """Validation during training, from its first batch to the end even after a resume.

    Attributes:
        finished: Whether the validation after the current step has logged its scores.
    """

    finished = False

    def reset(self) -> None:
        """Begin a validation."""
        self.finished = self.restarting = False
        super().reset()

    def _on_evaluation_end(self, *args: Any, **kwargs: Any) -> None:
        self.finished = True
        super()._on_evaluation_end(*args, **kwargs)


class EpochLoop(_TrainingEpochLoop):
    """Batches of an epoch; each is trained on, then ended: logged, validated if due, counted.

    Callbacks may have a hook `on_step_end(trainer, pl_module)`. It is called after an optimizer step and all that this
    step logged, before a validation: the moment at which all counters agree.
    """

    def __init__(self, trainer: L.Trainer, min_steps: int | None, max_steps: int) -> None:
        super().__init__(trainer, min_steps, max_steps)
        self.val_loop = ValidationLoop(
            trainer, TrainerFn.FITTING, RunningStage.VALIDATING, verbose=False, inference_mode=False
        )
        self.outstanding = False  # the end of the last batch that was trained on

    @property
    def done(self) -> bool:
        """Whether the epoch is over."""
        return not self.outstanding and super().done

    def reset(self) -> None:
        """Begin an epoch; inside one, leave all counters where the checkpoint has them."""
        if not self.trainer.fit_loop.inside_epoch:
            self.outstanding = False
            super().reset()

    def advance(self, data_fetcher: Any) -> None:
        """Train on a batch; after a resume, go straight to the end of the checkpoint's last batch if outstanding."""
        if self.outstanding and self.val_loop.finished:
            self._skip_next_val = True
            return
        if not self.outstanding:
            self.outstanding, self.val_loop.finished = True, False
            self.trainer.fit_loop.inside_epoch = True
            super().advance(data_fetcher)
        if not self._should_accumulate():
            for callback in self.trainer.callbacks:
                if hook := getattr(callback, "on_step_end", None):
                    hook(self.trainer, self.trainer.lightning_module)

    def on_advance_end(self, data_fetcher: Any) -> None:
        """End a batch: validate if due, and count the step."""
        super().on_advance_end(data_fetcher)
        self.outstanding = False

    def on_save_checkpoint(self) -> dict[str, Any]:
        """Return the place in the epoch beside Lightning's own state."""
        current = self.batch_progress.current
        return {
            **super().on_save_checkpoint(),
            "batches_taken": batches_taken(self.trainer),
            "outstanding": self.outstanding and current.ready == current.processed,
            "validated": self.val_loop.finished,
            "should_stop": self.trainer.should_stop,
            # What plateau schedules, early stopping and checkpoints at an epoch's end look at.
            "callback_metrics": dict(self.trainer.callback_metrics),
        }

    def on_load_checkpoint(self, state_dict: dict[str, Any]) -> None:
        """Set the counters to the place of the checkpoint: after a batch that ended an optimizer step."""
        super().on_load_checkpoint(state_dict)
        progress, current = self.batch_progress, self.batch_progress.current
        # Checkpoints of ozet 0.1 do not say: they were saved inside `on_train_batch_end` or `on_validation_end`.
        self.outstanding = state_dict.get("outstanding", True)
        self.val_loop.finished = state_dict.get("validated", current.completed == current.processed)
        self.trainer.should_stop = state_dict.get("should_stop", False)
        self.trainer._logger_connector._callback_metrics.update(state_dict.get("callback_metrics", {}))
        taken = state_dict.get("batches_taken", current.processed)
        surplus = current.ready - taken
        if surplus:
            self.outstanding = progress.is_last_batch = False
            rank_zero_warn(
                f"The checkpoint was saved inside an optimizer step: batches {taken + 1} to {current.ready} of the "
                "epoch are taken again, with other random numbers. `last.ckpt` is always saved between steps."
            )
        for tracker, count in ((progress.total, progress.total.ready - surplus), (current, taken)):
            tracker.ready = tracker.started = tracker.processed = tracker.completed = count


class FitLoop(_FitLoop):
    """Epochs.

    Attributes:
        inside_epoch: Whether an epoch has begun that has batches left, or whose end is still to come.
    """

    epoch_loop: EpochLoop
    inside_epoch = False

    @property
    def restarting(self) -> bool:
        """False: the counters need no correction. Only the validation loop restarts, which spares the sanity check."""
        return False

    @restarting.setter
    def restarting(self, restarting: bool) -> None:
        self.epoch_loop._restarting = False

    @property
    def done(self) -> bool:
        """Whether training is over: not before the last batch and the last epoch have ended."""
        end_of_epoch = self.inside_epoch and self.epoch_loop._num_ready_batches_reached()
        return not (self.epoch_loop.outstanding or end_of_epoch) and super().done

    def reset(self) -> None:
        """Begin training, or go on inside an epoch."""
        torch.set_grad_enabled(True)
        self._restart_stage = RestartStage.RESTARTED_MID_EPOCH if self.inside_epoch else RestartStage.NONE

    def on_advance_end(self) -> None:
        """End an epoch; one that `max_steps` or a callback cut short may go on in a later run."""
        super().on_advance_end()
        self.inside_epoch = not self.epoch_loop._num_ready_batches_reached()

    def on_save_checkpoint(self) -> dict[str, Any]:
        """Return whether an epoch has begun, beside Lightning's own state."""
        return {**super().on_save_checkpoint(), "inside_epoch": self.inside_epoch}

    def load_state_dict(self, state_dict: dict[str, Any], prefix: str = "") -> None:
        """Set the counters to the place of the checkpoint."""
        super().load_state_dict(state_dict, prefix)
        total = self.epoch_progress.total
        self.inside_epoch = state_dict[f"{prefix}state_dict"].get("inside_epoch", total.ready > total.processed)
        self.epoch_loop.outstanding &= self.inside_epoch
        ended = total.ready - 1 if self.inside_epoch else total.processed
        for tracker in (total, self.epoch_progress.current):
            tracker.ready = tracker.started = ended + self.inside_epoch
            tracker.processed = tracker.completed = ended
        if self.trainer.should_stop:
            steps = self.epoch_loop.global_step
            rank_zero_info(
                f"The run had stopped by itself at step {steps}; to train on, set trainer.min_steps above that."
            )
