"""Which rows make which batch: a pure function of the settings, so that a run resumes anywhere, exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from datamodules.position import ResumableSampler

# Rows are shuffled, cut into pools of this many batches, and sorted by length within a pool: large enough that a
# batch holds rows of like length, small enough that lengths do not correlate over an epoch.
POOL_BATCHES = 50


def sample_epoch(groups: np.ndarray, temperature: float, rng: np.random.Generator) -> np.ndarray:
    """Draws the rows of one epoch with languages in the proportion n^(1/temperature).

    The epoch keeps its length. A language that is drawn more often than it has rows is repeated whole before any row
    comes once more. Source of the formula: Conneau et al. 2020 (XLM-R), section 3.1; mT5 uses temperature 1/0.3.

    Args:
        groups: (rows,) the language of each row.
        temperature: At least 1; 1 keeps the natural proportions, infinity makes all languages equal.
        rng: Source of randomness.

    Returns:
        (rows,) int64 row numbers, in random order.

    Raises:
        ValueError: If `temperature` is below 1.
    """
    if not temperature >= 1:
        raise ValueError(f"temperature {temperature} must be at least 1 (1 = natural proportions, .inf = all equal).")
    if temperature == 1:
        return rng.permutation(len(groups))
    names, counts = np.unique(groups, return_counts=True)
    weights = (counts / counts.sum()) ** (1 / temperature)
    quotas = _round_to_sum(weights / weights.sum() * len(groups))
    drawn = [_draw(np.flatnonzero(groups == name), quota, rng) for name, quota in zip(names, quotas, strict=True)]
    return rng.permutation(np.concatenate(drawn))


def bucket_batches(
    rows: np.ndarray, lengths: np.ndarray, batch_size: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Cuts shuffled rows into batches of like length, in random order.

    Args:
        rows: Row numbers in random order.
        lengths: (all rows,) the length of each row.
        batch_size: Rows in a batch; one may hold fewer.
        rng: Source of randomness.

    Returns:
        Batches of row numbers; each of `rows` stands in exactly one.
    """
    pool = batch_size * POOL_BATCHES
    batches = []
    for start in range(0, len(rows), pool):
        part = rows[start : start + pool]
        part = part[np.argsort(-lengths[part], kind="stable")]
        batches += [part[first : first + batch_size] for first in range(0, len(part), batch_size)]
    order = rng.permutation(len(batches))
    return [batches[index] for index in order]


class Share(NamedTuple):
    """One device's part of a batch.

    Attributes:
        rows: Row numbers; none where an epoch's last batch has fewer rows than there are devices.
        loss_divisor: What the sum of the token losses of these rows is divided by, so that the mean of such quotients
            over the devices and accumulated batches of an optimizer step is the mean over all their label tokens:
            the number of those label tokens by the number of quotients. None in evaluation.
    """

    rows: list[int]
    loss_divisor: float | None = None


class TrainingSampler(ResumableSampler[Share]):
    """Yields one device's share of each batch of an epoch, from any position.

    A batch has `batch_size` rows for each device and is the one that a single device with as many rows would take.
    Every n-th of its rows, longest first, goes to the same device: lengths and languages are alike on all of them.

    Args:
        lengths: (rows,) length of each source in tokens.
        languages: (rows,) language of each row.
        label_tokens: (rows,) labels of each row.
        batch_size: Rows for one device.
        temperature: See `sample_epoch`.
        seed: Fixes the order of every epoch.
        rank: This device's number.
        world_size: Number of devices.
        accumulated_batches: Batches of an optimizer step, counted from an epoch's first.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        languages: np.ndarray,
        label_tokens: np.ndarray,
        batch_size: int,
        temperature: float = 1.0,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        accumulated_batches: int = 1,
    ) -> None:
        super().__init__(batch_size, seed, rank, world_size)
        self.lengths, self.languages, self.label_tokens = lengths, languages, label_tokens
        self.temperature, self.accumulated_batches = temperature, accumulated_batches

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.global_batch_size)

    def __iter__(self) -> Iterator[Share]:
        rng = np.random.default_rng((self.seed, self.epoch))
        rows = sample_epoch(self.languages, self.temperature, rng)
        batches = bucket_batches(rows, self.lengths, self.global_batch_size, rng)
        divisors = self._loss_divisors(batches)
        for batch, divisor in zip(batches[self.first_batch :], divisors[self.first_batch :], strict=True):
            yield Share(batch[self.rank :: self.world_size].tolist(), divisor)

    def _loss_divisors(self, batches: list[np.ndarray]) -> list[float]:
        step_of_batch = np.arange(len(batches)) // self.accumulated_batches
        step_tokens = np.bincount(step_of_batch, [self.label_tokens[batch].sum() for batch in batches])
        # An epoch's last step may have fewer batches, but Lightning divides its loss by as many all the same.
        return (step_tokens[step_of_batch] / (self.world_size * self.accumulated_batches)).tolist()


class EvaluationSampler(Sampler[Share]):
    """Yields one device's share of all rows, longest first; the devices' batches are disjoint.

    Batches of short sources hold 2, 4, 8 ... times `batch_size` rows, as long as these have no more source tokens than
    a batch of the longest sources possible: few shapes, and about the same memory.

    Args:
        lengths: (rows,) length of each source in tokens, at least 1.
        batch_size: Rows of a batch of sources of `max_length`, on one device.
        max_length: Greatest length possible.
        growth: Greatest multiple of `batch_size`; 1 makes all batches equal.
        rank: This device's number.
        world_size: Number of devices. One may get a batch fewer than another.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        batch_size: int,
        max_length: int,
        growth: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        order = np.argsort(-lengths, kind="stable")
        self._shares: list[Share] = []
        first = 0
        while first < len(order):
            ratio = min(growth, max_length // int(lengths[order[first]]))
            rows = world_size * batch_size * 2 ** (ratio.bit_length() - 1)
            own = order[first : first + rows][rank::world_size]
            self._shares += [Share(own.tolist())] if len(own) else []
            first += rows

    def __len__(self) -> int:
        return len(self._shares)

    def __iter__(self) -> Iterator[Share]:
        return iter(self._shares)


def _draw(rows: np.ndarray, quota: int, rng: np.random.Generator) -> np.ndarray:
    whole, rest = divmod(quota, len(rows))
    return np.concatenate([np.tile(rows, whole), rng.permutation(rows)[:rest]])


def _round_to_sum(shares: np.ndarray) -> np.ndarray:
    """Rounds shares of at least 1 to integers that keep the sum (largest remainder)."""
    floors = np.maximum(np.floor(shares).astype(int), 1)  # 1 may have come as 0.999...
    missing = round(shares.sum()) - floors.sum()
    floors[np.argsort(floors - shares, kind="stable")[:missing]] += 1
    return floors
