"""Reads JSON lines, a JSON array, or JSON objects one after the other; the content tells which, not the file's name."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, Final, Literal, TextIO

from datamodules.text_stream import BAD_BYTE, NoRow, open_text

_CHUNK: Final = 1 << 20  # characters
_BETWEEN = re.compile(r"[\s,]*")
_ARRAY = re.compile(r'\[\s*[{"\]]')
_NESTED = re.compile(r'\{\s*"([^"\\]{1,80})"\s*:\s*\[\s*\{')
_DECODER = json.JSONDecoder()
Form = Literal["lines", "array", "objects"]


def read_json(
    path: str, columns: Collection[str] | None, encoding: str | None
) -> Iterator[tuple[int, dict[str, Any] | NoRow]]:
    """Yield records, numbered from 1 by line or by their place in the file.

    Args:
        path: The file.
        columns: Those that are needed.
        encoding: See `open_text`.

    Raises:
        ValueError: If it is one object around the rows, or an array that is damaged or cut off.
    """
    with open_text(path, encoding) as file:
        form = _form(file.read(_CHUNK).lstrip(), columns, path)
    with open_text(path, encoding) as file:
        yield from _read_lines(file) if form == "lines" else _read_values(file, form == "array", path)


def _form(start: str, columns: Collection[str] | None, path: str) -> Form:
    line, _, rest = start.partition("\n")
    if start.startswith("[") and not (_is_json(line) and rest.strip()):
        return "array" if _ARRAY.match(start) else "lines"
    nested = _NESTED.match(start)
    if nested and nested[1] not in (columns or ()):
        raise _wrapped(path, nested[1])
    try:
        value, end = _DECODER.raw_decode(start)
    except (ValueError, RecursionError):
        return "lines"
    if isinstance(value, dict) and not start[end:].strip() and columns:
        _refuse_table(value, columns, path)
    return "objects" if end > len(line) else "lines"


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse_table(value: dict[str, Any], columns: Collection[str], path: str) -> None:
    """Refuse an object that holds all rows or all columns."""
    if columns and all(isinstance(value.get(name), list | dict) for name in columns):
        raise ValueError(
            f"Cannot read {path!r}: its JSON holds whole columns, not rows; write one object a line, as pandas does "
            "with to_json(orient='records', lines=True)."
        )
    for name, inner in value.items():
        if not {*columns} & value.keys() and isinstance(inner, list) and inner and isinstance(inner[0], dict):
            raise _wrapped(path, name)


def _wrapped(path: str, name: str) -> ValueError:
    return ValueError(
        f"Cannot read {path!r}: it is one JSON object with its rows under {name!r}; they must be a list at the top or "
        f"one object a line, as `jq -c '.[\"{name}\"][]'` makes them."
    )


def _read_lines(file: TextIO) -> Iterator[tuple[int, dict[str, Any] | NoRow]]:
    for position, line in enumerate(file, start=1):
        if line.isspace():
            continue
        if BAD_BYTE in line:
            yield position, NoRow(bad_text=line, line=position)
            continue
        try:
            yield position, _record(json.loads(line), "\\u" in line)
        except (ValueError, RecursionError):
            yield position, NoRow()


def _read_values(file: TextIO, is_array: bool, path: str) -> Iterator[tuple[int, dict[str, Any] | NoRow]]:
    buffer, at, position = file.read(_CHUNK).lstrip(), int(is_array), 1
    while True:
        at = _BETWEEN.match(buffer, at).end()  # type: ignore[union-attr]
        if is_array and buffer.startswith("]", at):
            return
        try:
            value, end = _DECODER.raw_decode(buffer, at)
            if end == len(buffer) and is_array:  # a number may go on
                raise ValueError("no ] at its end")
        except (ValueError, RecursionError) as error:
            more = file.read(max(_CHUNK, len(buffer) - at))  # doubled, so that a long value is not read over and over
            if not more and not is_array and at == len(buffer):
                return
            if not more:
                raise _broken(path, position, error) from error
            buffer, at = buffer[at:] + more, 0
            continue
        bad = buffer.find(BAD_BYTE, at, end) >= 0
        yield position, NoRow(bad_text=buffer[at:end], line=position) if bad else _record(value, True)
        at, position = end, position + 1


def _record(value: Any, may_have_surrogates: bool) -> dict[str, Any] | NoRow:
    if not isinstance(value, dict):
        return NoRow()
    try:
        if may_have_surrogates:  # half an escaped emoji is no text
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return NoRow()
    return value


def _broken(path: str, position: int, error: Exception) -> ValueError:
    return ValueError(
        f"Cannot read {path!r} as JSON: value {position} is broken, or the file is cut off ({error}). Mend it, or "
        "write one object a line, where a broken one costs its line only."
    )
