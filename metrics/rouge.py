"""ROUGE (Lin 2004) on Unicode words: the usual tokenizer knows only a-z and cuts Turkish words to pieces."""

from __future__ import annotations

from collections.abc import Sequence

from torchmetrics.functional.text.rouge import rouge_score

from metrics.words import lowercase, words

KEYS = ("rouge1", "rouge2", "rougeL")


def rouge(predictions: Sequence[str], references: Sequence[str], language: str) -> dict[str, float]:
    """Mean F-measures of ROUGE-1, ROUGE-2 and ROUGE-L over pairs of one language.

    Args:
        predictions: Generated summaries.
        references: Reference summaries, one for each prediction.
        language: Decides the casing rules.

    Returns:
        Scores in [0, 100] under `rouge1`, `rouge2` and `rougeL`.

    Raises:
        ValueError: If there are no pairs or the numbers of texts differ.
    """
    if not predictions or len(predictions) != len(references):
        raise ValueError(f"ROUGE needs pairs, got {len(predictions)} predictions and {len(references)} references.")
    scores = rouge_score(
        list(predictions),
        list(references),
        normalizer=lambda text: lowercase(text, language),
        tokenizer=words,
        rouge_keys=KEYS,
    )
    return {key: 100 * float(scores[f"{key}_fmeasure"]) for key in KEYS}
