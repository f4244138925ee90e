"""Opens text whatever its compression and encoding, so that a byte that is no text spoils its own row only."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import logging
import lzma
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

import pyarrow as pa

log = logging.getLogger(__name__)
Row = TypeVar("Row")
# Stands before each byte that could not be decoded; no decoder makes it of good bytes.
BAD_BYTE: Final = "\udc00"


@dataclass(frozen=True)
class NoRow:
    """Stands for what is no row.

    Attributes:
        reason: A key of `datamodules.validation.REASONS`.
        bad_text: Where the reason is bytes that are no text, the line with `BAD_BYTE` in it.
        line: Its number, from 1.
    """

    reason: str = "unreadable"
    bad_text: str = ""
    line: int = 0


_ERRORS = "ozet.bad_byte"
_BOMS = (  # the one of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ARCHIVES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"Rar!", b"7z\xbc\xaf")  # .xlsx is a zip
_PROBE = 4096  # bytes
_BAD_WORD = re.compile(rf"[^\W{BAD_BYTE}]{{,20}}{BAD_BYTE}[^\s,;|\"]{{,20}}")
_LIKELY = ("cp1254", "cp1252", "iso-8859-9", "cp1250", "cp1251")


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(BAD_BYTE + chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_ERRORS, _mark)


def require_encoding(encoding: str | None, where: str) -> None:
    """Refuse a name that is no encoding of text.

    Raises:
        ValueError: If it is none; `where` says which setting has it.
    """
    try:
        if encoding is not None:
            io.TextIOWrapper(io.BytesIO(b"a"), encoding, _ERRORS)  # refuses codecs that make no text, such as hex
            "a".encode(encoding).decode(encoding, _ERRORS)
    except (LookupError, ValueError):
        raise ValueError(f"{where} {encoding!r} is no encoding; use a name such as utf-8, cp1254 or utf-16.") from None


@contextmanager
def open_text(path: str | Path, encoding: str | None = None, newline: str = "") -> Iterator[TextIO]:
    """Open a text; its lines keep their ends, and bytes that are no text stand in it after `BAD_BYTE`.

    Args:
        path: The file, plain or compressed (gzip, bzip2, xz, zstd), which its first bytes tell.
        encoding: See `as_text`.
        newline: See `as_text`.

    Raises:
        ValueError: If the file is an archive or a spreadsheet, or its compressed data are damaged.
    """
    try:
        with open_bytes(path) as stream:
            yield as_text(stream, encoding, newline)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, pa.ArrowException) as error:
        raise _damaged(path, error) from error
    except UnicodeError as error:  # UTF-16 that is none, which no error handler sees
        raise ValueError(f"Cannot read {str(path)!r} as {encoding} text: {error}. Name the encoding it has.") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(path, error) from error  # bz2 and pyarrow raise bare ones


def as_text(stream: io.BufferedReader, encoding: str | None = None, newline: str = "") -> TextIO:
    """Decode a stream.

    Args:
        stream: At its beginning.
        encoding: Its encoding; None is UTF-8. A byte order mark wins; UTF-16 is known without one, too.
        newline: What ends a line: "" is any of line feed, carriage return and both.
    """
    chosen = _encoding_of(stream.peek(_PROBE)[:_PROBE]) or encoding or "utf-8"
    return io.TextIOWrapper(stream, chosen, _ERRORS, newline)


def open_bytes(path: str | Path) -> io.BufferedReader:
    """Open a file, decompressed if its first bytes say so.

    Raises:
        ValueError: If it is an archive or a spreadsheet.
    """
    with open(path, "rb") as file:
        start = file.read(6)
    if start.startswith(_ARCHIVES):
        raise ValueError(
            f"Cannot read {str(path)!r}: it is an archive or a spreadsheet, whatever its name. Unpack it, or save its "
            "sheet as CSV UTF-8."
        )
    opener = next((opener for magic, opener in _OPENERS if start.startswith(magic)), _open_plain)
    return io.BufferedReader(opener(path), 1 << 18)


def _open_plain(path: str | Path) -> Any:
    return open(path, "rb", buffering=0)


def _open_zstd(path: str | Path) -> Any:
    return pa.input_stream(str(path), compression="zstd")


_OPENERS: tuple[tuple[bytes, Callable[[str | Path], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\0", lzma.open),
    (b"\x28\xb5\x2f\xfd", _open_zstd),
)


def mostly_decoded(
    rows: Iterable[tuple[int, Row | NoRow]], path: str | Path, encoding: str | None
) -> Iterator[tuple[int, Row | NoRow]]:
    """Pass on the rows of a file; a few that cannot be decoded are logged with an example.

    Raises:
        ValueError: At the end, if more of them cannot be decoded than are rows.
    """
    read, decoded, undecoded, first = 0, 0, 0, NoRow()
    for position, row in rows:
        read += 1
        if isinstance(row, NoRow) and row.bad_text:
            undecoded += 1
            first = first if first.bad_text else row
        decoded += not isinstance(row, NoRow)
        yield position, row
    if undecoded:
        reason = f"{undecoded:,} of {read:,} rows cannot be read: "
        reason += f"{describe_bad_bytes(first, path, encoding)}."
        if undecoded > decoded:
            raise ValueError(reason)
        log.warning(reason)


def describe_bad_bytes(row: NoRow, path: str | Path, encoding: str | None) -> str:
    """Say in one sentence which line is not in a text's encoding, and which encodings may be meant."""
    at = row.bad_text.index(BAD_BYTE)
    byte = ord(row.bad_text[at + 1]) - 0xDC00
    likely = [f"{name} (gives {word!r})" for name in _LIKELY if (word := _reading(row.bad_text, name))]
    return (
        f"{str(path)!r} is not all {encoding or 'UTF-8'}: line {row.line} has byte 0x{byte:02x} as its character "
        f"{at + 1}; name its encoding, such as {', '.join(likely) or 'cp1254 or utf-16'}"
    )


def _reading(text: str, encoding: str) -> str:
    """The first bad word in another encoding, "" if it is none there."""
    found = _BAD_WORD.search(text)
    try:
        return found[0].replace(BAD_BYTE, "").encode("utf-8", "surrogateescape").decode(encoding) if found else ""
    except UnicodeError:
        return ""


def _encoding_of(start: bytes) -> str | None:
    for mark, encoding in _BOMS:
        if start.startswith(mark):
            return encoding
    # Most characters of a table are below U+0100: in UTF-16, each of them has a byte of zero.
    even, odd = start[::2].count(0), start[1::2].count(0)
    half = len(start) // 2
    if half > 4 and max(even, odd) > half * 0.6 and min(even, odd) <= half * 0.05:
        return "utf-16-be" if even > odd else "utf-16-le"
    return None


def _damaged(path: str | Path, error: Exception) -> ValueError:
    return ValueError(
        f"Cannot read {str(path)!r} to its end: its compressed data are damaged or cut off ({error}). Copy it again."
    )
