"""Words of a text in any script: what ROUGE and the baselines count."""

from __future__ import annotations

import unicodedata
from itertools import accumulate, pairwise

import regex

from metrics.segmentation import segment

# Marks belong to their letters: without them the vowel signs of Hindi, Thai or Arabic would cut words to pieces.
_RUN = regex.compile(r"[\p{L}\p{M}\p{N}]+")
# Putting a row of marks in order takes quadratic time; 30 is the bound of Unicode's stream-safe form (UAX 15).
_SURPLUS_MARKS = regex.compile(r"(?<=\p{M}{30})\p{M}+")
SENTINEL = regex.compile(r"<extra_id_\d+>")
# Of two texts that are compared word by word; the time takes the product of their lengths, and so may the memory.
MOST_WORDS = 4096
# Languages whose I has no dot: plain lower-casing would turn I into i and İ into two characters.
_DOTLESS_I = ("tr", "az")


def base_code(language: str) -> str:
    """The language of a code without its region or script: pt for pt-br."""
    return language.lower().replace("_", "-").split("-")[0]


def nfc(text: str) -> str:
    """A text in Unicode's form NFC; of a row of combining marks, which no script makes so long, the first 30 stay."""
    return unicodedata.normalize("NFC", _SURPLUS_MARKS.sub("", text))


def lowercase(text: str, language: str) -> str:
    """Lower-cases NFC text by the rules of a language; in Turkish and Azerbaijani I becomes ı and İ becomes i.

    Example:
        >>> lowercase("ISPARTA İzmir", "tr")
        'ısparta izmir'
    """
    text = nfc(text)
    if base_code(language) in _DOTLESS_I:
        text = text.replace("I", "ı").replace("İ", "i")
    return text.lower()


def without_sentinels(text: str) -> str:
    """The text with a space for each `<extra_id_N>`, which is no word of a summary."""
    return SENTINEL.sub(" ", text)


def words(text: str) -> list[str]:
    """Runs of letters (with their marks) and digits of any script; an apostrophe cuts a Turkish name from its suffix.

    Scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) are cut by a dictionary.

    Example:
        >>> words("Ankara'da kar, -3°C")
        ['Ankara', 'da', 'kar', '3', 'C']
    """
    return [word for run in _RUN.findall(nfc(text)) for word in segment(run)]


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where the words of an NFC text begin and end in it."""
    return [
        span
        for match in _RUN.finditer(text)
        for span in pairwise(accumulate(map(len, segment(match.group())), initial=match.start()))
    ]
