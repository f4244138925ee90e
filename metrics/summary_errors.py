"""What is wrong with a summary, by category, as far as it can be seen without a model; a summary can have several."""

from __future__ import annotations

from collections.abc import Sequence, Set

from metrics.collapse import collapse
from metrics.faithfulness import mentions
from metrics.lead import lead_sentences
from metrics.summary_warnings import MAX_REPETITION

LEAD_SENTENCES = 3
ERRORS = {
    "hallucinated_number": "a number in digits that the article does not have",
    "hallucinated_name": "a word of a capitalised name that the article does not have",
    "wrong_language": "surely in another language than its article",
    "repetition": f"more than {MAX_REPETITION:.0%} of its 3-grams of words repeat an earlier one",
    "truncated": "cut off at max_new_tokens before `</s>`",
    "empty": "no words",
    "sentinel": "holds an `<extra_id_N>`",
    "copied_lead": f"stands word for word in the article's first {LEAD_SENTENCES} sentences",
    "uniform": "word for word the summary of another article, too",
}


def summary_errors(
    articles: Sequence[str],
    predictions: Sequence[str],
    ended: Sequence[bool],
    language: str,
    conventional: Set[str] = frozenset(),
) -> list[dict[str, str]]:
    """Finds the errors of each summary of one language.

    Args:
        articles: Source texts.
        predictions: Generated summaries.
        ended: Whether each ended by `</s>`.
        language: Their language; errors that cannot be seen in it are never found, see `checked_kinds` and
            `is_identifiable`.
        conventional: From `conventional_words`; these are never hallucinated.

    Returns:
        For each summary, by key of `ERRORS`, what shows it (the unsupported mentions) or an empty text.

    Raises:
        ValueError: If the numbers of texts differ.
    """
    if not len(articles) == len(predictions) == len(ended):
        raise ValueError(f"Got {len(articles)} articles, {len(predictions)} summaries and {len(ended)} endings.")
    leads = lead_sentences(articles, LEAD_SENTENCES)
    figures = collapse(leads, predictions, predictions, language)
    rows = []
    for row, (article, summary, end) in enumerate(zip(articles, predictions, ended, strict=True)):
        values = {name: column[row] for name, column in figures.items()}
        shown = {
            "repetition": values["repetition"] > MAX_REPETITION,
            "truncated": not end,
            "copied_lead": values["copied"],
            **{name: values.get(name) for name in ("wrong_language", "empty", "sentinel", "uniform")},
        }
        found = _invented(article, summary, language, conventional) | {
            name: "" for name, is_so in shown.items() if is_so
        }
        rows.append({name: found[name] for name in ERRORS if name in found})
    return rows


def _invented(article: str, summary: str, language: str, conventional: Set[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for mention in mentions(article, summary, language, conventional):
        if not mention.supported:
            found.setdefault(f"hallucinated_{mention.kind}", []).append(mention.text)
    return {name: ", ".join(dict.fromkeys(texts)) for name, texts in found.items()}
