"""Reads Parquet so that one bad cell is one reported row, not a failed run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet

# Stands for a cell that has no value in Python, such as text that is not UTF-8.
UNREADABLE: Final = object()
_BATCH = 1_000  # rows


def read_parquet(path: str | Path, columns: Collection[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file as they are, with `UNREADABLE` for cells that cannot be read.

    Args:
        path: The file.
        columns: Which ones to read; all if None, or if the file lacks one.

    Raises:
        ValueError: If the file is not Parquet, or damaged.
    """
    try:
        with pa.parquet.ParquetFile(path) as file:
            chosen = list(columns) if columns and set(columns) <= set(file.schema_arrow.names) else None
            for batch in file.iter_batches(_BATCH, columns=chosen):
                yield from table_rows(batch)
    except (OSError, pa.ArrowException) as error:
        cause = str(error).splitlines()[0]
        raise ValueError(f"Cannot read {str(path)!r} as Parquet: {type(error).__name__}: {cause}") from error


def table_rows(table: pa.Table | pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Yield the rows of an Arrow table, with `UNREADABLE` for cells that cannot be read."""
    columns = [_cells(column) for column in table.columns]
    for values in zip(*columns, strict=True):
        yield dict(zip(table.column_names, values, strict=True))


def _cells(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    try:
        return column.to_pylist()
    except (ValueError, OverflowError):  # one at a time is slow, and rarely needed
        return [_cell(scalar) for scalar in column]


def _cell(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return UNREADABLE
