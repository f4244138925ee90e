"""How much of what summaries say stands in their articles: numbers, names, and entailment by a model of your choice.

python -m reports.faithfulness full=RUN_A lora=RUN_B --output DIR [--entailment MODEL --languages tr en]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.arguments import ArgumentParser
from commands.failures import answer
from metrics.faithfulness import KINDS, checked_kinds, faithfulness, precision_intervals
from metrics.score_intervals import Bootstrap
from metrics.significance import Interval, interval
from metrics.words import base_code
from reports.card_tables import cell, table
from reports.conventions import Conventions, conventions, conventions_note, references, words_of_style
from reports.markdown_text import plain
from reports.page import write_page
from reports.prediction_files import Predictions, add_prediction_arguments, by_language, read_named
from reports.results import write_predictions
from reports.section import Section

if TYPE_CHECKING:
    from metrics.entailment import EntailmentScorer

Figures = dict[str, dict[str, list[float]]]
_NOTE = (
    "Precision is the share of the numbers in digits (and of the words of capitalised names) in the summaries that the "
    "article has too, with the bootstrap interval over summaries and the number of mentions. It is not the share of "
    "true statements: a true name in the wrong role passes, a rounded number does not. A model that names nothing has "
    "no precision. The references' row shows how much of the rest is the check's own doing."
)


def figures(
    rows: Sequence[dict[str, Any]],
    text: str = "prediction",
    scorer: EntailmentScorer | None = None,
    known: Conventions | None = None,
) -> Figures:
    """Values of each summary by language and name, in the order of the rows.

    Args:
        rows: From `read_predictions`.
        text: Which text is checked: `prediction`, or `reference`.
        scorer: Adds `entailment` in the languages that its model knows.
        known: From `conventions`; None checks all words.
    """
    found: Figures = {}
    for language, own in by_language(rows).items():
        articles, texts = [row["article"] for row in own], [row[text] for row in own]
        found[language] = faithfulness(articles, texts, language, words_of_style(known, language))
        if scorer and base_code(language) in map(base_code, scorer.settings.languages):
            found[language]["entailment"] = scorer.score(articles, texts, language)
    return found


def faithfulness_section(
    by_run: Mapping[str, Figures], known: Conventions | None = None, bootstrap: Bootstrap = Bootstrap()
) -> Section:
    """A table of precision, a row for each run and language.

    Args:
        by_run: From `figures`, by the name of the run.
        known: What `figures` was given.
        bootstrap: Settings of the intervals.
    """
    with_entailment = any("entailment" in one for run in by_run.values() for one in run.values())
    head = ["summaries", "language", "number precision", "name precision", *["entailment"] * with_entailment]
    rows = []
    for name, run in by_run.items():
        precisions = precision_intervals(run, bootstrap)
        for language, values in run.items():
            cells = [_precision(precisions[language], values, language, kind) for kind in KINDS]
            rows.append([plain(name), language, *cells, *[_entailment(values, bootstrap)] * with_entailment])
    note = _NOTE if known is None else f"{_NOTE} {conventions_note(known)}"
    return Section("Faithfulness", f"{table(head, rows)}\n\n{note}")


def _precision(scores: Mapping[str, Interval], values: Mapping[str, list[float]], language: str, kind: Any) -> str:
    if not checked_kinds(language)[kind]:
        return "not checked: spelling"
    if f"{kind}_precision" not in scores:
        return "none mentioned"
    return f"{cell(scores[f'{kind}_precision'], 3)} of {sum(values[f'{kind}s']):.0f}"


def _entailment(values: Mapping[str, list[float]], bootstrap: Bootstrap) -> str:
    if "entailment" not in values:
        return "not checked: language"
    return cell(interval(values["entailment"], bootstrap.confidence, bootstrap.resamples, bootstrap.seed), 3)


def _write_values(runs: Predictions, by_run: Mapping[str, Figures], output: Path) -> Path:
    """One line a summary."""
    lines = []
    for name, rows in runs.items():
        for language, own in by_language(rows).items():
            values = by_run[name][language]
            for number, row in enumerate(own):
                scores = {key: column[number] for key, column in values.items()}
                lines.append({"run": name, "id": row["id"], "language": language, "scores": scores})
    path = output / "faithfulness.jsonl"
    write_predictions(path, lines)
    return path


def _scorer(options: argparse.Namespace) -> EntailmentScorer | None:
    if options.entailment is None:
        return None
    from metrics.entailment import EntailmentModel, EntailmentScorer  # PyTorch is of no use to the rest

    model = EntailmentModel(options.entailment, tuple(options.languages), options.label, options.download)
    return EntailmentScorer(model, options.batch_size, options.chunk_sentences)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = ArgumentParser(prog="python -m reports.faithfulness", description=__doc__.splitlines()[0])
    add_prediction_arguments(parser, "runs/analysis/faithfulness")
    parser.add_argument("--entailment", metavar="MODEL", help="hub id or folder of a model of language inference")
    parser.add_argument("--languages", nargs="+", default=[], help="codes that it was trained on")
    parser.add_argument("--label", help="its name for entailment, if it is not plain")
    parser.add_argument("--download", action="store_true", help="fetch it from the hub; else only local files are used")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--chunk-sentences", type=int, default=1, help="sentences of the article in one premise")
    options = parser.parse_args(arguments)
    scorer = _scorer(options)
    runs = read_named(options.runs)
    known = conventions(edited := references(runs))
    by_run = {name: figures(rows, scorer=scorer, known=known) for name, rows in runs.items()}
    shown = by_run | {"references": figures(edited, "reference", scorer, known)}
    title = "Faithfulness of summaries"
    for path in [
        *write_page(title, [faithfulness_section(shown, known)], options.output, "faithfulness"),
        _write_values(runs, by_run, options.output),
    ]:
        print(path)


if __name__ == "__main__":
    answer(main)
