"""Loss and ROUGE curves of a run, drawn from its own record."""

from __future__ import annotations

import csv
from collections import defaultdict
from itertools import cycle
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

# Okabe & Ito's palette, which the colour-blind can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Panel title, the prefix of the keys drawn in it, and the line style of each.
_PANELS = (
    ("Loss (nats a token)", {"train/loss/": (":", "train"), "val/loss/": ("-", "validation")}),
    ("ROUGE-L, validation", {"val/rougeL/": ("-", "validation")}),
)
_SMOOTHING = 0.9

Series = dict[str, list[tuple[int, float]]]


def read_metrics(path: Path) -> Series:
    """Reads `metrics.csv` as Lightning's CSVLogger writes it: (step, value) points by key."""
    series: Series = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if not row["step"]:  # the last line of a killed run may be cut off
                continue
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


def draw_curves(run: Path, output: Path) -> Path:
    """Draws the curves of a run by language.

    Args:
        run: The run's folder.
        output: Picture to write; its suffix chooses the format.

    Returns:
        `output`.
    """
    series = read_run(run)
    figure, axes = plt.subplots(1, len(_PANELS), figsize=(11, 4), layout="constrained")
    for axis, (title, prefixes) in zip(axes, _PANELS, strict=True):
        for prefix, (style, name) in prefixes.items():
            keys = sorted(key for key in series if key.startswith(prefix))
            for colour, key in zip(cycle(_COLOURS), keys, strict=False):
                points = series[key] if style == "-" else _smooth(series[key])
                label = f"{key.rsplit('/', 1)[-1]} {name}"
                axis.plot(
                    *zip(*points, strict=True), style, color=colour, label=label, marker="." if style == "-" else ""
                )
        axis.set(title=title, xlabel="optimizer step", xlim=(0, None))
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(frameon=False)
    figure.savefig(output, dpi=120)
    plt.close(figure)
    return output


def _smooth(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Exponential moving average without the bias of its start (Kingma & Ba 2015, section 3)."""
    smoothed, average, weight = [], 0.0, 0.0
    for step, value in points:
        average = _SMOOTHING * average + (1 - _SMOOTHING) * value
        weight = _SMOOTHING * weight + (1 - _SMOOTHING)
        smoothed.append((step, average / weight))
    return smoothed
