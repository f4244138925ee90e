"""Words that the references of each language have by habit, from the predictions of all runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from metrics.conventional_words import LEAST_REFERENCES, LEAST_SHARE, conventional_words
from reports.prediction_files import Predictions, by_language

Conventions = Mapping[str, frozenset[str]]


def references(runs: Predictions) -> list[dict[str, Any]]:
    """A row for each article of any run, with its reference."""
    return list({(row["language"], row["id"]): row for rows in runs.values() for row in rows}.values())


def words_of_style(known: Conventions | None, language: str) -> frozenset[str]:
    """Those of a language; none where nothing is known."""
    return (known or {}).get(language, frozenset())


def conventions(rows: Sequence[dict[str, Any]]) -> Conventions:
    """By language, the words that are not checked as names.

    Args:
        rows: From `references`, so that no article counts twice.
    """
    return {
        language: _found(tuple(row["article"] for row in own), tuple(row["reference"] for row in own), language)
        for language, own in by_language(rows).items()
    }


# The sections of a report ask for the same words, one after the other, and finding them takes seconds.
_found = lru_cache(maxsize=8)(conventional_words)


def conventions_note(known: Conventions) -> str:
    """What was left out, and why."""
    rule = (
        f"Words that at least {LEAST_SHARE:.0%} of a language's references have while their articles do not (of at "
        f"least {LEAST_REFERENCES} references) are its style, such as a title before names, and are not checked: "
    )
    found = "; ".join(f"{language}: {', '.join(sorted(words))}" for language, words in known.items() if words)
    return f"{rule}{found or 'none here'}."
