"""An mT5 with random weights, from its configuration alone: for speed, memory and tests, and to be pretrained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSeq2SeqLM, MT5Config, PreTrainedConfig, PreTrainedModel

from lightning_modules.base_check import has_tied_head
from lightning_modules.model_folder import write_model
from metrics.pretrained import build_model, load_pretrained

# As in mT5, the embeddings have some rows more than the tokenizer has pieces: up to the next multiple.
_ROWS_MULTIPLE = 128


@dataclass(frozen=True)
class Sizes:
    """Sizes of an mT5 (Xue et al. 2021, section 3.1); all at least 1.

    Args:
        d_model: Width of the hidden states.
        d_ff: Width inside the feed-forward layers.
        num_layers: Blocks of the encoder, and of the decoder.
        num_heads: Attention heads.
        d_kv: Width of a head.

    Raises:
        ValueError: If a size is below 1.
    """

    d_model: int
    d_ff: int
    num_layers: int
    num_heads: int
    d_kv: int = 64

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 1:
                raise ValueError(f"model.from_scratch.{name} {value} must be at least 1.")

    def config(self, pieces: int) -> MT5Config:
        """The configuration of a model for a tokenizer of so many pieces."""
        rows = (pieces // _ROWS_MULTIPLE + 1) * _ROWS_MULTIPLE
        return MT5Config(**asdict(self), vocab_size=rows, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)


def initialize(config_folder: str, output: str, seed: int = 0) -> None:
    """Writes a model with random weights, untied head included, that `from_pretrained` reads like any other.

    Args:
        config_folder: Folder or hub id with a `config.json`.
        output: Folder for the model.
        seed: Fixes the weights.
    """
    write_random(load_pretrained(AutoConfig, config_folder), output, seed)


def write_random(config: PreTrainedConfig, output: str, seed: int = 0) -> None:
    """Writes a model of a configuration; as `initialize` does otherwise."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = untied_model(config)
    write_model(model, Path(output), torch.float32)


def untied_model(config: PreTrainedConfig) -> PreTrainedModel:
    """A model of a configuration with random fp32 weights and a head of its own, except in T5 v1.0."""
    model = build_model(AutoModelForSeq2SeqLM, config, dtype=torch.float32)
    if has_tied_head(config):
        return model
    # Built from a configuration the head is the embedding itself.
    head = nn.Linear(config.d_model, config.vocab_size, bias=False)
    nn.init.normal_(head.weight, std=config.d_model**-0.5)
    model.set_output_embeddings(head)
    model.config.tie_word_embeddings = False
    return model
