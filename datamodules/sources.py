"""What is said of a corpus: where it is, what its columns and splits are called, how much of it is used."""

from __future__ import annotations

from dataclasses import dataclass, field

import langcodes

from datamodules.gap_sentences import GapSentences
from datamodules.text_stream import require_encoding

SPLITS = ("train", "validation", "test")


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
        path: A file, a folder of files or a pattern such as `news/*.csv`, of the kinds that docs/files.md lists
            (`{split}` in it stands for the split's name); or the id of a data set on the Hugging Face hub.
        name: Configuration of the hub data set, such as `3.0.0`.
        revision: Branch, tag or commit of the hub data set.
        columns: Names of the columns.
        splits: Names of the splits.
        hold_out: Share of the training rows to set aside for each of validation and test, in [0, 0.5), chosen by a
            hash of the article so that it stays the same when rows are added. For corpora that have no such splits.
        prefix: Text put before each article, such as `summarize: `. Wins over the data module's prefix by language.
        limits: Greatest number of rows of each split.
        encoding: Of delimited text and JSON, such as `cp1254`; null is UTF-8. A byte order mark wins.
        licence: What the corpus may be used for, best as the hub's identifier, such as `cc-by-4.0`; for the cards of
            exported models.
        gap_sentences: Make pairs of texts without summaries, by a sentence of each passage; see
            `datamodules.gap_sentences`. Then `columns.article` names the text of a document, `path` may be a `.txt`
            file with one document a line, and `hold_out` makes the only validation and test rows. Null for pairs.

    Raises:
        ValueError: If the language code, the encoding, the share or a limit is not legal, or there is no train split to
            hold out of.
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
    encoding: str | None = None
    gap_sentences: GapSentences | None = None

    def __post_init__(self) -> None:
        if not langcodes.tag_is_valid(self.language):
            raise ValueError(
                f"language {self.language!r} of source {self.path!r} is not a language code; "
                "use an ISO 639 code such as tr, en, it or zh-Hans."
            )
        require_encoding(self.encoding, f"encoding of source {self.path!r}")
        if not 0 <= self.hold_out < 0.5:
            raise ValueError(f"hold_out {self.hold_out} of source {self.path!r} must be in [0, 0.5).")
        if self.hold_out and self.splits.train is None:
            raise ValueError(f"hold_out of source {self.path!r} takes from the train split, but splits.train is null.")
        if self.gap_sentences is not None and self.columns.split is not None:
            raise ValueError(
                f"columns.split {self.columns.split!r} of source {self.path!r} has no meaning with gap_sentences; set "
                "hold_out for validation and test rows."
            )
        for split in SPLITS:
            limit = getattr(self.limits, split)
            if limit is not None and limit < 1:
                raise ValueError(f"limits.{split} {limit} of source {self.path!r} must be at least 1, or null.")

    def describe(self) -> str:
        """A short name for tables and messages."""
        return self.path if self.name is None else f"{self.path} ({self.name})"
