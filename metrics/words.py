"""Words of a text in any script: what ROUGE and the baselines count."""

from __future__ import annotations

import unicodedata

import regex

# Marks belong to their letters: without them the vowel signs of Hindi, Thai or Arabic would cut words to pieces.
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")
# Languages whose I has no dot: plain lower-casing would turn I into i and İ into two characters.
_DOTLESS_I = ("tr", "az")


def lowercase(text: str, language: str) -> str:
    """Lower-cases NFC text by the rules of a language; in Turkish and Azerbaijani I becomes ı and İ becomes i.

    Example:
        >>> lowercase("ISPARTA İzmir", "tr")
        'ısparta izmir'
    """
    text = unicodedata.normalize("NFC", text)
    if language in _DOTLESS_I:
        text = text.replace("I", "ı").replace("İ", "i")
    return text.lower()


def words(text: str) -> list[str]:
    """Runs of letters (with their marks) and digits of any script; an apostrophe cuts a Turkish name from its suffix.

    Example:
        >>> words("Ankara'da kar, -3°C")
        ['Ankara', 'da', 'kar', '3', 'C']
    """
    return _WORD.findall(unicodedata.normalize("NFC", text))


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where the words of a text begin and end in it."""
    return [match.span() for match in _WORD.finditer(text)]
