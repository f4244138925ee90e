"""Words and stems as the XL-Sum paper's ROUGE counts them (github.com/csebuetnlp/xl-sum, multilingual_rouge_scoring).

Equal to it: plain lower-casing without normalisation (so İ becomes i with a loose dot, in Turkish too); punctuation and
control characters fall away; letters and digits are separate words; each other symbol and each Chinese character is a
word; words of more than three characters are stemmed: Turkish with TurkishStemmer, 15 languages with NLTK's Snowball
except for NLTK's stop words, others not at all.

Not equal to it: combining marks that follow no letter or digit; three characters that OpenNMT's tokenizer replaces
(▁ ￨ ￭); rougeLsum, which XL-Sum does not publish, uses these same words. Where it needs other software (Chinese,
Japanese, Thai, Burmese; stems of Hindi and Bengali) we refuse rather than approximate.
"""

from __future__ import annotations

from functools import lru_cache

import regex

from metrics.stemming import Stem
from metrics.words import base_code

_SEGMENTED = ("zh", "ja", "th", "my")
_OTHER_STEMMERS = ("hi", "bn")
_NLTK = {
    "ar": "arabic",
    "da": "danish",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
}
_DROPPED = regex.compile(r"[\p{C}\uFFFD--[\t\n\r]]", regex.V1)
# The ideographs that BERT's tokenizer sets apart; Japanese and Korean letters are not among them.
_IDEOGRAPH = r"[\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\U00020000-\U0002A6DF\U0002A700-\U0002CEAF\U0002F800-\U0002FA1F]"
_WORD = regex.compile(
    rf"{_IDEOGRAPH}|[\p{{L}}--{_IDEOGRAPH}][\p{{L}}\p{{M}}--{_IDEOGRAPH}]*|\p{{N}}[\p{{N}}\p{{M}}]*"
    r"|[\p{S}--\p{ASCII}]\p{M}*|\p{M}+",
    regex.V1,
)


def xlsum_words(text: str) -> list[str]:
    """Lower-case words of a text in a language that is written with spaces.

    Example:
        >>> xlsum_words("Ankara'da Covid19: 5€")
        ['ankara', 'da', 'covid', '19', '5', '€']
    """
    return _WORD.findall(_DROPPED.sub("", text.lower()))


def check_xlsum(language: str, stemming: bool) -> None:
    """Refuses languages for which the words or stems would not be XL-Sum's.

    Raises:
        ValueError: If XL-Sum uses a segmenter or a stemmer for this language that we do not have.
    """
    if base_code(language) in _SEGMENTED:
        raise ValueError(f"tokenizer 'xlsum' needs XL-Sum's own segmenter for {language!r}; use 'unicode'.")
    if stemming and base_code(language) in _OTHER_STEMMERS:
        raise ValueError(
            f"tokenizer 'xlsum' needs XL-Sum's own stemmer for {language!r}; switch stemming off or use 'unicode'."
        )


def xlsum_stemmer(language: str) -> Stem:
    """The stemmer that XL-Sum uses for a language; a function that changes nothing where it uses none.

    Raises:
        ValueError: If its package or NLTK's stop words are not installed; names the command.
    """
    code = base_code(language)
    if code == "tr":
        stem = _turkish_stemmer()
    elif code in _NLTK:
        stem = _nltk_stemmer(_NLTK[code])
    else:
        return str
    return lru_cache(maxsize=2**16)(lambda word: stem(word) if len(word) > 3 else word)


def _turkish_stemmer() -> Stem:
    try:
        from TurkishStemmer import TurkishStemmer
    except ImportError as error:
        raise ValueError("tokenizer 'xlsum' stems Turkish with a package: pip install TurkishStemmer") from error
    return TurkishStemmer().stem


def _nltk_stemmer(name: str) -> Stem:
    try:
        from nltk.stem.snowball import SnowballStemmer

        return SnowballStemmer(name, ignore_stopwords=True).stem
    except ImportError as error:
        raise ValueError(f"tokenizer 'xlsum' stems {name} with a package: pip install nltk") from error
    except LookupError as error:
        command = "python -m nltk.downloader stopwords"
        raise ValueError(f"tokenizer 'xlsum' leaves NLTK's stop words of {name} unstemmed: {command}") from error
