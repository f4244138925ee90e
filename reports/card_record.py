"""What a run wrote down about itself, gathered for its cards."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reports.results import Results, read_results


@dataclass(frozen=True)
class CardRecord:
    """The record of a run, as plain data.

    Attributes:
        name: What the model is called.
        configuration: Resolved, as in `config.yaml`.
        form: `merged`, `adapter` or `ctranslate2`.
        weights: Format of the exported weights, such as `bf16`.
        base: Identity of the base, with its `name`.
        step: Optimizer steps that the checkpoint has seen.
        data: Contents of `data_report.json`; empty if there is none.
        environment: Contents of `environment.json`; empty if there is none.
        results: Of the test of this checkpoint, None if there is none.
        verification: Contents of `verification.json`.
        license: Identifier on the hub; None if none was chosen.
    """

    name: str
    configuration: dict[str, Any]
    form: str
    weights: str
    base: dict[str, Any]
    step: int | None
    data: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    results: Results | None = None
    verification: dict[str, Any] = field(default_factory=dict)
    license: str | None = None

    @property
    def model(self) -> dict[str, Any]:
        """Settings of the model."""
        return self.configuration["model"]["init_args"]

    @property
    def sources(self) -> list[dict[str, Any]]:
        """The corpora."""
        return self.configuration["data"]["init_args"]["sources"]

    @property
    def languages(self) -> list[str]:
        """Codes, each once."""
        return list(dict.fromkeys(source["language"] for source in self.sources))

    @property
    def splits(self) -> list[dict[str, Any]]:
        """Counts of each split of each corpus."""
        return self.data.get("splits", [])


def read_run_files(run: Path, step: int | None) -> dict[str, Any]:
    """What of `CardRecord` stands in a run's folder.

    Args:
        run: The folder.
        step: Results of a test count only if they are of this step.

    Raises:
        ValueError: If a file is damaged.
    """
    found: dict[str, Any] = {"data": _json(run / "data_report.json"), "environment": _json(run / "environment.json")}
    results = run / "test" / "results.json"
    if results.is_file():
        read = read_results(results)
        found["results"] = read if read.model.get("step") == step else None
    return found


def _json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(file)!r} is damaged ({error}); remove it, and the card will do without.") from error
