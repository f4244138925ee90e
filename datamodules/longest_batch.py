"""For `data.batch_size: auto`: the batch that needs most memory, made up, and what a resumed run takes."""

from __future__ import annotations

import pyarrow as pa
import torch

from datamodules.collate import SummarizationBatch, SummarizationCollator


def longest_batch(
    collator: SummarizationCollator, rows: int, source_tokens: int, target_tokens: int
) -> SummarizationBatch:
    """A training batch of equal rows.

    Args:
        collator: Of training batches of so many rows.
        rows: At least 1.
        source_tokens: Of each row, `</s>` included; at least 1.
        target_tokens: Likewise.
    """
    other = next(token for token in range(3) if token not in (collator.eos_id, collator.pad_id))
    columns = {
        "id": ["made-up"] * rows,
        "language": [collator.languages[0]] * rows,
        "input_ids": [[other] * (source_tokens - 1) + [collator.eos_id]] * rows,
        "labels": [[other] * (target_tokens - 1) + [collator.eos_id]] * rows,
    }
    return collator((pa.table(columns), float(rows * target_tokens)))


def require_gpu(device: torch.device) -> None:
    """Refuses `data.batch_size: auto` where nothing limits it sensibly.

    Raises:
        ValueError: If the device is not a GPU.
    """
    if device.type != "cuda":
        raise ValueError(
            f"data.batch_size auto fills the memory of a GPU, but this run is on the device {device.type}; give a "
            "number, such as 8."
        )


def resumed_batch_size(global_batch_size: int, world_size: int) -> int:
    """Rows on each device, so that a run goes on with the batches that it began with.

    Raises:
        ValueError: If they cannot be shared out evenly.
    """
    if global_batch_size % world_size:
        raise ValueError(
            f"data.batch_size auto: the checkpoint's batches of {global_batch_size} rows cannot be shared out among "
            f"{world_size} devices evenly; take another number of trainer.devices."
        )
    return global_batch_size // world_size
