"""Writes a checkpoint as a plain Hugging Face folder: `python export.py CKPT --output DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from datamodules.example_articles import validation_articles
from datamodules.vocabulary_report import read_texts
from lightning_modules.checkpoint_model import Checkpoint, read_checkpoint
from lightning_modules.checkpointing import checkpoint_of_run
from lightning_modules.export import FORMATS, Form, export, require_exportable
from lightning_modules.run_settings import configuration_of

COMPARED = 16  # texts


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    options = _parser().parse_args(arguments)
    try:
        _export(options)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def _export(options: argparse.Namespace) -> None:
    form = Form(options.adapter_only, options.format, options.dtype)
    path = options.checkpoint
    checkpoint = read_checkpoint(checkpoint_of_run(path) if path.is_dir() else path)
    if options.merge and not checkpoint.adapted:
        raise ValueError(f"{str(path)!r} has no adapter to merge: all parameters were trained. Leave out --merge.")
    require_exportable(checkpoint, options.output, form)
    verification = export(checkpoint, options.output, form, _texts(checkpoint, options.texts))
    if verification is not None:
        print(verification)
    size = sum(file.stat().st_size for file in options.output.iterdir()) / 1e6
    print(f"{options.output}: {size:.1f} MB. README.md in it says how to load it.")


def _texts(checkpoint: Checkpoint, file: Path | None) -> list[str]:
    settings = checkpoint.settings
    if settings.pretraining:
        return []
    if file is not None:
        return [settings.source_prefix + text for text in islice(read_texts(file), COMPARED)]
    data = configuration_of(checkpoint.content, checkpoint.file)["data"]["init_args"]
    try:
        return validation_articles(data["sources"], settings.prefixes, COMPARED)
    except ValueError as error:
        raise ValueError(
            f"The run's validation articles cannot be read; give other texts by --texts. {error}"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a .ckpt file, or a run's folder: its best checkpoint")
    parser.add_argument("--output", type=Path, required=True, help="folder to be made")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--adapter-only", action="store_true", help="the adapters alone, for peft")
    form.add_argument("--merge", action="store_true", help="adapters added to the weights of their base (the default)")
    parser.add_argument("--format", choices=FORMATS, default="transformers", help="ctranslate2: fast on CPUs")
    parser.add_argument(
        "--dtype", help="format of the weights: bf16 (the default) or fp32; of ctranslate2 int8 or fp32"
    )
    parser.add_argument("--texts", type=Path, help="compare on these (JSONL, CSV, TSV, or one text a line)")
    return parser


if __name__ == "__main__":
    main()
