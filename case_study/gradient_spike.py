"""Test-only faults: gradients many times as great at some steps, as a corrupt row makes them; a watcher taken out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch


class GradientSpike(L.Callback):
    """Multiplies the gradients of some optimizer steps, before anything looks at them.

    Args:
        steps: Optimizer steps, counted from 0.
        factor: How many times as great; above 0.

    Raises:
        ValueError: If `factor` is not above 0.
    """

    def __init__(self, steps: Sequence[int], factor: float) -> None:
        if not factor > 0:
            raise ValueError(f"GradientSpike.factor {factor} must be above 0.")
        self.steps, self.factor = frozenset(steps), factor

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Watches what is trained."""
        self._trainer = trainer
        self._handles = [p.register_hook(self._spoil) for p in pl_module.parameters() if p.requires_grad]

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lets go."""
        for handle in self._handles:
            handle.remove()

    def _spoil(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * self.factor if self._trainer.global_step in self.steps else gradient


class Without(L.Callback):
    """Takes a watcher out of a run, to see what happens when nobody looks.

    Args:
        watcher: Name of its class, such as `GradientClipping`.

    Raises:
        ValueError: When the run starts, if it has no such watcher.
    """

    def __init__(self, watcher: str) -> None:
        self.watcher = watcher

    def setup(self, trainer: Any, pl_module: L.LightningModule, stage: str) -> None:
        """Takes it out, in training."""
        if stage != "fit":
            return
        kept = [one for one in trainer.callbacks if type(one).__name__ != self.watcher]
        if len(kept) == len(trainer.callbacks):
            known = ", ".join(type(one).__name__ for one in trainer.callbacks)
            raise ValueError(f"Without.watcher {self.watcher!r} is not in this run; it has {known}.")
        trainer.callbacks = kept  # another list: Lightning is walking through the old one
