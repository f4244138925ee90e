"""Which learning rates a study tried for each system, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import pyplot as plt

from reports.card_tables import table
from reports.comparison.runs import TrainedRun
from reports.comparison.systems import System
from reports.curves import greatest
from reports.figure_style import legend_below, save_figure, style
from reports.section import Section

Rates = dict[float, float]


def rates_tried(tries: Sequence[TrainedRun], systems: Sequence[System]) -> dict[str, Rates]:
    """The best validation of each rate, by system, in the order of the systems; without those that had one rate."""
    found: dict[str, Rates] = {system.name: {} for system in systems}
    several = len({run.study.study for run in tries if run.study}) > 1
    for run in tries:
        if run.study is None or run.study.learning_rate is None:
            continue
        value = greatest(run.curves, run.study.monitor)
        name = " ".join([run.study.study] * several + list(run.study.labels.values()))
        if value is not None and run.study.learning_rate not in found.get(name, {}):  # of the first seed
            found.setdefault(name, {})[run.study.learning_rate] = value
    return {name: dict(sorted(rates.items())) for name, rates in found.items() if len(rates) > 1}


def edge_warnings(tried: dict[str, Rates]) -> list[str]:
    """Says whose best rate is the lowest or the highest that was tried."""
    by_edge = {edge: [name for name, rates in tried.items() if _edge(rates) == edge] for edge in ("highest", "lowest")}
    return [
        f"The best learning rate of {', '.join(names)} is the {edge} tried: it may do better yet."
        for edge, names in by_edge.items()
        if names
    ]


def learning_rates_section(tried: dict[str, Rates], systems: Sequence[System], folder: Path) -> Section | None:
    """A table and a picture of `rates_tried`; None where no study tried two."""
    if not tried:
        return None
    rows = [
        [name, len(rates), f"{_best(rates):g}", "yes" if _edge(rates) else "no", _listed(rates)]
        for name, rates in tried.items()
    ]
    note = (
        "Each was trained with the first seed; the rate with the best validation was kept and trained with the other "
        "seeds. No test row had a part in it. A best rate at the edge of those tried may not be the best there is."
    )
    head = ["system", "rates tried", "chosen", "at the edge", "best validation of each"]
    numbers = {system.name: number for number, system in enumerate(systems)}
    picture = _draw(tried, numbers, folder)
    return Section("Learning rates", f"{note}\n\n{table(head, rows)}\n\n![Validation by learning rate]({picture})")


def _best(rates: Rates) -> float:
    return max(rates, key=lambda rate: rates[rate])


def _edge(rates: Rates) -> str | None:
    best = _best(rates)
    return "highest" if best == max(rates) else "lowest" if best == min(rates) else None


def _listed(rates: Rates) -> str:
    return ", ".join(f"{rate:g}: {value:.2f}" for rate, value in rates.items())


def _draw(tried: dict[str, Rates], numbers: dict[str, int], folder: Path) -> str:
    """Colours by number of the system, as in the other figures; what is no system has those that follow."""
    figure, axis = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for name, rates in tried.items():
        number = numbers.setdefault(name, len(numbers))
        axis.plot(list(rates), list(rates.values()), label=name, **style(number))
    axis.set(xscale="log", xlabel="learning rate", title="Best validation by learning rate, first seed")
    ticks = sorted({rate for rates in tried.values() for rate in rates})
    axis.set_xticks(ticks, [f"{rate:g}" for rate in ticks])
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    legend_below(figure, axis)
    return save_figure(figure, folder, "learning_rates")
