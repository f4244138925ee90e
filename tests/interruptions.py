"""Callbacks for tests that end a run in the middle."""

import os

import lightning as L


class Crash(RuntimeError):
    pass


class CrashAt(L.Callback):
    """Raises `Crash` when the batch after optimizer step `step` is about to begin."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.global_step >= self.step:
            raise Crash


class SignalAt(L.Callback):
    """Sends the process a signal during the batch after optimizer step `step`."""

    def __init__(self, step: int, number: int) -> None:
        self.step, self.number = step, number

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.global_step == self.step:
            os.kill(self.process(), self.number)

    def process(self) -> int:
        return os.getpid()


class Announce(L.Callback):
    """Prints every optimizer step."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        print(f"finished step {trainer.global_step}", flush=True)


class SignalParentAt(SignalAt):
    """Sends the signal to the process that started this one."""

    def process(self) -> int:
        return os.getppid()
