"""Where a corpus is and how its raw rows are opened. What is wrong with a row is decided in `validation`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import langcodes

from datamodules.hub_corpora import complete_hub_source, explain_hub_failure
from datamodules.local_files import LOCAL_TEXT_SUFFIXES, fingerprint_files, read_rows

SPLITS = ("train", "validation", "test")
_LOCAL_SUFFIXES = (*sorted(LOCAL_TEXT_SUFFIXES), ".parquet")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
RAW_FEATURES = datasets.Features(
    {name: datasets.Value("string") for name in ("id", "split", "article", "summary", "reading_problem")}
)


@dataclass(frozen=True)
class Columns:
    """Names of a corpus' columns.

    Args:
        article: Column with the text to summarise.
        summary: Column with the reference summary.
        id: Column that identifies a row; without it a row is named by its position.
        split: Column that tells a row's split, for corpora that hold all splits in one file.
    """

    article: str = "article"
    summary: str = "summary"
    id: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Splits:
    """What the corpus calls each split; null where it has none."""

    train: str | None = "train"
    validation: str | None = "validation"
    test: str | None = "test"


@dataclass(frozen=True)
class Limits:
    """Greatest number of valid rows used of each split (a fixed random sample); null is no limit."""

    train: int | None = None
    validation: int | None = None
    test: int | None = None


@dataclass(frozen=True)
class SummarizationSource:
    """One corpus in one language.

    Args:
        language: BCP 47 / ISO 639 code, such as `tr`, `en`, `it` or `sr-Latn`.
        path: A `.jsonl`, `.csv`, `.tsv` or `.parquet` file (`{split}` in it stands for the split's name), or the id of
            a data set on the Hugging Face hub.
        name: Configuration of the hub data set, such as `3.0.0`.
        revision: Branch, tag or commit of the hub data set.
        columns: Names of the columns.
        splits: Names of the splits.
        hold_out: Share of the training rows to set aside for each of validation and test, in [0, 0.5), chosen by a
            hash of the article so that it stays the same when rows are added. For corpora that have no such splits.
        prefix: Text put before each article, such as `summarize: `. Wins over the data module's prefix by language.
        limits: Greatest number of rows of each split.
        licence: What the corpus may be used for, best as the hub's identifier, such as `cc-by-4.0`; for the cards of
            exported models.

    Raises:
        ValueError: If the language code, the share or a limit is not legal, or there is no train split to hold out of.
    """

    language: str
    path: str
    name: str | None = None
    revision: str | None = None
    columns: Columns = field(default_factory=Columns)
    splits: Splits = field(default_factory=Splits)
    hold_out: float = 0.0
    prefix: str | None = None
    limits: Limits = field(default_factory=Limits)
    licence: str | None = None

    def __post_init__(self) -> None:
        if not langcodes.tag_is_valid(self.language):
            raise ValueError(
                f"language {self.language!r} of source {self.path!r} is not a language code; "
                "use an ISO 639 code such as tr, en, it or zh-Hans."
            )
        if not 0 <= self.hold_out < 0.5:
            raise ValueError(f"hold_out {self.hold_out} of source {self.path!r} must be in [0, 0.5).")
        if self.hold_out and self.splits.train is None:
            raise ValueError(f"hold_out of source {self.path!r} takes from the train split, but splits.train is null.")
        for split in SPLITS:
            limit = getattr(self.limits, split)
            if limit is not None and limit < 1:
                raise ValueError(f"limits.{split} {limit} of source {self.path!r} must be at least 1, or null.")

    @property
    def is_local(self) -> bool:
        """Whether `path` names files rather than a data set on the hub."""
        return bool(_local_suffix(self.path)) or Path(self.path).exists()

    def describe(self) -> str:
        """A short name for tables and messages."""
        return self.path if self.name is None else f"{self.path} ({self.name})"


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
    if source.is_local:
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
    if source.is_local and _local_suffix(source.path) in LOCAL_TEXT_SUFFIXES:
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
    values = list(rows[split_column])
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


def _local_suffix(path: str) -> str:
    suffix = Path(path).suffix.lower()
    return suffix if suffix in _LOCAL_SUFFIXES else ""


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
