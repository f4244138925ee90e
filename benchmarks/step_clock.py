"""Times the steps of a training run on the device's own timeline, and takes its peaks of memory."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import torch

from lightning_modules.adaptation import count_parameters

MIB = 2**20


class StepClock:
    """Observer of a recipe that measures it without making the host wait for the device.

    Args:
        warmup: Steps that are not counted; all shapes of batches should come up in them.
        steps: Steps that are.
        seconds: Stop earlier once so many have passed, if at least 3 steps count by then.
    """

    def __init__(self, warmup: int, steps: int, seconds: float) -> None:
        self.warmup, self.steps, self.seconds = warmup, warmup + steps, seconds
        self.waits: list[float] = []
        self.on_gpu = torch.cuda.is_available()
        self.created = time.perf_counter()
        self.marks: list[Any] = []
        self.sizes: dict[str, float] = {}
        self._held = 0
        self._peaks = {"allocated": 0, "reserved": 0}

    def start(self, model: torch.nn.Module, optimizer: Any) -> None:
        """Begins new peaks of memory; what loading the model took does not count."""
        self.started = time.perf_counter()
        self.sizes["weights"] = count_parameters(model).weight_bytes
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.sizes["gradients"] = sum(parameter.numel() * parameter.element_size() for parameter in trained)
        self._optimizer = optimizer
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats()
        self._mark()

    def before_loss(self) -> None:
        """Takes what is held for the backward pass."""
        if self.on_gpu:
            self._held = max(self._held, torch.cuda.memory_allocated())

    def step(self) -> bool:
        """Takes the time and the peaks of memory, which ozet's own callbacks begin anew at times."""
        self._mark()
        if self.on_gpu:
            statistics = torch.cuda.memory_stats()
            for name, peak in self._peaks.items():
                self._peaks[name] = max(peak, statistics[f"{name}_bytes.all.peak"])
        done = len(self.marks) - 1
        if done == self.warmup:
            state = [value for values in self._optimizer.state.values() for value in values.values()]
            self.sizes["optimizer"] = sum(v.numel() * v.element_size() for v in state if isinstance(v, torch.Tensor))
            self._optimizer = None  # else it would outlive its run
        late = time.perf_counter() - self.started > self.seconds and done >= self.warmup + 3
        return done == self.steps or late

    def result(self) -> dict[str, Any]:
        """Milliseconds of each step that counts, the wait for data, the warm-up, and memory in MiB.

        The warm-up lasts until the end of the last step in it that took more than twice the median of those that count.
        """
        seconds = self._seconds()
        warm, counted = seconds[: self.warmup], seconds[self.warmup :]
        slow = [place for place, value in enumerate(warm) if value > 2 * median(counted)]
        waited = self.waits[self.warmup : len(seconds)]
        result = {
            "ms": [round(1000 * value, 3) for value in counted],
            "load_seconds": self.started - self.created,
            "warm_up_seconds": sum(warm[: slow[-1] + 1]) if slow else 0.0,
            "wait_share": sum(waited) / sum(counted),
        }
        return result | (self._memory() if self.on_gpu else {})

    def _memory(self) -> dict[str, Any]:
        """Peaks, and what the peak of allocated memory is made of.

        Activations are what is held when the head is applied, or, with ozet, when the backward pass begins. All that
        comes on top until the peak is `logits and temporary`; activations as well, if CUDA graphs hold them.
        """
        peak = self._peaks["allocated"]
        held_anyway = self.sizes["weights"] + self.sizes["optimizer"]
        parts = self.sizes | {"activations": max(self._held - held_anyway, 0)}
        parts["logits and temporary"] = max(peak - sum(parts.values()), 0)
        return {
            "peak_allocated_mib": peak / MIB,
            "peak_reserved_mib": self._peaks["reserved"] / MIB,
            "components": {name: size / MIB for name, size in parts.items()},
        }

    def _mark(self) -> None:
        if not self.on_gpu:
            self.marks.append(time.perf_counter())
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self.marks.append(event)

    def _seconds(self) -> list[float]:
        pairs = zip(self.marks, self.marks[1:], strict=False)
        if not self.on_gpu:
            return [after - before for before, after in pairs]
        torch.cuda.synchronize()
        return [before.elapsed_time(after) / 1000 for before, after in pairs]
