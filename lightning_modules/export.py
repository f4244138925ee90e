"""Turns a checkpoint into a plain Hugging Face folder: weights, configuration, tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, GenerationConfig, PreTrainedConfig
from transformers.utils import cached_file

from datamodules.pieces import KEPT_KEY
from lightning_modules.checkpointing import BASE_KEY, CONFIG_KEY, OzetCheckpointIO

# Whichever of them the base has: a tokenizer that transformers writes anew is not quite the same.
TOKENIZER_FILES = ("spiece.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def export(checkpoint: Path, output: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Writes the model of a checkpoint that holds all weights, from pretraining or full fine-tuning.

    Args:
        checkpoint: From a run of `train.py`.
        output: Folder to be made.
        dtype: Format of the weights.

    Raises:
        ValueError: If the output exists, the checkpoint holds adapters or a trimmed vocabulary, or its base's tokenizer
            is not there.
    """
    if output.exists() and any(output.iterdir()):
        raise ValueError(f"{str(output)!r} exists and is not empty; name another folder.")
    content = OzetCheckpointIO().load_checkpoint(checkpoint)
    _require_whole_model(content, checkpoint)
    base: dict[str, Any] = content[BASE_KEY]
    files = tokenizer_files(base["name"], base["revision"])
    output.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copy(file, output / file.name)
    _write_configuration(content, dtype, output)
    weights = {name: value.to(dtype).contiguous() for name, value in content["state_dict"].items()}
    save_file(weights, output / "model.safetensors", metadata={"format": "pt"})
    shutil.copymode(output / "config.json", output / "model.safetensors")  # safetensors lets only the owner read


def tokenizer_files(base: str, revision: str | None) -> list[Path]:
    """The tokenizer's files of a folder or hub id.

    Raises:
        ValueError: If there is none.
    """
    options = {"revision": revision, "_raise_exceptions_for_missing_entries": False}
    try:
        found = [cached_file(base, name, **options) for name in TOKENIZER_FILES]
    except OSError:  # no such repository, or a hub that cannot be reached
        found = []
    files = [Path(file) for file in found if file is not None]
    if not files:
        raise ValueError(
            f"The tokenizer of the checkpoint's base {base!r} (revision {revision or 'main'!r}) cannot be found. Start "
            "in the folder where the run began, or where the hub can be reached."
        )
    return files


def _require_whole_model(content: dict[str, Any], checkpoint: Path) -> None:
    if not content.get(BASE_KEY):
        raise ValueError(f"{str(checkpoint)!r} is no checkpoint of ozet: it does not say which base it belongs to.")
    if any("lora_" in name for name in content["state_dict"]):
        raise ValueError(f"{str(checkpoint)!r} holds adapters only; a checkpoint with all weights is needed.")
    if content.get(KEPT_KEY) is not None:
        raise ValueError(
            f"{str(checkpoint)!r} has a trimmed vocabulary; use `python -m lightning_modules.vocabulary expand`."
        )


def _write_configuration(content: dict[str, Any], dtype: torch.dtype, output: Path) -> None:
    base = content[BASE_KEY]
    config: PreTrainedConfig
    if CONFIG_KEY in content:
        config = AutoConfig.for_model(**content[CONFIG_KEY])
    else:  # from before checkpoints held it
        config = AutoConfig.from_pretrained(base["name"], revision=base["revision"])
    config.architectures = config.architectures or ["MT5ForConditionalGeneration"]
    # transformers 5 says otherwise of every mT5; the head has weights of its own.
    config.tie_word_embeddings = False
    config.dtype = dtype
    config.save_pretrained(output)
    GenerationConfig(
        decoder_start_token_id=config.decoder_start_token_id,
        pad_token_id=config.pad_token_id,
        eos_token_id=config.eos_token_id,
    ).save_pretrained(output)
