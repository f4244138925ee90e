"""Adds adapters to the weights that they were trained beside; in full precision, never in 4 bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from lightning_modules.adaptation import Adaptation, adapt, frozen_dtype
from lightning_modules.checkpoint_model import Checkpoint, model_of_checkpoint
from lightning_modules.checkpointing import load_trainable_state
from lightning_modules.dense_weights import frozen_linear, replace_by_dense
from lightning_modules.quantization import cast_weights
from lightning_modules.quantized_matrix import QuantizedEmbedding, QuantizedHead


def merged_model(checkpoint: Checkpoint) -> PreTrainedModel:
    """The model of a checkpoint as plain fp32 weights.

    Adapters of `qlora` are merged into the numbers that the 4-bit codes stand for: they learnt to mend exactly these.

    Raises:
        ValueError: See `model_of_checkpoint`.
    """
    settings = checkpoint.settings
    if not checkpoint.adapted:
        return model_of_checkpoint(checkpoint, torch.device("cpu"), torch.float32)  # type: ignore[return-value]
    base: Any = checkpoint.base.model(settings.adaptation, settings.quantization, frozen_dtype(settings.precision))
    dequantize(base)
    cast_weights(base, torch.float32)
    plain: Adaptation = "lora" if settings.adaptation == "qlora" else settings.adaptation
    model = adapt(base, plain, settings.lora).eval()
    load_trainable_state(model, checkpoint.content["state_dict"])
    return model.merge_and_unload(safe_merge=True)


def dequantize(model: PreTrainedModel) -> None:
    """Puts plain layers, in place, where 4-bit and 8-bit ones stand; they hold the numbers that those compute with."""
    replace_by_dense(model)
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if isinstance(embedding, QuantizedEmbedding):
        model.set_input_embeddings(nn.Embedding.from_pretrained(embedding.weight[:], freeze=True))
    if isinstance(head, QuantizedHead):
        model.set_output_embeddings(frozen_linear(head.weight[:]))
