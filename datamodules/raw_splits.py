"""Opens the rows of a corpus as they are. What is wrong with a row is decided in `validation`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from datamodules.code_fingerprint import cache_key
from datamodules.gap_rows import fingerprint_pairs, made_rows
from datamodules.hub_corpora import complete_hub_source, explain_hub_failure, load_from_hub, root_cause
from datamodules.local_files import (
    RawRow,
    fingerprint_file,
    raw_row,
    read_rows,
    require_columns,
    split_key,
    used_columns,
)
from datamodules.parquet_rows import table_rows
from datamodules.sources import SummarizationSource
from datamodules.table_paths import TABLE_SUFFIXES, is_local, named_ends, table_files

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


def open_split(
    source: SummarizationSource, split: str, keep_clear_of: Sequence[SummarizationSource] = ()
) -> RawSplit | None:
    """Open one split.

    Args:
        source: The corpus.
        split: `train`, `validation` or `test`.
        keep_clear_of: Corpora whose validation and test rows no pair that is made of texts may share words with.

    Returns:
        The split, None where the corpus has none (then `hold_out` may provide one).

    Raises:
        ValueError: If the corpus cannot be read; says what to do.
    """
    split_name = getattr(source.splits, split)
    if source.gap_sentences is not None:
        return _open_gaps(source, keep_clear_of) if split == "train" else None
    if split_name is None or (source.hold_out and split != "train"):
        return None
    opened = _open_local(source, split_name) if is_local(source.path) else _open_hub(source, split_name)

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


def _open_gaps(source: SummarizationSource, keep_clear_of: Sequence[SummarizationSource]) -> RawSplit:
    judges = [raw for one in keep_clear_of for raw in _judging(one)]

    def read() -> Iterator[RawRow]:
        texts = (row[name] for raw in judges for row in raw.read() for name in ("article", "summary"))
        return made_rows(source, (text for text in texts if isinstance(text, str)))

    return RawSplit(fingerprint_pairs(source, [raw.fingerprint for raw in judges]), read)


def _judging(source: SummarizationSource) -> list[RawSplit]:
    """Open the validation and test rows of a corpus, all rows where it has neither."""
    own = [raw for split in ("validation", "test") if (raw := open_split(source, split))]
    return own or [raw for raw in (open_split(source, "train"),) if raw]


def _open_local(source: SummarizationSource, split_name: str) -> RawSplit:
    path = source.path.replace("{split}", split_name)
    try:
        files = table_files(path)
    except ValueError as error:
        absent = " A split that does not exist is named null, as in `splits: {test: null}`."
        raise ValueError(
            f"Source of language {source.language}: {error}{absent if '{split}' in source.path else ''}"
        ) from error
    if len(_split_names(source)) > 1 and not (source.columns.split or "{split}" in source.path or source.hold_out):
        what = "is one file" if len(files) == 1 else f"names {len(files)} files of all splits"
        raise ValueError(
            f"Source {source.path!r} {what}, so its rows cannot be told apart by split. Give `columns: "
            "{split: NAME}`, a path with `{split}` in it, `hold_out: 0.05` to set rows aside, or name all splits but "
            "one null."
        )
    chosen = (split_name, _split_names(source)) if source.columns.split else None
    contents = [(file.name if len(files) > 1 else "", fingerprint_file(file)) for file in files]
    fingerprint = cache_key(__name__, contents, source.columns, source.encoding, chosen)
    return RawSplit(fingerprint, lambda: _rows_of_split(files, source, split_name))


def _rows(files: list[Path], source: SummarizationSource) -> Iterator[RawRow]:
    for file in files:
        for row in read_rows(str(file), source.columns, source.encoding):
            # Positions name rows of one file only.
            yield row if len(files) == 1 or source.columns.id else row | {"id": f"{file.name}:{row['id']}"}


def _rows_of_split(files: list[Path], source: SummarizationSource, split_name: str) -> Iterator[RawRow]:
    rows = _rows(files, source)
    if source.columns.split is None:
        yield from rows
        return
    names = [split_key(name) for name in _split_names(source)]
    wanted = split_key(split_name)
    found: set[str] = set()
    for row in rows:
        found.add(str(row["split"]))
        # Rows of no known split go to the first one, where validation counts them: they must not vanish unseen.
        if row["split"] == wanted or (wanted == names[0] and row["split"] not in names):
            yield row
    if found and wanted not in found:
        raise ValueError(
            f"Source {source.describe()!r} ({source.language}) has no rows of split {split_name!r} in column "
            f"{source.columns.split!r}; it has {', '.join(value[:40] for value in sorted(found)[:10])}. Correct "
            "`splits`, or name the split null."
        )


def _open_hub(source: SummarizationSource, split_name: str) -> RawSplit:
    source = complete_hub_source(source)
    if not _HUB_ID.fullmatch(source.path):
        raise ValueError(
            f"path {source.path!r} is neither a readable file ({named_ends(TABLE_SUFFIXES)}) nor the id of a data "
            "set on the hub (owner/name)."
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
