"""What is wrong with the summaries of runs, by category and language, with examples.

python -m reports.error_analysis full=RUN_A lora=RUN_B --output DIR
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commands.arguments import ArgumentParser
from commands.failures import answer
from metrics.faithfulness import checked_kinds
from metrics.language_identification import is_identifiable
from metrics.summary_errors import ERRORS, summary_errors
from reports.card_tables import table
from reports.conventions import Conventions, conventions, references, words_of_style
from reports.markdown_text import plain
from reports.page import write_page
from reports.prediction_files import add_prediction_arguments, by_language, read_named
from reports.repeated_phrases import SHORTENED, shortened
from reports.section import Section

_NOTE = (
    "A summary can have several errors. What a category means is a rule, not a judgement: numbers and names are "
    "compared with the article's as they are spelled, so that a rounded number counts as hallucinated and a wrong role "
    "does not. The row of the references shows what the rules find in summaries by editors. Languages whose spelling "
    "or identification a rule does not know show a dash."
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


def judged(
    rows: Sequence[dict[str, Any]], known: Conventions | None = None, text: str = "prediction"
) -> list[JudgedSummary]:
    """Judges the summaries of a run.

    Args:
        rows: From `read_predictions`; those that do not say whether they ended count as ended.
        known: From `conventions`; None checks all words.
        text: Which text is judged: `prediction`, or `reference`, which always ended.
    """
    found: list[JudgedSummary] = []
    for language, own in by_language(rows).items():
        articles, texts = [row["article"] for row in own], [row[text] for row in own]
        ended = [text == "reference" or row.get("ended", True) for row in own]
        errors = summary_errors(articles, texts, ended, language, words_of_style(known, language))
        found += map(JudgedSummary, own, errors)
    return found


def error_counts(summaries: Sequence[JudgedSummary]) -> dict[str, dict[str, int | None]]:
    """By language and category, how many summaries have the error; None where it cannot be seen."""
    languages = sorted({one.row["language"] for one in summaries})
    return {code: {name: _count(summaries, code, name) for name in ERRORS} for code in languages}


def error_section(
    runs: Mapping[str, Sequence[JudgedSummary]], examples: int = 1, baseline: Sequence[JudgedSummary] = ()
) -> Section:
    """Counts by category, run and language, and examples of each category.

    Args:
        runs: From `judged`, by the name of the run.
        examples: Of each category, run and language, evenly spaced in the run's order; 0 or more.
        baseline: The references, from `judged`; counted, but not shown as examples.
    """
    counted = {**runs, "references": baseline} if baseline else runs
    head = ["summaries", "language", "count", *map(_name, ERRORS), "none of these"]
    rows = [
        [plain(name), code, *_cells([one for one in summaries if one.row["language"] == code], code)]
        for name, summaries in counted.items()
        for code in error_counts(summaries)
    ]
    meanings = "\n".join(f"- *{_name(error)}*: {meaning}" for error, meaning in ERRORS.items())
    shown = [_examples(error, runs, examples) for error in ERRORS if _any(runs, error)] if examples else []
    notes = [_NOTE, *[SHORTENED] * bool(shown)]
    return Section("Errors by category", "\n\n".join([table(head, rows), meanings, " ".join(notes), *shown]))


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
        wrong = [one.row | {"evidence": one.errors[error]} for one in summaries if error in one.errors]
        for own in by_language(wrong).values():
            items += [_example(name, row) for row in _evenly_spaced(own, count)]
    return f"### {_name(error).capitalize()}\n\n" + "\n".join(items)


def _example(name: str, row: Mapping[str, Any]) -> str:
    evidence = f" (**{plain(row['evidence'])}**)" if row["evidence"] else ""
    place = f"{plain(name)}, {plain(row['id'])}, {row['language']}"
    return f"- {place}{evidence}: {plain(shortened(row['prediction'])) or '(empty)'}"


def _evenly_spaced(rows: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Up to so many rows from the whole list; of one, the one in the middle."""
    count = min(count, len(rows))
    return [rows[(2 * number + 1) * len(rows) // (2 * count)] for number in range(count)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = ArgumentParser(prog="python -m reports.error_analysis", description=__doc__.splitlines()[0])
    add_prediction_arguments(parser, "runs/analysis/error_analysis")
    parser.add_argument("--examples", type=int, default=1, help="of each category, run and language; default: 1")
    options = parser.parse_args(arguments)
    predictions = read_named(options.runs)
    known = conventions(rows := references(predictions))
    runs = {name: judged(own, known) for name, own in predictions.items()}
    sections = [error_section(runs, options.examples, judged(rows, known, "reference"))]
    for path in write_page("Errors of summaries", sections, options.output, "error_analysis"):
        print(path)


if __name__ == "__main__":
    answer(main)
