"""Heat maps of attention: layers and heads averaged, or every layer and head; words or sentences on the axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt
from matplotlib.colors import PowerNorm

from metrics.attention_distance import attention_distance
from reports.attention_record import OUTSIDE, AttentionRecord
from reports.figure_style import save_figure

# From white to dark, so that it prints and the colour-blind see it.
_COLOURS = "Blues"
_WORDS = 20
_LABEL_CHARACTERS = 28

Grid = npt.NDArray[np.floating]


def draw_words(records: Sequence[AttentionRecord], folder: Path, name: str) -> str:
    """Cross-attention of each word of the summary on the article's words, a panel for each model.

    Of a long article the 20 words are shown that the models together attend to most, in the article's order. The mean
    is over layers and heads; each row is a share of the attention on the whole article, `</s>` and prefix left out.

    Args:
        records: Of one summary of one article.
        folder: Where to; see `save_figure`.
        name: Of the picture.

    Returns:
        The PNG's path relative to the folder.
    """
    count = min(len(record.source_words) for record in records)
    grids = [_shares(record.cross)[:, :count] for record in records]
    shown = np.sort(np.argsort(-sum(grid.sum(axis=0) for grid in grids))[:_WORDS])
    labels = [_label(records[0].source_words[column]) for column in shown]
    return _draw(records, [grid[:, shown] for grid in grids], labels, folder, name)


def draw_sentences(records: Sequence[AttentionRecord], folder: Path, name: str) -> str:
    """The same on the article's sentences; see `draw_words`."""
    grids = [_shares(record.cross_by_sentence()) for record in records]
    count = min(grid.shape[1] for grid in grids)
    labels = [_label(f"{number} {text}") for number, text in enumerate(records[0].sentences[:count], start=1)]
    return _draw(records, [grid[:, :count] for grid in grids], labels, folder, name)


def draw_encoder(records: Sequence[AttentionRecord], folder: Path, name: str) -> str:
    """The encoder's attention from sentences (rows) to sentences (columns); see `draw_words`."""
    grids = [_shares(record.encoder[:, :, len(OUTSIDE) :]) for record in records]
    count = min(len(grid) for grid in grids)
    names = [_label(f"{number} {text}") for number, text in enumerate(records[0].sentences[:count], start=1)]
    columns = [str(number + 1) for number in range(count)]
    return _draw(records, [grid[:count, :count] for grid in grids], columns, folder, name, names)


def draw_distances(first: AttentionRecord, second: AttentionRecord, folder: Path, name: str) -> str:
    """Jensen-Shannon distance of two models for each layer and head: of cross-attention and of the encoder.

    Raises:
        ValueError: See `attention_distance`.
    """
    parts = {
        "decoder, on the article's words": attention_distance(first.cross, second.cross),
        "encoder, on the article's sentences": encoder_distance(first, second),
    }
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for axis, (title, grid) in zip(axes, parts.items(), strict=True):
        picture = axis.imshow(grid, cmap=_COLOURS, vmin=0, vmax=max(grid.max(), 1e-6), aspect="auto")
        axis.set(title=title, xlabel="head", ylabel="layer")
        axis.set_xticks(range(grid.shape[1]), [str(head + 1) for head in range(grid.shape[1])])
        axis.set_yticks(range(grid.shape[0]), [str(layer + 1) for layer in range(grid.shape[0])])
        figure.colorbar(picture, ax=axis, label="bits")
    figure.suptitle(f"Distance of {first.model} and {second.model}", fontsize="medium")
    return save_figure(figure, folder, name)


def encoder_distance(first: AttentionRecord, second: AttentionRecord) -> Grid:
    """(L, H): as `attention_distance`, over the sentences that both have read."""
    count = min(first.encoder.shape[2], second.encoder.shape[2])
    rows = slice(len(OUTSIDE), count)
    return attention_distance(first.encoder[:, :, rows], second.encoder[:, :, rows])


def _shares(weights: Grid) -> Grid:
    """Mean over layers and heads of (L, H, rows, 2 + columns), as shares of what is on the article."""
    mean = weights.mean(axis=(0, 1))[:, len(OUTSIDE) :]
    return mean / np.maximum(mean.sum(axis=1, keepdims=True), 1e-9)


def _draw(
    records: Sequence[AttentionRecord],
    grids: Sequence[Grid],
    columns: Sequence[str],
    folder: Path,
    name: str,
    rows: Sequence[str] | None = None,
) -> str:
    names = [[_label(word) for word in record.summary_words] if rows is None else list(rows) for record in records]
    height = 1.2 + 0.2 * max(map(len, names)) + 0.075 * max(map(len, columns))
    same = all(labels == names[0] for labels in names)  # one summary of both: its words stand once
    labelled = 0.085 * max(map(len, names[0])) * (1 if same else len(records))
    width = 1.6 + labelled + len(records) * max(1.8, 0.21 * len(columns))
    figure, axes = plt.subplots(1, len(records), figsize=(width, height), layout="constrained", squeeze=False)
    # Square roots, since a few strong weights would make all others white.
    scale = PowerNorm(0.5, vmin=0, vmax=max(float(grid.max()) for grid in grids))
    for axis, record, grid, labels in zip(axes.flat, records, grids, names, strict=True):
        picture = axis.imshow(grid, cmap=_COLOURS, norm=scale, aspect="auto")
        axis.set_title(record.model, fontsize="medium")
        axis.set_xticks(range(len(columns)), columns, rotation=90, fontsize="small")
        shown = labels if axis is axes.flat[0] or not same else [""] * len(labels)
        axis.set_yticks(range(len(labels)), shown, fontsize="small")
    # In two lines: the bar is as high as the words' rows, which may be few.
    bar = figure.colorbar(picture, ax=axes)
    bar.set_label("share of attention\non the article", fontsize="small")
    return save_figure(figure, folder, name)


def _label(text: str) -> str:
    # A dollar sign would begin a formula.
    text = " ".join(text.split()).replace("$", r"\$") or "␣"
    return text if len(text) <= _LABEL_CHARACTERS else text[: _LABEL_CHARACTERS - 1] + "…"
