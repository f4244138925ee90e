"""The baseline that a summariser must beat: the beginning of the article."""

from __future__ import annotations

from collections.abc import Sequence

from metrics.words import words


def lead_words(articles: Sequence[str], count: int) -> list[str]:
    """The first `count` words of each article."""
    return [" ".join(article.split()[:count]) for article in articles]


def mean_word_count(texts: Sequence[str]) -> int:
    """Mean number of words, rounded, at least 1: the length that makes `lead_words` comparable with `texts`."""
    return max(round(sum(len(words(text)) for text in texts) / max(len(texts), 1)), 1)
