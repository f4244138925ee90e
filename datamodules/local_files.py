"""Reads JSONL, CSV and TSV so that one bad line is one reported row, not a failed run."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from datamodules.sources import Columns

BadBytes = Literal["strict", "surrogateescape"]
LOCAL_TEXT_SUFFIXES = frozenset({".jsonl", ".csv", ".tsv"})


def read_rows(path: str, columns: Columns) -> Iterator[dict[str, str | None]]:
    """Yields every row of a file with our column names.

    Args:
        path: A `.jsonl`, `.csv` or `.tsv` file in UTF-8.
        columns: What the file calls its columns.

    Yields:
        `id`, `split`, `article`, `summary` (None where the value is missing or no text) and `reading_problem`
        (`unreadable` or `not_text`, None for a row that looks right).

    Raises:
        ValueError: If the file is no UTF-8 text, a quotation mark is never closed, or no row has a column that
            `columns` names.
    """
    seen: set[str] = set()
    readable = 0
    for position, row in raw_rows(path):
        if row is not None:
            readable += 1
            seen.update(row)
        yield _rename(row, position, columns)
    for role in ("article", "summary", "id", "split"):
        name = getattr(columns, role)
        if readable and name is not None and name not in seen:
            raise ValueError(f"{path!r} has no column {name!r} for the {role}. It has: {', '.join(sorted(seen))}.")


def raw_rows(path: str, errors: BadBytes = "strict") -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Yields the rows of a file as they are, with their line numbers; None for what is no record.

    Args:
        path: A `.jsonl`, `.csv` or `.tsv` file in UTF-8.
        errors: `strict` refuses a file with bytes that are no UTF-8 text; `surrogateescape` reads each such byte as a
            lone surrogate, so that only its row is lost.

    Raises:
        ValueError: If the file is no UTF-8 text (under `strict`), or a quotation mark is never closed.
    """
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


def fingerprint_files(paths: list[Path], extra: str = "") -> str:
    """Names the content and kind of files (and the code that reads them) for the cache; 16 hexadecimal digits."""
    digest = hashlib.sha256(extra.encode())
    digest.update(Path(__file__).read_bytes())
    for path in paths:
        digest.update(_suffix(str(path)).encode())
        with path.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()[:16]


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


def _rename(row: dict[str, Any] | None, position: int, columns: Columns) -> dict[str, str | None]:
    if row is None:
        return {"id": str(position), "split": None, "article": None, "summary": None, "reading_problem": "unreadable"}
    article, summary = row.get(columns.article), row.get(columns.summary)
    is_text = all(value is None or isinstance(value, str) for value in (article, summary))
    identifier = row.get(columns.id) if columns.id else None
    return {
        "id": str(position if identifier is None else identifier),
        "split": str(row[columns.split]) if columns.split and columns.split in row else None,
        "article": article if is_text else None,
        "summary": summary if is_text else None,
        "reading_problem": None if is_text else "not_text",
    }


def _suffix(path: str) -> str:
    return Path(path).suffix.lower()
