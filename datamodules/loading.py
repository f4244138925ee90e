"""From encoded rows to a loader that the training step never waits for."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from datamodules.collate import SummarizationBatch
from datamodules.sampling import Share


class EncodedRows(Dataset[tuple[pa.Table, float | None]]):
    """Hands out the rows of a share as an Arrow table: several times as fast as lists of numbers.

    Args:
        rows: From `prepare`.
        texts: Whether the articles and summaries come along.
    """

    def __init__(self, rows: datasets.Dataset, texts: bool) -> None:
        columns = ["id", "language", "input_ids", "labels", *(["article", "summary"] if texts else [])]
        self.rows = rows.select_columns(columns).with_format("arrow")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, share: Share) -> tuple[pa.Table, float | None]:
        return self.rows[share.rows], share.loss_divisor


def build_loader(
    rows: Dataset, sampler: Sampler, collator: Callable[[Any], Mapping[str, Any]], num_workers: int, seed: int
) -> DataLoader:
    """Loader of the shares that the sampler yields.

    Args:
        rows: All rows; gives what the collator takes, for a share.
        sampler: Chooses from them.
        collator: Makes them a batch.
        num_workers: Processes that do so ahead of the training step; 0 does it in between.
        seed: Of the workers.
    """
    return DataLoader(
        rows,
        sampler=sampler,
        batch_size=None,  # the sampler yields whole batches, and Lightning finds its `set_epoch` there
        collate_fn=partial(_collate, collator),
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_outlive_signals,
        # Its own generator: making an iterator must not draw from the global one that dropout uses.
        generator=torch.Generator().manual_seed(seed),
    )


def _outlive_signals(worker: int) -> None:
    """Leaves it to the training process to answer SIGTERM, which `timeout` and cluster schedulers send to all."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


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


def _collate(collator: Callable[[Any], Mapping[str, Any]], share: Any) -> PackedBatch:
    return PackedBatch.pack(collator(share))


def _starts(sizes: Sequence[int]) -> list[int]:
    """Where parts of so many bytes start, and the end; at multiples of 8 bytes, so that any dtype fits there."""
    return np.cumsum([0, *(-(-size // 8) * 8 for size in sizes)]).tolist()


def label_counts(rows: datasets.Dataset) -> np.ndarray:
    """(rows,) number of labels of each row, at least one row."""
    tables = rows.select_columns(["labels"]).with_format("arrow").iter(batch_size=10_000)
    return np.concatenate([table["labels"].combine_chunks().value_lengths().to_numpy() for table in tables])
