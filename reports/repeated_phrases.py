"""Summaries that repeat themselves, made short enough to be read as examples; what is scored is never changed."""

from __future__ import annotations

import re

_LONGEST_PHRASE = 12  # words
_LONGEST_TEXT = 500  # characters
_REPEATED = re.compile(rf"(?<!\S)((?:\S+\s+){{0,{_LONGEST_PHRASE - 1}}}?\S+)(?:\s+\1){{2,}}(?!\S)")
COUNT = "(×"  # before the number
SHORTENED = "A phrase that stands n times in a row is shown once, with “… (×n)”; longer texts are cut at “…”."


def shortened(text: str) -> str:
    """A phrase of up to 12 words that stands three times in a row or more is written once, with its count.

    What is longer than 500 characters even so is cut between words.

    Example:
        >>> shortened("They were to be to be to be to be")
        'They were to be … (×4)'
    """
    short = _REPEATED.sub(_once, text)
    return short if len(short) <= _LONGEST_TEXT else short[:_LONGEST_TEXT].rsplit(maxsplit=1)[0] + " …"


def _once(found: re.Match[str]) -> str:
    phrase = found[1]
    count = len(found[0].split()) // len(phrase.split())
    return f"{phrase} … {COUNT}{count})"
