"""Snowball stemmers by language code."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache

import snowballstemmer

from metrics.words import base_code, lowercase, words

Stem = Callable[[str], str]

_ALGORITHMS = {
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "eo": "esperanto",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "st": "sesotho",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}


def snowball_stemmer(language: str) -> Stem:
    """The Snowball stemmer of a language: a function from a lower-case word to its stem.

    Raises:
        ValueError: If Snowball has none for this language; names those that it has.
    """
    algorithm = _ALGORITHMS.get(base_code(language))
    if algorithm is None:
        known = ", ".join(_ALGORITHMS)
        raise ValueError(f"Snowball has no stemmer for {language!r}, only for {known}; switch stemming off.")
    # Pure Python, about 0.1 ms a word: most words of a corpus come again.
    return lru_cache(maxsize=2**16)(snowballstemmer.stemmer(algorithm).stemWord)


@cache
def word_stems(language: str) -> Callable[[str], list[str]]:
    """A function from a text to the stems of its words; to the lower-case words where Snowball has no stemmer."""
    try:
        stem = snowball_stemmer(language)
    except ValueError:
        return lambda text: words(lowercase(text, language))
    return lambda text: [stem(word) for word in words(lowercase(text, language))]
