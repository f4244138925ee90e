"""What a model looked at while it wrote one summary: kept as a file, so that drawing needs no model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# Columns before those of the article: text that the model was given before it, and the mark of its end, on which heads
# rest that look for nothing.
OUTSIDE = ("prefix", "</s>")
END = "</s>"


@dataclass(frozen=True)
class AttentionRecord:
    """Attention of one model, one article and one summary; all weights are shares that sum to 1 over the last axis.

    Shapes: L layers, H heads, W words of the summary and `</s>`, N words and K sentences of the article that were read.

    Attributes:
        model: Name of the model.
        id: Name of the article.
        language: Its code.
        summary_words: W texts, together the summary; the last stands for `</s>`.
        source_words: N texts, together what was read of the article.
        source_sentences: N numbers, from 0: the sentence of each word.
        cut: Whether the article goes on.
        cross: (L, H, W, 2 + N) of the decoder, when it wrote each word (the mean over its tokens), on the two things of
            `OUTSIDE` and the words.
        encoder: (L, H, 2 + K, 2 + K) of the encoder's self-attention, from (the mean over tokens) and to the two things
            of `OUTSIDE` and the sentences.
    """

    model: str
    id: str
    language: str
    summary_words: list[str]
    source_words: list[str]
    source_sentences: list[int]
    cut: bool
    cross: npt.NDArray[np.float32]
    encoder: npt.NDArray[np.float32]

    @property
    def sentences(self) -> list[str]:
        """K texts."""
        return [
            "".join(word for word, own in zip(self.source_words, self.source_sentences, strict=True) if own == number)
            for number in range(max(self.source_sentences) + 1)
        ]

    def cross_by_sentence(self) -> npt.NDArray[np.float32]:
        """`cross` on the article's sentences: (L, H, W, 2 + K)."""
        columns = np.array([0, 1, *(2 + number for number in self.source_sentences)])
        onto = np.eye(columns.max() + 1, dtype=np.float32)[columns]
        return self.cross @ onto


def write_attention(path: Path, record: AttentionRecord) -> None:
    """Writes a record as a compressed `.npz`; weights in fp16."""
    texts = asdict(replace(record, cross=None, encoder=None))  # type: ignore[arg-type]
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: getattr(record, name).astype(np.float16) for name in ("cross", "encoder")}
    np.savez_compressed(path, texts=np.array(json.dumps(texts, ensure_ascii=False)), **weights)


def read_attention(path: Path) -> AttentionRecord:
    """Reads a record.

    Raises:
        ValueError: If the file is missing or no record.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            texts: dict[str, Any] = json.loads(str(file["texts"]))
            weights = {name: file[name].astype(np.float32) for name in ("cross", "encoder")}
        return AttentionRecord(**(texts | weights))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{str(path)!r} is no record of attention ({error}); record_attention.py writes them."
        ) from error


def by_example(records: Sequence[AttentionRecord]) -> dict[tuple[str, str], list[AttentionRecord]]:
    """Records of one article together, by language and id."""
    found: dict[tuple[str, str], list[AttentionRecord]] = {}
    for record in records:
        found.setdefault((record.language, record.id), []).append(record)
    return found


def same_summary(records: Sequence[AttentionRecord]) -> bool:
    """Whether all are of the same words, so that they can be compared row by row."""
    return len({tuple(record.summary_words) for record in records}) == 1
