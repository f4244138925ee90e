"""The loss of a batch: computed plainly, compiled block by block, or replayed as CUDA graphs; always the same loss.

Shapes: B rows, S source tokens, T target tokens, K label tokens, H hidden size, V vocabulary rows.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_modules.attention_kernels import choose_kernels_by_key_count
from lightning_modules.cuda_graphs import GraphedLoss
from lightning_modules.hidden_states import Block, decoder_hidden_states, run_block
from lightning_modules.losses import (
    SoftmaxGradient,
    divisor_of,
    linear_cross_entropy,
    plain_cross_entropy,
    softmax_gradient_,
)
from lightning_modules.quantized_matrix import QuantizedMatrix

# Encoder and decoder blocks, with and without gradients, of fixed and of varying widths, are one function to the
# compiler, which would by default give up after 8 versions, and go on slowly, in silence.
_COMPILED_VERSIONS = 64

# Less than this and the memory that graphs hold is missed in validation: 3.9 GiB for mT5-small at batch 8.
_ROOMY_DEVICE = 12 * 2**30


@dataclass(frozen=True)
class Acceleration:
    """What makes a training step fast. None of it changes what is learnt.

    Args:
        compile: Fuse the kernels of the loss and, without gradient checkpointing, of a block (`torch.compile`, one
            block for all); null is yes on a GPU for which Triton is there. The first steps take about half a minute
            longer, less in later runs.
        cuda_graphs: Replay forward and backward pass as one launch each, for each shape of batch; null is yes on a
            GPU of at least 12 GiB without gradient checkpointing. Holds a step's memory during validation, too.
        loss_chunk: Label tokens whose logits are held at a time; null holds those of the whole batch.
        cudnn_attention: Leave the choice of the attention kernel to PyTorch at every length. It prefers cuDNN's on H100
            and H200, which can make NaN of a gradient at some; see `attention_kernels`.

    Raises:
        ValueError: If a value is out of range.
    """

    compile: bool | None = None
    cuda_graphs: bool | None = None
    loss_chunk: int | None = 512
    cudnn_attention: bool = False

    def __post_init__(self) -> None:
        if self.loss_chunk is not None and self.loss_chunk < 1:
            raise ValueError(f"acceleration.loss_chunk {self.loss_chunk} must be at least 1, or null.")

    def resolved(self, device: torch.device, gradient_checkpointing: bool) -> Acceleration:
        """The same with every null decided.

        Raises:
            ValueError: If compilation or CUDA graphs are asked for where they cannot work.
        """
        hindrance = _hindrance(device, gradient_checkpointing)
        if self.cuda_graphs and hindrance:
            raise ValueError(f"acceleration.cuda_graphs does not work {hindrance}; set it to null or false.")
        triton = device.type == "cuda" and importlib.util.find_spec("triton") is not None
        return replace(
            self,
            compile=triton if self.compile is None else self.compile,
            cuda_graphs=not hindrance and _is_roomy(device) if self.cuda_graphs is None else self.cuda_graphs,
        )


class BatchLoss:
    """The loss of a batch under a model.

    Args:
        model: An mT5, adapted or not, on its device; left with the attention that the settings ask for.
        head: (V, H) the head's weights.
        settings: Resolved.
        label_smoothing: In [0, 1).
    """

    def __init__(
        self, model: Any, head: torch.Tensor | QuantizedMatrix, settings: Acceleration, label_smoothing: float
    ) -> None:
        self.model, self.head, self.settings, self.label_smoothing = model, head, settings, label_smoothing
        self._block: Block = run_block
        self._softmax_gradient: SoftmaxGradient = softmax_gradient_
        if not settings.cudnn_attention:
            choose_kernels_by_key_count(model)
        if settings.compile:
            block, self._softmax_gradient = _compiled()
            # PyTorch 2.11's compiler fails over blocks that are computed twice.
            checkpointed = any(getattr(layer, "gradient_checkpointing", False) for layer in model.modules())
            self._block = run_block if checkpointed else block

    def __call__(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of a batch, and the loss of each label: scalar and (B, T), fp32, 0 where ignored.

        The scalar is the sum over the labels by `loss_divisor`; without one, their mean.

        Compiled, replayed and smoothed only in training mode, with gradients.
        """
        names = ("input_ids", "attention_mask", "decoder_input_ids", "label_positions", "label_ids")
        tensors = [batch[name] for name in names]
        tensors.append(divisor_of(batch["label_ids"], batch.get("loss_divisor")))
        if not (self.model.training and torch.is_grad_enabled()):
            return self._loss(run_block, softmax_gradient_, *tensors)
        return self._step(*tensors)

    def counts(self) -> dict[str, int]:
        """Graphs that the compiler made (`compilations`) and that were captured (`captured_graphs`), if any can be."""
        counts = {}
        if self.settings.compile:
            counts["compilations"] = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        if isinstance(self._step, GraphedLoss):
            counts["captured_graphs"] = len(self._step.graphs)
        return counts

    @cached_property
    def _step(self) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
        # Replayed layers would not call those who watch them.
        watched = any(layer._forward_hooks for layer in self.model.modules())
        if watched or not self.settings.cuda_graphs:
            return self._accelerated
        return GraphedLoss(self._accelerated, [p for p in self.model.parameters() if p.requires_grad])

    def _accelerated(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self._loss(self._block, self._softmax_gradient, *tensors)

    def _loss(
        self,
        block: Block,
        softmax_gradient: SoftmaxGradient,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        decoder_input_ids: torch.Tensor,
        positions: torch.Tensor,
        labels: torch.Tensor,
        divisor: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        device = input_ids.device.type
        # Autocast's cache of cast weights would hold on to memory of a captured graph.
        with torch.autocast(
            device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device), cache_enabled=False
        ):
            hidden = decoder_hidden_states(self.model, input_ids, attention_mask, decoder_input_ids, block)
            hidden = hidden.flatten(0, 1).index_select(0, positions)
            smoothing = self.label_smoothing if self.model.training else 0.0
            if self.settings.loss_chunk is None:
                loss, losses = plain_cross_entropy(hidden, self.head, labels, smoothing, divisor)
            else:
                loss, losses = linear_cross_entropy(
                    hidden, self.head, labels, smoothing, divisor, self.settings.loss_chunk, softmax_gradient
                )
        by_row = losses.new_zeros(decoder_input_ids.numel()).index_add(0, positions, losses)
        return loss, by_row.view_as(decoder_input_ids)


def _is_roomy(device: torch.device) -> bool:
    return torch.cuda.get_device_properties(device).total_memory >= _ROOMY_DEVICE


def _hindrance(device: torch.device, gradient_checkpointing: bool) -> str:
    if device.type != "cuda":
        return f"on the device {device.type}"
    return "with gradient checkpointing, which keeps the state of random generators" if gradient_checkpointing else ""


@cache
def _compiled() -> tuple[Block, SoftmaxGradient]:
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _COMPILED_VERSIONS)
    rank_zero_info("Kernels are compiled in the first steps, which takes about half a minute.")
    return torch.compile(run_block), torch.compile(softmax_gradient_)
