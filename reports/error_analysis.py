"""What is wrong with the summaries of runs, by category and language, with examples.

python -m reports.error_analysis full=RUN_A lora=RUN_B --output DIR
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metrics.faithfulness import checked_kinds
from metrics.language_identification import is_identifiable
from metrics.summary_errors import ERRORS, summary_errors
from reports.card_tables import table
from reports.markdown_text import plain
from reports.page import write_page
from reports.prediction_files import add_prediction_arguments, by_language, read_named
from reports.section import Section

_NOTE = (
    "A summary can have several errors. What a category means is a rule, not a judgement: numbers and names are "
    "compared with the article's as they are spelled, so that a rounded number counts as hallucinated and a wrong role "
    "does not. Languages whose spelling or identification a rule does not know show a dash."
)


@dataclass(frozen=True)
class JudgedSummary:
    """A summary and its errors.

    Attributes:
        row: As in `predictions.jsonl`.
        errors: From `summary_errors`.
    """

    row: dict[str, Any]
    errors: dict[str, str]


def judged(rows: Sequence[dict[str, Any]]) -> list[JudgedSummary]:
    """Judges the summaries of a run; those that do not say whether they ended count as ended."""
    found: list[JudgedSummary] = []
    for language, own in by_language(rows).items():
        articles, texts = [row["article"] for row in own], [row["prediction"] for row in own]
        errors = summary_errors(articles, texts, [row.get("ended", True) for row in own], language)
        found += map(JudgedSummary, own, errors)
    return found


def error_counts(summaries: Sequence[JudgedSummary]) -> dict[str, dict[str, int | None]]:
    """By language and category, how many summaries have the error; None where it cannot be seen."""
    languages = sorted({one.row["language"] for one in summaries})
    return {code: {name: _count(summaries, code, name) for name in ERRORS} for code in languages}


def error_section(runs: Mapping[str, Sequence[JudgedSummary]], examples: int = 2) -> Section:
    """Counts by category, run and language, and the first examples of each category.

    Args:
        runs: From `judged`, by the name of the run.
        examples: Of each category and run; 0 or more.
    """
    head = ["summaries", "language", "count", *map(_name, ERRORS), "none of these"]
    rows = [
        [plain(name), code, *_cells([one for one in summaries if one.row["language"] == code], code)]
        for name, summaries in runs.items()
        for code in error_counts(summaries)
    ]
    meanings = "\n".join(f"- *{_name(error)}*: {meaning}" for error, meaning in ERRORS.items())
    shown = "\n\n".join(_examples(error, runs, examples) for error in ERRORS if _any(runs, error)) if examples else ""
    return Section("Errors by category", f"{table(head, rows)}\n\n{meanings}\n\n{_NOTE}\n\n{shown}".strip())


def _count(summaries: Sequence[JudgedSummary], language: str, error: str) -> int | None:
    kinds = {"hallucinated_number": "number", "hallucinated_name": "name"}
    if error in kinds and not checked_kinds(language)[kinds[error]]:  # type: ignore[index]
        return None
    if error == "wrong_language" and not is_identifiable(language):
        return None
    return sum(error in one.errors for one in summaries if one.row["language"] == language)


def _cells(summaries: Sequence[JudgedSummary], language: str) -> list[str]:
    """Of the summaries of one run and language."""
    counts = [*error_counts(summaries)[language].values(), sum(not one.errors for one in summaries)]
    total = len(summaries)
    return [f"{total:,}", *("–" if count is None else f"{count:,} ({count / total:.0%})" for count in counts)]


def _name(error: str) -> str:
    return error.replace("_", " ")


def _any(runs: Mapping[str, Sequence[JudgedSummary]], error: str) -> bool:
    return any(error in one.errors for summaries in runs.values() for one in summaries)


def _examples(error: str, runs: Mapping[str, Sequence[JudgedSummary]], count: int) -> str:
    items = []
    for name, summaries in runs.items():
        for one in [one for one in summaries if error in one.errors][:count]:
            evidence = f" (**{plain(one.errors[error])}**)" if one.errors[error] else ""
            place = f"{plain(name)}, {plain(one.row['id'])}, {one.row['language']}"
            items.append(f"- {place}{evidence}: {plain(one.row['prediction']) or '(empty)'}")
    return f"### {_name(error).capitalize()}\n\n" + "\n".join(items)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m reports.error_analysis", description=__doc__.splitlines()[0])
    add_prediction_arguments(parser, "runs/analysis/error_analysis")
    parser.add_argument("--examples", type=int, default=2, help="of each category and run")
    options = parser.parse_args(arguments)
    runs = {name: judged(rows) for name, rows in read_named(options.runs).items()}
    sections = [error_section(runs, options.examples)]
    for path in write_page("Errors of summaries", sections, options.output, "error_analysis"):
        print(path)


if __name__ == "__main__":
    try:
        main()
    except ValueError as problem:
        sys.exit(f"error: {problem}")
