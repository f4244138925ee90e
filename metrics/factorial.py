"""Which factor of an experiment explains its outcome: a balanced full factorial design over seeds and articles.

Notation: F factors with L1 ... LF levels, S seeds of a cell, N articles, R resamples.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from metrics.significance import Interval, percentile_interval, resampled_means

Array = npt.NDArray[np.float64]
Effect = tuple[int, ...]  # places of the factors: (0,) a main effect, (0, 2) an interaction of two


def resampled_cells(
    scores: npt.NDArray[np.floating], paired: int = 0, resamples: int = 2000, seed: int | list[int] = 0
) -> Array:
    """Means of all cells under a two-level bootstrap (Davison & Hinkley 1997, section 3.8).

    A resample draws N articles, the same for all cells, and for each cell S seeds, both with replacement.

    Args:
        scores: (L1, ..., LF, S, N) numbers.
        paired: So many of the last factors share their seeds, since their levels are made of the same trainings.
        resamples: R, at least 1.
        seed: Fixes what is drawn.

    Returns:
        (R, L1, ..., LF) means.

    Raises:
        ValueError: If a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise ValueError("A score is not finite; leave such articles out.")
    *levels, seeds, articles = scores.shape
    means = resampled_means(scores.reshape(-1, articles).T.astype(np.float64), resamples, seed)
    means = means.reshape(resamples, *levels, seeds)
    own = levels[: len(levels) - paired] + [1] * paired
    generator = np.random.default_rng([*np.atleast_1d(seed), 1])  # another stream than that of the articles
    drawn = np.broadcast_to(generator.integers(0, seeds, size=(resamples, *own, seeds)), means.shape)
    return np.take_along_axis(means, drawn, axis=-1).mean(axis=-1)


def explained(cells: Array) -> dict[Effect, Array]:
    """Shares of the variance between cells that each factor and each interaction accounts for (Fisher 1935).

    Args:
        cells: (R, L1, ..., LF) means.

    Returns:
        By effect (R,) shares, which add up to 1; all 0 where the cells do not differ.
    """
    factors = range(1, cells.ndim)
    components: dict[Effect, Array] = {(): cells.mean(axis=tuple(factors), keepdims=True)}
    for size in range(1, cells.ndim):
        for effect in combinations(factors, size):
            others = tuple(factor for factor in factors if factor not in effect)
            lower = [part for name, part in components.items() if set(name) < set(effect)]
            components[effect] = cells.mean(axis=others, keepdims=True) - sum(lower)
    total = cells.var(axis=tuple(factors))
    del components[()]
    return {
        tuple(place - 1 for place in effect): (part**2).mean(axis=tuple(factors)) / np.where(total > 0, total, 1.0)
        for effect, part in components.items()
    }


def explained_intervals(
    scores: npt.NDArray[np.floating], paired: int = 0, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> dict[Effect, Interval]:
    """`explained` of the means as found, with intervals. Chance adds to small shares, so that none has the lower end 0.

    Args:
        scores: (L1, ..., LF, S, N) numbers.
        paired: As in `resampled_cells`.
        confidence: Of the intervals, in (0, 1).
        resamples: At least 1.
        seed: Fixes what is drawn.
    """
    found = explained(scores.mean(axis=(-2, -1), dtype=np.float64)[None])
    drawn = explained(resampled_cells(scores, paired, resamples, seed))
    return {effect: percentile_interval(float(found[effect][0]), drawn[effect], confidence) for effect in found}


def contrast(
    scores: npt.NDArray[np.floating],
    factor: int,
    level: int,
    against: int,
    paired: int = 0,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Main effect of one level of a factor against another, averaged over all levels of the other factors.

    Args:
        scores: (L1, ..., LF, S, N) numbers.
        factor: Its place.
        level: Place of the level.
        against: Place of the level that it is compared with.
        paired: As in `resampled_cells`.
        confidence: Of the interval, in (0, 1).
        resamples: At least 1.
        seed: Fixes what is drawn.
    """

    def difference(cells: Array) -> Array:
        both = np.take(cells, level, axis=factor + 1) - np.take(cells, against, axis=factor + 1)
        return both.reshape(len(both), -1).mean(axis=1)

    found = difference(scores.mean(axis=(-2, -1), dtype=np.float64)[None])
    drawn = difference(resampled_cells(scores, paired, resamples, seed))
    return percentile_interval(float(found[0]), drawn, confidence)
