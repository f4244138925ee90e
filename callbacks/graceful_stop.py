"""Turns Ctrl-C and the signals of schedulers and terminals into a checkpoint and the right exit code."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import lightning as L

from callbacks.last_checkpoint import last_checkpoint
from lightning_modules.training_loops import require_step_ends

log = logging.getLogger(__name__)
# SIGUSR1 is what schedulers send some time before the limit, if they are asked to.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class GracefulStop(L.Callback):
    """On the first signal, finishes the optimizer step, saves `last.ckpt` and exits with 128 + the signal's number.

    A validation is left after its current batch, and made up for on resume; with several devices, it is finished.
    Before training starts, and in `validate`, `test` and `predict`, the process exits at once: there is nothing to
    save. So it does on a second Ctrl-C. Signals that the process was started to ignore (`nohup`) stay ignored.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._can_wait = False
        self._exit_code: int | None = None
        self._terminal: list[int] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Answer signals while a command runs."""
        previous = {number: signal.getsignal(number) for number in SIGNALS}
        self._terminal = [number for number in (1, 2) if os.isatty(number)]  # unknown once it has been closed
        self._install()
        try:
            yield
        except Exception as error:
            if self._exit_code is None:
                raise
            raise SystemExit(self._exit_code) from error  # cleaning up failed; what counts is the signal
        finally:
            for number, handler in previous.items():
                if threading.current_thread() is threading.main_thread():
                    signal.signal(number, handler)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse a trainer that never calls `on_step_end`."""
        require_step_ends(trainer)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Wait for the ends of steps from now on."""
        self._can_wait = True
        self._install()  # over Lightning's own handlers, which end training without saving

    def on_step_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save and leave if a signal has come."""
        received = self._received is not None
        if trainer.world_size > 1:
            # One device alone must not stop: the others would wait for it in the next all-reduce.
            received = trainer.strategy.reduce_boolean_decision(received, all=False)
        if received:
            self._save_and_leave(trainer)

    def on_validation_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Save and leave if a signal has come, between optimizer steps."""
        inside_step = trainer.fit_loop.epoch_loop._should_accumulate()
        if self._received is not None and self._can_wait and trainer.world_size == 1 and not inside_step:
            self._save_and_leave(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave at once from now on: the last checkpoint is saved by a callback after this one."""
        self._can_wait = False

    def _install(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in self._terminal:  # writing to it is an error now
                os.dup2(nowhere, stream)
        if not self._can_wait or (self._received is not None and number == signal.SIGINT):
            self._leave(number)
        self._received = number
        log.warning("%s received: finishing the step, then saving a checkpoint.", signal.Signals(number).name)

    def _save_and_leave(self, trainer: L.Trainer) -> None:
        number = self._received or signal.SIGTERM
        path = last_checkpoint(trainer)
        trainer.save_checkpoint(path, weights_only=False)
        print(
            f"\n{signal.Signals(number).name}: saved step {trainer.global_step} as {path}. "
            "Continue with the same command and `--ckpt_path last`.",
            flush=True,
        )
        self._leave(number)

    def _leave(self, number: int) -> NoReturn:
        self._exit_code = 128 + number
        raise SystemExit(self._exit_code)
