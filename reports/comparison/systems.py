"""Which runs are one system with several seeds, and what each system is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reports.comparison.runs import TrainedRun
from reports.markdown_text import plain
from reports.prediction_files import Predictions

# Where and how a run was watched makes it no other system.
_NOT_COMPARED = (
    *("seed_everything", "data.init_args.seed", "ckpt_path", "trainer.default_root_dir"),
    *("trainer.callbacks", "trainer.logger", "trainer.enable_progress_bar"),
)
_FIRST_NAMED = ("adaptation", "rank", "targets", "lr", "base")
_LONGEST_NAME = 60


@dataclass(frozen=True)
class System:
    """Runs that differ in their seed alone.

    Attributes:
        name: Short and unique.
        runs: One for each seed.
        is_reference: Whether the others are tested against this one.
    """

    name: str
    runs: tuple[TrainedRun, ...]
    is_reference: bool = False

    @property
    def first(self) -> TrainedRun:
        """Stands for all where they agree."""
        return self.runs[0]

    @property
    def trained_languages(self) -> list[str]:
        """Languages of the training rows."""
        return list(self.first.rows("train"))


def first_predictions(systems: Sequence[System]) -> Predictions:
    """Rows of each system's first seed."""
    return {system.name: list(system.first.predictions.values()) for system in systems}


def group(runs: Sequence[TrainedRun], reference: str | None = None) -> list[System]:
    """Puts runs together.

    Those of a study are called by their labels. Other runs belong together if their configurations differ in nothing
    but the seed and where they were written, and are called by the settings in which they differ.

    Args:
        runs: Tested runs.
        reference: Name of the reference; None takes the study's, else the first that trains all parameters, else the
            first.

    Raises:
        ValueError: If no system has the name.
    """
    members = {**_of_studies([run for run in runs if run.study]), **_others([run for run in runs if not run.study])}
    chosen = reference or _reference(members)
    if chosen not in members:
        raise ValueError(f"--reference {reference!r} is no system of these runs; there are: {', '.join(members)}.")
    ordered = [chosen, *(name for name in members if name != chosen)]
    return [System(name, tuple(sorted(members[name], key=_seed)), name == chosen) for name in ordered]


def seeds_shown(systems: Sequence[System]) -> str:
    """Says of which seeds single summaries are shown; empty where no system has several."""
    if all(len(system.runs) == 1 for system in systems):
        return ""
    seeds = ", ".join(f"{plain(system.name)}: {system.first.seed}" for system in systems)
    return f"Of the first seed of each system ({seeds})."


def _of_studies(runs: Sequence[TrainedRun]) -> dict[str, list[TrainedRun]]:
    cells: dict[tuple[Any, ...], list[TrainedRun]] = {}
    for run in runs:
        assert run.study is not None
        cells.setdefault((run.study.study, *run.study.labels.values(), run.study.learning_rate), []).append(run)
    several = len({study for study, *_ in cells}) > 1
    without_rate = [key[:-1] for key in cells]
    named = {}
    for (study, *labels, rate), own in cells.items():
        words = [study] * several + labels
        if without_rate.count((study, *labels)) > 1:
            words.append(f"lr {rate}")
        named[" ".join(words)] = own
    return named


def _others(runs: Sequence[TrainedRun]) -> dict[str, list[TrainedRun]]:
    groups: dict[tuple[tuple[str, str], ...], list[TrainedRun]] = {}
    for run in runs:
        groups.setdefault(tuple(sorted(_settings(run.configuration).items())), []).append(run)
    settings = [dict(key) for key in groups]
    keys = sorted({key for one in settings for key in one}, key=_place)
    differing = [key for key in keys if len({one.get(key) for one in settings}) > 1]
    named: dict[str, list[TrainedRun]] = {}
    for one, own in zip(settings, groups.values(), strict=True):
        words = [f"{key.rsplit('.', 1)[-1]}={one[key]}" for key in differing if key in one]
        name = (", ".join(words) or own[0].adaptation)[:_LONGEST_NAME]
        number = 1 + sum(taken.split(" #")[0] == name for taken in named)
        named[name if number == 1 else f"{name} #{number}"] = own
    return named


def _settings(value: Any, prefix: str = "") -> dict[str, str]:
    if prefix.startswith(_NOT_COMPARED):
        return {}
    if not isinstance(value, dict | list) or not value:
        return {prefix: str(value)}
    children = value.items() if isinstance(value, dict) else enumerate(value)
    found: dict[str, str] = {}
    for key, child in children:
        found |= _settings(child, f"{prefix}.{key}" if prefix else str(key))
    return found


def _place(key: str) -> tuple[int, str]:
    last = key.rsplit(".", 1)[-1]
    return (_FIRST_NAMED.index(last) if last in _FIRST_NAMED else len(_FIRST_NAMED)), key


def _reference(members: dict[str, list[TrainedRun]]) -> str:
    of_study = [name for name, runs in members.items() if runs[0].study and runs[0].study.reference]
    whole = [name for name, runs in members.items() if runs[0].adaptation == "full"]
    return [*of_study, *whole, *members][0]


def _seed(run: TrainedRun) -> int:
    return run.seed
