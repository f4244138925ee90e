"""Reads JSONL, CSV, TSV and Parquet so that one bad row is one reported row, not a failed run."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from datamodules.cache import file_checksum
from datamodules.code_fingerprint import cache_key
from datamodules.parquet_rows import UNREADABLE, read_parquet
from datamodules.sources import Columns

BadBytes = Literal["strict", "surrogateescape"]
TABLE_SUFFIXES = frozenset({".jsonl", ".csv", ".tsv", ".parquet"})
RawRow = dict[str, str | None]


def read_rows(path: str, columns: Columns) -> Iterator[RawRow]:
    """Yields every row of a file with our column names.

    Args:
        path: A `.jsonl`, `.csv` or `.tsv` file in UTF-8, or a `.parquet` file.
        columns: What the file calls its columns.

    Yields:
        Rows as `raw_row` makes them.

    Raises:
        ValueError: If the file is no UTF-8 text or no Parquet, a quotation mark is never closed, or no row has a
            column that `columns` names.
    """
    seen: set[str] = set()
    readable = 0
    for position, row in raw_rows(path, columns=used_columns(columns)):
        if row is not None:
            readable += 1
            seen.update(row)
        yield raw_row(row, position, columns)
    if readable:
        require_columns(path, sorted(seen), columns)


def used_columns(columns: Columns) -> list[str]:
    """List the names of a corpus' columns that are read, each once."""
    names = (columns.article, columns.summary, columns.id, columns.split)
    return list(dict.fromkeys(name for name in names if name is not None))


def require_columns(described: str, names: Sequence[str], columns: Columns) -> None:
    """Refuse a corpus that lacks a column.

    Args:
        described: The corpus, for the message.
        names: The columns that it has.
        columns: The columns that it should have.

    Raises:
        ValueError: If one is missing.
    """
    for role in ("article", "summary", "id", "split"):
        name = getattr(columns, role)
        if name is not None and name not in names:
            raise ValueError(
                f"{described!r} has no column {name!r} for the {role}. It has: {', '.join(names)}. "
                f"Set `columns.{role}`."
            )


def raw_rows(
    path: str, errors: BadBytes = "strict", columns: Collection[str] | None = None
) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Yields the rows of a file as they are, with their line numbers; None for what is no record.

    Args:
        path: A `.jsonl`, `.csv` or `.tsv` file in UTF-8, or a `.parquet` file, whose rows are numbered from 0 and whose
            cells are `UNREADABLE` where they have no value in Python.
        errors: `strict` refuses a text with bytes that are not UTF-8; `surrogateescape` reads each such byte as a lone
            surrogate, so that only its row is lost.
        columns: See `read_parquet`; rows of other files have all of theirs.

    Raises:
        ValueError: If the file is no UTF-8 text (under `strict`) or no Parquet, or a quotation mark is never closed.
    """
    if _suffix(path) == ".parquet":
        yield from enumerate(read_parquet(path, columns))
        return
    try:
        yield from _read_json_lines(path, errors) if _suffix(path) == ".jsonl" else _read_delimited(path, errors)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"Cannot read {path!r} as UTF-8 text: {error}. Convert it, or remove the bad bytes."
        ) from error
    except csv.Error as error:
        raise ValueError(
            f"Cannot read {path!r} as a table: {error}. A quotation mark that is never closed swallows all rows after "
            "it; double or remove it."
        ) from error


def fingerprint_file(path: Path) -> str:
    """Name the content and kind of a file, wherever it lies; 16 hexadecimal digits."""
    return cache_key(__name__, _suffix(str(path)), file_checksum(path))


def _read_json_lines(path: str, errors: BadBytes) -> Iterator[tuple[int, dict[str, Any] | None]]:
    with open(path, encoding="utf-8-sig", errors=errors) as file:
        for position, line in enumerate(file, start=1):
            if not line.strip():
                continue
            row = _parse(line)
            yield position, row if isinstance(row, dict) else None


def _parse(line: str) -> Any:
    try:
        row = json.loads(line)
        if "\\u" in line:
            json.dumps(row, ensure_ascii=False).encode()  # fails for half an escaped emoji, which is no text
    except (ValueError, RecursionError):
        return None
    return row


def _read_delimited(path: str, errors: BadBytes) -> Iterator[tuple[int, dict[str, Any] | None]]:
    csv.field_size_limit(sys.maxsize)  # the default of 128 KiB is less than a long article
    with open(path, encoding="utf-8-sig", errors=errors, newline="") as file:
        reader = csv.DictReader(file, delimiter="\t" if _suffix(path) == ".tsv" else ",", strict=True)
        for position, row in enumerate(reader, start=2):
            # A key of None holds surplus cells: a stray separator has shifted the row.
            yield position, None if None in row else row


def raw_row(row: Mapping[str, Any] | None, position: int, columns: Columns) -> RawRow:
    """Give a row our column names.

    Args:
        row: The row of the corpus, None for what is no record.
        position: Names it where it has no id.
        columns: What the corpus calls its columns.

    Returns:
        `id`, `split`, `article`, `summary` (None where the value is missing or no text) and `reading_problem`
        (`unreadable` or `not_text`, None for a row that looks right).
    """
    names = (columns.article, columns.summary, columns.id, columns.split)
    article, summary, identifier, split = (row.get(name) if row and name else None for name in names)
    problem = None
    if row is None or UNREADABLE in (article, summary, identifier, split):
        article = summary = identifier = split = None
        problem = "unreadable"
    elif not all(value is None or isinstance(value, str) for value in (article, summary)):
        article = summary = None
        problem = "not_text"
    return {
        "id": str(position if identifier is None else identifier),
        "split": None if split is None else str(split),
        "article": article,
        "summary": summary,
        "reading_problem": problem,
    }


def _suffix(path: str) -> str:
    return Path(path).suffix.lower()
