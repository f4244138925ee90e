"""Summarises articles with a trained model: `python summarize.py MODEL [FILE ...] [--output out.jsonl]`, or a web page.

MODEL is a checkpoint, a run's folder, an adapter or an exported folder. FILE is a text, a table (docs/files.md lists
their kinds), a folder of them, or `-` for standard input, which is the default. docs/summarize.md tells more.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import get_args

from commands.arguments import ArgumentParser
from commands.failures import answer
from datamodules.articles import STDIN, ArticleReader
from datamodules.chunks import LongArticles
from lightning_modules.article_summarizer import ArticleSummarizer
from lightning_modules.device import usable_device
from lightning_modules.summarized_files import summarize_files
from lightning_modules.trained_model import TrainedModel, load_trained

GENERATION = ("max_new_tokens", "num_beams", "no_repeat_ngram_size")
READING = ("article_column", "id_column", "language_column", "language", "lines", "max_characters", "encoding")


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    options = parse(arguments)
    if options.serve:
        from summarize_page import serve  # gradio is an extra

        return serve(lambda: load(options), options.port)
    reader = ArticleReader(**{name: getattr(options, name) for name in READING})
    total = reader.count(options.inputs)
    summarizer = ArticleSummarizer(load(options), None, options.long, options.batch_size)
    summarize_files(reader, options.inputs, total, summarizer, options.output)


def load(options: argparse.Namespace) -> TrainedModel:
    """Loads the model, with the generation settings that the command line names."""
    trained = load_trained(options.model, usable_device(options.device))
    named = {name: getattr(options, name) for name in GENERATION if getattr(options, name) is not None}
    return replace(trained, generation=replace(trained.generation, **named))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("model", metavar="MODEL")
    add("inputs", metavar="FILE", nargs="*", default=[STDIN])
    add("--output", type=Path, help="JSON lines, which the same command goes on writing after an interruption")
    add("--language", help="code of articles that do not say theirs, such as tr; identified if not given")
    add("--long", choices=get_args(LongArticles), default="truncate", help="articles longer than the model's input")
    add("--lines", action="store_true", help="each line of a text, rather than the whole, is an article")
    add("--article-column", default="article", metavar="NAME")
    add("--id-column", metavar="NAME")
    add("--language-column", metavar="NAME")
    add("--encoding", metavar="NAME", help="of texts and tables, such as cp1254; UTF-8 if not given")
    add("--max-characters", type=int, default=500_000, metavar="N", help="longer articles are passed over")
    for name in GENERATION:
        add(f"--{name.replace('_', '-')}", type=int, metavar="N", help="as in training if not given")
    add("--batch-size", type=int, default=16, metavar="N")
    add("--device", help="such as cpu or cuda:0; a GPU if there is one")
    add("--serve", action="store_true", help="a web page on this machine, instead of files")
    add("--port", type=int, default=7860)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    answer(main)
