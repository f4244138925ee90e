"""Hostile and odd files of every kind, by name, with what becomes of their rows; docs/files.md shows the table."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet

HEAD = "article,summary\n"


@dataclass(frozen=True)
class OddFile:
    """One file, or several, of train rows.

    Attributes:
        what: What is odd about it, for the table.
        files: Contents by name.
        given: Rows that a person would count in it.
        kept: Rows that training uses.
        counted: Rows left out, by reason.
        message: What the refusal says, "" where the file is read.
        options: Of the source.
        path: What the source names; "" is the only file.
        first: The article of the first row used; "" is `article(1)`.
    """

    what: str
    files: dict[str, bytes]
    given: int
    kept: int = 0
    counted: dict[str, int] = field(default_factory=dict)
    message: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    path: str = ""
    first: str = ""


def article(number: int) -> str:
    return f"Ağrı'da kar yağışı {number} köy yolunu ulaşıma kapattı."


def summary(number: int) -> str:
    return f"Kar {number} yolu kapattı."


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [{"article": article(number), "summary": summary(number)} for number in numbers]


def table(*numbers: int, mark: str = ",", head: str = HEAD, quote: str = "") -> str:
    head = head.replace(",", mark)
    lines = (f"{quote}{article(n)}{quote}{mark}{quote}{summary(n)}{quote}\n" for n in numbers)
    return head + "".join(lines)


def lines(*numbers: int) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(*numbers))


def parquet(values: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    pa.parquet.write_table(pa.table(values), sink)
    return sink.getvalue()


def columns(*numbers: int) -> dict[str, list[str]]:
    return {"article": [article(n) for n in numbers], "summary": [summary(n) for n in numbers]}


def bad_utf8(texts: list[str]) -> pa.Array:
    """The first of the texts is no UTF-8."""
    encoded = [b"\xff\xfe caf\xe9", *(text.encode() for text in texts[1:])]
    return pa.array(encoded, pa.binary()).view(pa.string())


def zipped() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.csv", table(1, 2))
    return sink.getvalue()


def zstd(content: bytes) -> bytes:
    return pa.Codec("zstd").compress(content, asbytes=True)


GZIP, BZIP2, XZ = gzip.compress, bz2.compress, lzma.compress
