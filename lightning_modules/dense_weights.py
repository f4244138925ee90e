"""Weights in the format that layers compute in, held for a while instead of being converted at every call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import nn

from lightning_modules.device_memory import available_bytes

FREE_SHARE = 0.25  # of the free memory; copies that need more would cost a smaller batch
HELD_SHARE = 0.02  # of all memory: more for a whole run would be felt


class DenseWeights:
    """Dequantised copies of 4-bit weights, and copies of fp32 weights in autocast's format.

    Both hold exactly the numbers that the layers would compute with. Copies of fp32 weights are renewed each time they
    are applied, since training changes them; 4-bit weights are frozen.

    Args:
        model: Any module.
        autocast: Format of autocast, None without it.
    """

    def __init__(self, model: nn.Module, autocast: torch.dtype | None) -> None:
        self.forwards: list[tuple[Any, Callable[[torch.Tensor], torch.Tensor]]] = []
        self.originals: list[torch.Tensor] = []
        self.renewed: list[torch.Tensor] = []
        layers: list[Any] = list(model.modules())
        four_bit = [layer for layer in layers if _is_four_bit(layer)]
        cast = [x for x in layers if autocast and type(x) is nn.Linear and x.weight.dtype == torch.float32]
        size = _dense_bytes(four_bit) + sum(x.weight.numel() * autocast.itemsize for x in cast if autocast)
        if not _fits(size, next(model.parameters()).device):
            return
        for layer in four_bit:
            self.forwards.append((layer, _four_bit_forward(layer, dequantized(layer))))
        for layer in cast:
            self.originals.append(layer.weight)
            self.renewed.append(layer.weight.to(autocast))
            self.forwards.append((layer, _linear_forward(layer, self.renewed[-1])))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Lets the layers use the copies; their hooks run as ever."""
        if self.renewed:
            torch._foreach_copy_(self.renewed, self.originals)
        for layer, forward in self.forwards:
            layer.forward = forward
        try:
            yield
        finally:
            for layer, _ in self.forwards:
                del layer.forward  # the class's own appears again


def hold_dense(model: nn.Module, wanted: bool | None) -> None:
    """Replaces 4-bit layers, in place, by plain ones that hold the numbers which those compute with.

    So that no step de-quantises them, twice a layer. To be called before adapters are attached.

    Args:
        model: Any module.
        wanted: None is yes where the plain layers take at most 2% of a GPU's memory.
    """
    size = _dense_bytes(layer for layer in model.modules() if _is_four_bit(layer))
    if wanted is None:
        available = available_bytes(next(model.parameters()).device)
        wanted = available is not None and size <= HELD_SHARE * available
    if not (wanted and size):
        return
    rank_zero_info(
        f"The numbers of 4-bit layers are held in {size / 2**20:,.0f} MiB, four times as much, so that no step "
        "de-quantises them; model.quantization.dense: false keeps them in 4 bits."
    )
    replace_by_dense(model)


def replace_by_dense(model: nn.Module) -> None:
    """Puts plain layers in the place of 4-bit ones; they hold the numbers which those compute with."""
    layers: list[tuple[nn.Module, str, Any]] = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if _is_four_bit(layer)
    ]
    for parent, name, layer in layers:
        plain = frozen_linear(dequantized(layer))
        plain.bias = layer.bias
        setattr(parent, name, plain.train(layer.training))


def frozen_linear(weight: torch.Tensor) -> nn.Linear:
    """A layer without bias that holds (out, in) weights, not copied and not trained."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer


def dequantized(layer: Any) -> torch.Tensor:
    """(out, in) weights of a bitsandbytes `Linear4bit`, as it computes with them."""
    from bitsandbytes.functional import dequantize_4bit

    state = copy(layer.weight.quant_state)
    state.dtype = _computing_dtype(layer)
    return dequantize_4bit(layer.weight.data, state)


def _is_four_bit(layer: Any) -> bool:
    return isinstance(layer, nn.Linear) and getattr(layer.weight, "quant_state", None) is not None


def _dense_bytes(layers: Iterable[Any]) -> int:
    return sum(layer.weight.quant_state.shape.numel() * _computing_dtype(layer).itemsize for layer in layers)


def _computing_dtype(layer: Any) -> torch.dtype:
    return layer.compute_dtype or layer.weight.quant_state.dtype


def _fits(size: int, device: torch.device) -> bool:
    available = available_bytes(device)
    if available is None:
        return True
    free = available - torch.cuda.memory_allocated(device)
    if size > FREE_SHARE * free:
        rank_zero_info(
            f"Generation converts weights at every step: copies would need {size / 2**20:,.0f} MiB, more than "
            f"{FREE_SHARE:.0%} of the {free / 2**20:,.0f} MiB that are free."
        )
        return False
    return True


def _four_bit_forward(layer: Any, weight: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    def forward(states: torch.Tensor) -> torch.Tensor:
        bias = None if layer.bias is None else layer.bias.to(weight.dtype)
        return F.linear(states.to(weight.dtype), weight, bias).to(states.dtype)

    return forward


def _linear_forward(layer: Any, weight: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    def forward(states: torch.Tensor) -> torch.Tensor:
        return F.linear(states, weight, layer.bias)

    return forward
