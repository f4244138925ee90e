"""Writes a model as the files that `from_pretrained` reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import GenerationConfig, PreTrainedModel

from lightning_modules.base_check import set_tied


def write_model(model: PreTrainedModel, folder: Path, dtype: torch.dtype) -> None:
    """Writes configuration and weights.

    Args:
        model: Without quantised layers or adapters.
        folder: Made if it is not there.
        dtype: Of the weights in the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config
    config.architectures = [type(model).__name__]
    set_tied(model)
    config.dtype = dtype
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.save_pretrained(folder)
    GenerationConfig(
        decoder_start_token_id=config.decoder_start_token_id,
        pad_token_id=config.pad_token_id,
        eos_token_id=config.eos_token_id,
    ).save_pretrained(folder)
    # Not by the model's save_pretrained: it would put what it knows of tied and quantised weights in, and it writes on
    # the first of several devices only.
    weights = {name: value.detach().to(dtype).contiguous() for name, value in model.named_parameters()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    shutil.copymode(folder / "config.json", folder / "model.safetensors")  # safetensors lets only the owner read
