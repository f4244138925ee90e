"""A batch as one piece of memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from datamodules.collate import SummarizationBatch


class PackedBatch(dict[str, Any]):
    """A batch whose tensors are parts of one buffer.

    It goes from a worker to the training process, into pinned memory and to the device as one. Handing over a tensor
    takes a connection of its own to the worker, which for small ones costs more than collating them.

    Args:
        buffer: (bytes,) uint8.
        layout: Name, dtype and shape of the tensors, one after the other in the buffer.
        others: What is no tensor.
    """

    def __init__(
        self, buffer: torch.Tensor, layout: Sequence[tuple[str, torch.dtype, torch.Size]], others: Mapping[str, Any]
    ) -> None:
        self.buffer, self.layout, self.others = buffer, layout, others
        sizes = [math.prod(shape) * dtype.itemsize for _, dtype, shape in layout]
        parts = zip(layout, sizes, _starts(sizes), strict=False)
        super().__init__(
            {name: buffer[at : at + size].view(dtype).view(shape) for (name, dtype, shape), size, at in parts}
        )
        self.update(others)

    @classmethod
    def pack(cls, batch: Mapping[str, Any]) -> PackedBatch:
        """Copies the tensors of a batch into one buffer."""
        tensors = {name: value for name, value in batch.items() if isinstance(value, torch.Tensor)}
        end = _starts([value.numel() * value.itemsize for value in tensors.values()])[-1]
        layout = [(name, value.dtype, value.shape) for name, value in tensors.items()]
        others = {name: value for name, value in batch.items() if name not in tensors}
        packed = cls(torch.empty(end, dtype=torch.uint8), layout, others)
        for name, value in tensors.items():
            packed[name].copy_(value)
        return packed

    def __reduce__(self) -> tuple[Any, ...]:
        return PackedBatch, (self.buffer, self.layout, self.others)

    def pin_memory(self) -> PackedBatch:
        """The same in pinned memory; the loader calls this."""
        return PackedBatch(self.buffer.pin_memory(), self.layout, self.others)

    def to(self, device: torch.device) -> SummarizationBatch:
        """An ordinary batch on a device; the host does not wait for a copy from pinned memory."""
        buffer = self.buffer.to(device, non_blocking=device.type == "cuda")
        batch = PackedBatch(buffer, self.layout, self.others)
        # torch.save refuses tensors of different dtypes in one piece of memory; the others are tiny.
        apart = {name: batch[name].clone() for name, dtype, _ in self.layout if dtype != torch.int64}
        return {**batch, **apart}  # type: ignore[typeddict-item]


def _starts(sizes: Sequence[int]) -> list[int]:
    """Where parts of so many bytes start, and the end; at multiples of 8 bytes, so that any dtype fits there."""
    return np.cumsum([0, *(-(-size // 8) * 8 for size in sizes)]).tolist()
