"""Cross-entropy of label tokens against a large vocabulary, without holding the logits of a batch.

Shapes: N label tokens, H hidden size, V vocabulary rows, C label tokens of a chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from lightning_modules.quantized_matrix import QuantizedMatrix, input_gradient, linear

IGNORED_LABEL = -100

SoftmaxGradient = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], tuple[torch.Tensor, torch.Tensor]]


def plain_cross_entropy(
    hidden: torch.Tensor,
    head: torch.Tensor | QuantizedMatrix,
    labels: torch.Tensor,
    label_smoothing: float = 0.0,
    divisor: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What `linear_cross_entropy` returns, with all (N, V) logits held: the reference."""
    losses = _losses(linear(hidden, head), labels, label_smoothing)
    return losses.sum() / divisor_of(labels, divisor), losses.detach()


def linear_cross_entropy(
    hidden: torch.Tensor,
    head: torch.Tensor | QuantizedMatrix,
    labels: torch.Tensor,
    label_smoothing: float = 0.0,
    divisor: torch.Tensor | None = None,
    chunk: int = 512,
    softmax_gradient: SoftmaxGradient | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of the cross-entropies of `labels`, divided, under `softmax(hidden @ head.T)`.

    The logits of `chunk` tokens exist at a time. Their gradient takes their place at once, in the forward pass; what
    is kept for the backward pass has the size of `hidden` (and of `head`, if that is trained). The products are those
    of the plain computation, in the same dtype; softmax and losses are fp32.

    Args:
        hidden: (N, H) floating point. Under autocast it and `head` are taken in autocast's dtype.
        head: (V, H) floating point, or quantised; gets a gradient if it requires one.
        labels: (N,) int64; `IGNORED_LABEL` counts 0.
        label_smoothing: Weight of the uniform distribution in the target, in [0, 1) (Szegedy et al. 2016, section 7).
        divisor: Scalar fp32, above 0; None is the number of labels that count, which makes the result their mean.
        chunk: Tokens whose logits are held, at least 1.
        softmax_gradient: `softmax_gradient_`, or that compiled.

    Returns:
        Scalar fp32 in nats (a mean of no label is NaN), differentiable once; and the (N,) fp32 loss of each token, 0
        where ignored, not differentiable.
    """
    if torch.is_autocast_enabled(hidden.device.type):
        dtype = torch.get_autocast_dtype(hidden.device.type)
        hidden, head = hidden.to(dtype), head.to(dtype)
    if isinstance(head, QuantizedMatrix) and len(labels) > 2 * chunk:
        head = head[:]  # once instead of twice for each chunk; so many tokens take more memory than it does
    with torch.autocast(hidden.device.type, enabled=False):
        return _LinearCrossEntropy.apply(
            hidden,
            head,
            labels,
            label_smoothing,
            divisor_of(labels, divisor),
            chunk,
            softmax_gradient or softmax_gradient_,
        )


def softmax_gradient_(
    logits: torch.Tensor, labels: torch.Tensor, scale: torch.Tensor, label_smoothing: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Overwrites the logits of one chunk by their gradient, but for the labels' own columns.

    Those are returned apart, so that a compiler makes of the rest one pass over the memory.

    Args:
        logits: (C, V) floating point; holds `scale * softmax` afterwards (less the smoothing).
        labels: (C,) int64, at least 0.
        scale: (C,) fp32, the weight of each token's loss, 0 where ignored.
        label_smoothing: As in `linear_cross_entropy`.

    Returns:
        (C,) fp32 losses, not weighted, and the (C,) fp32 gradients of the labels' own logits.
    """
    uniform = label_smoothing / logits.shape[1]
    # Without a compiler, one copy in fp32 is all there is (`torch.logsumexp` makes two more).
    wide = logits.float()
    own = wide.gather(1, labels[:, None])[:, 0]
    target = (1 - label_smoothing) * own + (label_smoothing * wide.mean(-1) if label_smoothing else 0.0)
    greatest = wide.amax(-1)
    total = wide.sub_(greatest[:, None]).exp_().sum(-1)
    log_sum = greatest + total.log()
    logits.copy_(wide.mul_((scale / total)[:, None]).sub_((uniform * scale)[:, None]))
    return log_sum - target, (torch.exp(own - log_sum) - uniform - (1 - label_smoothing)) * scale


def sums_by_group(losses: torch.Tensor, counted: torch.Tensor, groups: torch.Tensor, count: int) -> torch.Tensor:
    """Losses and tokens of groups of rows.

    Args:
        losses: (B, T) floating point, 0 where not counted.
        counted: (B, T) bool.
        groups: (B,) int64 group of each row, below `count`.
        count: Number of groups, G.

    Returns:
        (2, G) sums of losses, and numbers of tokens.
    """
    sums = losses.new_zeros(2, count)
    sums[0].index_add_(0, groups, losses.sum(1))
    sums[1].index_add_(0, groups, counted.sum(1).to(losses.dtype))
    return sums


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        head: torch.Tensor | QuantizedMatrix,
        labels: torch.Tensor,
        label_smoothing: float,
        divisor: torch.Tensor,
        chunk: int,
        softmax_gradient: SoftmaxGradient,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        hidden_gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        head_gradient = None
        if ctx.needs_input_grad[1]:
            head_gradient = torch.zeros(head.shape, dtype=torch.float32, device=hidden.device)
        counts = labels != IGNORED_LABEL
        scale = counts / divisor
        losses = torch.empty(labels.shape, dtype=torch.float32, device=labels.device)
        for first in range(0, len(labels), chunk):
            part = slice(first, first + chunk)
            logits, known = linear(hidden[part], head), labels[part].clamp(min=0)
            if hidden_gradient is None and head_gradient is None:
                losses[part] = _losses(logits, labels[part], label_smoothing)
                continue
            losses[part], own = softmax_gradient(logits, known, scale[part], label_smoothing)
            logits.scatter_(1, known[:, None], own[:, None].to(logits.dtype))
            if hidden_gradient is not None:
                hidden_gradient[part] = input_gradient(logits, head)
            if head_gradient is not None:
                head_gradient += logits.T @ hidden[part]
            del logits  # before the next chunk's are there
        losses.masked_fill_(~counts, 0)
        ctx.save_for_backward(hidden_gradient, head_gradient)
        ctx.head_dtype = head.dtype
        ctx.mark_non_differentiable(losses)
        return (losses * scale).sum(), losses

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, head = ctx.saved_tensors
        if hidden is not None:
            hidden = hidden * gradients[0].to(hidden.dtype)
        if head is not None:
            head = (head * gradients[0]).to(ctx.head_dtype)
        return hidden, head, None, None, None, None, None


def divisor_of(labels: torch.Tensor, divisor: torch.Tensor | None) -> torch.Tensor:
    """`divisor`, or the number of labels that count if there is none; scalar fp32."""
    return (labels != IGNORED_LABEL).sum().float() if divisor is None else divisor


def _losses(logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float) -> torch.Tensor:
    return F.cross_entropy(
        logits.float(), labels, ignore_index=IGNORED_LABEL, label_smoothing=label_smoothing, reduction="none"
    )
