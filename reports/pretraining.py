"""Loss curves of pretraining against tokens and minutes: `python -m reports.pretraining RUN ... --output FILE.png`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from reports.curves import Series, read_run
from reports.figure_style import COLOURS, LINES

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


def trajectory(series: Series) -> Trajectory:
    """Reads it off the record of a run, stretches that were resumed included.

    Args:
        series: From `read_run`.

    Raises:
        ValueError: If the run has no validation or is none of pretraining.
    """
    losses = {key.rsplit("/", 1)[1]: points for key, points in series.items() if key.startswith("val/loss/")}
    if not losses or "train/tokens" not in series or "perf/tokens_per_s" not in series:
        raise ValueError("The run has no record of a validation in pretraining, with tokens and tokens a second.")
    steps, tokens = np.array(series["train/tokens"]).T
    rates = np.interp(steps, *np.array(series["perf/tokens_per_s"]).T)
    minutes = np.cumsum(np.diff(tokens, prepend=0.0) / rates) / 60
    at = [step for step, _ in next(iter(losses.values()))]
    return Trajectory(
        np.interp(at, steps, tokens) / 1e6,
        np.interp(at, steps, minutes),
        {language: np.array([loss for _, loss in points]) for language, points in losses.items()},
    )


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs of train.py")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    names = [run.resolve().name for run in options.runs]
    try:
        found = {name: trajectory(read_run(run)) for name, run in zip(names, options.runs, strict=True)}
    except ValueError as error:
        parser.error(str(error))
    print(draw_pretraining(found, options.output))


if __name__ == "__main__":
    main()
