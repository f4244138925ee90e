"""Articles or tokens a second and memory, measured where they are spent."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
import torch

from callbacks.record_number import validation_record
from callbacks.watcher import Watcher


class Throughput(Watcher):
    """Logs `perf/articles_per_s` (all devices), `perf/validation_seconds` and the peaks of memory.

    In pretraining, whose batches say how many tokens they hold, `perf/tokens_per_s` comes in the place of articles.

    The peaks are `perf/peak_memory_gib` in training and `perf/validation_peak_memory_gib`, of a GPU's memory only.

    Each record covers the steps since the one before it; there is one every `trainer.log_every_n_steps`. The clock
    stops during validation and checkpoints. A GPU is only asked to finish its work when a number is logged, so that
    watching does not slow it.

    Args:
        skip: Batches left out at the start, when caches are cold; at least 0.
    """

    def __init__(self, skip: int = 10) -> None:
        self.skip = skip
        self._batches = self._done = 0
        self._unit = "articles"
        self._seconds = 0.0
        self._started: float | None = None
        self._peak = 0.0
        self._validation_started = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts a new peak."""
        self._started, self._batches, self._done, self._seconds = None, 0, 0, 0.0
        self._take_peak(pl_module)
        self._peak = 0.0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Starts the clock after a pause."""
        if self._started is None and self._batches >= self.skip:
            self._started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts, and logs when Lightning does."""
        self._batches += 1
        if self._batches <= self.skip:
            return
        self._unit = "tokens" if "tokens" in batch else "articles"
        self._done += batch.get("tokens", len(batch["ids"])) * trainer.world_size
        if trainer.global_step % trainer.log_every_n_steps or trainer.fit_loop.epoch_loop._should_accumulate():
            return
        self._pause(pl_module)
        pl_module.log(f"perf/{self._unit}_per_s", self._done / self._seconds, batch_size=1)
        if pl_module.device.type == "cuda":
            self._peak = max(self._peak, self._take_peak(pl_module))
            pl_module.log("perf/peak_memory_gib", self._peak, batch_size=1)
        self._done, self._seconds = 0, 0.0
        self._started = time.perf_counter()  # waiting for the next batch counts

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stops the clock, and takes the peak of training apart from that of validation."""
        self._pause(pl_module)
        self._peak = max(self._peak, self._take_peak(pl_module))
        self._validation_started = time.perf_counter()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Logs what a validation took."""
        if trainer.sanity_checking:
            return
        measured = {"perf/validation_seconds": time.perf_counter() - self._validation_started}
        if pl_module.device.type == "cuda":
            measured["perf/validation_peak_memory_gib"] = self._take_peak(pl_module)
        for logger in trainer.loggers:
            logger.log_metrics(measured, step=validation_record(trainer))
            logger.save()  # the checkpoint of this validation is saved next

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Stops the clock."""
        self._pause(pl_module)

    def _pause(self, pl_module: L.LightningModule) -> None:
        if self._started is not None:
            if pl_module.device.type == "cuda":
                torch.cuda.synchronize(pl_module.device)
            self._seconds += time.perf_counter() - self._started
            self._started = None

    @staticmethod
    def _take_peak(pl_module: L.LightningModule) -> float:
        """Peak of the memory allocated by tensors since the last call, in GiB; 0 on a CPU."""
        if pl_module.device.type != "cuda":
            return 0.0
        peak = torch.cuda.max_memory_allocated(pl_module.device) / 2**30
        torch.cuda.reset_peak_memory_stats(pl_module.device)
        return peak
