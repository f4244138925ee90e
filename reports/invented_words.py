"""What the page of `summarize.py --serve` says of invented words."""

from __future__ import annotations

from metrics.invented_words import invented_words
from metrics.known_words import shipped_words
from reports.published_names import language_name


def describe_invented_words(article: str, summary: str, language: str | None) -> list[str]:
    """Names the words of a summary that may be nonsense.

    Args:
        article: Source text.
        summary: Its summary.
        language: Code of their language, or None.

    Returns:
        At most one line of Markdown, none if every word is known: the words are of letters alone.
    """
    if language is None:
        return []
    known = shipped_words(language)
    if not known:
        return [
            f"Invented words are not looked for: no list of {language_name(language)} words comes with the project."
        ]
    found = dict.fromkeys(invented_words(article, summary, language, known))
    if not found:
        return []
    return [f"⚠️ **invented_words**: neither in the article nor among the known words: {', '.join(found)}."]
