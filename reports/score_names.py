"""The scores that reports compare, and what they are called."""

from __future__ import annotations

SCORE_NAMES = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "bertscore": "BERTScore"}


def digits(score: str) -> int:
    """Decimal places that a score is worth: ROUGE is in percent, the others are shares of 1."""
    return 4 if score.startswith(("bertscore", "invented_words")) else 2
