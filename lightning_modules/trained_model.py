"""Opens whatever training or export left behind, ready to summarise: one function for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from lightning_modules.checkpoint_model import model_of_checkpoint, read_checkpoint
from lightning_modules.exported_folder import (
    CTRANSLATE2,
    generation_of,
    model_of_adapter,
    model_of_ctranslate2,
    model_of_folder,
    read_record,
)
from lightning_modules.generation import Generation
from lightning_modules.run_checkpoints import checkpoint_of_run
from lightning_modules.run_settings import CONFIGURATION
from metrics.pretrained import ADAPTER


@dataclass(frozen=True)
class TrainedModel:
    """A trained model and all that its summaries depend on.

    Attributes:
        model: In eval mode; adapters are not merged.
        tokenizer: As in training.
        generation: As in training.
        source_prefix: Text before each article; empty where it differs by language, see `prefixes`.
        max_source_tokens: Greatest length of an encoded article, `</s>` included.
        languages: Those that it was trained on; empty if unknown.
        prefixes: Text before each article by language.
    """

    model: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase
    generation: Generation
    source_prefix: str
    max_source_tokens: int
    languages: list[str]
    prefixes: dict[str, str] = field(default_factory=dict)


def load_trained(path: str, device: torch.device, dtype: torch.dtype | None = None) -> TrainedModel:
    """Opens a trained model.

    Args:
        path: A checkpoint file, a run's folder (its best checkpoint, else its last), an exported adapter or model (in
            CTranslate2's format it can only generate), or another Hugging Face folder of an encoder-decoder.
        device: Where the model is to work.
        dtype: Of weights that are not in 4 or 8 bits (adapters stay fp32). None is fp32 on a CPU, where bf16 is slow,
            and elsewhere the one of training or of the exported files.

    Raises:
        ValueError: If there is no such thing, it is damaged, or its base is missing or not the one of the run.
    """
    if dtype is None and device.type == "cpu":
        dtype = torch.float32
    place = Path(path)
    if place.is_file():
        return _from_checkpoint(place, device, dtype)
    if (place / ADAPTER).is_file() or (place / "config.json").is_file():
        return _from_folder(place, device, dtype)
    if (place / "checkpoints").is_dir() or (place / CONFIGURATION).is_file():
        return _from_checkpoint(checkpoint_of_run(place), device, dtype)
    raise ValueError(
        f"{path!r} is no trained model: {'nothing is there' if not place.exists() else 'it has no model files'}. Give "
        "a .ckpt file, a run's folder such as runs/NAME/DATE-TIME, or a folder that export.py wrote."
    )


def _from_checkpoint(file: Path, device: torch.device, dtype: torch.dtype | None) -> TrainedModel:
    checkpoint = read_checkpoint(file)
    settings = checkpoint.settings
    model = model_of_checkpoint(checkpoint, device, dtype)
    return TrainedModel(
        model=_ready(model, device),
        tokenizer=checkpoint.base.tokenizer(),
        generation=settings.generation,
        source_prefix=settings.source_prefix,
        max_source_tokens=settings.max_source_tokens,
        languages=settings.languages,
        prefixes=settings.prefixes,
    )


def _from_folder(folder: Path, device: torch.device, dtype: torch.dtype | None) -> TrainedModel:
    record = read_record(folder)
    openers = {ADAPTER: model_of_adapter, CTRANSLATE2: model_of_ctranslate2}
    opener = next((openers[name] for name in openers if (folder / name).is_file()), model_of_folder)
    model, tokenizer = opener(folder, record, device, dtype)
    return TrainedModel(
        model=_ready(model, device),
        tokenizer=tokenizer,
        generation=generation_of(folder),
        source_prefix=record.source_prefix,
        max_source_tokens=record.max_source_tokens,
        languages=record.languages,
        prefixes=record.prefixes,
    )


def _ready(model: Any, device: torch.device) -> Any:
    return model.to(device).requires_grad_(False).eval()
