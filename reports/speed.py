"""Speed and memory of training against the batch size, drawn from results of benchmarks/training_speed.py.

python -m reports.speed RESULT.json ... --output DIR
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullLocator

from commands.arguments import ArgumentParser
from commands.failures import answer
from reports.figure_style import COLOURS, MARKERS

_SIZE = (6.4, 4.4)
_THOUSANDS = FuncFormatter(lambda value, _: f"{value:,g}")

Entry = dict[str, Any]


def read_summary(path: Path) -> list[Entry]:
    """Reads the entries of a result, one for each recipe and batch size.

    Raises:
        ValueError: If the file holds none.
    """
    try:
        summary = json.loads(path.read_text(encoding="utf-8")).get("summary")
    except (json.JSONDecodeError, AttributeError) as error:
        raise ValueError(f"{path} is no result of benchmarks/training_speed.py: {error}.") from error
    if not summary:
        raise ValueError(f"{path} has no summary: a profile, or a run that was cut off before its first row.")
    return summary


def draw_speed(summary: Sequence[Entry], output: Path) -> Path:
    """Draws articles a second against the batch size; bars span the medians of the rounds.

    Args:
        summary: From `read_summary`.
        output: Picture to write; its suffix chooses the format.

    Returns:
        `output`.
    """
    return _draw_lines(summary, "articles_per_s", "Training, articles a second", output)


def draw_memory(summary: Sequence[Entry], output: Path) -> Path:
    """Draws the peak of allocated memory against the batch size; arguments and result as of `draw_speed`."""
    return _draw_lines(summary, "peak_allocated_mib", "Peak of allocated GPU memory in training (MiB)", output)


def draw_components(summary: Sequence[Entry], batch_size: int, output: Path) -> Path:
    """Draws what the peak of memory is made of, a bar for each recipe.

    Args:
        summary: From `read_summary`; entries with `components`, MiB by name.
        batch_size: The one to show.
        output: Picture to write.

    Returns:
        `output`.
    """
    shown = [entry for entry in summary if entry["batch_size"] == batch_size and "components" in entry]
    figure, axis = plt.subplots(figsize=(_SIZE[0], 1.3 + 0.55 * len(shown)), layout="constrained")
    names = [entry["recipe"] for entry in shown]
    left = [0.0] * len(shown)
    components = list(dict.fromkeys(name for e in shown for name, size in e["components"].items() if size))
    for place, component in enumerate(components):
        sizes = [entry["components"].get(component, 0.0) for entry in shown]
        axis.barh(names, sizes, left=left, label=component, color=COLOURS[place % len(COLOURS)])
        left = [before + size for before, size in zip(left, sizes, strict=True)]
    for place, total in enumerate(left):
        axis.annotate(f" {total:,.0f}", (total, place), va="center", fontsize="small")
    axis.set(title=f"Memory at its peak, batch {batch_size} (MiB)", xlim=(0, 1.12 * max(left)))
    axis.invert_yaxis()
    axis.xaxis.set_major_formatter(_THOUSANDS)
    axis.grid(axis="x", alpha=0.3)
    axis.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=len(components), frameon=False, fontsize="small")
    return _save(figure, output)


def _draw_lines(summary: Sequence[Entry], key: str, title: str, output: Path) -> Path:
    figure, axis = plt.subplots(figsize=_SIZE, layout="constrained")
    axis.set(xscale="log", yscale="log", title=title, xlabel="batch size")
    values = [entry[key] for entry in summary if key in entry]
    for number, recipe in enumerate(dict.fromkeys(entry["recipe"] for entry in summary)):
        style = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
        entries = sorted((e for e in summary if e["recipe"] == recipe), key=lambda entry: entry["batch_size"])
        _draw_recipe(axis, [e for e in entries if key in e], key, recipe, style)
        lacking = [entry["batch_size"] for entry in entries if entry.get("out_of_memory")]
        # One recipe's marks below another's, where no curve is.
        height = min(values, default=1.0) * 0.8 ** (number + 1)
        axis.scatter(lacking, [height] * len(lacking), marker="x", color=style["color"])
        if lacking:
            words: dict[str, Any] = {"color": style["color"], "fontsize": "small", "va": "center", "ha": "right"}
            axis.annotate("out of memory   ", (lacking[0], height), **words)
    sizes = sorted({entry["batch_size"] for entry in summary})
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(_THOUSANDS)
    axis.grid(alpha=0.3, which="both")
    axis.legend(frameon=False, fontsize="small")
    return _save(figure, output)


def _draw_recipe(axis: Any, entries: Sequence[Entry], key: str, recipe: str, style: dict[str, str]) -> None:
    sizes, values = [e["batch_size"] for e in entries], [e[key] for e in entries]
    axis.plot(sizes, values, label=recipe, **style)
    if key == "articles_per_s":
        rates = [[1000 * e["batch_size"] / ms for ms in e["round_medians"]] for e in entries]
        below = [max(value - min(rate), 0) for value, rate in zip(values, rates, strict=True)]
        above = [max(max(rate) - value, 0) for value, rate in zip(values, rates, strict=True)]
        axis.errorbar(sizes, values, yerr=(below, above), color=style["color"], capsize=3, linestyle="none")


def _save(figure: Any, output: Path) -> Path:
    figure.savefig(output, dpi=100)
    plt.close(figure)
    return output


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = ArgumentParser(prog="python -m reports.speed", description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="+", help="JSON of benchmarks/training_speed.py")
    parser.add_argument("--output", type=Path, default=Path(), help="folder for the pictures")
    parser.add_argument("--batch-size", type=int, help="of the bars; default: the greatest that every recipe can take")
    options = parser.parse_args(arguments)
    summary = [entry for result in options.results for entry in read_summary(result)]
    options.output.mkdir(parents=True, exist_ok=True)
    name = options.results[0].stem
    print(draw_speed(summary, options.output / f"{name}_speed.png"))
    if not any("peak_allocated_mib" in entry for entry in summary):
        return
    print(draw_memory(summary, options.output / f"{name}_memory.png"))
    batch_size = options.batch_size or _common_batch_size(summary)
    if batch_size in {entry["batch_size"] for entry in summary if "components" in entry}:
        print(draw_components(summary, batch_size, options.output / f"{name}_components.png"))


def _common_batch_size(summary: Sequence[Entry]) -> int:
    """The greatest batch size at which every recipe has components, 0 if there is none."""
    recipes = {entry["recipe"] for entry in summary}
    having = {
        recipe: {e["batch_size"] for e in summary if e["recipe"] == recipe and "components" in e} for recipe in recipes
    }
    return max(set.intersection(*having.values()), default=0)


if __name__ == "__main__":
    answer(main)
