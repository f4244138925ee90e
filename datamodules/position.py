"""Where a checkpoint stopped in the training rows, and how a run goes on exactly there."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar

import lightning as L
import torch
from torch.utils.data import Sampler

from datamodules.collate import SummarizationBatch
from datamodules.packed_batch import PackedBatch

Shares = TypeVar("Shares")


def batches_taken(trainer: L.Trainer) -> int:
    """Return how many batches of the epoch have gone into optimizer steps, without those of a step not yet made."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    taken = progress.current.processed
    if progress.is_last_batch and taken == progress.current.ready:  # the last batch ends a step, however many it has
        return taken
    return taken - taken % trainer.accumulate_grad_batches


class ResumableSampler(Sampler[Shares]):
    """Yields one device's share of each batch of an epoch, from any position.

    Args:
        batch_size: Rows for one device.
        seed: Fixes the order of every epoch.
        rank: This device's number.
        world_size: Number of devices.
    """

    def __init__(self, batch_size: int, seed: int, rank: int, world_size: int) -> None:
        self.global_batch_size, self.seed = batch_size * world_size, seed
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self._start = (0, 0)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order the next iteration takes; Lightning calls this."""
        self.epoch = epoch

    def resume_at(self, epoch: int, batch: int) -> None:
        """Makes the iteration of `epoch` begin at its `batch`-th batch; other epochs begin at their first."""
        self.epoch = epoch
        self._start = (epoch, batch)

    @property
    def first_batch(self) -> int:
        """The batch of its epoch at which the next iteration begins."""
        return self._start[1] if self.epoch == self._start[0] else 0

    @abstractmethod
    def __len__(self) -> int:
        """Batches of an epoch."""


class ResumableDataModule(L.LightningDataModule, ABC):
    """A data module that shares out its training batches over devices, and goes on where a checkpoint stopped."""

    def __init__(self) -> None:
        super().__init__()
        self._train_sampler: ResumableSampler[Any] | None = None
        self._resume: Mapping[str, Any] | None = None

    @abstractmethod
    def _order(self) -> dict[str, Any]:
        """All that makes the order of the training batches, as plain data."""

    def transfer_batch_to_device(
        self, batch: PackedBatch, device: torch.device, dataloader_idx: int
    ) -> SummarizationBatch:
        """Copies the tensors as one; Lightning's own way would also look at every single text."""
        return batch.to(device)

    def state_dict(self) -> dict[str, Any]:
        """Position in the training rows: the epoch, the batches taken of all of it, and what makes their order."""
        sampler = self._train_sampler
        if self.trainer is None or sampler is None:
            return {}
        batches = int(min(len(sampler), self.trainer.num_training_batches))
        return {
            "epoch": sampler.epoch,
            "batch": batches_taken(self.trainer),
            "batches": batches,
            "order": self._order(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remembers the position for `train_dataloader`."""
        self._resume = state_dict or None

    def _place(self) -> dict[str, int]:
        """`rank` of this device and `world_size`; 0 and 1 without a trainer."""
        trainer = self.trainer
        if trainer is None:
            return {"rank": 0, "world_size": 1}
        if trainer.world_size > 1 and trainer._accelerator_connector.use_distributed_sampler:
            raise ValueError("Set trainer.use_distributed_sampler to false: this data module shares out its batches.")
        return {"rank": trainer.global_rank, "world_size": trainer.world_size}

    def _take_up(self, sampler: ResumableSampler[Any]) -> None:
        """Makes the sampler of the training batches go on where the loaded checkpoint stopped, if there is one."""
        self._train_sampler = sampler
        if self._resume is not None:
            _continue_at(sampler, self._resume, self._order())


def _continue_at(sampler: ResumableSampler[Any], place: Mapping[str, Any], order: Mapping[str, Any]) -> None:
    """Refuses a place inside an epoch whose batches would come in another order."""
    changed = {key: (place["order"].get(key), now) for key, now in order.items()}
    changed = {key: pair for key, pair in changed.items() if pair[0] != pair[1]}
    # Lightning cannot know that the sampler goes on exactly where the checkpoint stopped.
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
    finished = place["batch"] >= place["batches"]  # in the length of then: other settings make other lengths
    if changed and place["batch"] > 0 and not finished:
        details = "; ".join(f"{key} was {old}, is {new}" for key, (old, new) in changed.items())
        raise ValueError(
            f"The checkpoint stopped inside epoch {place['epoch']} (batch {place['batch']}), and its rows would "
            f"come in another order now: {details}. Restore these, or resume from a checkpoint at an epoch's end."
        )
    sampler.resume_at(place["epoch"] + finished, 0 if finished else place["batch"])
