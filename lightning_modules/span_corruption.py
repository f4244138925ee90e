"""Pretraining: an mT5 that fills in masked spans of text, all parameters trained.

Shapes: B blocks, T targets.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import nn
from transformers import PreTrainedModel

from lightning_modules.acceleration import Acceleration
from lightning_modules.across_devices import sum_over_devices
from lightning_modules.adaptation import Lora, Quantization, adapt, enable_gradient_checkpointing, load_base
from lightning_modules.checkpointing import base_identity
from lightning_modules.initialization import Sizes, write_random
from lightning_modules.muon import MuonWithAdamW
from lightning_modules.optimization import Schedule
from lightning_modules.training import TrainingModule

if TYPE_CHECKING:
    from datamodules.collate import SummarizationBatch


class SpanCorruptionModule(TrainingModule):
    """Pretrains an encoder-decoder on the batches of `CorpusDataModule`, from random weights or from any checkpoint.

    Args:
        base: Folder or hub id of the model to start from, such as `google/mt5-small`; with `from_scratch`, of the
            tokenizer alone. A folder with a `config.json` and no weights is initialised at random.
        revision: Branch, tag or commit on the hub.
        from_scratch: Sizes of a new model with random weights, in place of the base's.
        optimizer: Class and settings of the optimizer; its learning rates are the peak.
        schedule: Course of the learning rates.
        dropout: In [0, 1). mT5 was pretrained without (Xue et al. 2021, section 3.1); what the base's configuration
            says stays there, for fine-tuning.
        gradient_checkpointing: Recompute activations in the backward pass: less memory, about a third more time.
        acceleration: How the loss is computed.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        base: str,
        revision: str | None = None,
        from_scratch: Sizes | None = None,
        optimizer: OptimizerCallable = lambda parameters: MuonWithAdamW(parameters),
        schedule: Schedule = Schedule(),
        dropout: float = 0.0,
        gradient_checkpointing: bool = False,
        acceleration: Acceleration = Acceleration(),
    ) -> None:
        super().__init__(base, revision, optimizer, schedule, 0.0, gradient_checkpointing, acceleration)
        if not 0 <= dropout < 1:
            raise ValueError(f"model.dropout {dropout} must be in [0, 1).")
        self.from_scratch, self.dropout = from_scratch, dropout
        self._sums = torch.empty(0)  # of the losses and labels of a validation, by language

    def prepare_data(self) -> None:
        """Downloads and checks the base, unless it only gives its tokenizer."""
        if self.from_scratch is None:
            super().prepare_data()

    def configure_model(self) -> None:
        """Loads the base, or makes a new model; once."""
        if self.model is not None:
            return
        model = self._load()
        set_dropout(model, self.dropout)
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        self.base_identity = base_identity(self.base, self.revision, model, data.tokenizer_fingerprint)
        if self.from_scratch is not None:
            # Random numbers differ between processors in their last bits, and a checkpoint holds all weights anyway.
            self.base_identity["fingerprint"] = f"random {self.from_scratch}"
        self.base_identity["vocabulary_rows"] = rows = model.get_output_embeddings().weight.shape[0]
        self.require_rows(rows)
        if self.gradient_checkpointing:
            enable_gradient_checkpointing(model)
        self.model = adapt(model, "full", Lora())

    def _load(self) -> PreTrainedModel:
        base, revision = self.base, self.revision
        with tempfile.TemporaryDirectory() as folder:
            if self.from_scratch is not None:
                write_random(self.from_scratch.config(len(self.tokenizer)), folder)
                base, revision = folder, None
            return load_base(base, revision, "full", Quantization(), torch.float32, torch.device("cpu"))

    def on_fit_start(self) -> None:
        """Reports what is trained."""
        self.report_parameters("pretraining")

    def training_step(self, batch: SummarizationBatch, batch_idx: int) -> torch.Tensor:
        """Mean loss of a batch; also logs how many tokens of text the run has seen."""
        loss = super().training_step(batch, batch_idx)
        batches = self.trainer.fit_loop.epoch_loop.batch_progress.total.ready * self.trainer.world_size
        self.log_on_device("train/tokens", float(batches * batch["tokens"]))
        return loss

    # -- validation --------------------------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        """Begins to add up."""
        self._sums = torch.zeros(2, len(self.languages), device=self.device)

    def validation_step(self, batch: SummarizationBatch, batch_idx: int) -> None:
        """Adds up the losses by language."""
        self._sums += self.loss_by_language(batch, self.batch_loss(batch)[1])

    def on_validation_epoch_end(self) -> None:
        """Logs `val/loss/LANGUAGE`, in nats a target token, and `val/loss`, their mean over the languages."""
        sums, tokens = sum_over_devices(self._sums)
        means = sums / tokens
        # Equal on all devices already.
        for language, mean in zip(self.languages, means, strict=True):
            self.log(f"val/loss/{language}", mean, rank_zero_only=False)
        # A sanity check may see some of the languages only.
        self.log("val/loss", means.nanmean(), rank_zero_only=False)


def set_dropout(model: nn.Module, rate: float) -> None:
    """Sets the dropout of every layer, and leaves the model's configuration as it is."""
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = rate
        elif isinstance(getattr(layer, "dropout", None), float):  # attention, which keeps the rate itself
            layer.dropout = rate  # type: ignore[assignment]
