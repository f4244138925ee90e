"""Which pieces of a vocabulary the corpora need: mT5 knows 101 languages, a summariser of two needs a quarter of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import pyarrow.compute
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from transformers import PreTrainedTokenizerBase

from datamodules.tokenizer import tokenizer_fingerprint, trim_tokenizer, vocabulary_of

# Tensor cores take matrices in tiles; a vocabulary of a multiple of 64 leaves none half empty.
ROWS_MULTIPLE = 64
# What a run and a trimmed model call their kept pieces.
RECORD = "vocabulary.json"
KEPT_KEY = "kept_pieces"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class VocabularyTrimming:
    """Which pieces stay beside bytes, special pieces, sentinels and the single characters of ASCII and training rows.

    Args:
        min_count: Keep the pieces that occur at least so often in the training rows; at least 1.
        coverage: Of these keep the fewest, most frequent ones, that make up this share of the training rows' tokens;
            in (0, 1].
        reserve: Keep so many of the base's most probable pieces too, counting only those that are spelt with
            characters of the training rows; for words that only new articles have.
        file: A `vocabulary.json` of a run or of a trimmed model: keep what it says, whatever the training rows are.
            So a trained model can be tested on other corpora.

    Raises:
        ValueError: If a value is out of range.
    """

    min_count: int = 1
    coverage: float = 1.0
    reserve: int = 20_000
    file: str | None = None

    def __post_init__(self) -> None:
        for name, bound in (("min_count", 1), ("reserve", 0)):
            if getattr(self, name) < bound:
                raise ValueError(f"vocabulary.{name} {getattr(self, name)} must be at least {bound}.")
        if not 0 < self.coverage <= 1:
            raise ValueError(f"vocabulary.coverage {self.coverage} must be above 0 and at most 1.")


def count_rows(rows: datasets.Dataset | None, size: int) -> np.ndarray:
    """Counts pieces in the columns `input_ids` and `labels`; (size,) int64, all 0 without rows."""
    if rows is None:
        return np.zeros(size, np.int64)
    batches = rows.select_columns(["input_ids", "labels"]).with_format("arrow").iter(1000)
    flat = (pyarrow.compute.list_flatten(column).to_numpy() for batch in batches for column in batch.itercolumns())
    return count_ids(flat, size)


def count_ids(arrays: Iterable[Sequence[int] | np.ndarray], size: int) -> np.ndarray:
    """Counts ids in [0, size); (size,) int64."""
    counts = np.zeros(size, np.int64)
    for ids in arrays:
        counts += np.bincount(np.asarray(ids, np.int64), minlength=size)
    return counts


def trim_to_rows(
    tokenizer: PreTrainedTokenizerBase, rows: datasets.Dataset | None, settings: VocabularyTrimming
) -> np.ndarray:
    """Trims a tokenizer, in place, to what training rows need, or to what `settings.file` says.

    Args:
        tokenizer: From `load_tokenizer`.
        rows: The training rows, encoded with it; unused with a file.
        settings: What to keep.

    Returns:
        (K,) int64 ids, ascending.

    Raises:
        ValueError: See `choose_pieces`, `trim_tokenizer` and `trim_to_file`.
    """
    if settings.file is not None:
        return trim_to_file(tokenizer, settings.file)
    return trim_to_counts(tokenizer, count_rows(rows, len(tokenizer)), settings)


def trim_to_counts(tokenizer: PreTrainedTokenizerBase, counts: np.ndarray, settings: VocabularyTrimming) -> np.ndarray:
    """Trims a tokenizer, in place, by (V,) counts of its pieces; else as `trim_to_rows`."""
    kept = choose_pieces(vocabulary_of(tokenizer), counts, settings, tokenizer.all_special_ids)
    trim_tokenizer(tokenizer, kept.tolist())
    share = counts[kept].sum() / counts.sum()
    rank_zero_info(f"vocabulary: {len(kept):,} of {len(counts):,} pieces kept, {share:.3%} of all training tokens.")
    return kept


def trim_to_file(tokenizer: PreTrainedTokenizerBase, path: str | Path) -> np.ndarray:
    """Trims a tokenizer, in place, to the pieces in a file of `write_record`.

    Returns:
        (K,) int64 ids, ascending.

    Raises:
        ValueError: If there is no such file, or it belongs to another tokenizer.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        kept, fingerprint = [int(index) for index in record[KEPT_KEY]], record["tokenizer"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"data.vocabulary.file {str(path)!r} is no {RECORD} of a run or trimmed model.") from error
    fits = max(kept, default=0) < len(tokenizer)
    if fits:
        trim_tokenizer(tokenizer, kept)
    if not fits or tokenizer_fingerprint(tokenizer) != fingerprint:
        raise ValueError(f"The pieces in {str(path)!r} are those of another tokenizer; set model.base to its model.")
    return np.array(kept)


def write_record(path: Path, kept: np.ndarray, fingerprint: str, **more: object) -> None:
    """Writes JSON that `trim_to_file` reads, once: a resumed run keeps what belongs to its checkpoints.

    Args:
        path: The file; its folder is made. If it exists, nothing happens.
        kept: (K,) ids of the kept pieces.
        fingerprint: Of the tokenizer that they make.
        more: What else to write.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {**more, "tokenizer": fingerprint, KEPT_KEY: kept.tolist()}
    path.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")


def choose_pieces(
    vocabulary: Sequence[tuple[str, float]], counts: np.ndarray, settings: VocabularyTrimming, special: Iterable[int]
) -> np.ndarray:
    """Chooses what to keep.

    Args:
        vocabulary: From `vocabulary_of`.
        counts: (V,) how often each piece occurs in the training rows.
        settings: What to keep.
        special: Ids of padding, `</s>` and other special tokens.

    Returns:
        (K,) int64 ids, ascending; K is a multiple of 64 if there are pieces enough: the most probable ones fill it up.

    Raises:
        ValueError: If `counts` are all zero.
    """
    if not counts.any():
        raise ValueError("data.vocabulary counts the pieces of the training rows, but there is none.")
    pieces, scores = [piece for piece, _ in vocabulary], np.array([score for _, score in vocabulary])
    always = scores >= 0  # sentinels; the score of any other piece is the logarithm of a probability
    always[list(special)] = True
    always |= byte_pieces(pieces)
    ordinary = np.flatnonzero(~always)
    by_score = ordinary[np.argsort(-scores[ordinary], kind="stable")]

    characters = {character for index in np.flatnonzero((counts > 0) & ~always) for character in pieces[index]}
    spelt = np.array([characters.issuperset(piece) for piece in pieces])
    # Without a piece for "<" a literal "</s>" in a text could only be read as the end of it.
    single = np.array([len(piece) == 1 and (piece in characters or piece.isascii()) for piece in pieces])
    keep = always | single | _frequent(counts, settings)
    keep[by_score[spelt[by_score]][: settings.reserve]] = True
    keep[by_score[-1:]] = True  # the score of unknown characters is reckoned from the least one
    rest = by_score[~keep[by_score]]
    keep[rest[: -int(keep.sum()) % ROWS_MULTIPLE]] = True
    return np.flatnonzero(keep)


def byte_pieces(pieces: Sequence[str]) -> np.ndarray:
    """Which pieces (V,) stand for single bytes, such as `<0xC4>`."""
    return np.array([_BYTE.fullmatch(piece) is not None for piece in pieces])


def _frequent(counts: np.ndarray, settings: VocabularyTrimming) -> np.ndarray:
    """Which pieces (V,) occur often enough; of two of one count the more probable one, which comes first, stays."""
    order = np.argsort(-counts, kind="stable")
    share = np.cumsum(counts[order]) / counts.sum()
    needed = int(np.searchsorted(share, settings.coverage)) + 1
    keep = np.zeros(len(counts), bool)
    keep[order[:needed]] = True
    return keep & (counts >= settings.min_count)
