"""Words of scripts that are written without spaces."""

from __future__ import annotations

import regex

_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")


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
    if not _UNSPACED.search(run):
        return [run]
    from icu4py.breakers import WordBreaker  # its dictionaries are of no use to most texts

    return list(WordBreaker(run, "und"))
