"""Test-only faults: a card with little memory to spare, and BERTScore on it."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from bert_score.utils import bert_cos_score_idf

from callbacks.record_number import validation_record
from metrics.bertscore import BertScorer, Encoder


class MemoryCap(L.Callback):
    """Lets a process have no more GPU memory than it took up to the end of its first validation, and a little.

    Args:
        spare_gib: What it may take beyond that; at least 0.

    Raises:
        ValueError: If `spare_gib` is below 0, or at the start of training if there is no GPU.
    """

    def __init__(self, spare_gib: float) -> None:
        if spare_gib < 0:
            raise ValueError(f"MemoryCap.spare_gib {spare_gib} must be at least 0.")
        self.spare_gib = spare_gib
        self._capped = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuses devices that cannot be capped."""
        _require_gpu(pl_module.device)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Caps, after the first."""
        if self._capped or trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self._capped, device = True, pl_module.device
        allowed = torch.cuda.max_memory_reserved(device) + self.spare_gib * 2**30
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(allowed / total, 1.0), device)
        print(f"MemoryCap: from here on {allowed / 2**30:.2f} GiB are all there is.", flush=True)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Takes the cap away."""
        if self._capped:
            torch.cuda.set_per_process_memory_fraction(1.0, pl_module.device)


class BertScoreOnGpu(L.Callback):
    """Scores every validation but the first on the training GPU, and keeps the encoder there.

    Logs the peak of memory meanwhile as `perf/bertscore_peak_memory_gib`.

    Args:
        encoder: Folder or hub id.
        batch_size: Texts encoded at once; at least 1.

    Raises:
        ValueError: At the start of training, if there is no GPU.
    """

    def __init__(self, encoder: str, batch_size: int = 64) -> None:
        self.encoder, self.batch_size = encoder, batch_size
        self._scorer: _GpuScorer | None = None
        self._validations = 0

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuses other devices."""
        _require_gpu(pl_module.device)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Scores what was generated."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self._validations += 1
        if self._validations == 1:
            return
        if self._scorer is None:
            self._scorer = _GpuScorer("en", Encoder(model=self.encoder), batch_size=self.batch_size)
        summaries = pl_module.evaluation.summaries
        self._scorer.score([one.prediction for one in summaries], [one.reference for one in summaries])
        peak = {"perf/bertscore_peak_memory_gib": torch.cuda.max_memory_allocated(pl_module.device) / 2**30}
        for logger in trainer.loggers:
            logger.log_metrics(peak, step=validation_record(trainer))


class _GpuScorer(BertScorer):
    """The project's scorer, where its docstring says that it does not go."""

    def _f1(self, predictions: list[str], references: list[str]) -> torch.Tensor:
        self._model.to("cuda")
        settings = {"batch_size": self.batch_size, "device": "cuda"}
        scores = bert_cos_score_idf(self._model, references, predictions, self._tokenizer, self._weights, **settings)
        return scores[:, 2]


def _require_gpu(device: torch.device) -> None:
    if device.type != "cuda":
        raise ValueError(f"This fault is one of a GPU's memory, and trainer.accelerator chose {device.type}. Use gpu.")
