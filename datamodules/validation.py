"""Which rows of a corpus are usable: every other row is counted under the first reason that applies to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import regex
import xxhash

from metrics.normal_form import normal_form

# The order is the order of the checks; the texts explain the reasons in the report.
REASONS = {
    "unreadable": "the row is no valid record, or not in the file's encoding",
    "repeated_header": "the row repeats the names of the columns",
    "other_split": "belongs to a split that the source does not use",
    "unknown_split": "the split column names none of the configured splits",
    "no_gap_sentence": "no sentence of the passage can be its summary (gap_sentences)",
    "judged": "the passage shares 13 words in a row with a text of keep_clear_of",
    "not_text": "article or summary is no text, or holds no letter",
    "not_utf8": "article or summary holds NUL or bytes that are no UTF-8 text",
    "empty_article": "the article is missing or blank",
    "empty_summary": "the summary is missing or blank",
    "summary_equal": "the summary is the article itself",
    "summary_longer": "the summary is longer than its article",
    "duplicate": "the same article stands earlier in the split",
    "leak": "the same article stands in a split that judges this one",
    "target_too_long": "the summary exceeds max_target_tokens (truncate_targets: drop)",
}
_LETTER = regex.compile(r"\p{L}")
_SURROGATE = regex.compile(r"[\ud800-\udfff]")


def audit_row(article: Any, summary: Any) -> str:
    """Judges one pair by itself.

    Args:
        article: The value of the article's column, of whatever type.
        summary: The value of the summary's column.

    Returns:
        A key of `REASONS`, or "" for a usable row.
    """
    for value, reason in ((article, "empty_article"), (summary, "empty_summary")):
        if value is None or (isinstance(value, str) and is_blank(value)):
            return reason
    if not all(isinstance(value, str) for value in (article, summary)):
        return "not_text"
    if not (is_utf8(article) and is_utf8(summary)):
        return "not_utf8"
    if not (has_letter(article) and has_letter(summary)):
        return "not_text"
    if article_key(summary) == article_key(article):
        return "summary_equal"
    return "summary_longer" if len(normal_form(summary).strip()) > len(normal_form(article).strip()) else ""


def is_blank(text: str) -> bool:
    """Whether a text has nothing but white space, marks of no width and control characters."""
    return not normal_form(text).strip()


def has_letter(text: str) -> bool:
    """Whether a text has a letter of any script."""
    return bool(_LETTER.search(normal_form(text)))


def is_utf8(text: str) -> bool:
    """Whether a text is free of NUL, which UTF-16 and binary files are full of, and of lone surrogates.

    Lone surrogates stand for bytes that are no UTF-8. Other control characters may stay: the tokenizer drops them.
    """
    return "\0" not in text and not _SURROGATE.search(text)


def article_key(article: str) -> int:
    """Return a signed 64-bit hash of an article; equal for texts that differ only in case or in what no model sees.

    That is the spacing, and all that `normal_form` takes for the same.
    """
    text = normal_form(article).casefold()
    text = text.replace("i\u0307", "i").replace("ı", "i")  # İ and I are capitals of i and ı in Turkish, not elsewhere
    return xxhash.xxh64_intdigest(" ".join(text.split()).encode()) - 2**63


def audit_batch(
    rows: Mapping[str, Sequence[Any]], known_splits: Sequence[str] | None, unknown: str = "unknown_split"
) -> dict[str, list[Any]]:
    """Judges each row by itself; for `datasets.Dataset.map`.

    Args:
        rows: A batch of rows by column, as `raw_row` makes them.
        known_splits: The legal values of the split column; None where the corpus has no such column.
        unknown: The reason for other values; blank ones are always an `unknown_split`.

    Returns:
        Columns `id`, `article`, `summary` (text, "" for an unusable row), `problem` (see `audit_row`) and `key`.
    """
    articles, summaries = rows["article"], rows["summary"]
    problems = [audit_row(*pair) for pair in zip(articles, summaries, strict=True)]
    if known_splits is not None:
        pairs = zip(rows["split"], problems, strict=True)
        problems = [
            problem if value in known_splits else unknown if value else "unknown_split" for value, problem in pairs
        ]
    problems = [known or found for known, found in zip(rows["reading_problem"], problems, strict=True)]
    usable = [not problem for problem in problems]
    return {
        "id": list(rows["id"]),
        "article": [text if good else "" for text, good in zip(articles, usable, strict=True)],
        "summary": [text if good else "" for text, good in zip(summaries, usable, strict=True)],
        "problem": problems,
        "key": [article_key(text) if good else 0 for text, good in zip(articles, usable, strict=True)],
    }


def mark_duplicates(keys: np.ndarray, problems: np.ndarray, judges: np.ndarray) -> np.ndarray:
    """Judges rows against each other.

    Args:
        keys: (rows,) int64 hashes of the articles.
        problems: (rows,) reasons found so far, "" for none.
        judges: (any,) int64 hashes of the usable articles in the splits that judge this one: validation and test for
            train, test for validation. The row of the judged split gives way, so that published test sets stay whole.

    Returns:
        (rows,) the problems with `duplicate` and `leak` filled in.
    """
    usable = np.flatnonzero(problems == "")
    _, first = np.unique(keys[usable], return_index=True)
    repeated = np.ones(len(usable), dtype=bool)
    repeated[first] = False
    marked = problems.astype(object)  # an array of fixed-width text would cut the new reasons short
    marked[usable[np.isin(keys[usable], judges)]] = "leak"
    marked[usable[repeated]] = "duplicate"
    return marked


def count_problems(problems: np.ndarray) -> dict[str, int]:
    """Rows by reason, in the order of `REASONS`; reasons that never apply are left out."""
    counts = Counter(problems.tolist())
    return {reason: counts[reason] for reason in REASONS if counts[reason]}
