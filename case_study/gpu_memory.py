"""Test-only faults: a card with little memory to spare, and BERTScore on it."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from bert_score.utils import bert_cos_score_idf

from callbacks.record_number import validation_record
from metrics.bertscore import BertScorer, Encoder

PEAK = "perf/peak_memory_gib"  # of training so far, logged by `callbacks.throughput`


class MemoryCap(L.Callback):
    """Lets a process have no more GPU memory than its greatest training step so far took, and a little.

    Caps at the end of the first validation after a third of the steps, when steps of all widths have been.

    Args:
        spare_gib: What it may take beyond that; at least 0. Enough for what the allocator cannot use, less than an
            encoder.

    Raises:
        ValueError: If `spare_gib` is below 0, or at the start of training if there is no GPU.
    """

    def __init__(self, spare_gib: float) -> None:
        if spare_gib < 0:
            raise ValueError(f"MemoryCap.spare_gib {spare_gib} must be at least 0.")
        self.spare_gib = spare_gib
        self._capped: torch.device | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuses devices that cannot be capped."""
        _require_gpu(pl_module.device)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Caps, once."""
        peak = trainer.callback_metrics.get(PEAK)
        if self._capped is not None or peak is None or not _third_is_over(trainer):
            return
        self._capped = device = pl_module.device
        allowed = float(peak) + self.spare_gib
        total = torch.cuda.get_device_properties(device).total_memory / 2**30
        torch.cuda.set_per_process_memory_fraction(min(allowed / total, 1.0), device)
        print(f"MemoryCap: from step {trainer.global_step} on {allowed:.2f} GiB are all there is.", flush=True)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Takes the cap away."""
        if self._capped is not None:  # the model is on the CPU by now
            torch.cuda.set_per_process_memory_fraction(1.0, self._capped)


class BertScoreOnGpu(L.Callback):
    """Scores validations on the training GPU, and keeps the encoder there; not before `MemoryCap` has capped.

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
        self._begins = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuses other devices."""
        _require_gpu(pl_module.device)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Scores what was generated."""
        if not _third_is_over(trainer):
            return
        if not self._begins:
            self._begins = True  # with the next: this one is when memory is capped
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


def _third_is_over(trainer: L.Trainer) -> bool:
    """Whether a fit has made a third of its steps."""
    return trainer.state.fn == "fit" and not trainer.sanity_checking and 3 * trainer.global_step >= trainer.max_steps


def _require_gpu(device: torch.device) -> None:
    if device.type != "cuda":
        raise ValueError(f"This fault is one of a GPU's memory, and trainer.accelerator chose {device.type}. Use gpu.")
