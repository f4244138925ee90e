"""Words that a language is known to have, by which invented ones are told."""

from __future__ import annotations

import lzma
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import regex

from metrics.segmentation import UNSPACED
from metrics.words import base_code, lowercase, without_sentinels, words

# Shorter lists order single summaries otherwise than long ones do: docs/invented_words.md.
LEAST_WORDS = 30_000
LISTS = Path(__file__).parent / "word_lists"
_LETTERS = regex.compile(r"[\p{L}\p{M}]+")


def spelled_words(text: str, language: str) -> list[str]:
    """The lower-case words of a text that a list can hold: of letters alone, in a script with spaces between words.

    Where a script has no spaces, a dictionary cuts nonsense into words that it knows, so that none would be seen.

    Example:
        >>> spelled_words("İzmir'de 3 vapur, 東京", "tr")
        ['izmir', 'de', 'vapur']
    """
    found = words(lowercase(without_sentinels(text), language))
    return [word for word in found if _LETTERS.fullmatch(word) and not UNSPACED.search(word)]


def words_of(texts: Iterable[str], language: str) -> frozenset[str]:
    """All `spelled_words` of some texts."""
    return frozenset(word for text in texts for word in spelled_words(text, language))


@cache
def shipped_words(language: str) -> frozenset[str]:
    """The list that comes with the project (Turkish, English, Italian); empty for other languages.

    It is read when it is first asked for: some hundredths of a second.
    """
    path = LISTS / f"{base_code(language)}.txt.xz"
    if not path.is_file():
        return frozenset()
    return frozenset(lzma.decompress(path.read_bytes()).decode("utf-8").split("\n"))
