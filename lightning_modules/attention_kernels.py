"""Which of PyTorch's attention kernels training may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def cudnn_attention(enabled: bool) -> Iterator[None]:
    """Allows or forbids cuDNN's kernel to all of this process's attention, and then restores what was.

    PyTorch prefers it on H100 and H200. There, given a mask or a bias, its backward pass makes NaN of the gradients of
    queries whose log-sum-exp of scores is below -88.7, if the number of keys leaves 64 when divided by 128
    (pytorch/pytorch#196678, seen with PyTorch 2.11 to 2.13). mT5 does not scale its scores, so they are often that
    negative, and batches here are padded to multiples of 64. PyTorch's memory-efficient kernel is not concerned.

    Args:
        enabled: Whether it may be used.
    """
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(enabled)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
