"""How all figures look: colours and marks that the colour-blind and a black-and-white printer can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.layout_engine import ConstrainedLayoutEngine

from metrics.significance import Interval

# Okabe & Ito's palette, which the colour-blind can tell apart; its yellow is too light for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", ":", "-.")
_LEGEND_COLUMNS = 5
# Pictures of one report must not differ from day to day.
_SVG: Any = {"svg.hashsalt": "ozet", "svg.fonttype": "path"}


def style(number: int) -> dict[str, Any]:
    """Colour, mark and line of the so-manieth thing; a second round of colours has other marks and lines."""
    turn = number // len(COLOURS)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[(number + turn) % len(MARKERS)],
        "linestyle": LINES[turn % len(LINES)],
    }


def error_bars(intervals: Sequence[Interval]) -> tuple[list[float], list[float]]:
    """How far intervals reach below and above their means, as `errorbar` wants it."""
    return [one.mean - one.low for one in intervals], [one.high - one.mean for one in intervals]


def legend_below(figure: Any, axis: Any) -> None:
    """Explains the marks of an axis below all axes, in rows of equal length, where no curve is covered."""
    handles, labels = axis.get_legend_handles_labels()
    rows = -(-len(labels) // _LEGEND_COLUMNS)
    columns = -(-len(labels) // max(rows, 1))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)


def save_figure(figure: Any, folder: Path, name: str) -> str:
    """Writes `figures/NAME.png` and `.svg` into a folder, and closes the figure.

    Returns:
        The PNG's path relative to the folder.
    """
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(h_pad=0.12, w_pad=0.08)  # inches: a title belongs to what is below it
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once: it takes as long as drawing, and each file would do it again
    with matplotlib.rc_context(_SVG):
        figure.savefig(folder / "figures" / f"{name}.svg", metadata={"Date": None})
    figure.savefig(folder / "figures" / f"{name}.png", dpi=150)
    plt.close(figure)
    return f"figures/{name}.png"
