"""How scores grow with the number of pairs: table, JSON and figure of configs/studies/few_pairs.yaml.

    python benchmarks/few_pairs.py runs/studies/few-pairs --output few_pairs.json --figure docs/images

Each cell is read with all its seeds; intervals are of 95%, over articles and seeds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from main_job import write  # noqa: E402
from matplotlib import pyplot as plt  # noqa: E402

from metrics.seeded_bootstrap import system_interval  # noqa: E402
from reports.figure_style import save_figure, style  # noqa: E402
from reports.prediction_files import by_language  # noqa: E402
from reports.results import read_predictions  # noqa: E402
from reports.study_record import FILE, StudyRun, read_study_run  # noqa: E402

SCORES = ("rougeL", "rouge1", "invented_words", "ended", "copied", "lead1_rougeL", "lead_rougeL")
_SHARES = ("invented_words", "ended", "copied")
_NAMES = {"tr": "Turkish", "en": "English", "it": "Italian"}
Cell = dict[str, Any]


def read_cells(study: Path) -> list[Cell]:
    """Return labels, rates, seeds and scores of every tested cell of a study, by language and number of pairs."""
    runs: dict[tuple[str, ...], list[tuple[StudyRun, Path]]] = {}
    for file in sorted(study.rglob(FILE)):
        run = read_study_run(file.parent)
        if run is not None and run.status == "finished":
            runs.setdefault(tuple(run.labels.values()), []).append((run, _tested(file.parent)))
    return sorted((_cell(own) for own in runs.values()), key=lambda one: (one["language"], one["base"], pairs(one)))


def pairs(cell: Cell) -> float:
    """Return the number of training pairs; infinity for all."""
    return float("inf") if cell["training_pairs"] == "all" else float(cell["training_pairs"])


def draw(cells: Sequence[Cell], folder: Path) -> None:
    """Draw ROUGE-L and invented words against the number of pairs, a column a language."""
    languages = list(dict.fromkeys(cell["language"] for cell in cells))
    labels = sorted({cell["training_pairs"] for cell in cells}, key=lambda one: pairs({"training_pairs": one}))
    figure, axes = plt.subplots(2, len(languages), figsize=(4 * len(languages), 6), squeeze=False, layout="constrained")
    for column, language in enumerate(languages):
        own = [cell for cell in cells if cell["language"] == language]
        for axis, score in zip(axes[:, column], ("rougeL", "invented_words"), strict=True):
            _curves(axis, own, score, labels)
        lead = own[0]["scores"]["lead1_rougeL"][0]
        axes[0, column].axhline(lead, color="grey", linestyle=":", label="first sentence")
        axes[0, column].set_title(_NAMES.get(language, language))
        axes[1, column].set_xlabel("training pairs")
    axes[0, 0].set_ylabel("ROUGE-L")
    axes[1, 0].set_ylabel("invented words (%)")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    save_figure(figure, folder, "few_pairs")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each cell; write the JSON and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of the study")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--figure", type=Path, help="folder in which figures/few_pairs.png and .svg are written")
    options = parser.parse_args(arguments)
    cells = read_cells(options.study)
    if not cells:
        sys.exit(f"error: no run under {str(options.study)!r} was tested; run the study first.")
    write(options.output, {"cells": cells})
    for cell in cells:
        print(_line(cell))
    if options.figure is not None:
        draw(cells, options.figure)


def _tested(folder: Path) -> Path:
    return sorted(folder.glob("*/test/predictions.jsonl"))[-1]


def _cell(runs: Sequence[tuple[StudyRun, Path]]) -> Cell:
    """Summarise the seeds of one cell: mean, low and high of each score, in percent."""
    first = runs[0][0]
    (rows,) = zip(*(by_language(read_predictions(file)).values() for _, file in runs), strict=True)
    ids = [row["id"] for row in rows[0]]
    if any([row["id"] for row in one] != ids for one in rows):
        raise ValueError(f"The seeds of {first.labels} were tested on different rows; test them again.")
    scores = {name: _interval(rows, name) for name in SCORES if all(name in row["scores"] for row in rows[0])}
    own = {"learning_rate": first.learning_rate, "seeds": [run.seed for run, _ in runs], "articles": len(ids)}
    return first.labels | own | {"scores": scores}


def _interval(rows: Sequence[list[dict[str, Any]]], name: str) -> list[float]:
    values = np.array([[row["scores"][name] for row in one] for one in rows]) * (100 if name in _SHARES else 1)
    found = system_interval(values, 0.95, 2000, 0)
    return [round(value, 3) for value in (found.mean, found.low, found.high)]


def _curves(axis: Any, cells: Sequence[Cell], score: str, labels: Sequence[str]) -> None:
    lines = sorted({(cell["base"], cell["method"]) for cell in cells}, reverse=True)
    for number, (base, method) in enumerate(lines):
        own = [one for one in cells if (one["base"], one["method"]) == (base, method) and score in one["scores"]]
        if not own:
            continue
        places = [labels.index(cell["training_pairs"]) for cell in own]
        mean, low, high = np.transpose([cell["scores"][score] for cell in own])
        after = "after gap sentences" if base == "gap" else "plain base"
        axis.plot(places, mean, label=f"{after}, {method}", **style(number))
        axis.fill_between(places, low, high, alpha=0.15, color=style(number)["color"])
    axis.set_xticks(range(len(labels)), labels)
    axis.set_ylim(bottom=0)


def _line(cell: Cell) -> str:
    labels = [cell[name] for name in ("language", "base", "training_pairs", "method")]
    rate = "" if cell["learning_rate"] is None else f"{cell['learning_rate']:g}"
    scores = [f"{name} {mean:.1f} [{low:.1f}, {high:.1f}]" for name, (mean, low, high) in cell["scores"].items()]
    return "  ".join([*(f"{one:<5}" for one in (*labels, rate)), *scores])


if __name__ == "__main__":
    main()
