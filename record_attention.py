"""Records what trained models look at while they summarise, and draws it.

    python record_attention.py full=RUN_A lora=RUN_B --examples RUN_A/test/predictions.jsonl --output DIR

A model is a checkpoint, a run's folder, an adapter or an exported folder. All are given the same summary, so that they
can be compared word by word: that of the examples' file, or the reference; `--summary own` lets each write its own.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from commands.arguments import ArgumentParser
from commands.failures import answer
from datamodules.articles import Article
from lightning_modules.article_summarizer import ArticleSummarizer
from lightning_modules.attention import record_attention
from lightning_modules.device import usable_device
from lightning_modules.trained_model import TrainedModel, load_trained
from reports.attention import main as draw
from reports.attention_record import write_attention
from reports.prediction_files import named_path, predictions_file
from reports.results import read_predictions

SUMMARIES = ("prediction", "reference", "own")


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    options = parse(arguments)
    models = dict(named_path(argument) for argument in options.models)
    if len(models) < len(options.models):
        raise ValueError("Two models have one name; name them: NAME=MODEL.")
    examples = choose(read_predictions(predictions_file(options.examples)), options.ids, options.count)
    if any(options.output.glob("*.npz")):
        raise ValueError(f"{str(options.output)!r} holds other records; give another --output, or remove them.")
    device = usable_device(options.device)
    for number, (name, path) in enumerate(models.items(), start=1):
        trained = load_trained(path, device)  # one at a time
        for row in examples:
            summary = generated(trained, row) if options.summary == "own" else row[options.summary]
            if not any(map(str.isalnum, summary)):
                print(f"passed over: {row['id']}: the summary for {name} has no word", file=sys.stderr)
                continue
            record = record_attention(trained, row["article"], summary, row["language"], name, row["id"])
            file = re.sub(r"[^\w.-]+", "-", f"{row['language']}-{row['id']}-{number}-{name}")
            write_attention(options.output / f"{file}.npz", record)
    draw([str(options.output)])


def choose(rows: list[dict[str, Any]], ids: list[str], count: int) -> list[dict[str, Any]]:
    """Rows with given ids, or the first ones of each language.

    Raises:
        ValueError: If an id is not there, or `count` is below 1.
    """
    lacking = set(ids) - {row["id"] for row in rows}
    if lacking:
        raise ValueError(f"--ids: no example is called {', '.join(sorted(lacking))}; the first is {rows[0]['id']!r}.")
    if count < 1:
        raise ValueError(f"--count {count} must be at least 1.")
    if ids:
        return [row for row in rows if row["id"] in ids]
    languages = sorted({row["language"] for row in rows})
    return [row for code in languages for row in [one for one in rows if one["language"] == code][:count]]


def generated(trained: TrainedModel, row: dict[str, Any]) -> str:
    """The model's own summary of an example."""
    (result,) = ArticleSummarizer(trained).summarize([Article(row["id"], row["article"], row["language"])])
    return result.summary or ""


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("models", metavar="[NAME=]MODEL", nargs="+")
    add("--examples", type=Path, required=True, help="a run's folder, or a predictions.jsonl")
    add("--ids", nargs="+", default=[], help="examples to take; else the first of each language")
    add("--count", type=int, default=1, help="examples of each language; default: 1")
    add("--summary", choices=SUMMARIES, default="prediction", help="text that the models are given")
    add(
        "--output",
        type=Path,
        default=Path("runs/analysis/attention"),
        help="folder to write; default: runs/analysis/attention",
    )
    add("--device", help="such as cpu or cuda:0; a GPU if there is one")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    answer(main)
