"""Rows of `predictions.jsonl` for tests of reports."""

from pathlib import Path
from typing import Any

from reports.results import write_predictions


def row(identity: str, prediction: str, language: str = "en", **changed: Any) -> dict[str, Any]:
    fields = {
        "id": identity,
        "language": language,
        "article": "The storm stopped 3 ferries in Izmir. Schools closed. The sun shone on the hills all day.",
        "reference": "The storm stopped the ferries.",
        "prediction": prediction,
        "ended": True,
        "scores": {"rougeL": 10.0},
    }
    return fields | changed


def save(path: Path, *rows: dict[str, Any]) -> str:
    write_predictions(path, rows)
    return str(path)
