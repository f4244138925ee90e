"""Where plain texts are, and how their documents are read one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import langcodes

from datamodules.code_fingerprint import cache_key
from datamodules.hub_corpora import load_from_hub
from datamodules.local_files import fingerprint_file, raw_rows
from datamodules.parquet_rows import UNREADABLE, table_rows
from datamodules.table_paths import TABLE_SUFFIXES, is_local, named_ends, table_files, table_suffix
from datamodules.text_stream import BAD_BYTE, NoRow, mostly_decoded, open_text, require_encoding

_KINDS = TABLE_SUFFIXES | {".txt"}
_BATCH = 1_000  # rows of the hub read at once


@dataclass(frozen=True)
class CorpusSource:
    """Texts in one language.

    Args:
        language: BCP 47 / ISO 639 code, such as `tr`, `en` or `it`.
        path: A `.txt` file with one document a line, a table, or a folder or pattern of such files, of the kinds that
            docs/files.md lists; the id of a data set on the Hugging Face hub; or a folder of tokens from the cache of
            an earlier run, for a machine that does not have the texts.
        column: The column of the text, where there are columns.
        name: Configuration of the hub data set.
        revision: Branch, tag or commit of the hub data set.
        split: Of the hub data set.
        encoding: See `SummarizationSource`.

    Raises:
        ValueError: If the language code or the encoding is not legal.
    """

    language: str
    path: str
    column: str = "text"
    name: str | None = None
    revision: str | None = None
    split: str = "train"
    encoding: str | None = None

    def __post_init__(self) -> None:
        if not langcodes.tag_is_valid(self.language):
            raise ValueError(
                f"language {self.language!r} of source {self.path!r} is not a language code; "
                "use an ISO 639 code such as tr, en, it or zh-Hans."
            )
        require_encoding(self.encoding, f"encoding of source {self.path!r}")

    @property
    def is_file(self) -> bool:
        """Whether `path` names files of texts; raises no error if it is missing."""
        return bool(table_suffix(self.path, _KINDS)) or is_local(self.path)


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
    for file in _files(source):
        yield from _read_column(file, source) if table_suffix(file) else _read_lines(file, source.encoding)


def fingerprint_texts(source: CorpusSource) -> str:
    """Names the texts of a source, wherever the files lie."""
    if not source.is_file:
        return _open_hub(source)[1]
    return cache_key(__name__, [fingerprint_file(file) for file in _files(source)], source.encoding)


def _files(source: CorpusSource) -> list[Path]:
    try:
        return table_files(source.path, _KINDS)
    except ValueError as error:
        raise ValueError(f"{error} (Language {source.language}, in data.sources.)") from error


def _read_lines(path: Path, encoding: str | None) -> Iterator[str | None]:
    with open_text(path, encoding, newline="\n") as file:  # only a line feed ends a line
        lines = ((n, NoRow(bad_text=line, line=n) if BAD_BYTE in line else line) for n, line in enumerate(file, 1))
        for _, line in mostly_decoded(lines, path, encoding):
            yield line if isinstance(line, str) else None


def _read_column(path: Path, source: CorpusSource) -> Iterator[Any]:
    seen: set[str] = set()
    for _, row in raw_rows(str(path), [source.column], source.encoding):
        if isinstance(row, NoRow):
            yield None
        else:
            seen.update(row)
            yield _readable(row.get(source.column))
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
            f"{type(error).__name__}: {error}. path must name files ({named_ends(_KINDS)}), a folder of tokens, or "
            "the id of a data set on the hub."
        ) from error


def _require_column(source: CorpusSource, names: list[str]) -> None:
    if source.column not in names:
        raise ValueError(
            f"Source {source.path!r} ({source.language}) has no column {source.column!r} for the text. It has: "
            f"{', '.join(names)}. Set `column`."
        )
