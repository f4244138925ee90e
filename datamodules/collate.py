"""From rows to a batch of tensors, padded to few distinct shapes.

Shapes: B rows, S source tokens, T target tokens (S and T are multiples of fixed numbers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import torch

IGNORED_LABEL = -100  # torch.nn.functional.cross_entropy's default `ignore_index`


class SummarizationBatch(TypedDict):
    """One batch.

    Attributes:
        input_ids: (B, S) int64 source token ids.
        attention_mask: (B, S) int64, 1 for tokens and 0 for padding.
        labels: (B, T) int64 target ids, `IGNORED_LABEL` after the `</s>`.
        ids: The rows' names.
        languages: The rows' language codes.
        articles: The source texts, without prefix.
        summaries: The reference texts, whole.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor
    ids: list[str]
    languages: list[str]
    articles: list[str]
    summaries: list[str]


@dataclass(frozen=True)
class SummarizationCollator:
    """Pads rows to a batch.

    Args:
        pad_id: Id of the padding token.
        eos_id: Id of `</s>`.
        source_multiple: S is rounded up to a multiple of this.
        target_multiple: T is rounded up to a multiple of this.
    """

    pad_id: int
    eos_id: int
    source_multiple: int = 64
    target_multiple: int = 16

    def __call__(self, rows: Mapping[str, Sequence[Any]]) -> SummarizationBatch:
        """Pads the rows of one batch, given by column.

        Raises:
            ValueError: If a row's source or labels do not end in exactly one `</s>`.
        """
        for name in ("input_ids", "labels"):
            for row_id, ids in zip(rows["id"], rows[name], strict=True):
                if not ids or ids[-1] != self.eos_id or self.eos_id in ids[:-1]:
                    raise ValueError(f"{name} of row {row_id!r} must end in </s> exactly once, got {list(ids)[-8:]}.")
        input_ids = _pad(rows["input_ids"], self.pad_id, self.source_multiple)
        lengths = torch.tensor([len(ids) for ids in rows["input_ids"]])
        return {
            "input_ids": input_ids,
            "attention_mask": (torch.arange(input_ids.shape[1]) < lengths[:, None]).long(),
            "labels": _pad(rows["labels"], IGNORED_LABEL, self.target_multiple),
            "ids": list(rows["id"]),
            "languages": list(rows["language"]),
            "articles": list(rows["article"]),
            "summaries": list(rows["summary"]),
        }


def _pad(rows: Sequence[Sequence[int]], value: int, multiple: int) -> torch.Tensor:
    width = -(-max(len(row) for row in rows) // multiple) * multiple
    padded = torch.full((len(rows), width), value, dtype=torch.int64)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = torch.as_tensor(row, dtype=torch.int64)
    return padded
