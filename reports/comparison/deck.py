"""The report as some ten slides: `slides.pdf`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reports.card_tables import cell
from reports.comparison.architectures import TITLE, architecture_rows, architectures_note
from reports.comparison.cost import cost_rows, machines
from reports.comparison.data import data_rows
from reports.comparison.demo_examples import DIFFERENT, SCORE, telling_examples
from reports.comparison.findings import Findings
from reports.comparison.languages import in_no_other_language
from reports.comparison.quality import lead_warnings, percent, quality_rows
from reports.repeated_phrases import shortened
from reports.score_names import SCORE_NAMES
from reports.section import Section
from reports.side_by_side import Example
from reports.slides import Slide, write_slides
from reports.text_layout import can_be_drawn

_PICTURES = ("Quality, memory and time", "Rank")  # sections that are a picture
_SMALL = 100_000_000
_SHOWN = 4  # systems of an example


def write_deck(
    findings: Findings, sections: Sequence[Section], folder: Path, architectures: dict[str, Any] | None = None
) -> Path:
    """Writes `slides.pdf` into the folder that holds the sections' pictures; returns its path."""
    slides = comparison_slides(findings, sections, folder, architectures)
    return write_slides(findings.title, slides, folder / "slides.pdf")


def comparison_slides(
    findings: Findings, sections: Sequence[Section], folder: Path, architectures: dict[str, Any] | None = None
) -> list[Slide]:
    """The slides.

    Args:
        findings: What they say.
        sections: Of the page.
        folder: What the paths of the sections' pictures are relative to.
        architectures: From `read_architectures`.
    """
    by_title = {section.title: section for section in sections}
    pictured = [_picture(by_title[title], folder) for title in _PICTURES if title in by_title]
    slides = [_question(findings), _data(findings), _quality(findings), _kept(findings), _costs(findings)]
    slides += [*_architectures(architectures), *pictured]
    slides += [_languages(findings), *_examples(findings), _limits(findings)]
    return [slide for slide in slides if slide is not None]


def _question(findings: Findings) -> Slide:
    counts = ", ".join(f"{len(one.ids):,} in {one.language}" for one in findings.scores)
    seeds = sorted({len(system.runs) for system in findings.systems})
    points = [
        findings.question,
        f"{len(findings.systems)} systems: {', '.join(system.name for system in findings.systems)}.",
        f"Runs of each, with other seeds: {' or '.join(map(str, seeds))}. Test articles: {counts}.",
        f"Measured on {'; '.join(machines(findings.systems))}.",
    ]
    note = "Every number is from the runs' own records; report.html beside this file has all of them."
    return Slide(findings.title, tuple(filter(None, points)), note=note)


def _data(findings: Findings) -> Slide | None:
    table = tuple(tuple(row) for row in data_rows(findings.systems))
    note = "Rows that were used; medians of the tokens before cutting."
    return Slide("Data", table=table, note=note) if len(table) > 1 else None


def _quality(findings: Findings) -> Slide:
    table = tuple(tuple(row) for row in quality_rows(findings.systems, findings.scores))
    note = "Test scores with 95% intervals over articles and seeds; of one seed, over articles alone."
    return Slide("Quality by language", table=table, note=note)


def _kept(findings: Findings) -> Slide | None:
    """What share of the reference's ROUGE-L each system reaches."""
    rows = [
        (
            *(one.language, one.system, percent(one.outcome.ratio), cell(one.outcome.difference, signed=True)),
            f"{one.adjusted_p:.4f}",
            "yes" if one.adjusted_p < 0.05 else "no",
        )
        for one in findings.tests
        if one.score == SCORE
    ]
    if not rows:
        return None
    name = findings.reference.name
    head = ("language", "system", "share of its ROUGE-L [95%]", "difference [95%]", "p (Holm)", "significant")
    note = (
        "A share is a ratio of means: an untrained model would not have 0%. p is adjusted for all tests of the report; "
        "a difference that is not significant is not shown to be none."
    )
    return Slide(f"What the others keep of “{name}”", table=(head, *rows), note=note)


def _costs(findings: Findings) -> Slide:
    table = tuple(tuple(row) for row in cost_rows(findings.systems, findings.costs))
    found = machines(findings.systems)
    warning = " Not all ran on the same kind of machine: times cannot be compared." * (len(found) > 1)
    note = f"Measured on {'; '.join(found)}.{warning} Memory is that of a GPU's tensors. Weights: what an export takes."
    return Slide("What each costs", table=table, note=note)


def _architectures(found: dict[str, Any] | None) -> list[Slide]:
    if found is None:
        return []
    table = tuple(tuple(row) for row in architecture_rows(found))
    return [Slide(TITLE, table=table, note=architectures_note(found))]


def _languages(findings: Findings) -> Slide | None:
    """ROUGE-L and the languages of the outputs by language of training; None where all were trained on the same."""
    if len({tuple(system.trained_languages) for system in findings.systems}) < 2:
        return None
    rows = []
    for system in findings.systems:
        cells = [
            f"{cell(one.interval(system.name, SCORE), 1)}, {share.split(' ')[0]}"
            for one in findings.scores
            for share in [percent(in_no_other_language(one, system.name))]
        ]
        rows.append((system.name, ", ".join(system.trained_languages) or "–", *cells))
    head = ("system", "trained on", *(f"tested on {one.language}" for one in findings.scores))
    note = "ROUGE-L with its 95% interval, and the share of outputs that are not surely in another language."
    return Slide("What crosses languages", table=(head, *rows), note=note)


def _picture(section: Section, folder: Path) -> Slide:
    """A section's first picture below its title."""
    words = section.markdown.partition("![")[0].strip()
    return Slide(section.title, picture=folder / section.pictures[0], note=words)


def _examples(findings: Findings) -> list[Slide]:
    chosen = telling_examples(findings.systems)
    kind = DIFFERENT if len(findings.systems) > 1 else "in the middle"
    return [_example(title, one) for title, one in chosen.items() if title.endswith(kind)]


def _example(title: str, example: Example) -> Slide:
    first = next(iter(example.values()))
    names = list(example)[:_SHOWN]
    texts = [f"Reference: {first['reference']}"]
    texts += [
        f"{name} ({SCORE_NAMES[SCORE]} {_score(example[name])}): {shortened(example[name]['prediction']) or '(empty)'}"
        for name in names
    ]
    if not all(map(can_be_drawn, texts)):
        texts = ["The texts need letters that these slides do not have; demo_examples.md shows them."]
    others = f" {len(example) - len(names)} further systems are in demo_examples.md." * (len(example) > len(names))
    note = f"Article {first['id']}. Of each system its first seed; one article says nothing about how often.{others}"
    return Slide(f"Example, {title}", tuple(texts), note=note)


def _limits(findings: Findings) -> Slide:
    seeds = min(len(system.runs) for system in findings.systems)
    total = findings.costs[findings.reference.name].total or 0
    failed, left_out = len(findings.collection.failed), len(findings.collection.left_out)
    points = [
        "ROUGE counts words shared with one reference. It does not see whether a summary is true; the sections on "
        "errors and faithfulness in the report see some of it.",
        "With one seed, intervals speak of other articles only: another seed may well fall outside them."
        if seeds == 1
        else f"Intervals from {seeds} seeds are somewhat too narrow (docs/METHODOLOGY.md).",
    ]
    if 0 < total < _SMALL:
        points.append(
            f"A model of {total / 1e6:.1f} million parameters shows how the methods compare on it, and that the "
            "machinery works; it cannot tell what adapters keep of full fine-tuning on mT5-small or larger models."
        )
    points += lead_warnings(findings.systems, findings.scores)
    if failed or left_out:
        points.append(f"Runs that failed: {failed}; not compared: {left_out}. The report names them.")
    return Slide("What this does not show", tuple(points))


def _score(row: dict[str, Any]) -> str:
    return f"{row['scores'][SCORE]:.1f}"
