"""Turns SIGTERM and Ctrl-C into a checkpoint and the right exit code."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

import lightning as L

from callbacks.last_checkpoint import last_checkpoint

log = logging.getLogger(__name__)


class GracefulStop(L.Callback):
    """On the first signal, finishes the optimizer step, saves `last.ckpt` and exits with 128 + the signal's number.

    A second Ctrl-C stops at once, without saving. Where the step was one after which a validation is due, that
    validation is left out, also on resume.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._saved = False
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Installs the handlers, over Lightning's own."""
        self._received, self._saved = None, False
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._receive)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves if a signal has come and the optimizer has just stepped."""
        received = self._received is not None
        if trainer.world_size > 1:
            # One device alone must not stop: the others would wait for it in the next all-reduce.
            received = trainer.strategy.reduce_boolean_decision(received, all=False)
        if not received or trainer.fit_loop.epoch_loop._should_accumulate():
            return
        self._received, self._saved = self._received or signal.SIGTERM, True
        path = last_checkpoint(trainer)
        trainer.save_checkpoint(path, weights_only=False)
        print(
            f"\n{signal.Signals(self._received).name}: saved step {trainer.global_step} as {path}. "
            "Continue with `--ckpt_path last`.",
            flush=True,
        )

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Leaves; not earlier, since Lightning logs a step after `on_train_batch_end`."""
        self._leave()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leaves."""
        self._leave()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leaves."""
        self._leave()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restores the handlers; later than this Lightning has already restored those before its own."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Restores the handlers."""
        self.on_train_end(trainer, pl_module)

    def _leave(self) -> None:
        if self._saved and self._received is not None:
            raise SystemExit(128 + self._received)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = number
        log.warning("%s received: finishing the step, then saving a checkpoint.", signal.Signals(number).name)
