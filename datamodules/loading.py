"""From encoded rows to a loader that the training step never waits for."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from datamodules.packed_batch import PackedBatch
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


@atexit.register
def _end_workers() -> None:
    """Ends workers that are still there at exit: multiprocessing would send them SIGTERM and wait for them, forever."""
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()


def _collate(collator: Callable[[Any], Mapping[str, Any]], share: Any) -> PackedBatch:
    batch = PackedBatch.pack(collator(share))
    if get_worker_info() is not None:
        # The thread that hands batches over would do so, where an error is printed, and training waits forever.
        batch.buffer.share_memory_()
    return batch


def label_counts(rows: datasets.Dataset) -> np.ndarray:
    """(rows,) number of labels of each row, at least one row."""
    tables = rows.select_columns(["labels"]).with_format("arrow").iter(batch_size=10_000)
    return np.concatenate([table["labels"].combine_chunks().value_lengths().to_numpy() for table in tables])
