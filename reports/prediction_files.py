"""Predictions of several runs, named on a command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reports.results import read_predictions

Predictions = dict[str, list[dict[str, Any]]]


def add_prediction_arguments(parser: argparse.ArgumentParser, output: str) -> None:
    """Adds the files, and the folder to write to."""
    parser.add_argument(
        "runs", nargs="+", metavar="[NAME=]RUN", help="a run's folder, or a predictions.jsonl of `test` or `predict`"
    )
    parser.add_argument("--output", type=Path, default=Path(output), help=f"folder to write; default: {output}")


def read_named(arguments: Sequence[str]) -> Predictions:
    """The rows of each run.

    Args:
        arguments: `NAME=PATH`, or a path, which is its own name.

    Raises:
        ValueError: If two runs have one name, or a file cannot be read.
    """
    found: Predictions = {}
    for argument in arguments:
        name, path = named_path(argument)
        if name in found:
            raise ValueError(f"Two runs are called {name!r}; name them: NAME=RUN.")
        found[name] = read_predictions(predictions_file(Path(path)))
    return found


def named_path(argument: str) -> tuple[str, str]:
    """Name and path of `NAME=PATH`; a path alone is its own name."""
    name, equals, path = argument.partition("=")
    return (name, path) if equals else (argument, argument)


def predictions_file(path: Path) -> Path:
    """The file that a path means: itself, or that of a run's test, else of its prediction."""
    if not path.is_dir():
        return path
    tested = path / "test" / "predictions.jsonl"
    return tested if tested.is_file() else path / "predictions.jsonl"


def by_language(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of each language, codes in alphabetical order."""
    codes = sorted({row["language"] for row in rows})
    return {code: [row for row in rows if row["language"] == code] for code in codes}
