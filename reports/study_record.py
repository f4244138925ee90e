"""What a study writes down about each of its runs: `study_run.json`, written and read back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from reports.atomic_write import write_text

FILE = "study_run.json"
Status = Literal["begun", "fitted", "finished", "failed"]


@dataclass(frozen=True)
class StudyRun:
    """One run of a study.

    Attributes:
        study: Name of the study.
        question: What the study asks.
        labels: The cell: a label for each axis.
        reference: Whether the other cells are tested against this one.
        learning_rate: Tried or chosen; None where the study tries none.
        seed: Of everything that is random.
        monitor: The validation figure that decides between learning rates.
        flags: Of `train.py fit`.
        test_flags: Of `train.py test`.
        status: `begun`, or stopped before its end; `fitted`: trained; `finished`: tested, too; `failed`.
        error: Last lines of a failed run.
        at_a_time: How many runs of the study its device took at once, at most; at least 1.
    """

    study: str
    question: str
    labels: dict[str, str]
    reference: bool
    learning_rate: float | None
    seed: int
    monitor: str
    flags: list[str]
    test_flags: list[str]
    status: Status = "begun"
    error: list[str] = field(default_factory=list)
    at_a_time: int = 1


def write_study_run(folder: Path, run: StudyRun) -> None:
    """Writes the record into a run's folder, at once or not at all."""
    write_text(folder / FILE, json.dumps(asdict(run), indent=2, ensure_ascii=False) + "\n")


def read_study_run(folder: Path) -> StudyRun | None:
    """The record in a folder, None if there is none.

    Raises:
        ValueError: If it is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        return StudyRun(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{str(file)!r} is damaged ({error}); remove it to begin this run again.") from error


def written_folder(folder: Path) -> Path | None:
    """The newest folder that `train.py fit` made under a run's folder, whether or not it still holds checkpoints."""
    written = sorted(folder.glob("*/config.yaml"))
    return written[-1].parent if written else None


def trained_folder(folder: Path) -> Path | None:
    """The folder that `train.py` made under a run's folder: the newest that has saved a checkpoint."""
    saved = sorted(folder.glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
    return saved[-1].parent.parent if saved else None
