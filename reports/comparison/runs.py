"""Finds runs in folders and reads what they recorded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from reports.curves import Series, read_run
from reports.results import Results, read_predictions, read_results
from reports.significance import Rows, by_name
from reports.study_record import FILE, StudyRun, read_study_run, trained_folder


@dataclass(frozen=True)
class TrainedRun:
    """The record of one training.

    Attributes:
        folder: Where `train.py` wrote it.
        study: Its place in a study, None for a run of its own.
        configuration: Contents of `config.yaml`.
    """

    folder: Path
    study: StudyRun | None
    configuration: dict[str, Any]

    @property
    def seed(self) -> int:
        """Of everything that is random."""
        return self.configuration.get("seed_everything", 0)

    @property
    def model(self) -> dict[str, Any]:
        """Settings of the model."""
        return self.configuration["model"]["init_args"]

    @property
    def adaptation(self) -> str:
        """`full`, `lora`, `dora` or `qlora`."""
        return self.model.get("adaptation", "full")

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Contents of `environment.json`."""
        return json.loads((self.folder / "environment.json").read_text(encoding="utf-8"))

    @cached_property
    def splits(self) -> list[dict[str, Any]]:
        """Counts and lengths of each split of each corpus; none where the run recorded none."""
        file = self.folder / "data_report.json"
        return json.loads(file.read_text(encoding="utf-8"))["splits"] if file.is_file() else []

    @property
    def licences(self) -> dict[tuple[str, str], str | None]:
        """Of each corpus, by language and path; None where none was recorded."""
        sources = self.configuration.get("data", {}).get("init_args", {}).get("sources", [])
        return {(one["language"], one["path"]): one.get("licence") for one in sources}

    @cached_property
    def parameters(self) -> dict[str, int]:
        """Numbers of parameters as `lightning_modules.quantization.ParameterCount` names them; may be empty."""
        found: dict[str, int] = {}
        for file in sorted(self.folder.glob("metrics/version_*/hparams.yaml")):
            for key, value in (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).items():
                if key.startswith("parameters/"):
                    found[key.removeprefix("parameters/")] = value
        return found

    @cached_property
    def curves(self) -> Series:
        """All logged numbers."""
        return read_run(self.folder)

    @cached_property
    def results(self) -> Results | None:
        """Of its test, None if there was none."""
        file = self.folder / "test" / "results.json"
        return read_results(file) if file.is_file() else None

    @cached_property
    def predictions(self) -> Rows:
        """Every tested summary, by language and id.

        Raises:
            ValueError: If they cannot be read, or two have one name.
        """
        file = str(self.folder / "test" / "predictions.jsonl")
        return by_name(read_predictions(file), file)

    def rows(self, split: str) -> dict[str, int]:
        """Rows used of a split, by language."""
        counts: dict[str, int] = {}
        for one in self.splits:
            if one["split"] == split and one["kept"]:
                counts[one["language"]] = counts.get(one["language"], 0) + one["kept"]
        return counts


@dataclass(frozen=True)
class Collection:
    """All runs found.

    Attributes:
        runs: Tested runs.
        tries: All trained runs of studies, tested or not.
        left_out: Folders that are not compared, each with the reason.
        failed: Runs of studies that failed.
    """

    runs: list[TrainedRun] = field(default_factory=list)
    tries: list[TrainedRun] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    failed: list[StudyRun] = field(default_factory=list)


def collect(folders: Sequence[Path]) -> Collection:
    """Reads every run under some folders.

    Args:
        folders: Of studies, of runs, or above them.

    Raises:
        ValueError: If a folder does not exist, or no run in them was tested; says what was found.
    """
    missing = [folder for folder in folders if not folder.is_dir()]
    if missing:
        raise ValueError(f"There is no folder {str(missing[0])!r}.")
    found = Collection()
    studied = _unique(file.parent for folder in folders for file in folder.rglob(FILE))
    for place in studied:
        _add_study_run(place, found)
    for place in _unique(file.parent for folder in folders for file in folder.rglob("environment.json")):
        if not any(place.is_relative_to(one) for one in studied):
            _add(place, None, found)
    if not found.runs:
        reasons = "; ".join(found.left_out[:3]) or "no run at all"
        raise ValueError(
            f"No tested run under {', '.join(map(str, folders))} ({reasons}). Test one: python train.py test --config "
            "RUN/config.yaml --ckpt_path RUN/checkpoints/last.ckpt"
        )
    return found


def _add_study_run(folder: Path, found: Collection) -> None:
    study, trained = read_study_run(folder), trained_folder(folder)
    assert study is not None
    if study.status == "failed":
        found.failed.append(study)
    elif study.status == "begun" or trained is None:
        found.left_out.append(f"`{folder}`: not trained to its end")
    else:
        _add(trained, study, found)


def _add(folder: Path, study: StudyRun | None, found: Collection) -> None:
    try:
        run = TrainedRun(folder, study, yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")))
        if study is not None:
            found.tries.append(run)
            if study.status == "fitted":
                return  # of a learning rate that was not chosen
        if run.results is None:
            found.left_out.append(f"`{folder}`: not tested")
            return
        run.predictions  # noqa: B018  (read now, so that a damaged file costs this run only)
        found.runs.append(run)
    except (OSError, ValueError, KeyError, TypeError) as error:
        found.left_out.append(f"`{folder}`: {error}")


def _unique(folders: Iterable[Path]) -> list[Path]:
    return sorted({folder.resolve(): folder for folder in folders}.values(), key=_with_numbers)


def _with_numbers(folder: Path) -> list[str | int]:
    """Puts rank-4 before rank-16."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(folder))]
