"""Invented words of a summary: nonsense that reads like a language, which ROUGE does not see."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

from metrics.known_words import LEAST_WORDS, spelled_words
from metrics.stemming import snowball_stemmer

MAX_INVENTED_WORDS = 0.05  # of a system's summaries; docs/invented_words.md has the shares of people's


def invented_words(article: str, summary: str, language: str, known: Set[str]) -> list[str]:
    """Finds the words of a summary that stand neither in its article nor among the known words.

    An inflected form is not invented if its Snowball stem is a known word or the stem of a word of the article.
    Numbers, words with digits and scripts without spaces are left out, see `spelled_words`.

    Args:
        article: Source text.
        summary: What is checked; `<extra_id_N>` count as nothing.
        language: Code of their language.
        known: Its words, in lower case.

    Returns:
        The words in order, in lower case, as often as they occur.
    """
    own = set(spelled_words(article, language))
    new = [word for word in spelled_words(summary, language) if word not in known and word not in own]
    stem = _stemmer(language)
    if not new or stem is None:
        return new
    stems = {stem(word) for word in own}
    return [word for word in new if stem(word) not in known and stem(word) not in stems]


def invented_share(
    articles: Sequence[str], summaries: Sequence[str], language: str, known: Set[str]
) -> dict[str, list[float]]:
    """Measures the share of invented words of each summary of one language.

    Args:
        articles: Source texts.
        summaries: Summaries, generated or not, one for each article.
        language: Their language.
        known: Its words, in lower case.

    Returns:
        `invented_words`: the share of each summary's words that are invented, in [0, 1]; 0 without words. Nothing if
        fewer than `LEAST_WORDS` words are known: then nobody can tell.

    Raises:
        ValueError: If the numbers of texts differ.
    """
    if len(articles) != len(summaries):
        raise ValueError(f"Invented words need pairs, got {len(articles)} articles and {len(summaries)} summaries.")
    if len(known) < LEAST_WORDS:
        return {}
    shares = [
        len(invented_words(article, summary, language, known)) / max(len(spelled_words(summary, language)), 1)
        for article, summary in zip(articles, summaries, strict=True)
    ]
    return {"invented_words": shares}


def _stemmer(language: str) -> Callable[[str], str] | None:
    try:
        return snowball_stemmer(language)
    except ValueError:
        return None
