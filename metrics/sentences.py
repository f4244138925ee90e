"""Sentences of a text in any script: the one rule for where a sentence ends."""

from __future__ import annotations

import re
from itertools import pairwise

# Full stop, Arabic, Urdu, Hindi, Armenian, Ethiopic and Khmer marks.
_MARKS = ".!?…؟۔।॥։።។"
# A sentence ends at these marks (with closing quotes or brackets) before white space; Chinese, Japanese and Burmese
# marks need none. Tried at the first mark of a row only and never backwards: else a row of dots takes quadratic time.
SENTENCE_END = re.compile(rf"(?<![{_MARKS}])[{_MARKS}]++[\"'”’»)\]]*+(?=\s)|[。！？｡။]+[」』”’）]*")
_BREAK = re.compile(rf"{SENTENCE_END.pattern}|\n")


def sentences(text: str) -> list[str]:
    """Sentences by their closing marks; a line break always ends one. An abbreviation before a space does too.

    Example:
        >>> sentences("Yağdı. Durdu! Bitti")
        ['Yağdı.', 'Durdu!', 'Bitti']
    """
    return [text[start:end] for start, end in sentence_spans(text)]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a text begin and end in it, without white space around them."""
    bounds = [0, *(match.end() for match in _BREAK.finditer(text)), len(text)]
    trimmed = ((start, text[start:end]) for start, end in pairwise(bounds))
    return [
        (start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip()))
        for start, piece in trimmed
        if piece.strip()
    ]
