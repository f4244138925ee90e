"""What a comparison is made of: runs put together into systems, their scores, tests and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.comparison.cost import Cost, cost
from reports.comparison.runs import Collection, collect
from reports.comparison.scores import LanguageScores, Test, scores_by_language, significance
from reports.comparison.systems import System, group


@dataclass(frozen=True)
class Findings:
    """What page, slides and examples are written from.

    Attributes:
        collection: All runs found.
        systems: The reference first.
        scores: By language.
        tests: Every score of every system against the reference.
        costs: By system.
    """

    collection: Collection
    systems: list[System]
    scores: list[LanguageScores]
    tests: list[Test]
    costs: dict[str, Cost]

    @property
    def title(self) -> str:
        """Names the studies, or counts the runs."""
        names = dict.fromkeys(run.study.study for run in self.collection.runs if run.study)
        return f"Comparison: {', '.join(names)}" if names else f"Comparison of {len(self.collection.runs)} runs"

    @property
    def question(self) -> str:
        """What the studies ask; empty without a study."""
        runs = self.collection.runs
        return " ".join(dict.fromkeys(run.study.question for run in runs if run.study and run.study.question))

    @property
    def reference(self) -> System:
        """What the others are tested against."""
        return self.systems[0]


def find(folders: Sequence[Path], reference: str | None = None) -> Findings:
    """Compares all tested runs under some folders.

    Args:
        folders: Of studies, of runs, or above them.
        reference: What the others are tested against; see `systems.group`.

    Raises:
        ValueError: If no run was tested, the runs are of different data, or the reference is unknown.
    """
    collection = collect(folders)
    systems = group(collection.runs, reference)
    scores = scores_by_language(systems)
    if not scores:
        raise ValueError(
            f"No article was given to all of {', '.join(one.name for one in systems)}: test on one data set."
        )
    tests = significance(scores, systems[0].name)
    return Findings(collection, systems, scores, tests, {system.name: cost(system) for system in systems})
