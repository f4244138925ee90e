"""Words of scripts that are written without spaces."""

from __future__ import annotations

from itertools import islice

import regex

UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
# Thai's and Lao's vowel AM is one letter in ICU's dictionaries and two in a text's normal form.
_AM = {"\u0e4d\u0e32": "\u0e33", "\u0ecd\u0eb2": "\u0eb3"}
_LETTER = regex.compile(f"(?s){'|'.join(_AM)}|.")


def segment(run: str) -> list[str]:
    """Cuts a run of letters and digits into words by ICU's dictionaries where its script puts no spaces between them.

    The script decides, not the language: a Chinese name in a Turkish text is cut as well. ICU knows Chinese, Japanese,
    Thai, Lao, Khmer and Burmese.

    Returns:
        The words in order, together the whole run; runs of other scripts stay whole.

    Example:
        >>> segment("今日は東京")
        ['今日', 'は', '東京']
    """
    if not UNSPACED.search(run):
        return [run]
    from icu4py.breakers import WordBreaker  # its dictionaries are of no use to most texts

    letters = _LETTER.findall(run)
    spelled = "".join(_AM.get(letter, letter) for letter in letters)
    rest = iter(letters)
    return ["".join(islice(rest, len(word))) for word in WordBreaker(spelled, "und")]
