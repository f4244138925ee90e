"""The progress bar: what matters in training, read only when the bar is drawn."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.callbacks import TQDMProgressBar

from callbacks.watcher import Watcher

# Logged with `prog_bar=True`, each of these would make the GPU wait at every step.
SHOWN = {
    "train/loss": "loss",
    "train/learning_rate": "lr",
    "perf/articles_per_s": "articles/s",
    "perf/peak_memory_gib": "GiB",
    "val/loss": "val loss",
    "val/rougeL": "val rougeL",
}


class TrainingProgressBar(Watcher, TQDMProgressBar):
    """Shows loss, learning rate, speed, memory and the last validation.

    Where what it writes to is closed, the run goes on without it.

    Args:
        refresh_rate: Batches from one drawing to the next; at least 1.
    """

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate)

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, int | str | float]:  # type: ignore[override]
        """Values by their short names, to 3 digits."""
        known = {name: trainer.callback_metrics[key] for key, name in SHOWN.items() if key in trainer.callback_metrics}
        return {name: f"{value.item():.3g}" for name, value in known.items()}
