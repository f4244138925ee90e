"""Which of PyTorch's attention kernels training uses, chosen by the number of keys.

PyTorch prefers cuDNN's on H100 and H200. There, given a mask or a bias, its backward pass makes NaN of the gradients of
queries whose log-sum-exp of scores is below -88.7, if the number of keys leaves 64 when divided by 128
(pytorch/pytorch#196678, seen with PyTorch 2.11 to 2.13; numbers that are no multiple of 64 were not tried). mT5 does
not scale its scores, so they are often that negative, and batches here are padded to multiples of 64. PyTorch's
memory-efficient kernel is not concerned, but takes twice the time at 512 keys.

The choice is an operation in the graph, since PyTorch's cache of compiled code does not ask which kernels are switched
off (it would give out code with another kernel), and keeps nothing of code that switches them itself.

Shapes: B rows, A attention heads, D size of a head.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from lightning_modules.hidden_states import base_model

BY_KEY_COUNT = "sdpa_by_key_count"

# In numbers; PyTorch pads a bias to the same.
_ALIGNMENT = 8

# Named so that tests on a CPU can have the branch.
_DEVICE_TYPE = "cuda"


def choose_kernels_by_key_count(model: Any) -> None:
    """Lets encoder and decoder of a model attend with `attention_by_key_count`, where they use PyTorch's attention.

    No exported configuration tells. GPUs before H100 are left alone: PyTorch does not prefer cuDNN's kernel there.

    Args:
        model: An mT5, adapted or not, on the device of its training.
    """
    base = base_model(model)
    device = base.device
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < (9, 0):
        return
    for stack in (base.encoder, base.decoder):
        if stack.config._attn_implementation == "sdpa":
            stack.set_attn_implementation(BY_KEY_COUNT)


def attention_by_key_count(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    position_bias: torch.Tensor | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attends as transformers' `sdpa` does, with the memory-efficient kernel where cuDNN's can make NaN.

    That is on GPUs, with a bias that holds the mask, as `hidden_states` makes them. Everything else, such as the
    model's own forward pass, is left to transformers and PyTorch.

    Args:
        module: The layer.
        query: (B, A, queries, D) floating point.
        key: (B, A, keys, D).
        value: (B, A, keys, D).
        attention_mask: Broadcast to (B, A, queries, keys), or None.
        dropout: Share of the weights that are dropped; 0 in evaluation.
        scaling: Of the scores.
        is_causal: Whether no mask means that queries see no later keys; None asks the layer.
        position_bias: Added to the scores, broadcast to (B, A, queries, keys).
        options: Of transformers.

    Returns:
        (B, queries, A, D), and None in place of the weights.
    """
    bias = position_bias if attention_mask is None and is_causal is False else None
    # Plain branches on shapes: the compiler makes one version for each outcome. No fused kernel takes other heads.
    if bias is None or query.device.type != _DEVICE_TYPE or key.shape[-2] % 128 == 0 or query.shape[-1] % 8:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, is_causal, position_bias, **options
        )
    query, key, value, bias = _cast_as_autocast_does(query, key, value, bias)
    attended = efficient_attention(query, key, value, _aligned(bias, query, key), dropout, scaling)
    return attended.transpose(1, 2).contiguous(), None


def efficient_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bias: torch.Tensor,
    dropout: float,
    scaling: float | None,
) -> torch.Tensor:
    """(B, A, queries, D) by PyTorch's memory-efficient kernel.

    Args:
        query: (B, A, queries, D) floating point.
        key: (B, A, keys, D), and all that follow, of the same type.
        value: (B, A, keys, D).
        bias: (B, A, queries, keys), its last dimension dense, the steps of the others multiples of 8.
        dropout: Share of the weights that are dropped.
        scaling: Of the scores.
    """
    # With the log-sum-exp of the scores (True), which the backward pass needs; not causal (False).
    kernel = torch.ops.aten._scaled_dot_product_efficient_attention
    return kernel(query, key, value, bias, True, dropout, False, scale=scaling)[0]


def _cast_as_autocast_does(query: torch.Tensor, *others: torch.Tensor) -> list[torch.Tensor]:
    """In autocast's number format, since it passes this operation over; without it in that of the queries."""
    device, dtype = query.device.type, query.dtype
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    return [tensor.to(dtype) for tensor in (query, *others)]


def _aligned(bias: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """(B, A, queries, keys) as the kernel wants it in memory, where broadcast dimensions are not written."""
    keys = key.shape[-2]
    # `pad` would copy even where there is nothing to pad.
    bias = F.pad(bias, (0, -keys % _ALIGNMENT))[..., :keys] if keys % _ALIGNMENT else bias.contiguous()
    return bias.expand(*query.shape[:-1], keys)


AttentionInterface.register(BY_KEY_COUNT, attention_by_key_count)
AttentionMaskInterface.register(BY_KEY_COUNT, sdpa_mask)
