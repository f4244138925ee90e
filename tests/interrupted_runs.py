"""A run that takes milliseconds, and that can be interrupted at any of its events."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from callbacks.best_checkpoint import BestCheckpoint
from callbacks.graceful_stop import GracefulStop
from callbacks.last_checkpoint import LastCheckpoint
from callbacks.random_state import RandomState
from datamodules.position import ResumableDataModule, ResumableSampler
from lightning_modules.checkpoint_file import OzetCheckpointIO
from reports.curves import read_run
from train import Trainer


@dataclass(frozen=True)
class Schedule:
    """What a run does; see Lightning's trainer, and `LastCheckpoint`."""

    epochs: int = 2
    batches: int = 4
    accumulated: int = 1
    validate_every_batches: int | None = None
    validate_every_epochs: int | None = 1
    save_every_steps: int = 500
    train_limit: int | None = None
    max_steps: int = -1
    log_every_steps: int = 1
    workers: int = 0
    stops_at: int | None = None


class Numbers(L.LightningModule):
    """Learns a number, with dropout; validation draws random numbers, too."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        loss = ((self.weight - batch) ** 2 * torch.rand(2)).sum()
        self.log("train/loss", loss, batch_size=1)
        return loss

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        score = (self.weight.sum() * torch.rand(())).sin() + batch
        self.log("val/score", score.squeeze(), batch_size=1)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.95)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class StopsEarly(L.Callback):
    """Stops after the validation of a step, as EarlyStopping does."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.should_stop |= not trainer.sanity_checking and trainer.global_step == self.step


class Shuffled(ResumableSampler[int]):
    def __init__(self, batches: int) -> None:
        super().__init__(batch_size=1, seed=0, rank=0, world_size=1)
        self.batches = batches

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.batches)
        yield from order[self.first_batch :].tolist()


class NumbersData(ResumableDataModule):
    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.schedule = schedule

    def _order(self) -> dict[str, Any]:
        return {}

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch

    def train_dataloader(self) -> DataLoader:
        sampler = Shuffled(self.schedule.batches)
        self._take_up(sampler)
        rows = torch.arange(float(self.schedule.batches))
        workers = self.schedule.workers
        return DataLoader(
            rows,
            sampler=sampler,
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,
            generator=torch.Generator(),
        )

    def val_dataloader(self) -> DataLoader:
        return DataLoader(torch.arange(2.0), batch_size=None, generator=torch.Generator())


class Killed(BaseException):
    """Stands for SIGKILL: nothing is done after it."""


Kind = Literal["kill", "signal"]


class Interrupt(Checkpoint):
    """Interrupts a run at one of its events: the hooks before and after other callbacks, and those of saving.

    Args:
        event: Its number, from 0; None for never.
        step: Instead, the end of this optimizer step.
        kind: `kill`, or `signal` for one that can be answered.
        stop: Who answers.
    """

    def __init__(self, event: int | None, step: int | None, kind: Kind, stop: GracefulStop) -> None:
        self.left, self.step, self.kind, self.stop = event, step, kind, stop

    def count(self, *_: Any) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                self.interrupt()

    def interrupt(self) -> None:
        if self.kind == "kill":
            raise Killed
        self.stop._receive(signal.SIGTERM, None)

    def on_step_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.count()
        if trainer.global_step == self.step and self.kind == "kill":
            self.interrupt()


class Early(L.Callback):
    """The same events, before other callbacks have seen them."""

    def __init__(self, interrupt: Interrupt) -> None:
        self.interrupt = interrupt

    def on_step_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.interrupt.count()
        if trainer.global_step == self.interrupt.step and self.interrupt.kind == "signal":
            self.interrupt.interrupt()


EVENTS = (
    *("on_fit_start", "on_sanity_check_start", "on_sanity_check_end", "on_train_start", "on_train_epoch_start"),
    *("on_train_batch_start", "on_before_optimizer_step", "on_before_zero_grad", "on_train_batch_end"),
    *("on_validation_start", "on_validation_batch_end", "on_validation_epoch_end", "on_validation_end"),
    *("on_train_epoch_end", "on_train_end"),
)
for name in EVENTS:
    setattr(Interrupt, name, Interrupt.count)
    setattr(Early, name, lambda self, *_: self.interrupt.count())


class InterruptedSaving(OzetCheckpointIO):
    """Saving, with events before and after."""

    def __init__(self, interrupt: Interrupt) -> None:
        super().__init__()
        self.interrupt = interrupt

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        self.interrupt.count()
        super().save_checkpoint(*args, **kwargs)
        self.interrupt.count()


class KilledLogger(CSVLogger):
    """Loses at the end of a process what it has not written, as at SIGKILL."""

    def finalize(self, status: str) -> None:
        pass


def fit(
    folder: Path, schedule: Schedule, event: int | None = None, kind: Kind = "kill", step: int | None = None
) -> bool:
    """Start the run of a folder, or go on from its last checkpoint; tell whether it came to its end."""
    torch.manual_seed(0)
    stop = GracefulStop()
    interrupt = Interrupt(event, step, kind, stop)
    best = BestCheckpoint("val/score")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("callbacks.graceful_stop").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?!The checkpoint was saved inside)")
        trainer = Trainer(
            accelerator="cpu",
            default_root_dir=folder,
            max_epochs=schedule.epochs,
            max_steps=schedule.max_steps,
            accumulate_grad_batches=schedule.accumulated,
            limit_train_batches=schedule.train_limit,
            val_check_interval=schedule.validate_every_batches,
            check_val_every_n_epoch=schedule.validate_every_epochs,
            log_every_n_steps=schedule.log_every_steps,
            logger=KilledLogger(folder, "metrics", flush_logs_every_n_steps=10),
            callbacks=[
                *(RandomState(), Early(interrupt), stop, StopsEarly(schedule.stops_at), best),
                *(LastCheckpoint(schedule.save_every_steps), interrupt),
            ],
            plugins=[InterruptedSaving(interrupt)],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        last = folder / "checkpoints" / "last.ckpt"
        try:
            trainer.fit(Numbers(), NumbersData(schedule), ckpt_path=last if last.is_file() else None)
        except (Killed, SystemExit):
            return False
    return True


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run leaves: records, and the contents of its checkpoints, as values that can be compared."""
    files = {}
    for path in sorted((folder / "checkpoints").glob("*")):
        checkpoint = torch.load(path, weights_only=True)
        # Batches of validations, of which the unfinished ones count, too; nothing depends on it.
        del checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
        files[path.name] = _plain(checkpoint, str(folder))
    return {"records": read_run(folder), "files": files}


def _plain(value: Any, folder: str) -> Any:
    if isinstance(value, dict):
        return {_plain(key, folder): _plain(child, folder) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(child, folder) for child in value]
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return value.replace(folder, "") if isinstance(value, str) else value
