"""From rows to a batch of tensors, padded to few distinct shapes.

Shapes: B rows, S source tokens, T target tokens, K label tokens (S, T and K are multiples of fixed numbers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np
import pyarrow as pa
import torch

IGNORED_LABEL = -100  # torch.nn.functional.cross_entropy's default `ignore_index`


class SummarizationBatch(TypedDict):
    """One batch.

    Attributes:
        input_ids: (B, S) int64 source token ids.
        attention_mask: (B, S) int64, 1 for tokens and 0 for padding.
        labels: (B, T) int64 target ids, `IGNORED_LABEL` after the `</s>`.
        decoder_input_ids: (B, T) int64, the labels one place later, after a padding token.
        label_positions: (K,) int64 places in the flattened labels of those that count, in order; then 0.
        label_ids: (K,) int64, the labels there; then `IGNORED_LABEL`.
        language_index: (B,) int64 places of the rows' languages in `SummarizationCollator.languages`.
        ids: The rows' names.
        languages: The rows' language codes.
        loss_divisor: () fp32, see `Share`; in training.
        tokens: Tokens of the texts that the rows are made of; in pretraining.
        articles: The source texts, without prefix; not in training.
        summaries: The reference texts, whole; not in training.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor
    decoder_input_ids: torch.Tensor
    label_positions: torch.Tensor
    label_ids: torch.Tensor
    language_index: torch.Tensor
    ids: list[str]
    languages: list[str]
    loss_divisor: NotRequired[torch.Tensor]
    tokens: NotRequired[int]
    articles: NotRequired[list[str]]
    summaries: NotRequired[list[str]]


@dataclass(frozen=True)
class Padding:
    """Which shapes batches have: greater multiples make fewer shapes and more padding.

    Args:
        source_multiple: S is rounded up to a multiple of this; at least 1.
        target_multiple: T is rounded up to a multiple of this; at least 1.
        label_multiple: K is rounded up to a multiple of this; at least 1.

    Raises:
        ValueError: If a number is out of range.
    """

    source_multiple: int = 64
    target_multiple: int = 16
    label_multiple: int = 256

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"padding.{name} is {value}; it must be at least 1, which pads to the longest row.")


@dataclass(frozen=True)
class SummarizationCollator:
    """Pads rows to a batch.

    Args:
        pad_id: Id of the padding token.
        eos_id: Id of `</s>`.
        languages: All language codes.
        rows: B; missing rows are made up, with a source of `</s>` alone, no labels, and neither id nor language code.
            None makes up none.
        padding: The shapes.
    """

    pad_id: int
    eos_id: int
    languages: Sequence[str]
    rows: int | None = None
    padding: Padding = Padding()

    def __call__(self, share: tuple[pa.Table, float | None]) -> SummarizationBatch:
        """Pads one share of rows.

        Args:
            share: The rows (columns `id`, `language`, `input_ids`, `labels`; `article` and `summary` or neither), and
                their `Share.loss_divisor`.

        Raises:
            ValueError: If a row's source or labels do not end in exactly one `</s>`.
        """
        table, loss_divisor = share
        languages = table["language"].to_pylist()
        batch: SummarizationBatch = {
            **self._tensors(table),  # type: ignore[typeddict-item]
            "language_index": self._language_index(languages),
            "ids": table["id"].to_pylist(),
            "languages": languages,
        }
        if loss_divisor is not None:
            batch["loss_divisor"] = torch.tensor(loss_divisor, dtype=torch.float32)
        if "article" in table.column_names:
            batch["articles"], batch["summaries"] = table["article"].to_pylist(), table["summary"].to_pylist()
        return batch

    def _tensors(self, table: pa.Table) -> dict[str, torch.Tensor]:
        sources, source_lengths = self._tokens(table, "input_ids")
        targets, target_lengths = self._tokens(table, "labels")
        rows, multiples = max(self.rows or 0, len(table)), self.padding
        sources = _fill_up(sources, self.eos_id, len(sources) + rows - len(table))
        input_ids, attended = _pad(sources, _fill_up(source_lengths, 1, rows), self.pad_id, multiples.source_multiple)
        labels, counted = _pad(targets, _fill_up(target_lengths, 0, rows), IGNORED_LABEL, multiples.target_multiple)
        decoder_input_ids = np.full_like(labels, self.pad_id)
        decoder_input_ids[:, 1:] = np.where(counted, labels, self.pad_id)[:, :-1]
        label_count = _round_up(len(targets), multiples.label_multiple)
        arrays = {
            "input_ids": input_ids,
            "attention_mask": attended.astype(np.int64),
            "labels": labels,
            "decoder_input_ids": decoder_input_ids,
            "label_positions": _fill_up(np.flatnonzero(counted), 0, label_count),
            "label_ids": _fill_up(targets, IGNORED_LABEL, label_count),
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _language_index(self, languages: Sequence[str]) -> torch.Tensor:
        places = [self.languages.index(code) for code in languages]
        return torch.tensor(places + [0] * ((self.rows or 0) - len(places)))

    def _tokens(self, table: pa.Table, name: str) -> tuple[np.ndarray, np.ndarray]:
        """All ids of a column, one row after the other, and the rows' lengths."""
        lists = table[name].combine_chunks()
        ids, lengths = lists.flatten().to_numpy().astype(np.int64), lists.value_lengths().to_numpy().astype(np.int64)
        last = np.cumsum(lengths) - 1
        if not (lengths.all() and (ids[last] == self.eos_id).all() and (ids == self.eos_id).sum() == len(lengths)):
            raise ValueError(self._explain(table, name))
        return ids, lengths

    def _explain(self, table: pa.Table, name: str) -> str:
        rows = zip(table["id"].to_pylist(), table[name].to_pylist(), strict=True)
        bad, ids = next((row, ids) for row, ids in rows if ids[-1:] != [self.eos_id] or self.eos_id in ids[:-1])
        return f"{name} of row {bad!r} must end in </s> exactly once, got {ids[-8:]}."


def _pad(ids: np.ndarray, lengths: np.ndarray, value: int, multiple: int) -> tuple[np.ndarray, np.ndarray]:
    """(B, width) int64 rows filled up with `value`, and (B, width) bool, where they are not."""
    present = np.arange(_round_up(int(lengths.max()), multiple)) < lengths[:, None]
    padded = np.full(present.shape, value, dtype=np.int64)
    padded[present] = ids
    return padded, present


def _fill_up(values: np.ndarray, value: int, count: int) -> np.ndarray:
    """`count` int64 values, `value` after those given."""
    filled = np.full(count, value, dtype=np.int64)
    filled[: len(values)] = values
    return filled


def _round_up(count: int, multiple: int) -> int:
    """The least multiple, at least one, that is not below `count`."""
    return max(-(-count // multiple), 1) * multiple
