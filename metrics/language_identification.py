"""Whether a text is in another language than it should be."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import langcodes
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from metrics.normal_form import normal_form

# A text is called wrong if some language is this many times as likely as the expected one. Of 11,800 Turkish, English
# and Italian summaries and headlines 6 reach it, and those really are Welsh or English. Taken for another of seven
# languages, 97 to 100% of the summaries reach it, and 73 to 99% of the headlines of 7 to 10 words.
_ODDS = 100
# Shorter texts in UTF-8 say too little: about three words, or seven Chinese characters.
_LEAST_BYTES = 20
# Not a language but the identifier's name for numbers and symbols.
_NO_LANGUAGE = "zxx"


def is_identifiable(language: str) -> bool:
    """Whether the identifier knows a language; of XL-Sum's languages it lacks Kirundi and Tigrinya.

    Example:
        >>> is_identifiable("pt-br"), is_identifiable("rn")
        (True, False)
    """
    return _label(language) is not None


def in_other_language(texts: Sequence[str], language: str) -> list[bool]:
    """Finds the texts that are surely not in a language; in doubt a text passes.

    The identifier is py3langid, a naive Bayes classifier over byte n-grams (Lui & Baldwin 2012, langid.py). All of its
    140 languages compete, not only those of a corpus: a model may slip into any. Closely related languages share the
    probability, so that a short Danish text passes for Norwegian. Scripts of one language are not told apart.

    Args:
        texts: Texts; one below 20 bytes, or of digits and symbols only, is in no other language.
        language: The language expected, as a code such as `tr` or `pt-br`.

    Returns:
        One truth value for each text.

    Raises:
        ValueError: If the identifier does not know the language.
    """
    label = _label(language)
    if label is None:
        raise ValueError(f"Language {language!r} is unknown to py3langid; ask is_identifiable first.")
    return [_surely_other(normal_form(text), label) for text in texts]


def identify_language(text: str, known: Sequence[str] = ()) -> str | None:
    """The language that a text is most likely in.

    Args:
        text: Any text.
        known: Codes to prefer: if the text is in one of these languages, it is named as it stands here.

    Returns:
        A code, or None for a text below 20 bytes or of digits and symbols only.

    Example:
        >>> identify_language("Vapur seferleri fırtına yüzünden durduruldu.", known=["tr-TR"])
        'tr-TR'
    """
    text = normal_form(text)
    if len(text.encode("utf-8", errors="replace")) < _LEAST_BYTES:
        return None
    likeliest, _ = _identifier().classify(text)
    if likeliest == _NO_LANGUAGE:
        return None
    return next((code for code in known if _label(code) == likeliest), likeliest)


def _surely_other(text: str, label: str) -> bool:
    if len(text.encode("utf-8", errors="replace")) < _LEAST_BYTES:
        return False
    ranking = _identifier().rank(text)
    likeliest, probability = ranking[0]
    return likeliest != _NO_LANGUAGE and probability > _ODDS * dict(ranking)[label]


@cache
def _identifier() -> LanguageIdentifier:
    """Loaded once, at first use: it takes a second."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def _label(language: str) -> str | None:
    """The identifier's name for a language: `no` for nb, `pt` for pt-br, `he` for iw."""
    code = langcodes.Language.get(language).language or "und"
    match, _ = langcodes.closest_match(code, _identifier().labels, max_distance=1)
    return None if match == "und" else match
