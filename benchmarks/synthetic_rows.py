"""Encoded rows without a corpus: speed and memory depend on their lengths, not on their words."""

from __future__ import annotations

import datasets
import numpy as np

MEAN, DEVIATION, SHORTEST, LONGEST = 60, 25, 4, 128
TARGET_LENGTHS = (
    f"labels: normal with mean {MEAN} and standard deviation {DEVIATION}, rounded and clipped to "
    f"[{SHORTEST}, {LONGEST}] tokens; every source full"
)
_EOS = 1
_PIECES = (300, 8000)  # ordinary pieces of any vocabulary that is tried here, also of a trimmed one


def synthetic_rows(count: int, source_tokens: int = 512, seed: int = 0) -> datasets.Dataset:
    """Rows as the data module has them after encoding, with an `attention_mask` for others' collators.

    Args:
        count: Rows.
        source_tokens: Length of each source, `</s>` included.
        seed: Fixes ids and lengths.

    Returns:
        `input_ids`, `attention_mask` and `labels` are not padded, and end in `</s>`; see `TARGET_LENGTHS`.
    """
    random = np.random.default_rng(seed)
    lengths = np.clip(np.rint(random.normal(MEAN, DEVIATION, count)), SHORTEST, LONGEST).astype(int)
    return datasets.Dataset.from_dict(
        {
            "id": [str(row) for row in range(count)],
            "language": ["tr" if row % 2 else "en" for row in range(count)],
            "article": [""] * count,
            "summary": [""] * count,
            "input_ids": [_ids(random, source_tokens) for _ in range(count)],
            "attention_mask": [[1] * source_tokens] * count,
            "labels": [_ids(random, length) for length in lengths],
        }
    )


def _ids(random: np.random.Generator, length: int) -> list[int]:
    return [*random.integers(*_PIECES, length - 1).tolist(), _EOS]
