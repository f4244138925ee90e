"""Bootstrap intervals of all scores of an evaluation, by language and overall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metrics.significance import Interval, Values, percentile_interval, resampled_ratios

Scores = dict[str, Interval]


@dataclass(frozen=True)
class Bootstrap:
    """Settings of bootstrap intervals.

    Args:
        confidence: Share of such intervals that hold the true value, in (0, 1).
        resamples: Resampled means of each score; at least 1.
        seed: Fixes the resamples.

    Raises:
        ValueError: If a number is out of range.
    """

    confidence: float = 0.95
    resamples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ValueError(f"bootstrap.confidence {self.confidence} must be between 0 and 1, such as 0.95.")
        if self.resamples < 1:
            raise ValueError(f"bootstrap.resamples {self.resamples} must be at least 1.")


def score_intervals(
    tables: Mapping[str, Mapping[str, tuple[Values, Values]]], bootstrap: Bootstrap
) -> tuple[dict[str, Scores], Scores]:
    """Percentile bootstrap (Efron & Tibshirani 1993, chapter 13) within each language.

    Args:
        tables: By language and name, numerators and denominators of each summary. The score is the sum of the former
            over the sum of the latter: a mean with denominators of 1, the loss of a token with numbers of tokens. All
            scores of a language belong to the same summaries, as those of a resample do.
        bootstrap: Settings.

    Returns:
        The scores of each language, and overall: the plain mean over the languages that have the score, its interval
        from summaries drawn within each language.
    """
    found = {}
    for language, table in tables.items():
        # A seed of its own, since languages are drawn independently; by its name, so that no other language matters.
        found[language] = _resample(table, bootstrap.resamples, [bootstrap.seed, *language.encode()])
    overall: dict[str, list[tuple[float, npt.NDArray[np.float64]]]] = {}
    for scores in found.values():
        for name, score in scores.items():
            overall.setdefault(name, []).append(score)
    by_language = {
        language: {name: percentile_interval(*score, bootstrap.confidence) for name, score in scores.items()}
        for language, scores in found.items()
    }
    return by_language, {name: _mean_interval(scores, bootstrap.confidence) for name, scores in overall.items()}


def _resample(
    table: Mapping[str, tuple[Values, Values]], resamples: int, seed: int | list[int]
) -> dict[str, tuple[float, npt.NDArray[np.float64]]]:
    """Each score, and its resampled values."""
    if not table:
        return {}
    over = np.column_stack([numerators for numerators, _ in table.values()]).astype(np.float64)
    under = np.column_stack([denominators for _, denominators in table.values()]).astype(np.float64)
    values, resampled = resampled_ratios(over, under, resamples, seed)
    return {name: (float(values[column]), resampled[:, column]) for column, name in enumerate(table)}


def _mean_interval(scores: list[tuple[float, npt.NDArray[np.float64]]], confidence: float) -> Interval:
    values, resampled = zip(*scores, strict=True)
    return percentile_interval(float(np.mean(values)), np.mean(resampled, axis=0), confidence)
