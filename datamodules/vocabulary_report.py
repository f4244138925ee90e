"""What a trimmed vocabulary costs: how much longer texts become, and how much of them is spelt in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
from rich.table import Table
from transformers import PreTrainedTokenizerBase

from datamodules.local_files import read_rows
from datamodules.pieces import byte_pieces, count_ids
from datamodules.sources import Columns
from datamodules.table_paths import table_suffix
from datamodules.tokenizer import vocabulary_of
from metrics.words import words

# Enough for three digits, and seconds of work.
SAMPLE_ROWS = 1_000
_BATCH = 500


@dataclass(frozen=True)
class TextSample:
    """Texts whose segmentation is compared.

    Attributes:
        language: Their code.
        split: `train`, or `validation` for texts that had no part in the choice of pieces.
        texts: Articles and summaries.
    """

    language: str
    split: str
    texts: list[str]


@dataclass(frozen=True)
class SegmentationChange:
    """One sample under the base's tokenizer and under the trimmed one.

    Attributes:
        language: Of the sample.
        split: Of the sample.
        outside: Share of the base's tokens whose piece was not kept.
        tokens_per_word: Before and after.
        byte_share: Share of the tokens that are bytes, before and after.
    """

    language: str
    split: str
    outside: float
    tokens_per_word: tuple[float, float]
    byte_share: tuple[float, float]


def compare(
    sample: TextSample, base: PreTrainedTokenizerBase, trimmed: PreTrainedTokenizerBase, kept: np.ndarray
) -> SegmentationChange:
    """Cuts texts with both tokenizers.

    Args:
        sample: The texts; at least one word.
        base: The whole tokenizer.
        trimmed: The one of the kept pieces.
        kept: (K,) their ids in `base`.

    Returns:
        What changes.
    """
    before, after = count_texts(sample.texts, base), count_texts(sample.texts, trimmed)
    spelt = byte_pieces([piece for piece, _ in vocabulary_of(base)])
    count, tokens = sum(len(words(text)) for text in sample.texts), (before.sum(), after.sum())
    return SegmentationChange(
        sample.language,
        sample.split,
        outside=float(1 - before[kept].sum() / tokens[0]),
        tokens_per_word=(float(tokens[0] / count), float(tokens[1] / count)),
        byte_share=(float(before[spelt].sum() / tokens[0]), float(after[spelt[kept]].sum() / tokens[1])),
    )


def count_texts(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Counts the pieces of texts; (V,) int64."""
    batches = (texts[start : start + _BATCH] for start in range(0, len(texts), _BATCH))
    rows = (tokenizer(list(batch), add_special_tokens=False, verbose=False).input_ids for batch in batches)
    return count_ids((ids for batch in rows for ids in batch), len(tokenizer))


def sample_rows(rows: datasets.Dataset, split: str) -> list[TextSample]:
    """At most `SAMPLE_ROWS` articles and summaries of each language, evenly spaced."""
    languages = np.asarray(rows["language"][:])
    samples = []
    for language in dict.fromkeys(languages.tolist()):
        found = np.flatnonzero(languages == language)
        chosen = rows.select(found[:: -(-len(found) // SAMPLE_ROWS)])
        samples.append(TextSample(language, split, [*chosen["article"], *chosen["summary"]]))
    return samples


def read_texts(path: Path) -> Iterator[str]:
    """Articles and summaries of a table, or the lines of any other.

    Raises:
        ValueError: If the file cannot be read.
    """
    if table_suffix(path):
        for row in read_rows(str(path), Columns()):
            yield from (text for text in (row["article"], row["summary"]) if text)
        return
    try:
        with path.open(encoding="utf-8") as file:
            yield from (line.strip() for line in file if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"Cannot read {str(path)!r} as UTF-8 text: {error}") from error


def table(changes: Iterable[SegmentationChange]) -> Table:
    """One row a sample."""
    result = Table("lang", "split", "outside", "tokens/word", "trimmed", "bytes", "trimmed")
    for change in changes:
        cells = (change.outside, *change.tokens_per_word, *change.byte_share)
        formats = ("{:.3%}", "{:.3f}", "{:.3f}", "{:.4%}", "{:.4%}")
        numbers = (form.format(cell) for form, cell in zip(formats, cells, strict=True))
        result.add_row(change.language, change.split, *numbers)
    return result
