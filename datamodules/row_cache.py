"""The slow steps from raw to encoded rows, each made once and then mapped into memory by any number of processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import pyarrow as pa
import tokenizers
from rich.progress import track
from transformers import PreTrainedTokenizerBase

from datamodules.cache import cached_folder
from datamodules.code_fingerprint import cache_key
from datamodules.local_files import RawRow
from datamodules.raw_splits import RawSplit
from datamodules.tokenize import encode_batch
from datamodules.validation import audit_batch

# Below this many rows, starting further processes takes longer than the work.
ROWS_PER_PROCESS = 5_000
_BATCH = 1_000  # raw rows written at once
_FILE = "rows.arrow"  # several processes add their numbers to it
_RAW = pa.schema({name: pa.string() for name in ("id", "split", "article", "summary", "reading_problem")})


def audited_rows(
    raw: RawSplit, known_splits: list[str] | None, unknown: str, description: str, num_proc: int | None
) -> tuple[datasets.Dataset, str]:
    """Read the rows of a split and judge each by itself.

    Args:
        raw: The split.
        known_splits: See `audit_batch`.
        unknown: See `audit_batch`.
        description: For progress bars.
        num_proc: Processes; null is one for each CPU.

    Returns:
        The columns of `audit_batch`, and the name of the rows.

    Raises:
        ValueError: If they cannot be read, or the cache cannot be written.
    """

    def make(folder: Path) -> None:
        with TemporaryDirectory(dir=folder) as scratch:
            rows = _write_raw(raw.read(), Path(scratch) / _FILE, f"Reading {description}")
            _map(
                rows,
                audit_batch,
                folder,
                num_proc,
                fn_kwargs={"known_splits": known_splits, "unknown": unknown},
                remove_columns=rows.column_names,
                desc=f"Checking {description}",
            )

    fingerprint = cache_key(__name__, raw.fingerprint, known_splits, unknown)
    return _cached(f"checked-{fingerprint}", make), fingerprint


def encoded_rows(
    rows: datasets.Dataset,
    fingerprint: str,
    tokenizer: PreTrainedTokenizerBase,
    settings: Mapping[str, Any],
    description: str,
    num_proc: int | None,
) -> datasets.Dataset:
    """Encode rows.

    Args:
        rows: Columns `article` and `summary`, and others, which are kept.
        fingerprint: Names all that decides the result.
        tokenizer: From `load_tokenizer`.
        settings: Further arguments of `encode_batch`.
        description: For progress bars.
        num_proc: Processes; null is one for each CPU.

    Raises:
        ValueError: If the cache cannot be written.
    """
    if not len(rows):
        return rows

    def make(folder: Path) -> None:
        arguments = {"tokenizer": tokenizer, **settings}
        _map(rows, encode_batch, folder, num_proc, fn_kwargs=arguments, desc=f"Encoding {description}")

    # The version is no part of the fingerprint: a run may go on with another one.
    return _cached(f"encoded-{fingerprint}-tokenizers-{tokenizers.__version__}", make)


def _cached(name: str, make: Callable[[Path], None]) -> datasets.Dataset:
    folder = cached_folder(Path(datasets.config.HF_DATASETS_CACHE) / "ozet-rows" / name, make)
    shards = [datasets.Dataset.from_file(str(file)) for file in sorted(folder.glob("*.arrow"))]
    return datasets.concatenate_datasets(shards)


def _write_raw(rows: Iterator[RawRow], path: Path, description: str) -> datasets.Dataset:
    with pa.ipc.new_stream(path, _RAW) as writer:
        tracked = iter(track(rows, description))
        for batch in iter(lambda: list(islice(tracked, _BATCH)), []):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, _RAW))
    return datasets.Dataset.from_file(str(path))


def _map(
    rows: datasets.Dataset, function: Callable[..., Any], folder: Path, num_proc: int | None, **options: Any
) -> None:
    count = min(num_proc or os.cpu_count() or 1, len(rows) // ROWS_PER_PROCESS)
    rows.map(
        function,
        batched=True,
        num_proc=count if count > 1 else None,
        cache_file_name=str(folder / _FILE),
        new_fingerprint=_FILE,
        **options,
    )
