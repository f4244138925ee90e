"""Sums and means over all devices."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed


def sum_over_devices(values: torch.Tensor) -> torch.Tensor:
    """Sum over all devices of a tensor of the same shape on each; detached, the same on all.

    One all-reduce: unlike Lightning's `sync_dist`, without a barrier, at which the host would wait for the device. All
    devices must call it at the same places.
    """
    summed = values.detach().clone()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(summed)
    return summed


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replaces gradients, None being 0, by their means over all devices, in one all-reduce.

    Takes as much more memory as the gradients. All devices must call it at the same places.

    Args:
        parameters: The same on all devices, of one dtype.
    """
    gradients = []
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(flat)
    flat /= torch.distributed.get_world_size()
    parts = flat.split([gradient.numel() for gradient in gradients])
    torch._foreach_copy_(gradients, [part.view_as(own) for part, own in zip(parts, gradients, strict=True)])
