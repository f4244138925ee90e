"""Reads JSON, delimited text and Parquet so that one bad row is one reported row, not a failed run."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datamodules.cache import file_checksum
from datamodules.code_fingerprint import cache_key
from datamodules.delimited_rows import read_delimited
from datamodules.json_rows import read_json
from datamodules.parquet_rows import UNREADABLE, read_parquet
from datamodules.sources import Columns
from datamodules.table_paths import DELIMITED_SUFFIXES, table_suffix
from datamodules.text_stream import NoRow, mostly_decoded

RawRow = dict[str, str | None]
_WHOLE_NUMBER = re.compile(r"(-?\d+)\.0+")


def read_rows(path: str, columns: Columns, encoding: str | None = None) -> Iterator[RawRow]:
    """Yields every row of a file with our column names.

    Args:
        path: See `raw_rows`.
        columns: What the file calls its columns.
        encoding: See `open_text`.

    Yields:
        Rows as `raw_row` makes them.

    Raises:
        ValueError: If the file cannot be read, or no row has a column that `columns` names.
    """
    seen: set[str] = set()
    readable = 0
    for position, row in raw_rows(path, used_columns(columns), encoding):
        if not isinstance(row, NoRow):
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
    path: str, columns: Collection[str] | None = None, encoding: str | None = None
) -> Iterator[tuple[int, dict[str, Any] | NoRow]]:
    """Yield the rows of a file as they are, with their numbers.

    Args:
        path: A file whose name ends in one of `TABLE_SUFFIXES`. Rows of JSON lines are numbered by line, others of
            JSON from 1, those of delimited text from 2, and those of Parquet, whose cells are `UNREADABLE` where
            they have no value in Python, from 0.
        columns: Those that are needed: they tell the delimiter, and which columns of Parquet are read.
        encoding: See `open_text`.

    Raises:
        ValueError: If the file is of no such form, or fewer rows than not can be decoded.
    """
    return mostly_decoded(_rows(path, columns, encoding), path, encoding)


def _rows(
    path: str, columns: Collection[str] | None, encoding: str | None
) -> Iterator[tuple[int, dict[str, Any] | NoRow]]:
    suffix = table_suffix(path)
    if suffix == ".parquet":
        return enumerate(read_parquet(path, columns))
    if suffix in DELIMITED_SUFFIXES:
        return read_delimited(path, "\t" if suffix == ".tsv" else ",", columns, encoding)
    return read_json(path, columns, encoding)


def fingerprint_file(path: Path) -> str:
    """Name the content and kind of a file, wherever it lies; 16 hexadecimal digits."""
    return cache_key(__name__, table_suffix(path), file_checksum(path))


def split_key(value: object) -> str:
    """Write a value of a split column so that equal ones are equal texts, such as `1` and `1.0`, `True` and `true`."""
    text = str(value).strip()
    whole = _WHOLE_NUMBER.fullmatch(text)
    if whole:
        return whole[1]
    return text.capitalize() if text.casefold() in ("true", "false") else text


def raw_row(row: Mapping[str, Any] | NoRow, position: int | str, columns: Columns) -> RawRow:
    """Give a row our column names.

    Args:
        row: The row of the corpus.
        position: Names it where it has no id.
        columns: What the corpus calls its columns.

    Returns:
        `id`, `split`, `article`, `summary` (None where the value is missing or no text) and `reading_problem`
        (`unreadable`, `repeated_header` or `not_text`, None for a row that looks right).
    """
    names = (columns.article, columns.summary, columns.id, columns.split)
    article, summary, identifier, split = (
        row.get(name) if name and not isinstance(row, NoRow) else None for name in names
    )
    problem = row.reason if isinstance(row, NoRow) else None
    if UNREADABLE in (article, summary, identifier, split):
        article = summary = identifier = split = None
        problem = "unreadable"
    elif not all(value is None or isinstance(value, str) for value in (article, summary)):
        article = summary = None
        problem = "not_text"
    return {
        "id": str(position if identifier is None else identifier),
        "split": None if split is None else split_key(split),
        "article": article,
        "summary": summary,
        "reading_problem": problem,
    }
