"""Reads articles to summarise from texts, tables, folders and standard input; what is wrong with one is said of it."""

from __future__ import annotations

import glob
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

import langcodes

from datamodules.local_files import raw_rows
from datamodules.parquet_rows import UNREADABLE
from datamodules.table_paths import table_suffix
from datamodules.text_stream import NoRow, as_text, open_bytes, require_encoding
from datamodules.validation import has_letter, is_blank, is_utf8

STDIN = "-"
TEXT_SUFFIX = ".txt"
PROBLEMS = {
    "unreadable": "the row is no valid record, or not in the file's encoding",
    "repeated_header": "the row repeats the names of the columns",
    "unreadable_file": "the file cannot be read, or not to its end",
    "unknown_kind": "a file of a folder that ends in none of .csv, .json, .jsonl, .ndjson, .parquet, .tsv, .txt",
    "not_utf8": "holds NUL or bytes that are not in the text's encoding: name it by --encoding, or leave it out",
    "empty_article": "the article is missing or blank",
    "not_text": "the article is no text, or holds no letter",
    "too_long": "more characters than --max-characters allows",
}


@dataclass(frozen=True)
class Article:
    """One row of the input.

    Attributes:
        id: The value of its id column, or where it stands, such as `news.jsonl:7`.
        text: The article, "" where there is none.
        language: Its language code, where the input says it.
        problem: Why it cannot be summarised, a key of `PROBLEMS`; "" for a usable article.
        detail: More about the problem.
    """

    id: str
    text: str = ""
    language: str | None = None
    problem: str = ""
    detail: str = ""


@dataclass(frozen=True)
class ArticleReader:
    """How inputs are read.

    Args:
        article_column: Column of tables with the text to summarise.
        id_column: Column that names a row; without it a row is named by file and line.
        language_column: Column with a row's language code; values that are none count as missing.
        language: Code of the articles that do not say theirs.
        lines: Whether each line of a text is an article, rather than the whole.
        max_characters: Greatest length of an article; at least 1. A longer one is most likely no article but a broken
            table.
        encoding: See `as_text`.

    Raises:
        ValueError: If `max_characters` is below 1, `encoding` is none, or `language` is no language code.
    """

    article_column: str = "article"
    id_column: str | None = None
    language_column: str | None = None
    language: str | None = None
    lines: bool = False
    max_characters: int = 500_000
    encoding: str | None = None

    def __post_init__(self) -> None:
        if self.max_characters < 1:
            raise ValueError(f"--max-characters {self.max_characters} must be at least 1.")
        require_encoding(self.encoding, "--encoding")
        if self.language is not None and not langcodes.tag_is_valid(self.language):
            raise ValueError(f"--language {self.language!r} is no language code; use an ISO 639 code such as tr or en.")

    def read(self, inputs: Sequence[str]) -> Iterator[Article]:
        """Yields every row of every input, usable or not, in order.

        Args:
            inputs: Files, folders (all files in them, by name) and `-` for standard input.
        """
        for name in inputs:
            for article in self._read_one(name):
                yield self.judged(article)

    def count(self, inputs: Sequence[str]) -> int | None:
        """How many rows `read` will yield, None where standard input cannot be read twice.

        Raises:
            ValueError: If an input does not exist, or a table lacks a column.
        """
        for path in (Path(name) for name in inputs if name != STDIN):
            if not _files(path) and not path.exists():
                raise ValueError(f"No file or folder {str(path)!r} to summarise.")
            for file in _files(path):
                if table_suffix(file):
                    self._require_columns(file)
        if STDIN in inputs and self.lines:
            return None
        return sum(1 if name == STDIN else sum(1 for _ in self._read_one(name)) for name in inputs)

    def _read_one(self, name: str) -> Iterator[Article]:
        if name == STDIN:
            stdin = io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer))
            yield from self._read_text(stdin, "stdin")
            return
        for file in _files(Path(name)):
            try:
                yield from self._read_file(file, is_named=not Path(name).is_dir())
            except (OSError, ValueError) as error:  # ValueError: from `raw_rows`, which says what is wrong
                yield Article(str(file), problem="unreadable_file", detail=str(error))

    def _read_file(self, file: Path, is_named: bool) -> Iterator[Article]:
        if table_suffix(file):
            yield from self._read_table(file)
        elif is_named or table_suffix(file, frozenset({TEXT_SUFFIX})):
            with open_bytes(file) as stream:
                yield from self._read_text(stream, str(file))
        else:
            yield Article(str(file), problem="unknown_kind")

    def _read_text(self, stream: io.BufferedReader[Any], name: str) -> Iterator[Article]:
        text = as_text(stream, self.encoding, newline="\n")
        if self.lines:
            for number, line in enumerate(text, start=1):
                yield Article(f"{name}:{number}", line)
        else:  # one that is too long is known without reading all of it
            yield Article(name, text.read(self.max_characters + 1))

    def _read_table(self, file: Path) -> Iterator[Article]:
        for number, row in self._rows(file):
            place = f"{file}:{number}"
            if isinstance(row, NoRow):
                yield Article(place, problem=row.reason)
            elif row.get(self.article_column) is UNREADABLE:
                yield Article(place, problem="unreadable")
            else:
                yield self._article(row, place)

    def _rows(self, file: Path) -> Iterator[tuple[int, dict[str, Any] | NoRow]]:
        columns = (self.article_column, self.id_column, self.language_column)
        return raw_rows(str(file), [name for name in columns if name is not None], self.encoding)

    def _article(self, row: dict[str, Any], place: str) -> Article:
        text, identifier = row.get(self.article_column), row.get(self.id_column or "")
        language = row.get(self.language_column or "")
        article = Article(
            id=place if identifier in (None, "") else str(identifier),
            language=language if isinstance(language, str) and langcodes.tag_is_valid(language) else None,
        )
        if not isinstance(text, str | None):
            return replace(article, problem="not_text", detail=f"{self.article_column} is a {type(text).__name__}")
        return replace(article, text=text or "")

    def judged(self, article: Article) -> Article:
        """The article with its problem, if it has one, and without what cannot be summarised."""
        problem, detail = article.problem, article.detail
        if not problem:
            problem, detail = self._problem(article.text)
        clean = article.id.encode(errors="replace").decode()  # a name of bytes that are no UTF-8 could not be written
        text, language = "" if problem else article.text, article.language or self.language
        return replace(article, id=clean, text=text, language=language, problem=problem, detail=detail)

    def _problem(self, text: str) -> tuple[str, str]:
        if is_blank(text):
            return "empty_article", ""
        if not is_utf8(text):
            return "not_utf8", ""
        if len(text) > self.max_characters:
            return "too_long", f"more than {self.max_characters:,} characters"
        return ("", "") if has_letter(text) else ("not_text", "no letter")

    def _require_columns(self, file: Path) -> None:
        seen = _columns(row for _, row in self._rows(file))
        options = {
            "--article-column": self.article_column,
            "--id-column": self.id_column,
            "--language-column": self.language_column,
        }
        for option, column in options.items():
            if seen and column is not None and column not in seen:
                found = ", ".join(map(ascii, seen))[:200]
                raise ValueError(f"{str(file)!r} has no column {column!r}. It has: {found}. Name it by {option}.")


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.exists() else sorted(map(Path, glob.glob(str(path), recursive=True)))


def _columns(rows: Iterable[dict[str, Any] | NoRow]) -> list[str]:
    """The columns of a table's first rows; none if it cannot be read, which `read` reports."""
    try:
        return sorted({name for row in islice(rows, 100) if isinstance(row, dict) for name in row})
    except (OSError, ValueError):
        return []
