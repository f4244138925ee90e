"""Which words count as known in each language of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import datasets
import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from datamodules.preparation import column
from metrics.known_words import LEAST_WORDS, shipped_words, words_of

# Reading these takes some seconds a language; further rows add few words.
MOST_ROWS = 10_000


class KnownWords:
    """Gathers known words when they are first asked for: those that ship, of own texts, and of the training rows.

    Args:
        texts: UTF-8 text files by language.
    """

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        self.texts = texts
        self._found: dict[str, frozenset[str]] = {}

    def require_files(self) -> None:
        """Reads all files, so that a run does not fail at its first validation.

        Raises:
            ValueError: If one cannot be read as UTF-8 text.
        """
        for language in self.texts:
            for _ in self._lines(language):
                pass

    def of(self, language: str, rows: datasets.Dataset | None) -> frozenset[str]:
        """The known words of a language, in lower case.

        Args:
            language: Code.
            rows: Training rows of all languages; of one language, at most `MOST_ROWS`, evenly spaced, are read.
        """
        if language not in self._found:
            texts = chain(self._lines(language), _texts(rows, language))
            found = shipped_words(language) | words_of(texts, language)
            if len(found) < LEAST_WORDS:
                rank_zero_info(
                    f"invented_words is not measured in {language}: {len(found):,} words are known, and it takes "
                    f"{LEAST_WORDS:,}. Name text files in data.known_texts.{language}."
                )
            self._found[language] = found
        return self._found[language]

    def _lines(self, language: str) -> Iterator[str]:
        for path in self.texts.get(language, ()):
            try:
                with Path(path).open(encoding="utf-8") as lines:
                    yield from lines
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is no plain UTF-8 text"
                raise ValueError(
                    f"data.known_texts.{language} names {path}, which cannot be read: {reason}. Mend or leave it out."
                ) from error


def _texts(rows: datasets.Dataset | None, language: str) -> Iterator[str]:
    if rows is None or not len(rows):
        return
    own = np.flatnonzero(column(rows, "language") == language)
    chosen = own[np.linspace(0, len(own) - 1, min(len(own), MOST_ROWS), dtype=np.int64)] if len(own) else own
    for batch in rows.select(chosen).select_columns(["article", "summary"]).iter(batch_size=1_000):
        yield from batch["article"]  # type: ignore[index]
        yield from batch["summary"]  # type: ignore[index]
