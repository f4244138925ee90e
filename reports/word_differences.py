"""Which words two texts share, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from metrics.words import lowercase, word_spans


@dataclass(frozen=True)
class MarkedPiece:
    """A stretch of a text.

    Attributes:
        text: A word, or what stands between words.
        in_reference: Whether the word is part of the longest matching blocks with the reference; spaces are not.
        in_other: The same with the other system's summary.
    """

    text: str
    in_reference: bool = False
    in_other: bool = False


def marked_pieces(text: str, reference: str, other: str, language: str) -> list[MarkedPiece]:
    """Cuts a summary into words and what is between them, and says which words other texts have at the same place.

    Words are compared in lower case, by Ratcliff and Obershelp's matching (difflib): the longest common run of words,
    then the same before and behind it.

    Args:
        text: The summary.
        reference: What it should say.
        other: Another system's summary; the same text shows no difference.
        language: Of all three; decides casing.

    Returns:
        Pieces that together are the text.
    """
    shared = [_shared(text, one, language) for one in (reference, other)]
    return list(_pieces(text, *shared))


def _pieces(text: str, in_reference: set[int], in_other: set[int]) -> Iterator[MarkedPiece]:
    end = 0
    for number, (start, stop) in enumerate(word_spans(text)):
        if start > end:
            yield MarkedPiece(text[end:start])
        yield MarkedPiece(text[start:stop], number in in_reference, number in in_other)
        end = stop
    if end < len(text):
        yield MarkedPiece(text[end:])


def _shared(text: str, other: str, language: str) -> set[int]:
    """Numbers of the words of a text that match."""
    first, second = (_words(one, language) for one in (text, other))
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return {place for block in blocks for place in range(block.a, block.a + block.size)}


def _words(text: str, language: str) -> list[str]:
    return [lowercase(text[start:end], language) for start, end in word_spans(text)]
