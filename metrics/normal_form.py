"""The form in which texts are compared: the tokenizer's."""

from __future__ import annotations

import re
import unicodedata

import regex

# What SentencePiece's rule `nmt_nfkc` does beside NFKC: it drops control characters, and reads marks of no width and
# its own word mark as spaces.
_CONTROL = "\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f"
_NO_WIDTH = "\u061c\u200b-\u200f\u2581\ufeff\ufffd"
_OTHER = re.compile(f"[{_CONTROL}{_NO_WIDTH}]")
# Putting a row of marks in order takes quadratic time; 30 is the bound of Unicode's stream-safe form (UAX 15).
_SURPLUS_MARKS = regex.compile(r"(?<=\p{M}{30})\p{M}+")


def normal_form(text: str) -> str:
    """Return a text as mT5's tokenizer reads it, so that texts it cannot tell apart are equal.

    A model is given this form and writes it: it cannot write `１０`, `ﬁ` or `…`, only `10`, `fi` and `...`. Compared
    as they were written, a perfect summary would differ from its reference, and two articles that are one to the
    model would be two. For comparing only: what is stored and shown stays as it was.

    White space stays, since line breaks end sentences; the tokenizer reads any run of it as one space. Of a row of
    combining marks, which no script makes so long, the first 30 stay.

    Example:
        >>> normal_form("１０億円…")
        '10億円...'
    """
    return unicodedata.normalize("NFKC", _SURPLUS_MARKS.sub("", _OTHER.sub(_replacement, text)))


def _replacement(mark: re.Match[str]) -> str:
    return " " if mark[0] > "\u00ff" else ""
