"""Callbacks for tests that end a run in the middle."""

import os

import lightning as L
import psutil


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


class SignalInSanityCheck(L.Callback):
    """Sends the process a signal during the sanity validation."""

    def __init__(self, number: int) -> None:
        self.number = number

    def on_validation_batch_start(self, *_) -> None:
        os.kill(os.getpid(), self.number)


class FailAtTheEnd(L.Callback):
    """Fails when a run is cleaned up."""

    def on_exception(self, *_) -> None:
        raise RuntimeError("the device is gone")


class Announce(L.Callback):
    """Prints every optimizer step."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        print(f"finished step {trainer.global_step}", flush=True)


class SignalParentAt(SignalAt):
    """Sends the signal to the process that started this one."""

    def process(self) -> int:
        return os.getppid()


class SignalWandbAt(SignalAt):
    """Sends the signal to the service process of W&B."""

    def process(self) -> int:
        children = psutil.Process().children(recursive=True)
        return next(child.pid for child in children if child.name().startswith("wandb-core"))
