"""Scores of systems on the same summaries, and what they say when seeds and articles are both a matter of chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metrics.score_intervals import Bootstrap
from metrics.seeded_bootstrap import Difference, Scores, compare_systems, system_interval
from metrics.significance import Interval, approximate_randomization, holm
from reports.comparison.systems import System
from reports.score_names import SCORE_NAMES

# With a fixed number of resamples, many tests together could never fall below 0.05, however great the differences.
_LEAST_ADJUSTED_P = 0.02


@dataclass(frozen=True)
class LanguageScores:
    """Summaries of one language that every system made.

    Attributes:
        language: Code.
        ids: Of the N articles.
        tables: By system and score, (S, N) numbers, one row a seed; scores that a summary lacks are left out.
        lacking: Articles that some run was tested on and another was not.
    """

    language: str
    ids: list[str]
    tables: dict[str, dict[str, Scores]]
    lacking: int

    def mean(self, system: str, score: str) -> float | None:
        """Over seeds and articles; None where the system has no such score."""
        table = self.tables.get(system, {}).get(score)
        return None if table is None else float(table.mean())

    def interval(self, system: str, score: str, bootstrap: Bootstrap = Bootstrap()) -> Interval | None:
        """Mean over seeds and articles; None where the system has no such score."""
        if score not in self.tables.get(system, {}):
            return None
        settings = (bootstrap.confidence, bootstrap.resamples, _seed(self.language, bootstrap))
        return system_interval(self.tables[system][score], *settings)

    def seed_deviation(self, system: str, score: str) -> float | None:
        """Standard deviation of the seeds' means; None below two seeds."""
        table = self.tables[system][score]
        return float(table.mean(axis=1).std(ddof=1)) if len(table) > 1 else None


@dataclass(frozen=True)
class Test:
    """One score of one system against the reference.

    Attributes:
        language: Code.
        system: Name.
        score: Name of the score.
        outcome: Difference and ratio over articles and seeds.
        randomization_p: Of the seeds' mean, article by article (Riezler & Maxwell 2005).
        adjusted_p: The greater of both p-values, adjusted for all tests of the report (Holm 1979).
    """

    language: str
    system: str
    score: str
    outcome: Difference
    randomization_p: float
    adjusted_p: float = 1.0


def scores_by_language(systems: Sequence[System]) -> list[LanguageScores]:
    """Scores of the articles that all systems with this language were tested on.

    Raises:
        ValueError: If an article has two references.
    """
    languages = sorted({language for system in systems for run in system.runs for language, _ in run.predictions})
    return [scores for language in languages if (scores := _language(language, systems)).ids]


def resamples_for(tests: int, bootstrap: Bootstrap = Bootstrap()) -> int:
    """How many resamples leave the adjusted p-value of so many tests free to fall to `_LEAST_ADJUSTED_P`."""
    return max(bootstrap.resamples, math.ceil(2 * tests / _LEAST_ADJUSTED_P))


def significance(scores: Sequence[LanguageScores], reference: str, bootstrap: Bootstrap = Bootstrap()) -> list[Test]:
    """Every score of every system against the reference, adjusted for the number of tests."""
    wanted = [
        (one, system, score)
        for one in scores
        for system in one.tables
        for score in SCORE_NAMES
        if system != reference and all(score in one.tables.get(name, {}) for name in (system, reference))
    ]
    tests, resamples = [], resamples_for(len(wanted), bootstrap)
    for one, system, score in wanted:
        own, other = (one.tables[name][score] for name in (system, reference))
        outcome = compare_systems(own, other, bootstrap.confidence, resamples, _seed(one.language, bootstrap))
        swaps = max(10_000, resamples)
        p = approximate_randomization(own.mean(axis=0), other.mean(axis=0), swaps, bootstrap.seed)
        tests.append(Test(one.language, system, score, outcome, p))
    adjusted = holm([max(test.outcome.p, test.randomization_p) for test in tests])
    return [
        Test(one.language, one.system, one.score, one.outcome, one.randomization_p, p)
        for one, p in zip(tests, adjusted, strict=True)
    ]


def _language(language: str, systems: Sequence[System]) -> LanguageScores:
    own = {system.name: [_of_language(run.predictions, language) for run in system.runs] for system in systems}
    own = {name: runs for name, runs in own.items() if all(runs)}
    every = [rows for runs in own.values() for rows in runs]
    if not every:
        return LanguageScores(language, [], {}, 0)
    # In the order of the first file, so that resamples are those of its results.json.
    ids = [name for name in every[0] if all(name in rows for rows in every)]
    _require_one_reference(language, ids, every)
    tables: dict[str, dict[str, Scores]] = {
        name: {
            score: np.array([[rows[i]["scores"][score] for i in ids] for rows in runs], dtype=np.float64)
            for score in runs[0][ids[0]]["scores"]
            if all(rows[i]["scores"].get(score) is not None for rows in runs for i in ids)
        }
        for name, runs in own.items()
        if ids
    }
    return LanguageScores(language, ids, tables, len({name for rows in every for name in rows}) - len(ids))


def _of_language(predictions: dict, language: str) -> dict:
    return {name: row for (code, name), row in predictions.items() if code == language}


def _require_one_reference(language: str, ids: Sequence[str], every: Sequence[dict]) -> None:
    for name in ids:
        if len({rows[name]["reference"] for rows in every}) > 1:
            raise ValueError(
                f"Article {name!r} ({language}) has another reference in another run: these runs were tested on "
                "different data. Compare those of the same data."
            )


def _seed(language: str, bootstrap: Bootstrap) -> list[int]:
    """That of `metrics.score_intervals`, so that a single run has the intervals of its results.json."""
    return [bootstrap.seed, *language.encode()]
