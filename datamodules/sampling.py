"""Which rows make which batch: a pure function of the settings, so that a run resumes anywhere, exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

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


class LengthBucketSampler(Sampler[list[int]]):
    """Yields this device's batches of an epoch, from any position.

    Args:
        lengths: (rows,) length of each row in tokens.
        languages: (rows,) language of each row.
        batch_size: Rows in one device's batch.
        shuffle: Whether to draw and shuffle (training) or to go by decreasing length (evaluation).
        temperature: See `sample_epoch`.
        seed: Fixes the order of every epoch.
        rank: This device's number.
        world_size: Number of devices. In training the epoch's first batches come once more at its end, so that all
            devices take equally many steps; in evaluation a device may get one batch fewer.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        languages: np.ndarray,
        batch_size: int,
        shuffle: bool,
        temperature: float = 1.0,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.lengths, self.languages = np.asarray(lengths), np.asarray(languages)
        self.batch_size, self.shuffle, self.temperature, self.seed = batch_size, shuffle, temperature, seed
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

    def __len__(self) -> int:
        batches = math.ceil(len(self.lengths) / self.batch_size)
        return math.ceil(batches / self.world_size) if self.shuffle else len(self._share(range(batches)))

    def __iter__(self) -> Iterator[list[int]]:
        first = self._start[1] if self.epoch == self._start[0] else 0
        for batch in self._share(self._batches())[first:]:
            yield batch.tolist()

    def _batches(self) -> list[np.ndarray]:
        if not self.shuffle:
            order = np.argsort(-self.lengths, kind="stable")
            return [order[first : first + self.batch_size] for first in range(0, len(order), self.batch_size)]
        rng = np.random.default_rng((self.seed, self.epoch))
        rows = sample_epoch(self.languages, self.temperature, rng)
        return bucket_batches(rows, self.lengths, self.batch_size, rng)

    def _share(self, batches: list | range) -> list:
        steps = math.ceil(len(batches) / self.world_size)
        count = steps * self.world_size if self.shuffle else len(batches)
        return [batches[index % len(batches)] for index in range(self.rank, count, self.world_size)]


def _draw(rows: np.ndarray, quota: int, rng: np.random.Generator) -> np.ndarray:
    whole, rest = divmod(quota, len(rows))
    return np.concatenate([np.tile(rows, whole), rng.permutation(rows)[:rest]])


def _round_to_sum(shares: np.ndarray) -> np.ndarray:
    """Rounds shares of at least 1 to integers that keep the sum (largest remainder)."""
    floors = np.maximum(np.floor(shares).astype(int), 1)  # 1 may have come as 0.999...
    missing = round(shares.sum()) - floors.sum()
    floors[np.argsort(floors - shares, kind="stable")[:missing]] += 1
    return floors
