"""Quality against what it costs, and against the rank of the adapters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.ticker import EngFormatter, LogLocator

from reports.comparison.cost import Cost
from reports.comparison.scores import LanguageScores
from reports.comparison.systems import System
from reports.figure_style import error_bars, legend_below, save_figure, style
from reports.section import Section

_COSTS = {
    "peak_memory_gib": "peak memory in training (GiB)",
    "epoch_seconds": "seconds an epoch",
    "trained": "trained parameters",
}
_LOGARITHMIC = ("trained",)


def trade_off_section(
    systems: Sequence[System], scores: Sequence[LanguageScores], costs: dict[str, Cost], folder: Path
) -> Section | None:
    """ROUGE-L against memory, time and trained parameters; None where nothing was measured."""
    measured = [key for key in _COSTS if any(getattr(one, key) is not None for one in costs.values())]
    if not measured:
        return None
    size = (1 + 4.2 * len(measured), 0.8 + 3.0 * len(scores))
    figure, axes = plt.subplots(len(scores), len(measured), figsize=size, layout="constrained", squeeze=False)
    for row, one in zip(axes, scores, strict=True):
        for axis, key in zip(row, measured, strict=True):
            _draw_costs(axis, systems, one, costs, key)
    legend_below(figure, axes[0, 0])
    picture = save_figure(figure, folder, "trade_off")
    note = "Above and to the left is better; bars are 95% intervals over articles and seeds."
    return Section("Quality, memory and time", f"{note}\n\n![ROUGE-L against its costs]({picture})")


def rank_section(systems: Sequence[System], scores: Sequence[LanguageScores], folder: Path) -> Section | None:
    """ROUGE-L against the adapters' rank, a line for each kind of adapter; None where no kind has two ranks."""
    kinds = _by_kind(systems)
    if not kinds:
        return None
    figure, axes = plt.subplots(
        1, len(scores), figsize=(0.6 + 4.6 * len(scores), 3.8), layout="constrained", squeeze=False
    )
    for axis, one in zip(axes.flat, scores, strict=True):
        for number, (kind, members) in enumerate(kinds.items()):
            _draw_ranks(axis, members, one, kind, number + 1)
        for system in systems:
            found = one.interval(system.name, "rougeL")
            if system.first.adaptation == "full" and found is not None:
                axis.axhline(found.mean, color="black", linestyle="--", label=system.name)
                axis.axhspan(found.low, found.high, color="black", alpha=0.08)
        ranks = sorted({_rank(system) for members in kinds.values() for system in members})
        axis.set(title=f"{one.language}: ROUGE-L, 95% interval", xlabel="rank", xscale="log")
        axis.set_xticks(ranks, [str(rank) for rank in ranks])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    legend_below(figure, axes.flat[0])
    note = "Bars, and the grey band of a dashed line, are 95% intervals over articles and seeds."
    return Section("Rank", f"{note}\n\n![ROUGE-L against the rank]({save_figure(figure, folder, 'rank')})")


def _draw_costs(axis: Any, systems: Sequence[System], one: LanguageScores, costs: dict[str, Cost], key: str) -> None:
    for number, system in enumerate(systems):
        value, found = getattr(costs[system.name], key), one.interval(system.name, "rougeL")
        if value is not None and found is not None:
            # Hollow, since marks that lie on each other must all be seen.
            look = {**style(number), "linestyle": "none", "markerfacecolor": "none", "markersize": 8}
            axis.errorbar(value, found.mean, yerr=error_bars([found]), capsize=3, label=system.name, **look)
    axis.set(xlabel=_COSTS[key], ylabel=f"ROUGE-L, {one.language}")
    if key in _LOGARITHMIC:
        _draw_decades(axis)
    else:
        axis.set_xlim(0, 1.05 * axis.get_xlim()[1])  # what is twice as long looks it
    axis.grid(alpha=0.3)


def _draw_decades(axis: Any) -> None:
    """Makes the horizontal axis logarithmic, with so many short labels that some are there and none overlap."""
    axis.set_xscale("log")
    left, right = axis.get_xlim()
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if right > 10 * left else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.minorticks_off()


def _draw_ranks(axis: Any, members: Sequence[System], one: LanguageScores, kind: str, number: int) -> None:
    points = [(_rank(system), one.interval(system.name, "rougeL")) for system in members]
    found = [(rank, interval) for rank, interval in points if interval is not None]
    places, intervals = [rank for rank, _ in found], [interval for _, interval in found]
    means, spread = [interval.mean for interval in intervals], error_bars(intervals)
    axis.errorbar(places, means, yerr=spread, capsize=3, label=kind, **style(number))


def _by_kind(systems: Sequence[System]) -> dict[str, list[System]]:
    """Systems with adapters by all but their rank; kinds with one rank are left out."""
    kinds: dict[str, list[System]] = {}
    for system in systems:
        if system.first.adaptation != "full":
            targets = system.first.model["lora"]["targets"]
            layers = targets if isinstance(targets, str) else ", ".join(targets)
            words = [system.first.adaptation, layers, *_trained_on(system, systems)]
            kinds.setdefault(" ".join(words), []).append(system)
    found = {kind: sorted(members, key=_rank) for kind, members in kinds.items()}
    return {kind: members for kind, members in found.items() if len({_rank(one) for one in members}) > 1}


def _trained_on(system: System, systems: Sequence[System]) -> list[str]:
    several = len({tuple(one.trained_languages) for one in systems}) > 1
    return ["+".join(system.trained_languages)] if several else []


def _rank(system: System) -> int:
    return system.first.model["lora"]["rank"]
