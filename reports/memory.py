"""Where the memory of training goes: one bar a recipe, one colour a component."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

# Okabe & Ito's palette, which the colour-blind can tell apart.
COLOURS = {
    "weights": "#0072B2",
    "gradients": "#56B4E9",
    "optimizer": "#009E73",
    "activations": "#E69F00",
    "recomputed": "#F0E442",
    "logits": "#D55E00",
}


def draw_memory(
    recipes: Mapping[str, Mapping[str, float]],
    output: Path,
    title: str,
    measured: Mapping[str, float] | None = None,
    card_gib: float | None = None,
) -> Path:
    """Draws stacked bars.

    Args:
        recipes: By the recipe's name, GiB by component (a key of `COLOURS`); from top to bottom.
        output: Picture to write; its suffix chooses the format.
        title: Above the bars.
        measured: GiB that were measured, by recipe; drawn as a mark.
        card_gib: Memory of a card to draw a line at.

    Returns:
        `output`.

    Raises:
        ValueError: If a component is unknown.
    """
    unknown = {name for parts in recipes.values() for name in parts} - COLOURS.keys()
    if unknown:
        raise ValueError(f"Unknown components {sorted(unknown)}; known are {', '.join(COLOURS)}.")
    figure, axis = plt.subplots(figsize=(10, 0.9 + 0.5 * len(recipes)), layout="constrained")
    names, starts = list(recipes), dict.fromkeys(recipes, 0.0)
    for component, colour in COLOURS.items():
        sizes = [recipes[name].get(component, 0.0) for name in names]
        if any(sizes):
            axis.barh(names, sizes, left=list(starts.values()), color=colour, label=component)
            starts = {name: start + size for (name, start), size in zip(starts.items(), sizes, strict=True)}
    for place, (name, total) in enumerate(starts.items()):
        end = max(total, (measured or {}).get(name, 0.0))
        axis.text(end, place, f"  {total:.2f}", va="center", fontsize="small")
    if measured:
        axis.plot(list(measured.values()), list(measured), "k|", markersize=18, label="measured")
    if card_gib is not None:
        axis.axvline(card_gib, color="black", linestyle=":", label=f"a card of {card_gib:g} GiB")
    axis.invert_yaxis()
    axis.set_axisbelow(True)
    axis.set(title=title, xlabel="peak memory (GiB)", xlim=(0, 1.08 * max(starts.values())))
    axis.grid(axis="x", alpha=0.3)
    axis.legend(frameon=False, fontsize="small")
    figure.savefig(output, dpi=100)
    plt.close(figure)
    return output
