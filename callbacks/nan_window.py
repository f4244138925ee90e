"""What NanMonitor keeps of a step until it knows whether the step is good."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from callbacks.random_state import TorchStates

CAUSES = ("activation", "loss", "gradient")  # each makes the next


@dataclass
class Microbatch:
    """One batch of an accumulation window.

    Attributes:
        batch: The batch.
        random_states: As they were before its forward pass.
        seen: By cause, the names of what was looked at, and a number for each: finite where that is, and of a gradient
            the greatest magnitude. It stays on the device, so that nobody waits for it.
    """

    batch: Any
    random_states: TorchStates
    seen: dict[str, tuple[list[str], torch.Tensor]] = field(default_factory=dict)

    def judged(self) -> dict[str, torch.Tensor]:
        """By cause, numbers that are finite where all is well: squares of gradients, since optimizers keep those."""
        return {cause: values.square() if cause == "gradient" else values for cause, (_, values) in self.seen.items()}

    def first_cause(self) -> tuple[str, list[str]] | None:
        """The first cause of a fault and the names concerned, None if all is well."""
        judged = self.judged()
        for cause in (cause for cause in CAUSES if cause in judged):
            finite = judged[cause].isfinite().tolist()
            bad = [name for name, is_finite in zip(self.seen[cause][0], finite, strict=True) if not is_finite]
            if bad:
                return cause, bad
        return None


class Verdict:
    """Whether an optimizer step must not be taken; asking makes the host wait until the device knows.

    Args:
        step: The optimizer step, from 0.
        microbatches: The batches of its accumulation window.
        bad: Scalar on the device, above 0 if any device has found something.
    """

    def __init__(self, step: int, microbatches: list[Microbatch], bad: torch.Tensor) -> None:
        self.step, self.microbatches = step, microbatches
        self._on_device = bad
        self._on_host, self._known = bad, None
        if bad.device.type == "cuda":
            # So that waiting for it is not waiting for what is queued behind it.
            self._on_host = torch.empty_like(bad, device="cpu", pin_memory=True).copy_(bad, non_blocking=True)
            self._known = torch.cuda.Event()
            self._known.record()

    def defer_to(self, optimizer: torch.optim.Optimizer) -> bool:
        """Lets the optimizer itself leave out a bad step, on the device; False if it cannot.

        A fused optimizer of PyTorch then changes neither weights nor its state (that is how `GradScaler` skips).
        """
        if not getattr(optimizer, "_step_supports_amp_scaling", False):
            return False
        optimizer.grad_scale, optimizer.found_inf = None, (self._on_device > 0).float()  # type: ignore[attr-defined]
        return True

    def is_bad(self) -> bool:
        """Waits, and says."""
        if self._known is not None:
            self._known.synchronize()
        return self._on_host.item() > 0
