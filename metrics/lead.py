"""The baseline that a summariser must beat: the beginning of the article."""

from __future__ import annotations

from collections.abc import Sequence

from metrics.normal_form import normal_form
from metrics.sentences import sentence_spans
from metrics.words import word_spans, words


def lead_words(articles: Sequence[str], count: int) -> list[str]:
    """Return the beginning of each article's normal form up to its `count`-th word (at least 1), as `words` counts."""
    articles = [normal_form(article) for article in articles]
    return [_beginning(article, word_spans(article), count) for article in articles]


def lead_sentences(articles: Sequence[str], count: int) -> list[str]:
    """The beginning of each article up to its `count`-th sentence (at least 1), as `sentences` cuts them."""
    return [_beginning(article, sentence_spans(article), count) for article in articles]


def mean_word_count(texts: Sequence[str]) -> int:
    """Mean number of words, rounded, at least 1: the length that makes `lead_words` comparable with `texts`."""
    return max(round(sum(len(words(text)) for text in texts) / max(len(texts), 1)), 1)


def _beginning(article: str, spans: Sequence[tuple[int, int]], count: int) -> str:
    if count < 1:
        raise ValueError(f"A beginning of {count} words or sentences is none; ask for at least 1.")
    return article[: spans[count - 1][1]] if len(spans) >= count else article
