"""Opens the rows of a corpus as they are. What is wrong with a row is decided in `validation`."""

from __future__ import annotations

import re
from pathlib import Path

import datasets

from datamodules.hub_corpora import complete_hub_source, explain_hub_failure
from datamodules.local_files import LOCAL_TEXT_SUFFIXES, fingerprint_files, read_rows
from datamodules.sources import Columns, SummarizationSource

_LOCAL_SUFFIXES = (*sorted(LOCAL_TEXT_SUFFIXES), ".parquet")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
RAW_FEATURES = datasets.Features(
    {name: datasets.Value("string") for name in ("id", "split", "article", "summary", "reading_problem")}
)


def load_raw_split(source: SummarizationSource, split: str) -> datasets.Dataset | None:
    """Opens the rows of one split, unchanged.

    Args:
        source: The corpus.
        split: `train`, `validation` or `test`.

    Returns:
        A dataset that has at least the columns that `source.columns` names, or None where the corpus has no such split
        (then `hold_out` may provide one). Rows of local text files come with `RAW_FEATURES`.

    Raises:
        ValueError: If the corpus cannot be read or lacks a column; says what to do.
    """
    split_name = getattr(source.splits, split)
    if split_name is None or (source.hold_out and split != "train"):
        return None
    if _is_local(source.path):
        rows = _load_local(source, split_name)
    else:
        source = complete_hub_source(source)
        rows = _load_hub(source, split_name)
    if not len(rows):
        raise ValueError(
            f"Source {source.describe()!r} ({source.language}) has no rows in split {split_name!r}; "
            f"name it null (`splits: {{{split}: null}}`) if that is meant."
        )
    _require_columns(source, rows)
    return rows


def column_names(source: SummarizationSource) -> Columns:
    """The columns under which `load_raw_split` delivers: local text files are renamed to ours while reading."""
    if _is_local(source.path) and _local_suffix(source.path) in LOCAL_TEXT_SUFFIXES:
        return Columns(id="id", split="split" if source.columns.split else None)
    return source.columns


def _load_local(source: SummarizationSource, split_name: str) -> datasets.Dataset:
    path = Path(source.path.replace("{split}", split_name))
    if not path.is_file():
        raise ValueError(
            f"No file {str(path)!r} (source {source.path!r}, language {source.language}). Check the path; a split "
            "that does not exist is named null, as in `splits: {test: null}`."
        )
    named = [name for name in (source.splits.train, source.splits.validation, source.splits.test) if name]
    if len(named) > 1 and not (source.columns.split or "{split}" in source.path or source.hold_out):
        raise ValueError(
            f"Source {source.path!r} is one file, so its rows cannot be told apart by split. Give `columns: "
            "{split: NAME}`, a path with `{split}` in it, `hold_out: 0.05` to set rows aside, or name all splits but "
            "one null."
        )
    suffix = _local_suffix(source.path)
    if not suffix:
        raise ValueError(f"Cannot read {str(path)!r}: its name must end in {', '.join(_LOCAL_SUFFIXES)}.")
    rows = _open_text(path, source.columns) if suffix in LOCAL_TEXT_SUFFIXES else _open_parquet(path)
    return _only_split(rows, column_names(source).split, split_name, source)


def _only_split(
    rows: datasets.Dataset, split_column: str | None, split_name: str, source: SummarizationSource
) -> datasets.Dataset:
    if split_column is None or not len(rows):
        return rows
    _require_columns(source, rows)
    values = rows[split_column][:]
    names = [name for name in (source.splits.train, source.splits.validation, source.splits.test) if name]
    # Rows of no known split go to the first one, where validation counts them: they must not vanish unseen.
    wanted = {split_name} | ({value for value in values if value not in names} if split_name == names[0] else set())
    if split_name not in values:
        found = ", ".join(sorted({str(value) for value in values})[:10])
        raise ValueError(
            f"Source {source.describe()!r} ({source.language}) has no rows of split {split_name!r} in column "
            f"{split_column!r}; it has {found}. Correct `splits`, or name the split null."
        )
    return rows.select([index for index, value in enumerate(values) if value in wanted])


def _open_text(path: Path, columns: Columns) -> datasets.Dataset:
    if next(read_rows(str(path), columns), None) is None:  # `from_generator` refuses to make an empty dataset
        return datasets.Dataset.from_dict({name: [] for name in RAW_FEATURES}, features=RAW_FEATURES)
    try:
        return datasets.Dataset.from_generator(
            read_rows,
            features=RAW_FEATURES,
            gen_kwargs={"path": str(path), "columns": columns},
            fingerprint=fingerprint_files([path], extra=repr(columns)),
        )
    except datasets.exceptions.DatasetGenerationError as error:
        if isinstance(error.__cause__, ValueError):  # from `read_rows`, which says what is wrong
            raise error.__cause__ from None
        raise


def _open_parquet(path: Path) -> datasets.Dataset:
    try:
        return datasets.load_dataset("parquet", data_files=str(path), split="train")
    except Exception as error:  # pyarrow and datasets raise many kinds; the message is what counts
        raise ValueError(f"Cannot read {str(path)!r} as Parquet: {_root_cause(error)}") from error


def _load_hub(source: SummarizationSource, split_name: str) -> datasets.Dataset:
    if not _HUB_ID.fullmatch(source.path):
        raise ValueError(
            f"path {source.path!r} is neither a readable file ({', '.join(_LOCAL_SUFFIXES)}) "
            "nor the id of a data set on the hub (owner/name)."
        )
    try:
        return datasets.load_dataset(source.path, source.name, split=split_name, revision=source.revision)
    except Exception as error:  # hub errors are many; each ends in one message with the remedy
        raise ValueError(explain_hub_failure(source, split_name, _root_cause(error))) from error


def _require_columns(source: SummarizationSource, rows: datasets.Dataset) -> None:
    names = column_names(source)
    wanted = {"article": names.article, "summary": names.summary, "id": names.id, "split": names.split}
    for role, name in wanted.items():
        if name is not None and name not in rows.column_names:
            raise ValueError(
                f"Source {source.describe()!r} ({source.language}) has no column {name!r} for the {role}. "
                f"It has: {', '.join(rows.column_names)}. Set `columns.{role}`."
            )


def _is_local(path: str) -> bool:
    """Whether it names files rather than a data set on the hub."""
    return bool(_local_suffix(path)) or Path(path).exists()


def _local_suffix(path: str) -> str:
    suffix = Path(path).suffix.lower()
    return suffix if suffix in _LOCAL_SUFFIXES else ""


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
