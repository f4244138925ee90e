"""What systems that were trained on different languages do in each: a picture of scores and of languages written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt

from reports.comparison.scores import LanguageScores
from reports.comparison.systems import System
from reports.figure_style import save_figure

Grid = npt.NDArray[np.float64]


def draw_transfer(
    systems: Sequence[System],
    scores: Sequence[LanguageScores],
    own_language: Mapping[tuple[str, str], float],
    folder: Path,
) -> str | None:
    """Draw ROUGE-L, and the share of outputs identified as in the article's language, by system and that language.

    Args:
        systems: In the order of the rows.
        scores: Of the languages, in the order of the columns.
        own_language: By system and language, the share of outputs that are identified as in that language.
        folder: Of the report.

    Returns:
        The picture's path relative to the folder; None where all systems were trained on the same languages.
    """
    if len({tuple(sorted(system.trained_languages)) for system in systems}) < 2:
        return None
    rouge, share = np.full((2, len(systems), len(scores)), np.nan)
    for row, system in enumerate(systems):
        for column, one in enumerate(scores):
            mean = one.mean(system.name, "rougeL")
            rouge[row, column] = np.nan if mean is None else mean
            share[row, column] = 100 * own_language.get((system.name, one.language), np.nan)
    figure, axes = plt.subplots(1, 2, figsize=(8, 1.2 + 0.34 * len(systems)), sharey=True, layout="constrained")
    # ROUGE of different languages does not compare, so the shade is relative to the best of a column.
    _heat_map(axes[0], rouge, rouge / np.maximum(np.nanmax(rouge, axis=0), 1e-9), "ROUGE-L", ".1f")
    _heat_map(axes[1], share, share / 100, "identified as the article's language (%)", ".0f")
    axes[0].set_yticks(range(len(systems)), [system.name for system in systems])
    for axis in axes:
        axis.set_xticks(range(len(scores)), [one.language for one in scores])
        axis.set_xlabel("articles")
    return save_figure(figure, folder, "transfer")


def _heat_map(axis: plt.Axes, numbers: Grid, shades: Grid, title: str, form: str) -> None:
    axis.imshow(shades, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    axis.set_title(title)
    for (row, column), number in np.ndenumerate(numbers):
        text = "–" if np.isnan(number) else format(number, form)
        colour = "black" if shades[row, column] > 0.5 else "white"
        axis.text(column, row, text, ha="center", va="center", color=colour)
