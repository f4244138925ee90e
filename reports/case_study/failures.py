"""Runs of the study of failures: their figures, and what the guards said about them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from reports.case_study.collapse import LANGUAGES, NOT_MEASURED
from reports.curves import Series, read_run
from reports.results import Results, read_predictions, read_results
from reports.study_record import FILE, StudyRun, read_study_run, written_folder

# Folders of the machine that made the runs.
_PLACE = re.compile(r"[^\s'\"]*?/(?=(?:collapse|failures)/[\w.+-]+/seed-)")
_ERROR = re.compile(r"^(?:error: |[\w.]*(?:Error|Exception)\b:? ?)", re.MULTILINE)


@dataclass(frozen=True)
class FailureRun:
    """One cell of the study.

    Attributes:
        study: Its record; None where it was not run.
        folder: What `train.py` wrote; None where it wrote nothing.
    """

    study: StudyRun | None = None
    folder: Path | None = None

    @cached_property
    def results(self) -> Results | None:
        """Of its test."""
        file = self.folder / "test/results.json" if self.folder else None
        return read_results(file) if file is not None and file.is_file() else None

    @cached_property
    def series(self) -> Series:
        """All that it logged."""
        return read_run(self.folder) if self.folder else {}

    @property
    def error(self) -> str:
        """What ended it, from the line that names the error on; empty if nothing did."""
        text = shortened("\n".join(self.study.error)) if self.study is not None else ""
        found = list(_ERROR.finditer(text))
        return text[found[-1].start() :].removeprefix("error: ") if found else text

    def score(self, name: str, digits: int = 1, percent: bool = False) -> str:
        """A score in Turkish and in English, as `22.1 / 17.4`."""
        if self.results is None:
            return NOT_MEASURED
        scores = [self.results.languages.get(code, {}).get(name) for code in LANGUAGES]
        return " / ".join("–" if one is None else f"{one.mean * (100 if percent else 1):.{digits}f}" for one in scores)

    def last(self, key: str, digits: int = 2) -> str:
        """The last value logged under a key; `NaN` where that is none."""
        points = self.series.get(key, [])
        if not points:
            return NOT_MEASURED
        return f"{points[-1][1]:.{digits}f}" if math.isfinite(points[-1][1]) else "NaN"

    def greatest(self, key: str, digits: int = 2) -> str:
        """The greatest finite value logged under a key."""
        values = [value for _, value in self.series.get(key, []) if math.isfinite(value)]
        return f"{max(values):,.{digits}f}" if values else NOT_MEASURED

    def diagnosis(self, figure: str) -> str:
        """The last diagnosis of CollapseMonitor about a figure; empty where there is none."""
        return diagnosis(self.folder, figure)

    def cut(self, language: str, split: str = "train") -> str:
        """Share of the reference summaries of a split that were longer than their limit."""
        file = self.folder / "data_report.json" if self.folder else None
        if file is None or not file.is_file():
            return NOT_MEASURED
        for row in json.loads(file.read_text(encoding="utf-8"))["splits"]:
            if (row["language"], row["split"]) == (language, split):
                return f"{row['target_tokens']['truncated']:.0%}"
        return "–"


@dataclass(frozen=True)
class Failures:
    """The study of failures.

    Attributes:
        runs: By cell.
        messages: What guards said before a run, by cell; see `case_study.guards`.
    """

    runs: Mapping[str, FailureRun] = field(default_factory=dict)
    messages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def run(self, cell: str) -> FailureRun:
        """One run; an empty one where it was not made."""
        return self.runs.get(cell, FailureRun())

    def refusal(self, cell: str) -> str:
        """The message that was met before a run."""
        return self.messages.get(cell, {}).get("message", "")

    @property
    def folders(self) -> dict[str, Path]:
        """Where the runs wrote, by cell."""
        return {cell: run.folder for cell, run in self.runs.items() if run.folder is not None}

    def trained_summaries(self) -> dict[str, tuple[list[str], list[str]]]:
        """Test summaries of the good run and their references, by language; empty before it was tested."""
        run = self.run("good")
        if run.results is None or run.folder is None:
            return {}
        found: dict[str, tuple[list[str], list[str]]] = {}
        for row in read_predictions(run.folder / "test/predictions.jsonl"):
            texts = found.setdefault(row["language"], ([], []))
            texts[0].append(row["prediction"])
            texts[1].append(row["reference"])
        return found


def read_failures(folder: Path) -> Failures:
    """Reads the study of failures beside the guards' messages; what is missing is left out."""
    runs: dict[str, FailureRun] = {}
    for file in sorted((folder / "failures").rglob(FILE)):
        study = read_study_run(file.parent)
        if study is not None and study.status != "begun":
            runs[study.labels["failure"]] = FailureRun(study, written_folder(file.parent))
    messages = folder / "guards.json"
    known: Any = json.loads(messages.read_text(encoding="utf-8")) if messages.is_file() else {}
    return Failures(runs, known)


def diagnosis(folder: Path | None, figure: str) -> str:
    """What CollapseMonitor last said of a figure in a run's folder, of each language; empty where nothing."""
    file = folder / "diagnosis.jsonl" if folder else None
    if file is None or not file.is_file():
        return ""
    found = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    own = [one for one in found if one["figure"] == figure]
    return "\n".join(f"Step {one['step']}: {one['text']}" for one in own if one["step"] == own[-1]["step"])


def shortened(text: str) -> str:
    """A message without the folders of the machine that it comes from."""
    return _PLACE.sub("runs/case_study/", text)
