"""An mT5 with random weights, from its configuration alone: for speed, memory and tests, and to be pretrained."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import AutoConfig, AutoModelForSeq2SeqLM

_WEIGHT_FILES = ("*.safetensors", "*.bin")


def initialize(config_folder: str, output: str, seed: int = 0) -> None:
    """Writes a model with random weights, untied head included, that `from_pretrained` reads like any other.

    Args:
        config_folder: Folder or hub id with a `config.json`.
        output: Folder for the model.
        seed: Fixes the weights.
    """
    config = AutoConfig.from_pretrained(config_folder)
    Path(output).mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForSeq2SeqLM.from_config(config, dtype=torch.float32)
        # Built from a configuration the head is the embedding itself; mT5's is a matrix of its own.
        head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        nn.init.normal_(head.weight, std=config.d_model**-0.5)
    model.set_output_embeddings(head)
    model.config.architectures = [type(model).__name__]
    model.config.tie_word_embeddings = False
    # Not by the model's save_pretrained, which writes on the first of several devices only.
    model.config.save_pretrained(output)
    weights = {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}
    save_file(weights, Path(output) / "model.safetensors", metadata={"format": "pt"})


def lacks_weights(base: str) -> bool:
    """Whether a folder has a `config.json` and no weights."""
    folder = Path(base)
    return (folder / "config.json").is_file() and not any(any(folder.glob(pattern)) for pattern in _WEIGHT_FILES)
