"""Where plain texts are, and how their documents are read one by one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import langcodes
import pyarrow as pa

from datamodules.hub_corpora import load_from_hub
from datamodules.local_files import TABLE_SUFFIXES, fingerprint_file, raw_rows
from datamodules.parquet_rows import UNREADABLE, table_rows

_SUFFIXES = (".txt", ".txt.zst", *sorted(TABLE_SUFFIXES))
_BATCH = 1_000  # rows of the hub read at once


@dataclass(frozen=True)
class CorpusSource:
    """Texts in one language.

    Args:
        language: BCP 47 / ISO 639 code, such as `tr`, `en` or `it`.
        path: A `.txt` or `.txt.zst` file with one document a line; a `.jsonl`, `.csv`, `.tsv` or `.parquet` file; the
            id of a data set on the Hugging Face hub; or a folder of tokens from the cache of an earlier run, for a
            machine that does not have the texts.
        column: The column of the text, where there are columns.
        name: Configuration of the hub data set.
        revision: Branch, tag or commit of the hub data set.
        split: Of the hub data set.

    Raises:
        ValueError: If the language code is not legal.
    """

    language: str
    path: str
    column: str = "text"
    name: str | None = None
    revision: str | None = None
    split: str = "train"

    def __post_init__(self) -> None:
        if not langcodes.tag_is_valid(self.language):
            raise ValueError(
                f"language {self.language!r} of source {self.path!r} is not a language code; "
                "use an ISO 639 code such as tr, en, it or zh-Hans."
            )

    @property
    def is_file(self) -> bool:
        """Whether `path` names a file of texts; raises no error if it is missing."""
        return bool(_suffix(self.path)) or Path(self.path).is_file()


def read_documents(source: CorpusSource) -> Iterator[Any]:
    """Yields the documents of a source.

    Args:
        source: No folder of tokens.

    Yields:
        What the file or data set has as text, of whatever type; None for a line that cannot be read.

    Raises:
        ValueError: If the source cannot be read at all, or has no such column.
    """
    if not source.is_file:
        yield from _read_hub(source)
        return
    _require_file(source)
    suffix = _suffix(source.path)
    if not suffix:
        raise ValueError(f"Cannot read {source.path!r}: its name must end in {', '.join(_SUFFIXES)}.")
    if suffix.startswith(".txt"):
        yield from _read_lines(source.path, "zstd" if suffix == ".txt.zst" else None)
    else:
        yield from _read_column(source)


def fingerprint_texts(source: CorpusSource) -> str:
    """Names the texts of a source, wherever the file lies."""
    if not source.is_file:
        return _open_hub(source)[1]
    _require_file(source)
    return fingerprint_file(Path(source.path))


def _require_file(source: CorpusSource) -> None:
    if not Path(source.path).is_file():
        raise ValueError(f"No file {source.path!r} (language {source.language}). Check data.sources.")


def _read_lines(path: str, compression: str | None) -> Iterator[str | None]:
    with pa.input_stream(path, compression=compression) as stream:
        for line in io.BufferedReader(stream):  # only a line feed ends a line
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError:
                yield None


def _read_column(source: CorpusSource) -> Iterator[Any]:
    seen: set[str] = set()
    for _, row in raw_rows(source.path, columns=[source.column]):
        seen.update(row or ())
        yield None if row is None else _readable(row.get(source.column))
    if seen:
        _require_column(source, sorted(seen))


def _read_hub(source: CorpusSource) -> Iterator[Any]:
    rows, _ = _open_hub(source)
    _require_column(source, rows.column_names)
    for table in rows.select_columns([source.column]).with_format("arrow").iter(_BATCH):
        for row in table_rows(table):
            yield _readable(row[source.column])


def _readable(value: Any) -> Any:
    return None if value is UNREADABLE else value


def _open_hub(source: CorpusSource) -> tuple[datasets.Dataset, str]:
    try:
        return load_from_hub(source.path, source.name, source.split, source.revision)
    except Exception as error:  # hub errors are many; each ends in one message with the remedy
        raise ValueError(
            f"Cannot load {source.path!r} (language {source.language}, name {source.name}, split {source.split}): "
            f"{type(error).__name__}: {error}. path must be a file ({', '.join(_SUFFIXES)}), a folder of tokens, or "
            "the id of a data set on the hub."
        ) from error


def _require_column(source: CorpusSource, names: list[str]) -> None:
    if source.column not in names:
        raise ValueError(
            f"Source {source.path!r} ({source.language}) has no column {source.column!r} for the text. It has: "
            f"{', '.join(names)}. Set `column`."
        )


def _suffix(path: str) -> str:
    name = Path(path).name.lower()
    return max((suffix for suffix in _SUFFIXES if name.endswith(suffix)), key=len, default="")
