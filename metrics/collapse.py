"""Signs that a summariser has collapsed: what it prints looks like no summary, whatever ROUGE says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from metrics.language_identification import in_other_language, is_identifiable
from metrics.words import SENTINEL, lowercase, without_sentinels, words

MAX_UNIFORM = 0.2  # of the summaries of a language; a larger share says that the model hardly reads
_NGRAM = 3


def collapse(
    articles: Sequence[str], references: Sequence[str], predictions: Sequence[str], language: str
) -> dict[str, list[float]]:
    """Figures of each summary of one language. Sentinels `<extra_id_N>` count as no words.

    Args:
        articles: Source texts.
        references: Reference summaries.
        predictions: Generated summaries.
        language: Their language; decides casing, and what counts as another language.

    Returns:
        By name, one number for each summary:

        - `sentinel`: 1 if a sentinel stands anywhere in it.
        - `empty`: 1 if it has no words.
        - `repetition`: share of its 3-grams of words that repeat an earlier one, in [0, 1); 0 below 4 words.
        - `length_ratio`: its words over those of the reference (at least 1 is assumed), at least 0.
        - `wrong_language`: 1 if it is surely in another language, see `in_other_language`. Left out for languages that
          the identifier does not know.
        - `copied`: 1 if its words are one unbroken run of the article's; 0 if it is empty.
        - `uniform`: 1 if the summary of another one of the articles has the very same words; 0 if it is empty.

    Raises:
        ValueError: If the numbers of texts differ.
    """
    if not len(articles) == len(references) == len(predictions):
        counts = f"{len(articles)} articles, {len(references)} references and {len(predictions)} predictions"
        raise ValueError(f"Collapse figures need as many articles and references as predictions, got {counts}.")
    texts = [without_sentinels(text) for text in predictions]
    tokens = [words(lowercase(text, language)) for text in texts]
    lengths = [max(len(words(text)), 1) for text in references]
    times = Counter(map(tuple, tokens))
    figures = {
        "sentinel": [float(bool(SENTINEL.search(text))) for text in predictions],
        "empty": [float(not summary) for summary in tokens],
        "repetition": [_repetition(summary) for summary in tokens],
        "length_ratio": [len(summary) / length for summary, length in zip(tokens, lengths, strict=True)],
        "copied": [
            float(_is_run(summary, words(lowercase(article, language))))
            for summary, article in zip(tokens, articles, strict=True)
        ],
        "uniform": [float(bool(summary) and times[tuple(summary)] > 1) for summary in tokens],
    }
    if is_identifiable(language):
        figures["wrong_language"] = [float(wrong) for wrong in in_other_language(texts, language)]
    return figures


def _repetition(tokens: Sequence[str]) -> float:
    ngrams = [tuple(tokens[start : start + _NGRAM]) for start in range(len(tokens) - _NGRAM + 1)]
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0


def _is_run(part: Sequence[str], whole: Sequence[str]) -> bool:
    # Words hold no spaces, so that a run of words is a piece of text between spaces.
    return bool(part) and f" {' '.join(part)} " in f" {' '.join(whole)} "
