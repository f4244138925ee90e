"""Reads off a loaded model and its device what the estimate of `memory.py` needs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend

from lightning_modules.adaptation import Adaptation, Lora
from lightning_modules.architecture import Architecture
from lightning_modules.memory import AttentionKernel, MemorySettings
from lightning_modules.quantization import count_parameters
from lightning_modules.quantized_matrix import QuantizedHead

if TYPE_CHECKING:
    from lightning_modules.seq2seq import Seq2SeqModule

# Of the optimizer's state, for each trained parameter. Adafactor keeps sums of rows and columns only (Shazeer & Stern
# 2018, arXiv:1804.04235, section 3); 8-bit ones keep a scale for each block besides.
OPTIMIZER_BYTES = {
    "SGD": 4.0,
    "Adafactor": 0.1,
    "Adam8bit": 2.1,
    "AdamW8bit": 2.1,
    "PagedAdamW8bit": 2.1,
    "Lion": 4.0,
    "Lion8bit": 1.1,
}
# Half a byte, and for each 64 numbers a scale of 1 byte, itself with an fp32 scale for each 256 (Dettmers et al. 2023,
# arXiv:2305.14314, section 3).
_FOUR_BIT_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
_ADAM_BYTES = 8.0  # two fp32 moments; also assumed of classes that the table does not know


def training_memory(module: Seq2SeqModule) -> MemorySettings:
    """The settings of a module that is about to train: its model is on its device."""
    acceleration, trainer = module.batch_loss.settings, module.trainer
    settings = memory_settings(
        module.model,
        module.adaptation,
        module.lora,
        optimizer_bytes=optimizer_bytes(module.optimizer([nn.Parameter(torch.zeros(1))])),
        compute_bytes=2 if str(trainer.precision).startswith("bf16") else 4,
        gradient_checkpointing=module.gradient_checkpointing,
        compiled=bool(acceleration.compile),
        chunk_tokens=acceleration.loss_chunk,
        distributed=trainer.world_size > 1,
    )
    return replace(settings, attention=attention_kernel(settings, module.device))


def memory_settings(model: Any, adaptation: Adaptation, lora: Lora, **settings: Any) -> MemorySettings:
    """Reads sizes off a loaded model.

    Args:
        model: From `adapt`.
        adaptation: What is trained.
        lora: The adapters.
        **settings: Further fields of `MemorySettings`.
    """
    count, config = count_parameters(model), model.config
    sizes = {
        "weight_bytes": count.weight_bytes,
        "trainable": count.trainable,
        "dropout": config.dropout_rate,
        "quantized_head": isinstance(model.get_output_embeddings(), QuantizedHead),
    }
    return MemorySettings(Architecture.of(config), adaptation=adaptation, lora=lora, **(sizes | settings))


def planned_settings(
    architecture: Architecture, adaptation: Adaptation, lora: Lora = Lora(), **settings: Any
) -> MemorySettings:
    """Settings for a model that is not loaded, with the weights that `load_base` and `adapt` would hold.

    Args:
        architecture: Its sizes.
        adaptation: What is trained; DoRA's magnitudes are left out, they are few.
        lora: The adapters.
        **settings: Further fields of `MemorySettings`.
    """
    base = architecture.weights
    made = MemorySettings(architecture, 0, 0, adaptation, lora, **settings)
    if adaptation == "full":
        return replace(made, weight_bytes=4 * base, trainable=base)
    adapters = _adapter_weights(made)
    held = made.compute_bytes * base + 4 * adapters
    if adaptation == "qlora":
        held -= round((made.compute_bytes - _FOUR_BIT_BYTES) * architecture.four_bit_weights)
    return replace(made, weight_bytes=held, trainable=adapters)


def _adapter_weights(settings: MemorySettings) -> int:
    one = settings.architecture
    attention = sum(settings.targets(name) for name in "qkvo") * (one.d_model + one.heads * one.d_kv)
    feed_forward = sum(settings.targets(name) for name in ("wi_0", "wi_1", "wo")) * (one.d_model + one.d_ff)
    blocks = one.layers * (attention + feed_forward) + one.decoder_layers * (2 * attention + feed_forward)
    return settings.lora.rank * blocks


def optimizer_bytes(optimizer: torch.optim.Optimizer) -> float:
    """State for each trained parameter; that of Adam for classes that are not known."""
    return OPTIMIZER_BYTES.get(type(optimizer).__name__, _ADAM_BYTES)


def attention_kernel(settings: MemorySettings, device: torch.device) -> AttentionKernel:
    """The kernel that PyTorch takes for attention with an additive bias on a device."""
    dtype = torch.bfloat16 if settings.compute_bytes == 2 else torch.float32
    queries = torch.zeros(1, settings.architecture.heads, 64, settings.architecture.d_kv, dtype=dtype, device=device)
    bias = queries.new_zeros(1, settings.architecture.heads, 64, 64)
    chosen = torch._fused_sdp_choice(queries, queries, queries, bias, settings.dropout, False)
    return "math" if chosen == SDPBackend.MATH.value else "efficient"
