"""The factorial experiment: which factor makes a model print sentinels, and which makes its summaries endless."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from metrics.factorial import contrast, explained_intervals
from metrics.significance import Interval
from reports.results import Results, read_predictions, read_results
from reports.study_record import FILE, StudyRun, read_study_run, written_folder

FORMS = ("adapters", "nf4", "bf16")
FACTORS = ("learning rate", "adapted layers", "labels", "merge")
NOT_MEASURED = "not measured yet"
LANGUAGES = ("tr", "en")
MERGE_RECORD = "merge.json"  # beside an evaluation of merged weights
_WORDS = {"q-v": "q and v", "all-linear": "all layers", "with-end": "with </s>", "without-end": "without </s>"}


@dataclass(frozen=True)
class Evaluation:
    """One test of one training, in one form.

    Attributes:
        study: The training.
        form: `adapters` beside the weights, merged into `nf4` or `bf16`, or the `untuned` base.
        sentinels: `allowed` or `suppressed`.
        folder: Where it was written.
    """

    study: StudyRun
    form: str
    sentinels: str
    folder: Path

    @property
    def cell(self) -> tuple[str, ...]:
        """Labels of the training."""
        return tuple(self.study.labels.values())

    @cached_property
    def results(self) -> Results:
        """Its `results.json`."""
        return read_results(self.folder / "test/results.json")

    @cached_property
    def scores(self) -> dict[tuple[str, str], dict[str, float]]:
        """Scores of each summary, by language and id."""
        rows = read_predictions(self.folder / "test/predictions.jsonl")
        return {(row["language"], row["id"]): row["scores"] for row in rows}

    @cached_property
    def merged_layers(self) -> list[dict[str, Any]]:
        """4-bit layers as `case_study.merging` recorded them; without updates of no size, and `wo`."""
        file = self.folder / MERGE_RECORD
        layers = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
        return [one for one in layers if one["relative_size"] > 0 and not one["layer"].endswith(".wo")]


@dataclass(frozen=True)
class Collapse:
    """All that the experiment has recorded so far.

    Attributes:
        evaluations: Every test.
        trainings: Folder and record of every finished training.
    """

    evaluations: list[Evaluation]
    trainings: list[tuple[Path, StudyRun]]

    def of(self, form: str, sentinels: str = "allowed", cell: Sequence[str] | None = None) -> list[Evaluation]:
        """The tests of one form, of one cell or of all."""
        return [
            one
            for one in self.evaluations
            if (one.form, one.sentinels) == (form, sentinels) and cell in (None, one.cell)
        ]

    @property
    def reference(self) -> tuple[str, ...]:
        """Labels of the cell that the others are compared with; empty before it was trained."""
        return next((tuple(study.labels.values()) for _, study in self.trainings if study.reference), ())

    @property
    def cells(self) -> list[tuple[str, ...]]:
        """Labels of the trainings, in the order of learning rates."""
        found = dict.fromkeys(tuple(study.labels.values()) for _, study in self.trainings)
        return sorted(found, key=lambda cell: (_rate(cell[0]), *(label not in _FIRST for label in cell[1:])))

    def scores(self, name: str, sentinels: str = "allowed") -> npt.NDArray[np.float64] | None:
        """(rates, targets, labels, forms, seeds, articles) of a score, of both languages; None while one is missing."""
        levels = [list(dict.fromkeys(labels)) for labels in zip(*self.cells, strict=True)]
        groups = [self.of(form, sentinels, cell) for cell in self.cells for form in FORMS]
        seeds = {len(group) for group in groups}
        complete = len(self.cells) == np.prod([len(one) for one in levels]) and len(seeds) == 1 and min(seeds) > 0
        if not complete or min(map(len, levels)) < 2:
            return None
        every = [sorted(group, key=lambda one: one.study.seed) for group in groups]
        articles = [key for key in every[0][0].scores if all(key in one.scores for group in every for one in group)]
        numbers = [[[one.scores[key][name] for key in articles] for one in group] for group in every]
        return np.array(numbers).reshape(*(len(one) for one in levels), len(FORMS), min(seeds), len(articles))


# Which of two labels comes first.
_FIRST = ("q-v", "with-end")


def read_collapse(folder: Path) -> Collapse:
    """Reads the study and its evaluations; empty where there is none."""
    found = Collapse([], [])
    for file in sorted(folder.rglob(FILE)):
        study, written = read_study_run(file.parent), written_folder(file.parent)
        if study is None or study.status not in ("fitted", "finished"):
            continue
        if written is not None:
            found.trainings.append((written, study))
        for results in sorted(file.parent.glob("evaluations/*/test/results.json")):
            form, _, sentinels = results.parent.parent.name.rpartition("-")
            found.evaluations.append(Evaluation(study, form, sentinels, results.parent.parent))
    return found


def effects(collapse: Collapse, score: str) -> dict[str, Interval]:
    """Shares of the variance between cells by factor and by interaction of two; empty while a cell is missing."""
    scores = collapse.scores(score)
    if scores is None:
        return {}
    found = explained_intervals(scores, paired=1)
    return {" × ".join(FACTORS[place] for place in effect): one for effect, one in found.items() if len(effect) < 3}


def contrasts(collapse: Collapse, score: str) -> dict[str, Interval]:
    """What each change does to a score, averaged over all the rest; empty while a cell is missing."""
    scores = collapse.scores(score)
    if scores is None:
        return {}
    rates = list(dict.fromkeys(cell[0] for cell in collapse.cells))
    last = len(rates) - 1
    wanted = [
        *(
            (f"{in_words(rate)} instead of {in_words(rates[-1])}", 0, place, last)
            for place, rate in enumerate(rates[:-1])
        ),
        ("q and v instead of all layers", 1, 0, 1),
        ("labels without `</s>`", 2, 1, 0),
        ("merged into NF4", 3, 1, 0),
        ("merged into bf16", 3, 2, 0),
    ]
    return {name: contrast(scores, factor, level, other, paired=1) for name, factor, level, other in wanted}


def mean_over_seeds(evaluations: Sequence[Evaluation], score: str, language: str | None = None) -> float | None:
    """Of `results.json`: a score of one language, or over all; None without an evaluation that has it."""
    tables: list[Any] = [
        one.results.overall if language is None else one.results.languages.get(language, {}) for one in evaluations
    ]
    values = [table[score].mean for table in tables if score in table]
    return float(np.mean(values)) if values else None


def pair(evaluations: Sequence[Evaluation], score: str, digits: int, factor: float = 1) -> str:
    """A score in Turkish and in English, means over seeds, as `22.1 / 17.4`."""
    values = [mean_over_seeds(evaluations, score, language) for language in LANGUAGES]
    known = [f"{factor * value:.{digits}f}" for value in values if value is not None]
    return " / ".join(known) if len(known) == len(values) else NOT_MEASURED


def ended_with_words(evaluations: Sequence[Evaluation]) -> float:
    """Share of the summaries that end by `</s>` and are not empty."""
    shares = [score["ended"] * (1 - score["empty"]) for one in evaluations for score in one.scores.values()]
    return sum(shares) / len(shares)


def in_words(label: str) -> str:
    """A label of the study as a reader knows it: `5.6e-5`, `all layers`, `without </s>`."""
    return _WORDS.get(label, label.removeprefix("lr-"))


def _rate(label: str) -> float:
    return float(label.removeprefix("lr-"))
