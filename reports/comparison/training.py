"""How the systems learnt: overlaid curves, steps to reach a quality, and the learning rates that were tried."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from matplotlib import pyplot as plt

from reports.card_tables import table
from reports.comparison.runs import TrainedRun
from reports.comparison.systems import System
from reports.curves import greatest, smoothed
from reports.figure_style import LINES, legend_below, save_figure, style
from reports.section import Section

_PANELS = {
    "train/loss": "Training loss (nats a token), smoothed",
    "val/loss": "Validation loss (nats a token)",
    "val/rougeL": "Validation ROUGE-L",
    "train/learning_rate": "Learning rate",
}
_SMOOTHED = ("train/loss",)
_SHARES = (0.5, 0.8, 0.9, 0.95, 1.0)
_QUALITY = "val/rougeL"


def curves_section(systems: Sequence[System], folder: Path) -> Section | None:
    """Loss, quality and learning rate of all systems in the same axes; None where nothing was logged."""
    shown = [key for key in _PANELS if any(run.curves.get(key) for system in systems for run in system.runs)]
    if not shown:
        return None
    rows = -(-len(shown) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(11, 0.8 + 3.6 * rows), layout="constrained", squeeze=False)
    for axis, key in zip(axes.flat, shown, strict=False):
        for number, system in enumerate(systems):
            for place, run in enumerate(system.runs):
                points = _finite(run.curves.get(key, []))
                points = smoothed(points) if key in _SMOOTHED else points
                look = {**style(number), "linestyle": LINES[number % len(LINES)], "linewidth": 1}
                look["marker"] = "." if key.startswith("val/") else None
                steps, values = [step for step, _ in points], [value for _, value in points]
                axis.plot(steps, values, label=None if place else system.name, **look)
        axis.set(title=_PANELS[key], xlabel="optimizer step", xlim=(0, None))
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    legend_below(figure, axes.flat[0])
    picture = save_figure(figure, folder, "curves")
    note = "One line a seed, one colour a system; means over the languages of training."
    return Section("Curves", f"{note}\n\n![Curves of training]({picture})")


def convergence_section(systems: Sequence[System]) -> Section | None:
    """Steps until a share of the reference's best validation quality is reached; None where nothing was validated."""
    reference = next(system for system in systems if system.is_reference)
    best = [value for run in reference.runs if (value := greatest(run.curves, _QUALITY)) is not None]
    if not best:
        return None
    goal = statistics.mean(best)
    rows = [
        [system.name, *(_steps(system, share * goal) for share in _SHARES), _best(system)]
        for system in systems
        if any(run.curves.get(_QUALITY) for run in system.runs)
    ]
    note = (
        f"Optimizer steps until validation ROUGE-L first reaches a share of {goal:.2f}, the best of `{reference.name}` "
        "(mean over its seeds). Known only as finely as validations were made. The mean over the seeds that reach it; "
        "in brackets how many do, where not all. Systems trained on other languages are validated on those."
    )
    head = ["system", *(f"{share:.0%}" for share in _SHARES), "best validation ROUGE-L"]
    return Section("Convergence", f"{note}\n\n{table(head, rows)}")


def _finite(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    return [(step, value) for step, value in points if math.isfinite(value)]


def _steps(system: System, goal: float) -> str:
    first = [_first_step(run, goal) for run in system.runs]
    reached = [step for step in first if step is not None]
    if not reached:
        return "–"
    some = f" ({len(reached)} of {len(first)})" if len(reached) < len(first) else ""
    return f"{statistics.mean(reached):,.0f}{some}"


def _first_step(run: TrainedRun, goal: float) -> int | None:
    # A record of step n is made after n + 1 optimizer steps.
    return next((step + 1 for step, value in _finite(run.curves.get(_QUALITY, [])) if value >= goal), None)


def _best(system: System) -> str:
    found = [value for run in system.runs if (value := greatest(run.curves, _QUALITY)) is not None]
    return f"{statistics.mean(found):.2f}" if found else "–"
