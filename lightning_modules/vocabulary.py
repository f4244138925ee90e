"""Writes a base with a trimmed vocabulary, and a trained one with the whole again.

python -m lightning_modules.vocabulary trim BASE OUTPUT --config configs/data/tr_en.yaml
python -m lightning_modules.vocabulary expand TRIMMED BASE OUTPUT
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import AutoConfig, PreTrainedModel

from commands.arguments import ArgumentParser
from commands.failures import answer
from datamodules.pieces import KEPT_KEY, RECORD, write_record
from datamodules.tokenizer import load_tokenizer, tokenizer_fingerprint
from datamodules.vocabulary_choice import Choice, choose_for_config, choose_for_texts
from datamodules.vocabulary_report import table
from lightning_modules.adaptation import Quantization, load_base
from lightning_modules.checkpoint_model import model_of_checkpoint, read_checkpoint
from lightning_modules.checkpointing import base_fingerprint
from lightning_modules.model_folder import write_model
from lightning_modules.vocabulary_rows import expand_model, trim_model
from metrics.pretrained import load_pretrained


def load_trimmed(path: Path) -> tuple[PreTrainedModel, torch.Tensor, str]:
    """Opens a trimmed model.

    Args:
        path: A folder with `vocabulary.json`, or a checkpoint of a run with `data.vocabulary` and
            `model.adaptation: full`.

    Returns:
        The model, the (K,) int64 ids of its pieces in the base, and the base's fingerprint.

    Raises:
        ValueError: If the path is neither.
    """
    if path.suffix != ".ckpt":
        if not (path / RECORD).is_file():
            raise ValueError(
                f"{str(path)!r} is no trimmed model: it has no {RECORD}. Copy it from the folder that `trim` wrote."
            )
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
        return _load(str(path), None), torch.tensor(record[KEPT_KEY]), record["base"]["fingerprint"]
    checkpoint = read_checkpoint(path)
    kept = checkpoint.base.kept
    if kept is None:
        raise ValueError(f"{str(path)!r} comes from a run without data.vocabulary; there is nothing to expand.")
    if checkpoint.adapted:
        raise ValueError(f"{str(path)!r} holds adapters only; they fit the whole vocabulary as they are.")
    model: Any = model_of_checkpoint(checkpoint, torch.device("cpu"), torch.float32)
    return model, kept, checkpoint.base.identity["fingerprint"]


def trim(base: str, output: Path, choice: Choice, revision: str | None = None) -> dict[str, Any]:
    """Writes a trimmed copy of a base: a Hugging Face folder and `vocabulary.json`.

    Args:
        base: Folder or hub id.
        output: Folder to be made.
        choice: What is kept.
        revision: Branch, tag or commit on the hub.

    Returns:
        What stands in `vocabulary.json` beside the kept pieces.

    Raises:
        ValueError: If the output exists, or the base cannot be loaded.
    """
    _require_new(output)
    model, kept = _load(base, revision), torch.from_numpy(choice.kept)
    record: dict[str, Any] = {"base": {"name": base, "revision": revision, "fingerprint": base_fingerprint(model)}}
    before = _sizes(model)
    trim_model(model, kept)
    record |= {"before": before, "after": _sizes(model), **choice.report()}
    write_model(model, output, model.dtype)
    choice.tokenizer.save_pretrained(output)
    write_record(output / RECORD, choice.kept, tokenizer_fingerprint(choice.tokenizer), **record)
    return record


def expand(trimmed: Path, base: str, output: Path, revision: str | None = None) -> None:
    """Writes a trained trimmed model with its base's whole vocabulary, as a Hugging Face folder.

    Args:
        trimmed: See `load_trimmed`.
        base: Folder or hub id of the model that was trimmed.
        output: Folder to be made.
        revision: Branch, tag or commit on the hub.

    Raises:
        ValueError: If the output exists, or `trimmed` comes from another base.
    """
    _require_new(output)
    model, kept, fingerprint = load_trimmed(trimmed)
    original = _load(base, revision)
    if base_fingerprint(original) != fingerprint:
        raise ValueError(
            f"{str(trimmed)!r} was trimmed from a model of fingerprint {fingerprint}, but {base!r} has "
            f"{base_fingerprint(original)}. Give the model that it was trimmed from."
        )
    expand_model(model, original, kept)
    write_model(model, output, model.dtype)
    load_tokenizer(base, revision).save_pretrained(output)


def _load(path: str, revision: str | None) -> PreTrainedModel:
    """A model, in the number format that it is stored in."""
    dtype = getattr(load_pretrained(AutoConfig, path, revision=revision), "dtype", None) or torch.float32
    return load_base(path, revision, "lora", Quantization(), dtype, torch.device("cpu"))


def _sizes(model: PreTrainedModel) -> dict[str, int]:
    parameters = list(model.parameters())
    return {
        "rows": model.get_output_embeddings().weight.shape[0],
        "parameters": sum(parameter.numel() for parameter in parameters),
        "bytes": sum(parameter.numel() * parameter.element_size() for parameter in parameters),
    }


def _require_new(output: Path) -> None:
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"{str(output)!r} exists already; name a new folder.")


def _print(record: dict[str, Any], choice: Choice) -> None:
    console = Console(highlight=False)
    before, after = record["before"], record["after"]
    for what, key, scale in (("rows", "rows", 1), ("parameters", "parameters", 1), ("weights, MiB", "bytes", 2**20)):
        console.print(f"{what:<12}{before[key] / scale:>16,.0f} ->{after[key] / scale:>14,.0f}")
    console.print(table(choice.changes))
    console.print(
        "outside: share of the base's tokens whose piece was not kept; bytes: share of tokens that are bytes."
    )


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m lightning_modules.vocabulary", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    trim_parser = commands.add_parser("trim", help="write a copy of a base with the pieces that some texts need")
    expand_parser = commands.add_parser("expand", help="give a trained trimmed model its base's vocabulary back")
    expand_parser.add_argument("trimmed", type=Path, help=f"folder with {RECORD}, or a checkpoint of full fine-tuning")
    for command in (trim_parser, expand_parser):
        command.add_argument("base", help="folder or hub id of the whole model")
        command.add_argument("output", type=Path, help="folder to be made")
        command.add_argument("--revision", help="revision of the base on the hub")
    texts = trim_parser.add_mutually_exclusive_group(required=True)
    texts.add_argument("--config", type=Path, nargs="+", help="data configurations: counts their training rows")
    texts.add_argument("--texts", nargs="+", metavar="LANG=FILE", help="JSONL, CSV, TSV, or one text a line")
    trim_parser.add_argument("--min_count", type=int, help="keep the pieces that occur so often")
    trim_parser.add_argument("--coverage", type=float, help="keep the most frequent ones that make up this share")
    trim_parser.add_argument("--reserve", type=int, help="keep so many of the base's most probable pieces too")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    options = _parser().parse_args(arguments)
    if options.command == "expand":
        expand(options.trimmed, options.base, options.output, options.revision)
        return
    _require_new(options.output)  # before the texts are counted
    names = ("min_count", "coverage", "reserve")
    changed = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.config:
        choice = choose_for_config(options.config, options.base, options.revision, changed)
    else:
        if not all("=" in pair for pair in options.texts):
            raise ValueError(f"--texts {' '.join(options.texts)}: name each file's language, as in LANG=FILE.")
        files = [(language, Path(name)) for language, _, name in (pair.partition("=") for pair in options.texts)]
        choice = choose_for_texts(files, options.base, options.revision, changed)
    _print(trim(options.base, options.output, choice, options.revision), choice)


if __name__ == "__main__":
    answer(main)
