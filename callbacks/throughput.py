"""Articles a second and memory, measured where they are spent."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
import torch


class Throughput(L.Callback):
    """Logs `perf/articles_per_s` (all devices, training steps only) and `perf/peak_memory_gib` (this device).

    The clock stops during validation and checkpoints. On a GPU the device is only asked to finish its work when a
    number is logged, so that watching does not slow it.

    Args:
        every_n_steps: Batches over which the rate is measured; at least 1.
        skip: Batches left out at the start, when caches are cold.

    Raises:
        ValueError: If `every_n_steps` is below 1.
    """

    def __init__(self, every_n_steps: int = 50, skip: int = 10) -> None:
        if every_n_steps < 1:
            raise ValueError(f"Throughput.every_n_steps {every_n_steps} must be at least 1.")
        self.every_n_steps, self.skip = every_n_steps, skip
        self._articles = self._batches = 0
        self._seconds = 0.0
        self._started: float | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts a new peak."""
        self._started, self._articles, self._batches, self._seconds = None, 0, -self.skip, 0.0
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        """Starts the clock after a pause."""
        if self._started is None:
            self._started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts, and logs every so many batches."""
        self._batches += 1
        if self._batches <= 0:
            self._started = None if self._batches == 0 else self._started
            return
        self._articles += len(batch["ids"]) * trainer.world_size
        if self._batches < self.every_n_steps:
            return
        self._pause(pl_module)
        pl_module.log("perf/articles_per_s", self._articles / self._seconds, prog_bar=True, batch_size=1)
        if pl_module.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(pl_module.device) / 2**30
            pl_module.log("perf/peak_memory_gib", peak, prog_bar=True, batch_size=1)
        self._articles = self._batches = 0
        self._seconds = 0.0

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stops the clock."""
        self._pause(pl_module)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Stops the clock."""
        self._pause(pl_module)

    def _pause(self, pl_module: L.LightningModule) -> None:
        if self._started is not None:
            if pl_module.device.type == "cuda":
                torch.cuda.synchronize(pl_module.device)
            self._seconds += time.perf_counter() - self._started
            self._started = None
