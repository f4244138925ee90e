"""Which sentences of an article a summary leans on, by the words that they share."""

from __future__ import annotations

from dataclasses import dataclass

from metrics.sentences import sentence_spans
from metrics.stemming import word_stems
from metrics.words import without_sentinels


@dataclass(frozen=True)
class SourceSentence:
    """One sentence of an article.

    Attributes:
        start: Where it begins in the article.
        end: Where it ends.
        share: Of the summary's words, the part that it accounts for, in [0, 1].
    """

    start: int
    end: int
    share: float


def source_sentences(article: str, summary: str, language: str | None) -> list[SourceSentence]:
    """Shares the words of a summary out among the sentences of its article.

    Each word of the summary goes in equal parts to the sentences that have it (by its stem, where the language has a
    Snowball stemmer), so that words which stand everywhere say little. What is missing to a sum of 1 are words that
    stand nowhere in the article: new ones, or invented. It is a measure of overlap and not of what the network
    attended to, so that it is the same for every kind of model.

    Args:
        article: The article.
        summary: Its summary.
        language: Code of their language, or None.

    Returns:
        The article's sentences in order.
    """
    stems = word_stems(language or "und")
    spans = sentence_spans(article)
    contents = [set(stems(article[start:end])) for start, end in spans]
    tokens = stems(without_sentinels(summary))
    shares = [0.0] * len(spans)
    for word in tokens:
        holders = [index for index, content in enumerate(contents) if word in content]
        for index in holders:
            shares[index] += 1 / len(holders) / len(tokens)
    return [SourceSentence(start, end, share) for (start, end), share in zip(spans, shares, strict=True)]
