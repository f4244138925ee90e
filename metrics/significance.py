"""How far a score can be trusted: bootstrap intervals of one system, tests between two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = Sequence[float] | npt.NDArray[np.floating]

# Random numbers drawn at once: 8 MB, whatever the numbers of values and resamples.
_CHUNK = 2**20
# Differences below this share of the largest value are rounding, not differences.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Interval:
    """A mean, and percentiles of the means of resamples that enclose the share asked for."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedBootstrap:
    """Outcome of `paired_bootstrap`.

    Attributes:
        difference: Mean of a minus mean of b, with its interval.
        share_not_above: Share of the resamples in which a's mean is not above b's, in [0, 1].
        p: Two-sided p-value, in (0, 1].
    """

    difference: Interval
    share_not_above: float
    p: float


def interval(values: Values, confidence: float = 0.95, resamples: int = 2000, seed: int | list[int] = 0) -> Interval:
    """Percentile bootstrap of a mean (Efron & Tibshirani 1993, chapter 13).

    Args:
        values: One number for each summary; at least one. A single one has an interval of no width.
        confidence: Share of such intervals that hold the true mean, in (0, 1); fewer do for few values: 87% of 95%
            intervals at 5 values, 91% at 10 to 20.
        resamples: Resampled means; at least 1.
        seed: Fixes the resamples.

    Returns:
        Mean and bounds, in the unit of the values.

    Raises:
        ValueError: If there are no values, one is not finite, or a setting is out of range.
    """
    column = _column(values)
    return percentile_interval(column.mean(), resampled_means(column[:, None], resamples, seed)[:, 0], confidence)


def ratio_interval(
    numerators: Values, denominators: Values, confidence: float = 0.95, resamples: int = 2000, seed: int | list[int] = 0
) -> Interval:
    """The same for a ratio of sums, such as the loss of a token: sums of losses over numbers of tokens.

    Args:
        numerators: One number for each summary.
        denominators: As many, above 0.
        confidence: As in `interval`.
        resamples: As in `interval`.
        seed: As in `interval`.

    Raises:
        ValueError: As in `interval`, or if the numbers of values differ or a denominator is not above 0.
    """
    over, under = _pairs(numerators, denominators)
    if under.min() <= 0:
        raise ValueError(f"Denominators must be above 0, got {under.min()}.")
    ratios, resampled = resampled_ratios(over[:, None], under[:, None], resamples, seed)
    return percentile_interval(ratios[0], resampled[:, 0], confidence)


def paired_bootstrap(
    a: Values, b: Values, confidence: float = 0.95, resamples: int = 2000, seed: int | list[int] = 0
) -> PairedBootstrap:
    """Paired bootstrap between two systems on the same items (Koehn 2004, section 4).

    The two-sided p-value is twice the smaller of the shares in which a is not above and not below b, each with one
    added to counts and resamples, so that it is never 0 (Davison & Hinkley 1997, section 4.2). It is too small below
    about 30 items: trust `approximate_randomization` there.

    Args:
        a: Scores of the first system, one for each item.
        b: Scores of the second, of the same items in the same order.
        confidence: Of the interval of the difference.
        resamples: As in `interval`.
        seed: As in `interval`.

    Raises:
        ValueError: As in `interval`, or if the numbers of scores differ.
    """
    differences = _differences(a, b)
    means = resampled_means(differences[:, None], resamples, seed)[:, 0]
    tolerance = _ROUNDING * np.abs(differences).max()
    not_above, not_below = int((means <= tolerance).sum()), int((means >= -tolerance).sum())
    p = min(1.0, 2 * (min(not_above, not_below) + 1) / (resamples + 1))
    return PairedBootstrap(
        percentile_interval(differences.mean(), means, confidence), share_not_above=not_above / resamples, p=p
    )


def approximate_randomization(a: Values, b: Values, resamples: int = 10_000, seed: int = 0) -> float:
    """Two-sided p-value of the difference of two systems' means (Riezler & Maxwell 2005, section 4).

    If the systems were alike, swapping the scores of any item would change nothing. The p-value is the share of random
    swappings whose difference is at least as great as that found, with one added to both counts.

    Args:
        a: Scores of the first system, one for each item.
        b: Scores of the second, of the same items in the same order.
        resamples: Random swappings; at least 1. The p-value is no smaller than 1 / (resamples + 1).
        seed: Fixes the swappings.

    Returns:
        A number in (0, 1].

    Raises:
        ValueError: As in `paired_bootstrap`.
    """
    differences = _differences(a, b)
    least = abs(differences.sum()) - _ROUNDING * np.abs(differences).sum()
    as_great = 0
    generator = np.random.default_rng(seed)
    for rows in _chunks(resamples, len(differences)):
        swapped = generator.integers(0, 2, size=(rows, len(differences)), dtype=np.int8)
        sums = (1 - 2 * swapped).astype(np.float64) @ differences
        as_great += int((np.abs(sums) >= least).sum())
    return (as_great + 1) / (resamples + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts the p-values of several tests for their number (Holm 1979): in the order given, each in [0, 1]."""
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted


def resampled_means(
    columns: npt.NDArray[np.floating], resamples: int, seed: int | list[int]
) -> npt.NDArray[np.float64]:
    """Means of the columns of a table whose rows are drawn with replacement.

    Args:
        columns: (N, M) numbers; row = item, column = score. All columns of a resample hold the same items.
        resamples: R, at least 1.
        seed: Fixes what is drawn.

    Returns:
        (R, M) means.
    """
    count = len(columns)
    centre = columns.mean(axis=0)  # else the mean of equal values would be off by rounding
    generator = np.random.default_rng(seed)
    means = []
    for rows in _chunks(resamples, count):
        drawn = generator.integers(0, count, size=(rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        means.append(centre + times.astype(np.float64) @ (columns - centre) / count)
    return np.concatenate(means)


def resampled_ratios(
    over: npt.NDArray[np.floating], under: npt.NDArray[np.floating], resamples: int, seed: int | list[int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Ratios of the columns' sums, with the same items in numerator and denominator of a resample.

    Args:
        over: (N, M) numerators; row = item, column = score.
        under: (N, M) denominators, above 0.
        resamples: R, at least 1.
        seed: Fixes what is drawn.

    Returns:
        (M,) ratios as found, and (R, M) of the resamples.
    """
    means = resampled_means(np.hstack([over, under]), resamples, seed)
    above, below = np.hsplit(means, 2)
    return over.mean(axis=0) / under.mean(axis=0), above / below


def percentile_interval(mean: float, resampled: npt.NDArray[np.floating], confidence: float) -> Interval:
    """The bounds that leave out the same share of resampled means on either side.

    Raises:
        ValueError: If `confidence` is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} must be between 0 and 1, such as 0.95.")
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(mean), float(low), float(high))


def _chunks(resamples: int, count: int) -> Iterator[int]:
    """Numbers of resamples to draw at once."""
    if resamples < 1:
        raise ValueError(f"resamples {resamples} must be at least 1.")
    size = max(1, _CHUNK // count)
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def _column(values: Values) -> npt.NDArray[np.float64]:
    column = np.asarray(values, dtype=np.float64)
    if column.size == 0:
        raise ValueError("There are no values to resample.")
    if not np.isfinite(column).all():
        raise ValueError(f"Value {int(np.flatnonzero(~np.isfinite(column))[0])} is not finite; leave such items out.")
    return column


def _pairs(a: Values, b: Values) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    first, second = _column(a), _column(b)
    if len(first) != len(second):
        raise ValueError(f"Values must belong to the same items, got {len(first)} and {len(second)} of them.")
    return first, second


def _differences(a: Values, b: Values) -> npt.NDArray[np.float64]:
    first, second = _pairs(a, b)
    return first - second
