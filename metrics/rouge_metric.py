"""ROUGE as a torchmetrics metric: accumulated over batches and devices, for any training loop."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torchmetrics import Metric

from metrics.rouge import KEYS, RougeTokenizer, rouge


class Rouge(Metric):
    """Mean F-measures of the pairs of one language, each in [0, 100].

    Args:
        language: Decides casing and stemmer.
        tokenizer: As for `metrics.rouge.rouge`.
        stemming: As for `metrics.rouge.rouge`.

    Example:
        >>> metric = Rouge("tr")
        >>> metric.update(["İstanbul'da kar"], ["istanbul'da yağmur"])
        >>> round(float(metric.compute()["rouge1"]), 1)
        66.7
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False
    totals: torch.Tensor
    pairs: torch.Tensor

    def __init__(self, language: str, tokenizer: RougeTokenizer = "unicode", stemming: bool = False) -> None:
        super().__init__()
        self.language, self.tokenizer, self.stemming = language, tokenizer, stemming
        # float64, so that the order of many pairs does not show in the mean.
        self.add_state("totals", torch.zeros(len(KEYS), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("pairs", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[str], references: Sequence[str]) -> None:
        """Adds pairs; as many predictions as references, at least one."""
        scores = rouge(predictions, references, self.language, self.tokenizer, self.stemming)
        self.totals += torch.tensor([sum(scores[key]) for key in KEYS], dtype=torch.float64, device=self.device)
        self.pairs += len(predictions)

    def compute(self) -> dict[str, torch.Tensor]:
        """Scalars under `rouge1`, `rouge2`, `rougeL` and `rougeLsum`; NaN if no pair was added."""
        return dict(zip(KEYS, (self.totals / self.pairs).float(), strict=True))
