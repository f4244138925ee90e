"""Writes the summaries of `predict` as they come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import BasePredictionWriter


class PredictionWriter(BasePredictionWriter):
    """Writes `predictions.jsonl` into the run's folder, one object a row.

    On several devices each writes its own rows to `predictions-RANK.jsonl`.
    """

    def __init__(self) -> None:
        super().__init__(write_interval="batch")
        self._path = Path()

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts an empty file."""
        name = "predictions.jsonl" if trainer.world_size == 1 else f"predictions-{trainer.global_rank}.jsonl"
        self._path = Path(trainer.default_root_dir) / name
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("", encoding="utf-8")

    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Appends a batch."""
        with self._path.open("a", encoding="utf-8") as file:
            for summary in prediction:
                file.write(json.dumps(asdict(summary), ensure_ascii=False) + "\n")

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Says where the file is."""
        print(f"Predictions: {self._path}", flush=True)
