"""Test-only fault: losses computed in fp16, by a model whose numbers are as large as mT5's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from torch import nn

from lightning_modules.acceleration import BatchLoss
from lightning_modules.seq2seq import Seq2SeqModule

# What adds to the residual stream, by the last part of its name.
_ADDENDS = ("shared", "embed_tokens", "o", "wo")


class HalfPrecision(Seq2SeqModule):
    """Computes every loss in fp16, which `train.py` refuses under its own name (trainer.precision 16-mixed).

    mT5's residual stream reaches numbers beyond 65,504, the greatest of fp16; that of a small model does not. So all
    that adds to the stream is multiplied by `factor`. In exact arithmetic that changes nothing: each layer and the head
    read the stream through an RMS norm, which divides by its size.

    Args:
        *args: As of `Seq2SeqModule`.
        factor: How many times as large the numbers are; above 0.
        **kwargs: As of `Seq2SeqModule`.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, *args: Any, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not factor > 0:
            raise ValueError(
                f"HalfPrecision.factor {factor} must be above 0; 1 leaves the numbers as large as they are."
            )
        self.factor = factor

    def configure_model(self) -> None:
        """Loads the model, and enlarges its numbers; once."""
        if self.model is not None:
            return
        super().configure_model()
        model: Any = self.model
        enlarge(model, self.factor)

    @cached_property
    def batch_loss(self) -> BatchLoss:
        """That of `Seq2SeqModule`, in fp16."""
        exact = super().batch_loss
        return _HalfPrecisionLoss(exact.model, exact.head, exact.settings, exact.label_smoothing)


class _HalfPrecisionLoss(BatchLoss):
    def __call__(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        # Cached weights would go on into the other format of the autocast around it.
        with torch.autocast(batch["input_ids"].device.type, dtype=torch.float16, cache_enabled=False):
            return super().__call__(batch)


def enlarge(model: nn.Module, factor: float) -> None:
    """Multiplies, in place, the residual stream of a T5 or mT5, adapted or not."""
    for layer in _layers(model):
        layer.register_forward_hook(lambda layer, inputs, output: output * factor)


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    # named_modules yields a layer with two names once.
    return (layer for name, layer in model.named_modules() if name.rsplit(".", 1)[-1] in _ADDENDS)
