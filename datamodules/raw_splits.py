"""Opens the rows of a corpus as they are. What is wrong with a row is decided in `validation`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datamodules.code_fingerprint import cache_key
from datamodules.hub_corpora import complete_hub_source, explain_hub_failure, load_from_hub, root_cause
from datamodules.local_files import (
    TABLE_SUFFIXES,
    RawRow,
    fingerprint_file,
    raw_row,
    read_rows,
    require_columns,
    used_columns,
)
from datamodules.parquet_rows import table_rows
from datamodules.sources import SummarizationSource

_SUFFIXES = ", ".join(sorted(TABLE_SUFFIXES))
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_BATCH = 1_000  # rows of the hub read at once


@dataclass(frozen=True)
class RawSplit:
    """One split of a corpus.

    Attributes:
        fingerprint: Names its rows and the code that reads them.
        read: Yields the rows as `raw_row` makes them; raises a ValueError that says what to do if the corpus cannot be
            read, lacks a column or has no such rows.
    """

    fingerprint: str
    read: Callable[[], Iterator[RawRow]]


def open_split(source: SummarizationSource, split: str) -> RawSplit | None:
    """Open one split.

    Args:
        source: The corpus.
        split: `train`, `validation` or `test`.

    Returns:
        The split, None where the corpus has none (then `hold_out` may provide one).

    Raises:
        ValueError: If the corpus cannot be read; says what to do.
    """
    split_name = getattr(source.splits, split)
    if split_name is None or (source.hold_out and split != "train"):
        return None
    opened = _open_local(source, split_name) if _is_local(source.path) else _open_hub(source, split_name)

    def read() -> Iterator[RawRow]:
        is_empty = True
        for row in opened.read():
            is_empty = False
            yield row
        if is_empty:
            raise ValueError(
                f"Source {source.describe()!r} ({source.language}) has no rows in split {split_name!r}; "
                f"name it null (`splits: {{{split}: null}}`) if that is meant."
            )

    return RawSplit(opened.fingerprint, read)


def _open_local(source: SummarizationSource, split_name: str) -> RawSplit:
    path = Path(source.path.replace("{split}", split_name))
    if not path.is_file():
        raise ValueError(
            f"No file {str(path)!r} (source {source.path!r}, language {source.language}). Check the path; a split "
            "that does not exist is named null, as in `splits: {test: null}`."
        )
    if len(_split_names(source)) > 1 and not (source.columns.split or "{split}" in source.path or source.hold_out):
        raise ValueError(
            f"Source {source.path!r} is one file, so its rows cannot be told apart by split. Give `columns: "
            "{split: NAME}`, a path with `{split}` in it, `hold_out: 0.05` to set rows aside, or name all splits but "
            "one null."
        )
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise ValueError(f"Cannot read {str(path)!r}: its name must end in {_SUFFIXES}.")
    chosen = (split_name, _split_names(source)) if source.columns.split else None
    fingerprint = cache_key(__name__, fingerprint_file(path), source.columns, chosen)
    return RawSplit(fingerprint, lambda: _rows_of_split(path, source, split_name))


def _rows_of_split(path: Path, source: SummarizationSource, split_name: str) -> Iterator[RawRow]:
    rows = read_rows(str(path), source.columns)
    if source.columns.split is None:
        yield from rows
        return
    names = _split_names(source)
    found: set[str] = set()
    for row in rows:
        found.add(str(row["split"]))
        # Rows of no known split go to the first one, where validation counts them: they must not vanish unseen.
        if row["split"] == split_name or (split_name == names[0] and row["split"] not in names):
            yield row
    if found and split_name not in found:
        raise ValueError(
            f"Source {source.describe()!r} ({source.language}) has no rows of split {split_name!r} in column "
            f"{source.columns.split!r}; it has {', '.join(value[:40] for value in sorted(found)[:10])}. Correct "
            "`splits`, or name the split null."
        )


def _open_hub(source: SummarizationSource, split_name: str) -> RawSplit:
    source = complete_hub_source(source)
    if not _HUB_ID.fullmatch(source.path):
        raise ValueError(
            f"path {source.path!r} is neither a readable file ({_SUFFIXES}) nor the id of a data set on the hub "
            "(owner/name)."
        )
    columns = source.columns
    try:
        rows, fingerprint = load_from_hub(source.path, source.name, split_name, source.revision)
    except Exception as error:  # hub errors are many; each ends in one message with the remedy
        raise ValueError(explain_hub_failure(source, split_name, root_cause(error))) from error
    require_columns(f"{source.describe()} ({source.language})", rows.column_names, columns)
    tables = rows.select_columns(used_columns(columns)).with_format("arrow")

    def read() -> Iterator[RawRow]:
        position = 0
        for table in tables.iter(_BATCH):
            for row in table_rows(table):
                yield raw_row(row, position, columns)
                position += 1

    return RawSplit(cache_key(__name__, fingerprint, columns), read)


def _split_names(source: SummarizationSource) -> list[str]:
    return [name for name in (source.splits.train, source.splits.validation, source.splits.test) if name]


def _is_local(path: str) -> bool:
    """Whether it names files rather than a data set on the hub."""
    return Path(path).suffix.lower() in TABLE_SUFFIXES or Path(path).exists()
