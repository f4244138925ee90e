"""The figures of the case study, each drawn from what runs recorded; None while there is nothing to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import ScalarFormatter

from reports.case_study.collapse import FORMS, Collapse, ended_with_words, in_words, mean_over_seeds
from reports.curves import Series, read_run
from reports.figure_style import COLOURS, LINES, MARKERS

_NAMES = {"adapters": "not merged", "nf4": "merged into NF4", "bf16": "merged into bf16"}


def sentinel_curves(collapse: Collapse) -> Any:
    """Share of summaries that begin with a sentinel against steps: a colour a learning rate, a line the layers."""
    curves: dict[tuple[str, str], list[Series]] = {}
    for folder, study in collapse.trainings:
        rate, targets, labels = study.labels.values()
        if labels == "with-end":
            curves.setdefault((rate, targets), []).append(read_run(folder))
    rates = sorted({rate for rate, _ in curves}, key=lambda rate: float(rate.removeprefix("lr-")))
    if not curves:
        return None
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for (rate, targets), runs in sorted(curves.items(), key=lambda item: (rates.index(item[0][0]), item[0][1])):
        points = [dict(run.get("val/sentinel_start", [])) for run in runs]
        steps = sorted(set.intersection(*(set(one) for one in points)))
        values = np.array([[100 * one[step] for step in steps] for one in points])
        place = rates.index(rate)
        line = LINES[0 if targets == "all-linear" else 1]
        label = f"{in_words(rate)}, {in_words(targets)}"
        # Lines of the same course lie on each other: the upper one's marks are hollow.
        face = COLOURS[place] if targets == "all-linear" else "white"
        look: dict[str, Any] = {"color": COLOURS[place], "marker": MARKERS[place], "markerfacecolor": face}
        axis.plot(steps, values.mean(axis=0), line, label=label, **look)
        axis.fill_between(steps, values.min(axis=0), values.max(axis=0), color=COLOURS[place], alpha=0.15, linewidth=0)
    untuned = mean_over_seeds(collapse.of("untuned"), "sentinel_start")
    if untuned is not None:
        axis.plot(0, 100 * untuned, "*", color="black", markersize=11, clip_on=False, label="untuned")
    axis.set(xlabel="optimizer step", ylabel="begin with <extra_id_0> (%)", ylim=(-3, 103), xlim=(0, None))
    return _finished(figure, axis, loc="upper left", bbox_to_anchor=(1, 1))


def ended_shares(collapse: Collapse) -> Any:
    """Share of summaries that end and have words, by cell and form; bars reach from the least to the greatest seed."""
    if not collapse.evaluations:
        return None
    figure, axis = plt.subplots(figsize=(7, 0.7 + 0.38 * len(collapse.cells)), layout="constrained")
    for place, form in enumerate(FORMS):
        for row, cell in enumerate(collapse.cells):
            found = collapse.of(form, cell=cell)
            seeds = sorted(100 * ended_with_words([one]) for one in found)
            if seeds:
                mean, height = float(np.mean(seeds)), row + 0.22 * (place - 1)
                reach = [[max(mean - seeds[0], 0)], [max(seeds[-1] - mean, 0)]]  # of equal ones, rounding is left
                label = _NAMES[form] if row == 0 else None
                axis.errorbar(mean, height, xerr=reach, color=COLOURS[place], marker=MARKERS[place], label=label)
    axis.set_yticks(
        range(len(collapse.cells)), [", ".join(map(in_words, cell)) for cell in collapse.cells], fontsize="small"
    )
    axis.set(xlabel="end by </s> and have words (%)", xlim=(-3, 103))
    axis.invert_yaxis()
    return _finished(figure, axis)


def clipping_losses(runs: Mapping[str, Path]) -> Any:
    """Training loss with and without clipping when one step's gradients are 10,000 times as great."""
    names = {"gradient-explosion": "spike, not clipped", "gradient-spike-clipped": "spike, clipped", "good": "no spike"}
    curves = {name: read_run(runs[cell]).get("train/loss", []) for cell, name in names.items() if cell in runs}
    if len([points for points in curves.values() if points]) < 2:
        return None
    figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for place, (name, points) in enumerate(curves.items()):
        steps, losses = zip(*points, strict=True)
        axis.plot(steps, losses, LINES[place], color=COLOURS[place], label=name)
    axis.set(xlabel="optimizer step", ylabel="training loss (nats a token)", xlim=(0, None))
    return _finished(figure, axis)


def surviving_updates(collapse: Collapse) -> Any:
    """What an NF4 merge keeps of each layer's update, against the update's size: a colour a learning rate."""
    layers: dict[str, list[dict[str, float]]] = {}
    for one in collapse.of("nf4"):
        layers.setdefault(one.cell[0], []).extend(one.merged_layers)
    if not any(layers.values()):
        return None
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for place, rate in enumerate(sorted(layers, key=lambda rate: float(rate.removeprefix("lr-")))):
        sizes = [100 * one["relative_size"] for one in layers[rate]]
        kept = [one["cosine"] for one in layers[rate]]
        axis.scatter(sizes, kept, s=12, alpha=0.5, color=COLOURS[place], marker=MARKERS[place], label=in_words(rate))
    axis.set(xscale="log", xlabel="size of a layer's update (% of its weights)", ylim=(0, 1))
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.set_ylabel("cosine, intended to surviving")
    return _finished(figure, axis)


def bertscore_memory(runs: Mapping[str, Path]) -> Any:
    """Peaks of the GPU's memory in training and validation, with BERTScore on the GPU and on the CPU."""
    names = {"bertscore-on-gpu-roomy": "on the GPU", "bertscore-on-cpu": "on the CPU"}
    peaks = {name: _peaks(read_run(runs[cell])) for cell, name in names.items() if cell in runs}
    if len(peaks) < 2 or not all(any(one) for one in peaks.values()):
        return None
    figure, axis = plt.subplots(figsize=(7, 2.6), layout="constrained")
    for place, kind in enumerate(("training", "validation")):
        rows = [row + 0.2 * (2 * place - 1) for row in range(len(peaks))]
        bars = axis.barh(rows, [one[place] for one in peaks.values()], 0.36, color=COLOURS[place], label=kind)
        axis.bar_label(bars, fmt=" %.2f", fontsize="small")
    axis.set_yticks(range(len(peaks)), [f"BERTScore {name}" for name in peaks])
    axis.set(xlabel="peak memory of the GPU (GiB)")
    axis.margins(x=0.12)
    return _finished(figure, axis)


def _peaks(series: Series) -> tuple[float, float]:
    keys = ("perf/peak_memory_gib", "perf/validation_peak_memory_gib")
    training, validation = (max((value for _, value in series.get(key, [])), default=0.0) for key in keys)
    return training, validation


def _finished(figure: Any, axis: Any, **place: Any) -> Any:
    axis.grid(alpha=0.3)
    axis.set_axisbelow(True)
    axis.legend(frameon=False, fontsize="small", **place)
    return figure


def drawn(figure: Any, folder: Path, name: str, caption: str) -> Sequence[str]:
    """Writes a figure as PNG; the lines of Markdown that show it, or that say that nothing was measured."""
    if figure is None:
        return [f"*{caption}*: not measured yet."]
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", dpi=110, metadata={"Software": None})
    plt.close(figure)
    return [f"![{caption}](images/case_study/{name}.png)", f"*{caption}.*"]
