"""Loss curves of pretraining against tokens and minutes: `python -m reports.pretraining [NAME=]RUN ... --output PNG`.

Runs of one name are the stretches of one training: each goes on where the one before it ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from commands.arguments import ArgumentParser
from commands.failures import answer
from reports.curves import Series, read_run
from reports.figure_style import COLOURS, LINES
from reports.prediction_files import named_path

_COLOURS = COLOURS[:6]


@dataclass(frozen=True)
class Trajectory:
    """Validation losses of a run.

    Attributes:
        tokens: (validations,) millions of tokens of text seen.
        minutes: (validations,) of training, without validations, saving and the first steps.
        losses: By language, (validations,) nats a target token.
    """

    tokens: np.ndarray
    minutes: np.ndarray
    losses: dict[str, np.ndarray]


def trajectory(*stretches: Series) -> Trajectory:
    """Reads it off the records of one training, stretches that were resumed included.

    Args:
        *stretches: From `read_run`; each goes on with the weights of the one before it, and counts anew.

    Raises:
        ValueError: If one has no validation or is none of pretraining.
    """
    parts, spent = [], np.zeros(2)
    for series in stretches:
        (tokens, minutes), ends, losses = _stretch(series)
        parts.append((spent[0] + tokens, spent[1] + minutes, losses))
        spent = spent + ends
    tokens, minutes = (np.concatenate([part[index] for part in parts]) for index in range(2))
    languages = sorted({language for _, _, losses in parts for language in losses})
    joined = {
        code: np.concatenate([losses.get(code, np.full(len(at), np.nan)) for at, _, losses in parts])
        for code in languages
    }
    return Trajectory(tokens, minutes, joined)


def _stretch(series: Series) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """(2, validations) millions of tokens and minutes, (2,) of them at the end, losses by language."""
    losses = {key.rsplit("/", 1)[1]: points for key, points in series.items() if key.startswith("val/loss/")}
    if not losses or "train/tokens" not in series or "perf/tokens_per_s" not in series:
        raise ValueError("The run has no record of a validation in pretraining, with tokens and tokens a second.")
    steps, tokens = np.array(series["train/tokens"]).T
    rates = np.interp(steps, *np.array(series["perf/tokens_per_s"]).T)
    spent = np.stack([tokens / 1e6, np.cumsum(np.diff(tokens, prepend=0.0) / rates) / 60])
    at = [step for step, _ in next(iter(losses.values()))]
    places = np.stack([np.interp(at, steps, row) for row in spent])
    return places, spent[:, -1], {code: np.array([loss for _, loss in points]) for code, points in losses.items()}


def draw_pretraining(runs: Mapping[str, Trajectory], output: Path) -> Path:
    """Draws all runs: one colour a language, one line style a run.

    Args:
        runs: By name.
        output: Picture to write; its suffix chooses the format.

    Returns:
        `output`.
    """
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained", sharey=True)
    languages = sorted({language for run in runs.values() for language in run.losses})
    for (name, run), style in zip(runs.items(), LINES * len(runs), strict=False):
        for language, losses in run.losses.items():
            colour = _COLOURS[languages.index(language) % len(_COLOURS)]
            for axis, places in zip(axes, (run.tokens, run.minutes), strict=True):
                axis.plot(places, losses, style, color=colour, label=f"{language} {name}", marker=".")
    axes[0].set(xlabel="million tokens of text", ylabel="validation loss (nats a target token)", xlim=(0, None))
    axes[1].set(xlabel="minutes of training", xlim=(0, None))
    for axis in axes:
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False, fontsize="small")
    figure.savefig(output, dpi=100)
    plt.close(figure)
    return output


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="[NAME=]RUN", help="folders of runs of train.py")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    runs: dict[str, list[Path]] = defaultdict(list)
    for name, path in map(named_path, options.runs):
        runs[Path(name).name if name == path else name].append(Path(path))
    try:
        found = {name: trajectory(*map(read_run, stretches)) for name, stretches in runs.items()}
    except ValueError as error:
        parser.error(str(error))
    print(draw_pretraining(found, options.output))


if __name__ == "__main__":
    answer(main)
