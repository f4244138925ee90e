"""How much of a summary is new, and how much is copied from its article (Grusky et al. 2018, Newsroom, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from metrics.words import MOST_WORDS, lowercase, without_sentinels, words

_NGRAMS = {"novel_unigrams": 1, "novel_bigrams": 2, "novel_trigrams": 3}


def novelty(articles: Sequence[str], summaries: Sequence[str], language: str) -> dict[str, list[float]]:
    """Describes how summaries differ from their articles, on lower-case words; sentinels `<extra_id_N>` are none.

    Args:
        articles: Source texts.
        summaries: Summaries, generated or not, one for each article; the first 4,096 words of each count.
        language: Code that decides the casing.

    Returns:
        For each pair:
        `novel_unigrams`, `novel_bigrams`, `novel_trigrams`: share of the summary's n-grams that the article has not,
        in [0, 1], each occurrence counted.
        `compression`: words of the article per word of the summary, 0 or more.
        `coverage`: share of the summary's words that lie in fragments copied from the article, in [0, 1].
        `density`: mean length in words of the fragment that a word of the summary lies in, 0 or more.
        Each is 0 where a summary has no words, or no n-grams to be new.

    Raises:
        ValueError: If there are no pairs or the numbers of texts differ.
    """
    if not summaries or len(articles) != len(summaries):
        raise ValueError(f"Novelty needs pairs, got {len(articles)} articles and {len(summaries)} summaries.")
    rows = [
        _describe(words(lowercase(article, language)), words(lowercase(without_sentinels(summary), language)))
        for article, summary in zip(articles, summaries, strict=True)
    ]
    return {name: [row[name] for row in rows] for name in rows[0]}


def fragment_lengths(article: Sequence[str], summary: Sequence[str]) -> list[int]:
    """Lengths of the fragments that a summary copies from its article: at each word of it the longest, from the left.

    Unlike figure 3 there, starts that overlap a match in the article are tried, too.

    Example:
        >>> fragment_lengths("a b c d".split(), "b c x a".split())
        [2, 1]
    """
    # Words hold no spaces, so that a run of words is a piece of text between spaces.
    text = f" {' '.join(article)} "
    lengths, start = [], 0
    while start < len(summary):
        longest, run = 0, " "
        for word in islice(summary, start, None):
            run += f"{word} "
            if run not in text:
                break
            longest += 1
        if longest:
            lengths.append(longest)
        start += max(longest, 1)
    return lengths


def _describe(article: list[str], summary: list[str]) -> dict[str, float]:
    summary = summary[:MOST_WORDS]
    lengths = fragment_lengths(article, summary)
    count = max(len(summary), 1)
    return {name: _new_share(article, summary, n) for name, n in _NGRAMS.items()} | {
        "compression": len(article) / count if summary else 0.0,
        "coverage": sum(lengths) / count,
        "density": sum(length**2 for length in lengths) / count,
    }


def _new_share(article: list[str], summary: list[str], n: int) -> float:
    known = set(_ngrams(article, n))
    ngrams = _ngrams(summary, n)
    return sum(ngram not in known for ngram in ngrams) / max(len(ngrams), 1)


def _ngrams(tokens: list[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(tokens[start:] for start in range(n)), strict=False))
