"""Names in a text, by their capital letters: a rule of spelling, and so only for languages that have it."""

from __future__ import annotations

from dataclasses import dataclass

import regex

from metrics.sentences import sentence_spans
from metrics.words import base_code, word_spans

# Languages whose capitals inside a sentence mean names. Left out: German and Luxembourgish, which capitalise all nouns,
# and scripts without capitals. English also capitalises weekdays, months and nationalities, which then count as names.
_CAPITALS_MEAN_NAMES = (
    "az bg bs ca cs cy da el en es et eu fi fr ga gl hr hu hy id is it lt lv mk ms nb nl no pl pt ro ru sk sl so sq sr "
    "sv sw tr uk uz vi"
)
# After these a sentence may begin: a quotation, or what a colon or a dash announces.
_OPENING = regex.compile(r"[\"“”„«»:–—•]\s*$|(?<!\S)[-*'‘’]\s*$")
_JOINED = regex.compile(r"[ \u00A0.'’&-]{1,2}")
# More capitalised words than this, and the text is set like a title: its capitals mean nothing.
_TITLE_CASE = 0.6


@dataclass(frozen=True)
class Name:
    """A run of capitalised words; a Turkish suffix behind an apostrophe is not part of it.

    Attributes:
        start: Where it begins.
        end: Where its last word ends.
        words: Its words as they stand.
    """

    start: int
    end: int
    words: tuple[str, ...]


def knows_names(language: str) -> bool:
    """Whether capital letters tell names from other words in a language."""
    return base_code(language) in _CAPITALS_MEAN_NAMES.split()


def is_title_case(text: str) -> bool:
    """Whether most words of a text are capitalised, so that names cannot be told apart; texts of 4 words or more."""
    words = [text[start:end] for start, end in word_spans(text)]
    letters = [word for word in words if word[0].isalpha()]
    return len(letters) >= 4 and sum(word[0].isupper() for word in letters) > _TITLE_CASE * len(letters)


def names(text: str, language: str) -> list[Name]:
    """Finds names: capitalised words beside each other, except for the first word of a sentence or quotation.

    A single letter is no name. What is capitalised for another reason is found too, and a name is missed where it is
    a sentence's first word: the list is for checking against a source, not for counting people.

    Args:
        text: Text in its normal form.
        language: Its language.

    Raises:
        ValueError: If capitals do not mean names in this language.

    Example:
        >>> [" ".join(name.words) for name in names("Dün Ahmet Kaya, Ankara'da NATO'yu sordu.", "tr")]
        ['Ahmet Kaya', 'Ankara', 'NATO']
    """
    if not knows_names(language):
        raise ValueError(
            f"In {language!r} capital letters do not tell names from other words (or there are none), so that names "
            "cannot be checked without a model; leave them out, or use an entailment model."
        )
    found = (Name(run[0][0], run[-1][1], tuple(text[start:end] for start, end in run)) for run in _runs(text))
    return [name for name in found if max(map(len, name.words)) > 1]


def _runs(text: str) -> list[list[tuple[int, int]]]:
    """Spans of capitalised words that nothing but a space, hyphen, apostrophe or full stop separates."""
    sentence_starts = {start for start, _ in sentence_spans(text)}
    runs: list[list[tuple[int, int]]] = [[]]
    for start, end in word_spans(text):
        opens = start in sentence_starts or _OPENING.search(text, max(0, start - 3), start)
        if not text[start].isupper() or opens:
            runs.append([])
            continue
        if runs[-1] and not _JOINED.fullmatch(text, runs[-1][-1][1], start):
            runs.append([])
        runs[-1].append((start, end))
    return [run for run in runs if run]
