"""The decoder's last hidden states of a batch, with every attention bias made once instead of once a layer.

Shapes: B rows, S source tokens, T target tokens, H hidden size, A attention heads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from lightning_modules.base_check import has_tied_head

Block = Callable[..., torch.Tensor]

# Finite in bf16 too: a row of padding alone then attends to all of it, instead of giving NaN.
_HIDDEN = torch.finfo(torch.bfloat16).min


def base_model(model: Any) -> Any:
    """The model inside a `PeftModel`, its layers adapted; any other model itself."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def run_block(block: torch.nn.Module, hidden: torch.Tensor, *biases: torch.Tensor | None) -> torch.Tensor:
    """One layer of encoder or decoder.

    Args:
        block: The layer.
        hidden: (B, S or T, H) floating point.
        biases: Added to the scores of self-attention; in a decoder, then the encoder's hidden states (B, S, H), and
            what is added to the scores of cross-attention.
    """
    self_bias, encoded, cross_bias = (*biases, None, None)[:3]
    return block(hidden, None, self_bias, encoded, None, cross_bias, is_causal=False)[0]


def decoder_hidden_states(
    model: PreTrainedModel | PeftModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    decoder_input_ids: torch.Tensor,
    block: Block = run_block,
) -> torch.Tensor:
    """What the head of an mT5 (or T5) is applied to.

    Equal to the model's own forward pass. That one builds the sum of position bias and padding mask in every layer
    (and keeps it for the backward pass), and waits for the device to learn whether a batch has padding at all.

    Args:
        model: An mT5, adapted or not.
        input_ids: (B, S) int64.
        attention_mask: (B, S), 1 for tokens and 0 for padding.
        decoder_input_ids: (B, T) int64, padding after the tokens.
        block: `run_block`, or a compiled one.

    Returns:
        (B, T, H) floating point.
    """
    decoder = base_model(model).decoder
    encoded = encoder_hidden_states(model, input_ids, attention_mask, block)
    width = decoder_input_ids.shape[1]
    past = torch.ones(width, width, dtype=torch.bool, device=input_ids.device).tril()
    embedded = decoder.dropout(decoder.embed_tokens(decoder_input_ids))
    # For all heads and queries at once: nothing of their number is written.
    cross_bias = _masked(embedded.new_zeros(()), attention_mask[:, None, None, :].bool())
    hidden = _run(decoder, embedded, block, _self_bias(decoder, embedded, past), encoded, cross_bias)
    return scaled_for_head(decoder, hidden)


def scaled_for_head(decoder: Any, hidden: torch.Tensor) -> torch.Tensor:
    """Hidden states as the head takes them: those of T5 v1.0, whose head is its embeddings, are scaled."""
    return hidden * decoder.config.d_model**-0.5 if has_tied_head(decoder.config) else hidden


def encoder_hidden_states(
    model: PreTrainedModel | PeftModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    block: Block = run_block,
) -> torch.Tensor:
    """(B, S, H) floating point; arguments as in `decoder_hidden_states`."""
    encoder = base_model(model).encoder
    embedded = encoder.dropout(encoder.embed_tokens(input_ids))
    return _run(encoder, embedded, block, _self_bias(encoder, embedded, attention_mask[:, None, None, :].bool()))


def _run(stack: Any, hidden: torch.Tensor, block: Block, *arguments: torch.Tensor) -> torch.Tensor:
    for layer in stack.block:
        hidden = block(layer, hidden, *arguments)
    return stack.dropout(stack.final_layer_norm(hidden))


def _self_bias(stack: Any, embedded: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """(1 or B, A, queries, keys)."""
    width = embedded.shape[1]
    bias = stack.block[0].layer[0].SelfAttention.compute_bias(width, width, device=embedded.device)
    return _masked(bias, visible)


def _masked(bias: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    # The position bias comes with its heads last, and from such a mask every fused attention kernel shrinks back: in
    # silence, PyTorch would take the slow one that holds the scores in fp32.
    return torch.where(visible, bias, _HIDDEN).contiguous()
