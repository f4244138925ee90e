"""Reads delimited text row by row, so that a stray quotation mark costs its own row and never merges others."""

from __future__ import annotations

import csv
import sys
from collections import deque
from collections.abc import Collection, Iterator
from typing import Any, TextIO

from datamodules.text_stream import BAD_BYTE, NoRow, describe_bad_bytes, open_text

DELIMITERS = (",", ";", "\t", "|")
# A cell of more lines than this is taken for a quotation mark that is never closed.
_MOST_LINES = 5_000


def read_delimited(
    path: str, default: str, columns: Collection[str] | None, encoding: str | None
) -> Iterator[tuple[int, dict[str, Any] | NoRow]]:
    """Yield the rows below the header, numbered from 2.

    Args:
        path: The file.
        default: The delimiter, unless another one finds more of `columns` in the header.
        columns: Those that are needed.
        encoding: See `open_text`.

    Raises:
        ValueError: If the header cannot be decoded, or has a needed column twice.
    """
    csv.field_size_limit(sys.maxsize)  # the default of 128 KiB is less than a long article
    with open_text(path, encoding) as file:
        lines = _Lines(file)
        header, delimiter = _read_header(lines, default, columns or ())
        bad = next((line for line in lines.taken if BAD_BYTE in line), None)
        if bad is not None:
            raise ValueError(describe_bad_bytes(NoRow(bad_text=bad, line=lines.number), path, encoding))
        _require_once(header, columns or (), path)
        for position, cells in enumerate(_records(lines, delimiter, len(header)), start=2):
            yield position, cells if isinstance(cells, NoRow) else _row(cells, header)


def _row(cells: list[Any], header: list[str]) -> dict[str, Any] | NoRow:
    if len(cells) > len(header):  # a stray delimiter has shifted the row
        return NoRow()
    if cells[0].strip() == header[0] and [cell.strip() for cell in cells] == header:
        return NoRow("repeated_header")
    return dict(zip(header, cells + [None] * (len(header) - len(cells)), strict=True))


class _Lines:
    """Lines that can be given back; `taken` are those of the present record."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._given_back: deque[str] = deque()
        self.taken: list[str] = []
        self.number = 0  # of the last line

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self.taken) >= _MOST_LINES:
            raise csv.Error("too many lines")
        line = self._given_back.popleft() if self._given_back else next(self._file)
        self.taken.append(line)
        self.number += 1
        return line

    def give_back(self, lines: list[str]) -> None:
        self._given_back.extendleft(reversed(lines))
        self.number -= len(lines)


def _read_header(lines: _Lines, default: str, columns: Collection[str]) -> tuple[list[str], str]:
    first = ""
    for first in lines:
        lines.taken.clear()
        if first.strip():
            break
    if first.strip("\r\n").lower().removeprefix("sep=") in DELIMITERS:  # as Excel writes it
        return _read_header(lines, first.strip("\r\n")[-1], columns)
    lines.give_back([first] if first else [])
    parsed = {delimiter: _names(first, delimiter) for delimiter in (default, *DELIMITERS)}
    delimiter = max(parsed, key=lambda one: (*_score(parsed[one], columns, one == default), len(parsed[one])))
    cells = next(_records(lines, delimiter, None), None)
    return [cell.strip() for cell in cells] if isinstance(cells, list) else [], delimiter


def _score(names: list[str], columns: Collection[str], is_default: bool) -> tuple[int, bool]:
    return len({*columns} & {*names}), is_default and len(names) > 1


def _names(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]


def _require_once(header: list[str], columns: Collection[str], path: str) -> None:
    for name in columns:
        times = header.count(name)
        if times > 1:
            places = " and ".join(str(place) for place, other in enumerate(header, start=1) if other == name)
            raise ValueError(f"{path!r} has {times} columns {name!r} (number {places}); rename all but one.")


def _records(lines: _Lines, delimiter: str, width: int | None) -> Iterator[list[Any] | NoRow]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    taken = lines.taken
    while True:
        taken.clear()
        cells: list[Any] | None
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            cells = None
        if cells is None or (len(taken) > 1 and width is not None and _is_merged(taken, cells, delimiter, width)):
            lines.give_back(taken[1:])
            del taken[1:]
            cells = _split(taken[0].rstrip("\r\n"), delimiter, width)
        bad = next((number for number, line in enumerate(taken) if BAD_BYTE in line), None)
        if bad is not None:
            yield NoRow(bad_text=taken[bad], line=lines.number - len(taken) + 1 + bad)
        elif cells is None:
            yield NoRow()
        elif cells:
            yield cells


def _split(line: str, delimiter: str, width: int | None) -> list[str] | None:
    """Return the cells of a line whose quotation marks do not pair; None if they are not `width`."""
    if len(line) > 1 and line[0] == line[-1] == '"':
        quoted = line[1:-1].split(f'"{delimiter}"')
        if len(quoted) == width:  # marks within a cell that are not doubled
            return [cell.replace('""', '"') for cell in quoted]
    cells = line.split(delimiter)
    return cells if width in (None, len(cells)) else None


def _is_merged(taken: list[str], cells: list[str], delimiter: str, width: int) -> bool:
    """Whether lines within two quotation marks are rather rows of their own, and the marks are stray.

    Commas and semicolons stand in texts, too: there, lines are rows of their own only if the record that they make has
    not the right number of cells.
    """
    if width == 1 or sum(line.count('"') for line in taken) != 2:
        return False
    are_rows = all(line.count(delimiter) == width - 1 for line in taken)
    return are_rows and (delimiter in "\t|" or len(cells) != width)
