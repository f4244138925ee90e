"""Capitalised words that the references of a language have by habit, such as a title before each speaker's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from metrics.faithfulness import mentions
from metrics.words import lowercase

LEAST_REFERENCES = 100
LEAST_SHARE = 0.05


def conventional_words(articles: Sequence[str], references: Sequence[str], language: str) -> frozenset[str]:
    """Finds words that belong to the form of the summaries and are no statement about their article.

    A capitalised word is one if at least `LEAST_SHARE` of the references have it although their own article does not:
    so many editors do not invent the same name. A name that is merely frequent stands in the articles too, and is
    still checked.

    Args:
        articles: Source texts, each once.
        references: Their references.
        language: Their language.

    Returns:
        Lower-case words as they are spelled; none below `LEAST_REFERENCES` references, where a share says little.
    """
    if len(references) < LEAST_REFERENCES:
        return frozenset()
    counts: Counter[str] = Counter()
    for pair in zip(articles, references, strict=True):
        lacking = (one for one in mentions(*pair, language) if one.kind == "name" and not one.supported)
        counts.update({lowercase(one.text, language) for one in lacking})
    return frozenset(word for word, count in counts.items() if count >= LEAST_SHARE * len(references))
