"""A frozen matrix of many rows, such as an embedding, in 4 or 8 bits, of which any rows can be had in floating point.

bitsandbytes' embedding layers do the look-up, but neither nested scales nor blocks of rows, and its linear layers
de-quantise the whole matrix: 1 GiB in bf16 for mT5-xl's head.

Shapes: R rows, H columns, K scales of a row, N tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from bitsandbytes.functional import QuantState, dequantize_4bit, quantize_4bit, quantize_blockwise
from torch import nn

# Columns that share a scale in 4 bits (Dettmers et al. 2023, section 3), and scales that share a second one.
_COLUMNS, _SCALES = 64, 256
# Numbers that are de-quantised at a time when a product runs over all rows: 64 MiB in bf16.
_BLOCK = 2**25


class QuantizedMatrix(nn.Module):
    """Holds a frozen (R, H) matrix in 4 or 8 bits; indexing de-quantises the rows asked for, and no others.

    It stands where a weight tensor would: `shape`, `dtype`, and `matrix[0:1000]`, `matrix[ids]`, `matrix[:]`. Moving
    moves it; casting leaves it as it is.

    Args:
        weight: (R, H) floating point.
        bits: 4 as bitsandbytes does it: 64 columns share a scale. 8: whole numbers in [-127, 127] times one fp32
            scale a row (Dettmers et al. 2022, arXiv:2208.07339, section 2.1).
        type: Code of 4 bits, `nf4` or `fp4`.
        double: Of 4 bits, hold the scales in 8 bits.
        dtype: Of what indexing returns; that of `weight` if None.

    Raises:
        ValueError: If 4 bits are asked for and H is no multiple of 64.
    """

    values: torch.Tensor
    scales: torch.Tensor
    group_scales: torch.Tensor
    code: torch.Tensor
    offset: torch.Tensor

    def __init__(
        self,
        weight: torch.Tensor,
        bits: Literal[4, 8],
        type: Literal["nf4", "fp4"] = "nf4",
        double: bool = True,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        weight = weight.detach()
        self.bits, self.shape, self.dtype = bits, weight.shape, dtype or weight.dtype
        self._type, self._nested = type, double and bits == 4
        if bits == 8:
            parts = _to_8_bits(weight)
        elif self.shape[1] % _COLUMNS == 0:
            parts = _to_4_bits(weight, type, double)
        else:
            raise ValueError(f"A matrix of {self.shape[1]} columns cannot be held in 4 bits (only n * 64); use 8.")
        # Parameters, since DistributedDataParallel sends buffers in every step.
        for name, part in parts.items():
            self.register_parameter(name, nn.Parameter(part, requires_grad=False))

    def __getitem__(self, rows: slice | torch.Tensor) -> torch.Tensor:
        """Rows in floating point.

        Args:
            rows: A slice, or integers of any shape S in [0, R).

        Returns:
            (slice's length, H) or (*S, H) in `dtype`.
        """
        values, scales = self.values[rows], self._scales(rows)
        if self.bits == 8:
            # Multiplies in fp32 without a copy in fp32.
            return torch.mul(values, scales, out=torch.empty(values.shape, dtype=self.dtype, device=values.device))
        shape = torch.Size((*values.shape[:-1], self.shape[1]))
        state = QuantState(
            absmax=scales.flatten(),
            shape=torch.Size((shape[:-1].numel(), shape[-1])),
            blocksize=_COLUMNS,
            quant_type=self._type,
            dtype=self.dtype,
        )
        return dequantize_4bit(values.reshape(-1, 1), state).view(shape)

    def _scales(self, rows: slice | torch.Tensor) -> torch.Tensor:
        scales = self.scales[rows]
        if not self._nested:
            return scales
        if isinstance(rows, slice):
            rows = torch.arange(*rows.indices(self.shape[0]), device=scales.device)
        place = rows.unsqueeze(-1) * scales.shape[-1] + torch.arange(scales.shape[-1], device=scales.device)
        return self.code[scales.int()] * self.group_scales[place // _SCALES] + self.offset

    def blocks(self) -> Iterator[slice]:
        """Slices that cover all rows, each small when de-quantised."""
        size = max(_BLOCK // self.shape[1], 1)
        return (slice(first, min(first + size, self.shape[0])) for first in range(0, self.shape[0], size))

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        # Casting the model must not touch the scales, so that it sees bytes.
        return super()._apply(lambda part: fn(part.view(torch.uint8)).view(part.dtype), recurse)

    def extra_repr(self) -> str:
        """Shape and format."""
        return f"{tuple(self.shape)}, {self.bits} bits"


class QuantizedEmbedding(nn.Module):
    """An embedding in 4 or 8 bits.

    Args:
        weight: (R, H), one row for each id.
    """

    def __init__(self, weight: QuantizedMatrix) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """(*S, H) rows of (*S,) integer ids."""
        return self.weight[ids]


class QuantizedHead(nn.Module):
    """A linear layer without bias in 4 or 8 bits, de-quantised block by block.

    Args:
        weight: (R, H), one row for each output.
    """

    def __init__(self, weight: QuantizedMatrix) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(*S, R) outputs of (*S, H) inputs."""
        return linear(hidden, self.weight)


def linear(hidden: torch.Tensor, weight: torch.Tensor | QuantizedMatrix) -> torch.Tensor:
    """`hidden @ weight.T`, differentiable in `hidden`; of a quantised weight never more than a block is held.

    Args:
        hidden: (*S, H) floating point.
        weight: (R, H).

    Returns:
        (*S, R), of a quantised weight in its dtype.
    """
    if isinstance(weight, torch.Tensor):
        return F.linear(hidden, weight)
    return _Linear.apply(hidden.to(weight.dtype), weight)


def input_gradient(gradient: torch.Tensor, weight: torch.Tensor | QuantizedMatrix) -> torch.Tensor:
    """`gradient @ weight`: the gradient of `linear` with respect to `hidden`.

    Args:
        gradient: (*S, R) with respect to the outputs.
        weight: (R, H).

    Returns:
        (*S, H); over the blocks of a quantised weight it is summed in fp32.
    """
    if isinstance(weight, torch.Tensor):
        return gradient @ weight
    total = gradient.new_zeros(*gradient.shape[:-1], weight.shape[1], dtype=torch.float32)
    for rows in weight.blocks():
        total += gradient[..., rows] @ weight[rows]
    return total.to(gradient.dtype)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: QuantizedMatrix) -> torch.Tensor:
        ctx.weight = weight
        flat = hidden.reshape(-1, hidden.shape[-1])
        output = flat.new_empty(len(flat), weight.shape[0])
        for rows in weight.blocks():
            torch.mm(flat, weight[rows].T, out=output[:, rows])
        return output.view(*hidden.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return input_gradient(gradients[0], ctx.weight), None


def _to_8_bits(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    scales = weight.abs().amax(dim=1, keepdim=True).float() / 127
    values = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    for first in range(0, len(weight), 4096):  # in parts, since each is fp32 for a moment
        part = slice(first, first + 4096)
        values[part] = torch.round(weight[part] / scales[part].clamp(min=torch.finfo(torch.float32).tiny))
    return {"values": values, "scales": scales}


def _to_4_bits(weight: torch.Tensor, type: str, double: bool) -> dict[str, torch.Tensor]:
    packed, state = quantize_4bit(weight.contiguous(), blocksize=_COLUMNS, quant_type=type)
    parts = {"values": packed.view(len(weight), -1), "scales": state.absmax.view(len(weight), -1)}
    if double:
        offset = state.absmax.mean()
        scales, groups = quantize_blockwise(state.absmax - offset, blocksize=_SCALES)
        parts |= {"scales": scales.view(len(weight), -1), "group_scales": groups.absmax, "code": groups.code}
        parts["offset"] = offset[None]
    return parts
