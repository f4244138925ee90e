"""How differently two models look at the same text."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.floating]


def jensen_shannon(a: Weights, b: Weights) -> npt.NDArray[np.float64]:
    """Jensen-Shannon divergence (Lin 1991) of distributions, in bits.

    Args:
        a: (..., N) weights of at least 0 that sum to 1 over the last axis.
        b: As many over the same N things; the rest is broadcast.

    Returns:
        (...,) numbers in [0, 1]: 0 for equal distributions, 1 for those that share nothing.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    middle = (a + b) / 2
    return np.clip((_relative_entropy(a, middle) + _relative_entropy(b, middle)) / 2, 0.0, 1.0)


def attention_distance(a: Weights, b: Weights) -> npt.NDArray[np.float64]:
    """Distance of each layer and head: the Jensen-Shannon divergence over what is attended to, averaged over rows.

    Args:
        a: (L, H, R, N) attention of a model; rows sum to 1.
        b: (L, H, R, M) of another on the same text. If it read less or more of it, the missing columns count as 0.

    Returns:
        (L, H) bits in [0, 1].

    Raises:
        ValueError: If layers, heads or rows differ.
    """
    if a.shape[:3] != b.shape[:3]:
        raise ValueError(
            f"Attention of {a.shape[:3]} and {b.shape[:3]} layers, heads and rows cannot be compared: record both "
            "models on the same summary, and compare only models of one architecture."
        )
    width = max(a.shape[3], b.shape[3])
    return jensen_shannon(_widened(a, width), _widened(b, width)).mean(axis=2)


def _relative_entropy(a: Weights, b: Weights) -> npt.NDArray[np.float64]:
    ratio = np.divide(a, b, out=np.ones_like(a), where=a > 0)  # what has no weight adds nothing
    return (a * np.log2(ratio)).sum(axis=-1)


def _widened(weights: Weights, width: int) -> Weights:
    return np.pad(weights, [(0, 0)] * 3 + [(0, width - weights.shape[3])])
