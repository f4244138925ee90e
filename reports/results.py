"""The files of a test: `results.json` and `predictions.jsonl`, written and read back.

Example:
    >>> from reports.results import read_predictions, read_results
    >>> results = read_results("runs/quickstart/20260101-120000/test/results.json")  # doctest: +SKIP
    >>> results.languages["tr"]["rougeL"].mean, results.overall["rougeL"].low  # doctest: +SKIP
    (31.2, 27.9)
    >>> rows = read_predictions("runs/quickstart/20260101-120000/test/predictions.jsonl")  # doctest: +SKIP
    >>> rows[0]["id"], rows[0]["scores"]["rougeL"]  # doctest: +SKIP
    ('story-33', 28.571429)

`pandas.json_normalize(rows)` makes a table of the predictions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metrics.score_intervals import Scores
from metrics.significance import Interval
from reports.atomic_write import write_text

# Of results.json; one more whenever a field changes its name or meaning.
SCHEMA_VERSION = 1
_DIGITS = 6
_SUMMARY = {"id": str, "language": str, "article": str, "reference": str, "prediction": str, "scores": dict}


@dataclass(frozen=True)
class Results:
    """Contents of `results.json`.

    Attributes:
        counts: Number of summaries by language.
        languages: Scores by language and name, each with its interval; docs/dashboard.md explains each name.
        overall: The same, as plain means over the languages that have the score.
        incomplete: By language, scores left out because some summaries lack them, and how many do.
        bootstrap: Confidence, resamples and seed of the intervals.
        settings: How the summaries were generated and scored.
        model: Checkpoint, its optimizer step, and the base.
        packages: Versions by package.
        git: Commit of the program, and whether its files differed from it.
    """

    counts: dict[str, int]
    languages: dict[str, Scores]
    overall: Scores
    incomplete: dict[str, dict[str, int]]
    bootstrap: dict[str, Any]
    settings: dict[str, Any]
    model: dict[str, Any]
    packages: dict[str, str | None]
    git: dict[str, Any]


def write_results(path: Path, results: Results) -> None:
    """Writes a `results.json`, at once or not at all; replaces one."""
    write_text(path, _to_json({"schema_version": SCHEMA_VERSION} | asdict(results), indent=2) + "\n")


def read_results(path: str | Path) -> Results:
    """Reads a `results.json`.

    Raises:
        ValueError: If the file is missing, no JSON, lacks a field, or is of another version of the format.
    """
    try:
        fields = json.loads(_read(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON: {error}.") from error
    version = fields.pop("schema_version", None) if isinstance(fields, dict) else None
    if version != SCHEMA_VERSION:
        raise ValueError(f"{path} has schema_version {version!r}, but this program reads {SCHEMA_VERSION}: test again.")
    try:
        fields["languages"] = {language: _scores(scores) for language, scores in fields["languages"].items()}
        fields["overall"] = _scores(fields["overall"])
        return Results(**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} has not the fields of a results.json: {error}.") from error


def write_predictions(path: Path, summaries: Iterable[dict[str, Any]]) -> None:
    """Writes a `predictions.jsonl`, at once or not at all; replaces one.

    Args:
        path: File to write.
        summaries: The fields of each; floats are rounded to 6 decimals, and null where they are not finite.
    """
    write_text(path, "".join(_to_json(summary) + "\n" for summary in summaries))


def read_predictions(path: str | Path) -> list[dict[str, Any]]:
    """Reads a `predictions.jsonl`.

    Returns:
        One mapping a summary: `id`, `language`, `article`, `reference`, `prediction`, `ended`, `starts_with_sentinel`,
        `loss` (sum over the reference's tokens, in nats), `label_tokens` (their number), and `scores` by name.

    Raises:
        ValueError: If the file is missing or empty, or a line is no summary; names the line.
    """
    # Not splitlines, which also cuts at separators inside texts.
    lines = _read(path).removesuffix("\n").split("\n")
    if lines == [""]:
        raise ValueError(f"{path} holds no summaries.")
    return [_summary(line, f"Line {number} of {path}") for number, line in enumerate(lines, start=1)]


def _summary(line: str, place: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place} is no JSON: {error}.") from error
    known = fields if isinstance(fields, dict) else {}
    wrong = [name for name, kind in _SUMMARY.items() if not isinstance(known.get(name), kind)]
    if wrong:
        raise ValueError(f"{place} is no summary: {', '.join(wrong)} missing or of another type.")
    return known


def _scores(fields: dict[str, dict[str, float]]) -> Scores:
    return {name: Interval(**interval) for name, interval in fields.items()}


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}. `test` writes it into its run's folder.") from error


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(_rounded(value), ensure_ascii=False, allow_nan=False, indent=indent)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    if isinstance(value, float):
        return round(value, _DIGITS) if math.isfinite(value) else None
    return value
