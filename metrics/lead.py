"""The baseline that a summariser must beat: the beginning of the article."""

from __future__ import annotations

from collections.abc import Sequence

from metrics.words import word_spans, words


def lead_words(articles: Sequence[str], count: int) -> list[str]:
    """The beginning of each article up to its `count`-th word, as `words` counts them."""
    return [_beginning(article, count) for article in articles]


def mean_word_count(texts: Sequence[str]) -> int:
    """Mean number of words, rounded, at least 1: the length that makes `lead_words` comparable with `texts`."""
    return max(round(sum(len(words(text)) for text in texts) / max(len(texts), 1)), 1)


def _beginning(article: str, count: int) -> str:
    spans = word_spans(article)
    return article[: spans[count - 1][1]] if len(spans) >= count else article
