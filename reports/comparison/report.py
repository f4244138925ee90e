"""The whole report: every section of every run under some folders, slides, and examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from reports.comparison.architectures import architectures_section, read_architectures
from reports.comparison.cost import cost_section
from reports.comparison.data import data_section
from reports.comparison.deck import write_deck
from reports.comparison.demo_examples import write_demo_examples
from reports.comparison.findings import Findings, find
from reports.comparison.languages import language_section
from reports.comparison.learning_rates import edge_warnings, learning_rates_section, rates_tried
from reports.comparison.provenance import runs_section
from reports.comparison.quality import headline_section, quality_section, significance_section
from reports.comparison.systems import System
from reports.comparison.trade_off import rank_section, trade_off_section
from reports.comparison.training import convergence_section, curves_section
from reports.page import write_page
from reports.section import Section

# Further sections are made from the systems, the reference first, and the folder to write pictures into.
SectionMaker = Callable[[Sequence[System], Path], Section | None]


def write_report(
    folders: Sequence[Path],
    output: Path,
    reference: str | None = None,
    further: Sequence[SectionMaker] = (),
    architectures: Path | None = None,
) -> list[Path]:
    """Compares all tested runs under some folders.

    Args:
        folders: Of studies, of runs, or above them.
        output: Folder to write `report.html`, `report.md`, `slides.pdf`, `demo_examples.md` and `figures/` into.
        reference: What the others are tested against; see `systems.group`.
        further: Makers of sections that stand before the list of runs.
        architectures: Result of benchmarks/adaptation_cost.py, to stand beside the costs.

    Returns:
        Paths of the four files, in this order.

    Raises:
        ValueError: If no run was tested, the runs are of different data, the reference is unknown, or the result of
            the benchmark is none.
    """
    measured = None if architectures is None else read_architectures(architectures)
    findings = find(folders, reference)
    sections = _sections(findings, output, further, measured)
    page = write_page(findings.title, sections, output)
    return [*page, write_deck(findings, sections, output, measured), write_demo_examples(findings, output)]


def _sections(
    findings: Findings, output: Path, further: Sequence[SectionMaker], measured: dict[str, Any] | None
) -> list[Section]:
    systems, scores, tests, costs = findings.systems, findings.scores, findings.tests, findings.costs
    tried = rates_tried(findings.collection.tries, systems)
    sections = [
        headline_section(tests, systems, scores, findings.question, edge_warnings(tried)),
        quality_section(systems, scores, output),
        significance_section(tests, findings.reference.name),
        cost_section(systems, costs),
        None if measured is None else architectures_section(measured),
        trade_off_section(systems, scores, costs, output),
        rank_section(systems, scores, output),
        learning_rates_section(tried, systems, output),
        curves_section(systems, output),
        convergence_section(systems),
        language_section(systems, scores, output),
        data_section(systems, scores, output),
        *(make(systems, output) for make in further),
        runs_section(systems, findings.collection),
    ]
    return [section for section in sections if section is not None]
