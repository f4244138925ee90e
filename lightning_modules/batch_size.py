"""Finds the largest batch that a GPU bears, by trying it.

Not Lightning's `BatchSizeFinder`: that one takes real optimizer steps on whatever batches come first (not the longest),
saves and restores a checkpoint of the whole run, and does not work on several devices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.utilities.memory import garbage_collection_cuda
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_modules.acceleration import BatchLoss
from lightning_modules.device_memory import available_bytes
from lightning_modules.memory import largest_batch
from lightning_modules.memory_settings import training_memory

if TYPE_CHECKING:
    from datamodules.collate import SummarizationBatch
    from lightning_modules.seq2seq import Seq2SeqModule

# Of the memory that may be used: the allocator's gaps between batches of other shapes.
MARGIN = 0.05
_STEP = 1.25


def find_batch_size(module: Seq2SeqModule, longest: Callable[[int], SummarizationBatch], limit: int) -> int:
    """The number of rows, equal on all devices, whose longest batch passes forward and backward.

    The search begins at the estimate of `memory.largest_batch`. No parameter, gradient or random state is changed.

    Args:
        module: Its model on a GPU.
        longest: Makes the longest batch of so many rows.
        limit: Greatest answer; at least 1.

    Raises:
        ValueError: If not even one row fits.
    """
    settings, available = training_memory(module), available_bytes(module.device)
    assert available is not None
    one = longest(1)
    first = largest_batch(settings, (1 - MARGIN) * available, one["input_ids"].shape[1], one["labels"].shape[1])
    # Not there yet, or not in every trial, but in every later step.
    reserve = round((4 + settings.optimizer_bytes) * settings.trainable + MARGIN * available)

    def works(rows: int) -> bool:
        return passes(module, longest(rows), reserve)

    found = largest_working(works, first, limit)
    smallest = module.trainer.strategy.reduce(torch.tensor(found, device=module.device), reduce_op="min")
    rank_zero_info(f"data.batch_size auto: {int(smallest)} rows (the estimate was {first}).")
    for logger in module.loggers:
        logger.log_hyperparams({"data/batch_size": int(smallest)})
    return int(smallest)


def largest_working(works: Callable[[int], bool], first: int, limit: int) -> int:
    """Searches upwards from `first` as long as sizes work, else downwards until one does, in steps of a quarter.

    Args:
        works: Tells whether a size fits.
        first: Where to begin.
        limit: Greatest answer.

    Raises:
        ValueError: If not even 1 works.
    """
    size = min(max(_round(first), 1), limit)
    if works(size):
        while size < limit and works(larger := min(_larger(size), limit)):
            size = larger
        return size
    while size > 1:
        size = min(max(_round(size / _STEP), 1), size - 1)
        if works(size):
            return size
    raise ValueError(
        "data.batch_size auto: not even one row fits into the GPU's memory. Set model.gradient_checkpointing to true, "
        "lower data.max_source_tokens, or take a smaller model.base."
    )


def _larger(size: int) -> int:
    return max(_round(size * _STEP), size + (8 if size >= 16 else 1))


def _round(size: float) -> int:
    """To a multiple of 8 that is not above, from 16 on: such shapes suit a GPU's kernels."""
    return int(size) // 8 * 8 if size >= 16 else int(size)


def passes(module: Seq2SeqModule, batch: SummarizationBatch, reserve: int) -> bool:
    """Whether a batch goes forward and backward while `reserve` more bytes are taken; leaves nothing behind."""
    settings = replace(module.batch_loss.settings, cuda_graphs=False)
    loss = BatchLoss(module.model, module.batch_loss.head, settings, module.label_smoothing)
    parameters = [parameter for parameter in module.model.parameters() if parameter.requires_grad]
    device = module.device
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            taken = torch.empty(reserve, dtype=torch.uint8, device=device)
            with module.trainer.precision_plugin.forward_context():
                value = loss(move_data_to_device(batch, device))[0]
            # Not `backward`, which would touch `.grad`, and exchange gradients with other devices.
            torch.autograd.grad(value, parameters, allow_unused=True)
            del taken
    except torch.OutOfMemoryError:
        return False
    finally:
        garbage_collection_cuda()
    return True
