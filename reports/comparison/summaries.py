"""What the summaries themselves say: errors, faithfulness, examples side by side, attention. For `write_report`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from reports.attention import attention_section, read_records
from reports.attention_record import AttentionRecord, by_example
from reports.comparison.systems import System, first_predictions, seeds_shown
from reports.conventions import conventions, references
from reports.error_analysis import error_section, judged
from reports.faithfulness import faithfulness_section, figures
from reports.page import markdown_to_html
from reports.section import Section
from reports.side_by_side import best_and_worst, common_examples, side_by_side_section

_SCORE = "rougeL"
_EXAMPLES = 2  # best and worst articles of a language


def summary_sections(attention: Path | None = None) -> list[Callable[[Sequence[System], Path], Section | None]]:
    """Makers of sections; of each system its first seed is shown.

    Args:
        attention: Folder of record_attention.py, if its records are to be shown.

    Raises:
        ValueError: If the folder holds no records.
    """
    examples = by_example(read_records(attention)).values() if attention else ()
    return [_errors, _faithfulness, _side_by_side, *(partial(_attention, records) for records in examples)]


def _errors(systems: Sequence[System], folder: Path) -> Section:
    runs = first_predictions(systems)
    known = conventions(edited := references(runs))
    summaries = {name: judged(rows, known) for name, rows in runs.items()}
    section = error_section(summaries, baseline=judged(edited, known, "reference"))
    return _of_first_seeds(section, systems)


def _faithfulness(systems: Sequence[System], folder: Path) -> Section:
    """The references are those of all systems together."""
    runs = first_predictions(systems)
    known = conventions(edited := references(runs))
    shown = {name: figures(rows, known=known) for name, rows in runs.items()}
    shown["references"] = figures(edited, "reference", known=known)
    return _of_first_seeds(faithfulness_section(shown, known), systems)


def _side_by_side(systems: Sequence[System], folder: Path) -> Section:
    chosen = best_and_worst(common_examples(first_predictions(systems)), _SCORE, _EXAMPLES)
    return _of_first_seeds(side_by_side_section(chosen, _SCORE), systems)


def _of_first_seeds(section: Section, systems: Sequence[System]) -> Section:
    note = seeds_shown(systems)
    if not note:
        return section
    html = None if section.html is None else f"{markdown_to_html(note, Path())}\n{section.html}"
    return replace(section, markdown=f"{note}\n\n{section.markdown}", html=html)


def _attention(records: Sequence[AttentionRecord], systems: Sequence[System], folder: Path) -> Section:
    return attention_section(records, folder)
