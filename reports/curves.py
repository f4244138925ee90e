"""Curves of a run, drawn from its own record."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt

from reports.figure_style import COLOURS

_COLOURS = COLOURS[:7]


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: What it shows, with the unit.
        curves: Line style and label of the keys with each prefix; a key that ends in no `/` stands for itself.
        smoothed: Prefixes whose curves are smoothed.
    """

    title: str
    curves: dict[str, tuple[str, str]]
    smoothed: tuple[str, ...] = ()


_COLLAPSE = ("ended", "empty", "sentinel_start", "repetition", "wrong_language", "copied", "invented_words")
PANELS = (
    Panel(
        "Loss (nats a token), training smoothed",
        {"train/loss/": (":", "train"), "val/loss/": ("-", "validation")},
        ("train/loss/",),
    ),
    Panel("ROUGE-L, validation", {"val/rougeL/": ("-", "model"), "val/lead_rougeL/": ("--", "first words")}),
    Panel("BERTScore, validation", {"val/bertscore/": ("-", "model")}),
    Panel("Collapse figures, mean over languages", {f"val/{name}": ("-", name) for name in _COLLAPSE}),
    Panel("Gradient norm before clipping, smoothed", {"train/gradient_norm": (":", "norm")}, ("train/gradient_norm",)),
    Panel("Articles a second, smoothed", {"perf/articles_per_s": (":", "articles/s")}, ("perf/articles_per_s",)),
    Panel("Tokens a second, smoothed", {"perf/tokens_per_s": (":", "tokens/s")}, ("perf/tokens_per_s",)),
)
_SMOOTHING = 0.9

Series = dict[str, list[tuple[int, float]]]


def read_metrics(path: Path) -> Series:
    """Reads `metrics.csv` as Lightning's CSVLogger writes it: (step, value) points by key."""
    series: Series = defaultdict(list)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):  # a killed run cut it off, perhaps in the middle of a number
        lines.pop()
    for row in csv.DictReader(lines):
        for key, value in row.items():
            if value and key != "step":
                series[key].append((int(row["step"]), float(value)))
    return dict(series)


def read_run(run: Path) -> Series:
    """Reads all records of a run's folder; where a resumed run repeats a step, the later record counts."""
    merged: dict[str, dict[int, float]] = defaultdict(dict)
    versions = sorted(run.glob("metrics/version_*/metrics.csv"), key=lambda path: int(path.parent.name.split("_")[1]))
    for version in versions:
        for key, points in read_metrics(version).items():
            merged[key].update(points)
    return {key: sorted(points.items()) for key, points in merged.items()}


def greatest(series: Series, key: str) -> float | None:
    """The greatest finite value of a key, None if it has none."""
    return max((value for _, value in series.get(key, []) if math.isfinite(value)), default=None)


def draw_curves(run: Path, output: Path) -> Path:
    """Draws the curves of a run by language: of the panels in `PANELS`, those that the run has a record for.

    Args:
        run: The run's folder.
        output: Picture to write; its suffix chooses the format.

    Returns:
        `output`.
    """
    series = read_run(run)
    panels = [panel for panel in PANELS if any(_keys(series, prefix) for prefix in panel.curves)] or list(PANELS[:1])
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    size = (5.2 * columns, 3.7 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axis, panel in zip(axes.flat, panels, strict=False):
        _draw_panel(axis, panel, series)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    figure.savefig(output, dpi=100)
    plt.close(figure)
    return output


def _draw_panel(axis: Any, panel: Panel, series: Series) -> None:
    colours: dict[str, str] = {}
    for prefix, (style, name) in panel.curves.items():
        for key in _keys(series, prefix):
            name_or_language = key.rsplit("/", 1)[-1]  # one colour for each, whatever the line style
            colour = colours.setdefault(name_or_language, _COLOURS[len(colours) % len(_COLOURS)])
            points = smoothed(series[key]) if prefix in panel.smoothed else series[key]
            label = f"{name_or_language} {name}" if prefix.endswith("/") else name
            marker = "." if style == "-" else ""
            axis.plot(*zip(*points, strict=True), style, color=colour, label=label, marker=marker)
    axis.set(title=panel.title, xlabel="optimizer step", xlim=(0, None))
    axis.grid(alpha=0.3)
    if axis.lines:
        axis.legend(frameon=False, fontsize="small")


def _keys(series: Series, prefix: str) -> list[str]:
    return sorted(key for key in series if (key.startswith(prefix) if prefix.endswith("/") else key == prefix))


def smoothed(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Exponential moving average without the bias of its start (Kingma & Ba 2015, section 3); NaN makes a gap."""
    smoothed, average, weight = [], 0.0, 0.0
    for step, value in points:
        if not math.isfinite(value):
            smoothed.append((step, math.nan))
            continue
        average = _SMOOTHING * average + (1 - _SMOOTHING) * value
        weight = _SMOOTHING * weight + (1 - _SMOOTHING)
        smoothed.append((step, average / weight))
    return smoothed
