"""Words of a text in any script: what ROUGE and the baselines count."""

from __future__ import annotations

from itertools import accumulate, pairwise

import regex

from metrics.normal_form import normal_form
from metrics.segmentation import segment

# Marks belong to their letters: without them the vowel signs of Hindi, Thai or Arabic would cut words to pieces. By
# themselves they are no words: an emoji is often followed by one.
_RUN = regex.compile(r"[\p{L}\p{N}][\p{L}\p{M}\p{N}]*")
SENTINEL = regex.compile(r"<extra_id_\d+>")
# Of two texts that are compared word by word; the time takes the product of their lengths, and so may the memory.
MOST_WORDS = 4096
# Languages whose I has no dot: plain lower-casing would turn I into i and İ into two characters.
_DOTLESS_I = ("tr", "az")


def base_code(language: str) -> str:
    """The language of a code without its region or script: pt for pt-br."""
    return language.lower().replace("_", "-").split("-")[0]


def lowercase(text: str, language: str) -> str:
    """Lower-case the normal form of a text by the rules of a language.

    In Turkish and Azerbaijani I becomes ı, and İ becomes i; so does an i with a loose dot, which other software makes
    of İ.

    Example:
        >>> lowercase("ISPARTA İzmir", "tr")
        'ısparta izmir'
    """
    text = normal_form(text)
    if base_code(language) in _DOTLESS_I:
        text = text.replace("I", "ı").replace("İ", "i").replace("i\u0307", "i")
    return text.lower()


def without_sentinels(text: str) -> str:
    """The text with a space for each `<extra_id_N>`, which is no word of a summary."""
    return SENTINEL.sub(" ", text)


def words(text: str) -> list[str]:
    """Return the runs of letters (with their marks) and digits, of any script, in the normal form of a text.

    An apostrophe cuts a Turkish name from its suffix. Scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer,
    Burmese) are cut by a dictionary.

    Example:
        >>> words("Ankara'da kar, -3°C")
        ['Ankara', 'da', 'kar', '3', 'C']
    """
    return [word for run in _RUN.findall(normal_form(text)) for word in segment(run)]


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return where the words of a text begin and end in it, as it is written; in its normal form they are `words`."""
    return [
        span
        for match in _RUN.finditer(text)
        for span in pairwise(accumulate(map(len, segment(match.group())), initial=match.start()))
    ]
