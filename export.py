"""Writes a checkpoint as a plain Hugging Face folder: `python export.py CKPT --output DIR`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from commands.arguments import ArgumentParser
from commands.failures import answer
from datamodules.example_articles import validation_articles
from datamodules.vocabulary_report import read_texts
from lightning_modules.checkpoint_model import Checkpoint, read_checkpoint
from lightning_modules.export import FORMATS, Form, export, push, require_exportable
from lightning_modules.run_checkpoints import checkpoint_of_run
from lightning_modules.run_settings import configuration_of
from reports.card_record import CardRecord, read_run_files
from reports.data_card import data_card
from reports.model_card import model_card
from reports.published_names import is_hub_id

COMPARED = 16  # texts


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    options = _parser().parse_args(arguments)
    form = Form(options.adapter_only, options.format, options.dtype)
    path = options.checkpoint
    checkpoint = read_checkpoint(checkpoint_of_run(path) if path.is_dir() else path)
    if options.merge and not checkpoint.adapted:
        raise ValueError(f"{str(path)!r} has no adapter to merge: all parameters were trained. Leave out --merge.")
    require_exportable(checkpoint, options.output, form)
    if options.push and form.adapter_only and not is_hub_id(checkpoint.base.name):
        raise ValueError(
            f"--push: the adapter's base {checkpoint.base.name!r} is a folder of this machine, so that nobody "
            "else could load it. Push a merged model instead."
        )
    verification = export(checkpoint, options.output, form, _texts(checkpoint, options.texts))
    if verification is not None:
        _write_cards(options, checkpoint, form, asdict(verification))
        print(verification)
    size = sum(file.stat().st_size for file in options.output.iterdir()) / 1e6
    how = "README.md in it says how to load it" if verification is not None else "give it as model.base"
    print(f"{options.output}: {size:.1f} MB; {how}.")
    if options.push:
        print(f"Uploaded: {push(options.output, options.push)}")


def _write_cards(options: argparse.Namespace, checkpoint: Checkpoint, form: Form, verification: dict[str, Any]) -> None:
    step = checkpoint.content.get("global_step")
    record = CardRecord(
        name=(options.push or options.output.absolute().name).split("/")[-1],
        configuration=configuration_of(checkpoint.content, checkpoint.file),
        form="adapter" if form.adapter_only else "ctranslate2" if form.format == "ctranslate2" else "merged",
        weights="fp32" if form.adapter_only else form.weights,
        base=dict(checkpoint.base.identity),
        step=step,
        verification=verification,
        license=options.license,
        **read_run_files(checkpoint.run, step),
    )
    (options.output / "README.md").write_text(str(model_card(record)), encoding="utf-8")
    (options.output / "DATA_CARD.md").write_text(str(data_card(record)), encoding="utf-8")


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


def _parser() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__)
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
    parser.add_argument("--license", help="the weights' licence for the card, as the hub names it, such as apache-2.0")
    parser.add_argument("--push", metavar="OWNER/NAME", help="upload to the Hugging Face hub; a new one is private")
    return parser


if __name__ == "__main__":
    answer(main)
