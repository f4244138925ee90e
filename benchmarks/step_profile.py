"""What a GPU and its driver do in a training step: kernels, launches, idle time, waits of the host for the device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

_LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch", "cudaLaunchCooperativeKernel")
_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
_COPIES, _TO_HOST = ("Memcpy", "Memset"), "Memcpy DtoH"
# Tensor.item() and what calls it.
_ITEMS = ("aten::_local_scalar_dense",)


class StepProfile:
    """Observer of a recipe that profiles some steps after others that warm it up.

    Args:
        warmup: Steps before.
        profiled: Steps that are profiled.
    """

    def __init__(self, warmup: int, profiled: int) -> None:
        self.warmup, self.profiled, self.steps = warmup, profiled, warmup + profiled
        self.waits: list[float] = []
        self.done = 0
        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])
        self.profile = profile(activities=activities)

    def start(self, model: torch.nn.Module, optimizer: Any) -> None:
        """Begins at once if there is nothing to warm up."""
        self._turn()

    def before_loss(self) -> None:
        """Is of no interest."""

    def step(self) -> bool:
        """Counts."""
        self.done += 1
        self._turn()
        return self.done == self.steps

    def _turn(self) -> None:
        if self.done not in (self.warmup, self.steps):
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if self.done == self.warmup:
            self.profile.start()
        else:
            self.profile.stop()

    def result(self) -> dict[str, float]:
        """Counts and milliseconds of a step, means over the profiled steps; the profiler itself slows the host."""
        return count_events(self.profile.events(), self.profiled)

    def table(self, rows: int = 25) -> str:
        """The operations that took the device (or a CPU without one) most time."""
        device = "device" if torch.cuda.is_available() else "cpu"
        return self.profile.key_averages().table(sort_by=f"self_{device}_time_total", row_limit=rows)


def count_events(events: Iterable[FunctionEvent], steps: int) -> dict[str, float]:
    """Sums up a profile.

    Args:
        events: Of the whole profile.
        steps: Training steps in it.

    Returns:
        For a step: `kernels`, `launches` by the host, `gpu_busy_ms` (kernels and copies, overlaps once), `span_ms` and
        `busy_share` of the device from its first kernel to its last, `synchronisations` (waits of the host),
        `copies_to_host`, `items` (numbers that Python asked for). The one wait that ends the profile is not counted.
    """
    listed = list(events)
    on_device = [
        event for event in listed if event.device_type != torch.autograd.DeviceType.CPU and not event.is_user_annotation
    ]
    names = [event.name for event in listed if event.device_type == torch.autograd.DeviceType.CPU]
    intervals = [(event.time_range.start, event.time_range.end) for event in on_device]
    busy = _union(intervals) / 1000
    span = (max(end for _, end in intervals) - min(start for start, _ in intervals)) / 1000 if intervals else 0.0
    waits = sum(name in _WAITS for name in names)
    return {
        "kernels": sum(not event.name.startswith(_COPIES) for event in on_device) / steps,
        "launches": sum(name.startswith(_LAUNCHES) for name in names) / steps,
        "gpu_busy_ms": busy / steps,
        "span_ms": span / steps,
        "busy_share": busy / span if span else 0.0,
        "synchronisations": max(waits - 1, 0) / steps,
        "copies_to_host": sum(event.name.startswith(_TO_HOST) for event in on_device) / steps,
        "items": sum(name in _ITEMS for name in names) / steps,
    }


def _union(intervals: list[tuple[float, float]]) -> float:
    """Length that the intervals cover together."""
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered
