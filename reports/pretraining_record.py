"""What a pretraining run wrote down about itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reports.curves import Series, read_run


@dataclass(frozen=True)
class PretrainingRecord:
    """The record of a run of `SpanCorruptionModule`.

    Attributes:
        configuration: Contents of `config.yaml`.
        splits: Documents, tokens and blocks of each split of each corpus.
        environment: Contents of `environment.json`.
        curves: All logged numbers.
    """

    configuration: dict[str, Any]
    splits: list[dict[str, Any]]
    environment: dict[str, Any]
    curves: Series

    @property
    def tokens(self) -> float | None:
        """Tokens of text seen."""
        points = self.curves.get("train/tokens")
        return points[-1][1] if points else None

    @property
    def steps(self) -> int | None:
        """Steps taken when it last logged."""
        points = self.curves.get("train/tokens")
        return round(points[-1][0]) + 1 if points else None

    @property
    def losses(self) -> dict[str, tuple[float, float]]:
        """By language, nats a target token of the first and of the last validation."""
        own = {key.rsplit("/", 1)[1]: points for key, points in self.curves.items() if key.startswith("val/loss/")}
        return {language: (points[0][1], points[-1][1]) for language, points in sorted(own.items())}


def read_pretraining(run: Path) -> PretrainingRecord:
    """Reads a run's folder.

    Raises:
        ValueError: If a file is missing or damaged, or the run is none of pretraining.
    """
    try:
        configuration = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        report, environment = (
            json.loads((run / name).read_text(encoding="utf-8")) for name in ("data_report.json", "environment.json")
        )
        pretrains = "SpanCorruption" in configuration["model"]["class_path"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"--pretraining {str(run)!r} is no run's folder: {error}.") from error
    if not pretrains:
        raise ValueError(f"--pretraining {str(run)!r} learnt to summarise, not to fill gaps; it belongs to --studies.")
    return PretrainingRecord(configuration, report["splits"], environment, read_run(run))
