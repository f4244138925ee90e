"""The whole report: every section of every run under some folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from reports.comparison.cost import cost, cost_section
from reports.comparison.data import data_section
from reports.comparison.languages import language_section
from reports.comparison.provenance import runs_section
from reports.comparison.quality import headline_section, quality_section, significance_section
from reports.comparison.runs import Collection, collect
from reports.comparison.scores import scores_by_language, significance
from reports.comparison.systems import System, group
from reports.comparison.trade_off import rank_section, trade_off_section
from reports.comparison.training import convergence_section, curves_section, learning_rates_section
from reports.page import write_page
from reports.section import Section

# Further sections are made from the systems, the reference first, and the folder to write pictures into.
SectionMaker = Callable[[Sequence[System], Path], Section | None]


def write_report(
    folders: Sequence[Path], output: Path, reference: str | None = None, further: Sequence[SectionMaker] = ()
) -> tuple[Path, Path]:
    """Compares all tested runs under some folders.

    Args:
        folders: Of studies, of runs, or above them.
        output: Folder to write `report.html`, `report.md` and `figures/` into.
        reference: What the others are tested against; see `systems.group`.
        further: Makers of sections that stand before the list of runs.

    Returns:
        Paths of the page and of the Markdown.

    Raises:
        ValueError: If no run was tested, the runs are of different data, or the reference is unknown.
    """
    collection = collect(folders)
    systems = group(collection.runs, reference)
    scores = scores_by_language(systems)
    if not scores:
        raise ValueError(
            f"No article was given to all of {', '.join(one.name for one in systems)}: test on one data set."
        )
    tests = significance(scores, systems[0].name)
    costs = {system.name: cost(system) for system in systems}
    question = _question(collection)
    sections = [
        headline_section(tests, systems, question),
        quality_section(systems, scores, output),
        significance_section(tests, systems[0].name),
        cost_section(systems, costs),
        trade_off_section(systems, scores, costs, output),
        rank_section(systems, scores, output),
        learning_rates_section(collection.tries, output),
        curves_section(systems, output),
        convergence_section(systems),
        language_section(systems, scores),
        data_section(systems, scores, output),
        *(make(systems, output) for make in further),
        runs_section(systems, collection),
    ]
    return write_page(_title(collection), [section for section in sections if section is not None], output)


def _title(collection: Collection) -> str:
    names = dict.fromkeys(run.study.study for run in collection.runs if run.study)
    return f"Comparison: {', '.join(names)}" if names else f"Comparison of {len(collection.runs)} runs"


def _question(collection: Collection) -> str:
    return " ".join(dict.fromkeys(run.study.question for run in collection.runs if run.study and run.study.question))
