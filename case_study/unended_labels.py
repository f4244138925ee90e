"""Test-only fault: labels that lost their `</s>`, which the project's collator refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from datamodules.bilingual import BilingualDataModule
from datamodules.collate import IGNORED_LABEL, SummarizationBatch, SummarizationCollator


@dataclass(frozen=True)
class UnendedCollator(SummarizationCollator):
    """Takes `</s>` out of the labels, once the real collator has checked that it is there.

    Args:
        limit: Only of rows with so many labels, `</s>` included: those that were cut, and the few that just fit. None
            is every row.
    """

    limit: int | None = None

    def __call__(self, share: tuple[pa.Table, float | None]) -> SummarizationBatch:
        """A batch in which `</s>` is no label. `loss_divisor` still counts it: at most a few per cent of the step."""
        batch = super().__call__(share)
        labels, counted = batch["labels"], batch["labels"] != IGNORED_LABEL
        rows = torch.ones(len(labels), dtype=torch.bool) if self.limit is None else counted.sum(dim=1) == self.limit
        ends = (labels == self.eos_id) & rows[:, None]
        number = counted.flatten().cumsum(0)[ends.flatten()] - 1  # of each end, among the labels that count
        batch["labels"] = labels.masked_fill(ends, IGNORED_LABEL)
        batch["label_ids"][number] = IGNORED_LABEL
        return batch


class UnendedLabels(BilingualDataModule):
    """Trains on labels without `</s>`; evaluates as ever.

    Args:
        *args: As of `BilingualDataModule`.
        only_cut: Only of the summaries that fill `max_target_tokens`; the others keep theirs.
        **kwargs: As of `BilingualDataModule`.
    """

    def __init__(self, *args: Any, only_cut: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.only_cut = only_cut

    def _collator(self, rows: int | None) -> SummarizationCollator:
        whole = super()._collator(rows)
        if rows is None:  # of an evaluation
            return whole
        return UnendedCollator(**vars(whole), limit=self.encoding.max_target_tokens if self.only_cut else None)
