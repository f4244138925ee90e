"""Where a checkpoint stopped in the training rows, and whether a run can go on exactly there."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Protocol


class ResumableSampler(Protocol):
    """A sampler that yields the batches of an epoch from any of them on; see `sampling.TrainingSampler`."""

    epoch: int

    def resume_at(self, epoch: int, batch: int) -> None:
        """Makes the iteration of `epoch` begin at its `batch`-th batch."""

    def __len__(self) -> int: ...


def place_among_devices(trainer: Any) -> dict[str, int]:
    """`rank` of this device and `world_size`; 0 and 1 without a trainer.

    Raises:
        ValueError: If Lightning would share out the batches a second time.
    """
    if trainer is None:
        return {"rank": 0, "world_size": 1}
    if trainer.world_size > 1 and trainer._accelerator_connector.use_distributed_sampler:
        raise ValueError("Set trainer.use_distributed_sampler to false: this data module shares out its batches.")
    return {"rank": trainer.global_rank, "world_size": trainer.world_size}


def position(sampler: ResumableSampler, taken: int, order: Mapping[str, Any]) -> dict[str, Any]:
    """The place after `taken` batches of the sampler's epoch, as plain data; `order` is all that makes their order."""
    return {"epoch": sampler.epoch, "batch": taken, "batches": len(sampler), "order": dict(order)}


def continue_at(sampler: ResumableSampler, place: Mapping[str, Any], order: Mapping[str, Any]) -> None:
    """Makes a sampler go on at a place.

    Args:
        sampler: Of the run that goes on.
        place: From `position`.
        order: What makes the order of its batches.

    Raises:
        ValueError: If the place is inside an epoch whose batches would come in another order.
    """
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
