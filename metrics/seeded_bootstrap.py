"""Systems that were trained with several seeds: intervals, differences and ratios over articles and seeds.

Notation: A systems, S seeds of a system (may differ), N articles, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metrics.significance import Interval, percentile_interval, resampled_means

Scores = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Difference:
    """A system against another.

    Attributes:
        difference: Mean of the system minus mean of the other, with its interval.
        p: Two-sided p-value of the difference, in (0, 1].
        ratio: Mean of the system over mean of the other, with its interval; None where the other's mean is 0.
    """

    difference: Interval
    p: float
    ratio: Interval | None


def resampled_systems(systems: Sequence[Scores], resamples: int, seed: int | list[int]) -> npt.NDArray[np.float64]:
    """Means of systems under a two-level bootstrap (Davison & Hinkley 1997, section 3.8).

    A resample draws N articles, the same for all systems, and of each system S seeds, both with replacement, and takes
    the mean of the scores where they cross. With one seed it is the ordinary paired bootstrap over articles. Few seeds
    are drawn too narrowly: the variance that they contribute is (S - 1) / S of the unbiased one.

    Args:
        systems: (S, N) scores of each; the same articles in the same order.
        resamples: R, at least 1.
        seed: Fixes what is drawn; with the same one and the same articles, the articles of each resample are those of
            `metrics.score_intervals`.

    Returns:
        (R, A) means.

    Raises:
        ValueError: If there are no scores, the numbers of articles differ, or a score is not finite.
    """
    counts = {scores.shape[1] for scores in systems}
    if len(counts) != 1 or 0 in counts or any(len(scores) == 0 for scores in systems):
        raise ValueError(f"Systems must have scores of the same articles, got {[scores.shape for scores in systems]}.")
    stacked = np.concatenate(systems).astype(np.float64)
    if not np.isfinite(stacked).all():
        raise ValueError("A score is not finite; leave such articles out.")
    by_seed = np.split(resampled_means(stacked.T, resamples, seed), np.cumsum([len(one) for one in systems])[:-1], 1)
    # Another stream than that of the articles.
    generator = np.random.default_rng([*np.atleast_1d(seed), 1])
    return np.column_stack([_resample_seeds(means, generator) for means in by_seed])


def system_interval(scores: Scores, confidence: float, resamples: int, seed: int | list[int]) -> Interval:
    """Interval of one system's mean over articles and seeds; arguments as of `resampled_systems`."""
    return percentile_interval(float(scores.mean()), resampled_systems([scores], resamples, seed)[:, 0], confidence)


def compare_systems(
    system: Scores, other: Scores, confidence: float = 0.95, resamples: int = 2000, seed: int | list[int] = 0
) -> Difference:
    """Difference and ratio of two systems' means, paired by article.

    The p-value is twice the smaller share of resamples whose difference is not above and not below 0, with one added to
    count and resamples (Davison & Hinkley 1997, section 4.2).

    Args:
        system: (S, N) scores.
        other: (S', N) scores of the same articles in the same order.
        confidence: Of the intervals, in (0, 1).
        resamples: At least 1.
        seed: Fixes the resamples.

    Raises:
        ValueError: As in `resampled_systems`.
    """
    means = resampled_systems([system, other], resamples, seed)
    differences = means[:, 0] - means[:, 1]
    # Below this, differences are rounding.
    tolerance = 1e-9 * max(np.abs(system).max(), np.abs(other).max())
    not_above, not_below = int((differences <= tolerance).sum()), int((differences >= -tolerance).sum())
    p = min(1.0, 2 * (min(not_above, not_below) + 1) / (resamples + 1))
    found = float(system.mean()), float(other.mean())
    ratio = None
    if (means[:, 1] > 0).all():
        ratio = percentile_interval(found[0] / found[1], means[:, 0] / means[:, 1], confidence)
    return Difference(percentile_interval(found[0] - found[1], differences, confidence), p, ratio)


def _resample_seeds(means: npt.NDArray[np.float64], generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """(R, S) means of each seed to (R,) means of S seeds drawn with replacement."""
    resamples, seeds = means.shape
    drawn = generator.integers(0, seeds, size=(resamples, seeds))
    return np.take_along_axis(means, drawn, axis=1).mean(axis=1)
