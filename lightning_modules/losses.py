"""Cross-entropy of label tokens, overall and by row.

Shapes: B rows, T target tokens, V vocabulary rows.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

IGNORED_LABEL = -100


def token_losses(logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
    """Cross-entropy in fp32, whatever the dtype of the logits.

    Args:
        logits: (B, T, V) floating point.
        labels: (B, T) int64; `IGNORED_LABEL` counts 0.
        label_smoothing: Weight of the uniform distribution in the target, in [0, 1) (Szegedy et al. 2016, section 7).

    Returns:
        (B, T) fp32 losses in nats, 0 where the label is ignored.
    """
    losses = F.cross_entropy(
        logits.flatten(0, 1).float(),
        labels.flatten(),
        ignore_index=IGNORED_LABEL,
        label_smoothing=label_smoothing,
        reduction="none",
    )
    return losses.view_as(labels)


def mean_token_loss(losses: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean of (B, T) losses over the labels that count; scalar fp32."""
    return losses.sum() / (labels != IGNORED_LABEL).sum()
