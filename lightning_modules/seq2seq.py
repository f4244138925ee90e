"""The model that is trained: an mT5, adapted, with its losses, generation and optimizer.

Shapes: B rows, S source tokens, T target tokens, V vocabulary rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.cli import OptimizerCallable

from lightning_modules.acceleration import Acceleration
from lightning_modules.adaptation import (
    Adaptation,
    Lora,
    Quantization,
    adapt,
    enable_gradient_checkpointing,
    frozen_dtype,
    load_base,
)
from lightning_modules.adapter_folder import load_adapters, require_same_adapters
from lightning_modules.base_check import check_base
from lightning_modules.batch_size import find_batch_size
from lightning_modules.checkpointing import base_identity
from lightning_modules.evaluation import EvaluatedSummary, Evaluation, Scoring
from lightning_modules.generation import (
    Generation,
    decode,
    ended,
    generation_config,
    sentinel_ids,
    starts_with_sentinel,
)
from lightning_modules.losses import IGNORED_LABEL
from lightning_modules.optimization import Schedule
from lightning_modules.quantization import quantize_rest, require_quantizable
from lightning_modules.summarizer import Summarizer
from lightning_modules.training import TrainingModule
from lightning_modules.vocabulary_rows import trim_model
from metrics.pretrained import base_of

if TYPE_CHECKING:
    from datamodules.collate import SummarizationBatch


class Seq2SeqModule(TrainingModule):
    """Fine-tunes an encoder-decoder to summarise.

    Args:
        base: Folder or hub id of the pretrained model, such as `google/mt5-small`. A folder with a `config.json` and
            no weights is initialised at random; adapters are trained on, with their own base.
        revision: Branch, tag or commit on the hub.
        adaptation: What is trained: `full` all parameters, `lora` adapters on bf16 weights, `dora` the same with
            decomposed magnitudes (Liu et al. 2024, arXiv:2402.09353), `qlora` adapters on 4-bit weights.
        lora: The adapters.
        quantization: The 4-bit format of `qlora`.
        generation: How summaries are generated.
        scoring: How summaries are scored.
        optimizer: Class and settings of the optimizer; its learning rate is the peak.
        schedule: Course of the learning rate.
        label_smoothing: In [0, 1).
        gradient_checkpointing: Recompute activations in the backward pass: less memory, about a third more time.
        acceleration: How the loss is computed.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        base: str,
        revision: str | None = None,
        adaptation: Adaptation = "qlora",
        lora: Lora = Lora(),
        quantization: Quantization = Quantization(),
        generation: Generation = Generation(),
        scoring: Scoring = Scoring(),
        optimizer: OptimizerCallable = lambda parameters: torch.optim.AdamW(
            parameters, lr=1e-3, weight_decay=0.0, fused=True
        ),
        schedule: Schedule = Schedule(),
        label_smoothing: float = 0.0,
        gradient_checkpointing: bool = False,
        acceleration: Acceleration = Acceleration(),
    ) -> None:
        super().__init__(base, revision, optimizer, schedule, label_smoothing, gradient_checkpointing, acceleration)
        require_quantizable(quantization, adaptation)
        self.adaptation, self.lora, self.quantization = adaptation, lora, quantization
        self.generation, self.scoring = generation, scoring
        self.evaluation = Evaluation()

    def prepare_data(self) -> None:
        """Downloads and checks the base, and the adapters to go on from, on one process of each node."""
        if not self._goes_on:
            return super().prepare_data()
        require_same_adapters(self.base, self.revision, self.adaptation, self.lora)
        check_base(*self._whole, who=f"model.base {self.base!r} is an adapter, and its base")

    def configure_model(self) -> None:
        """Loads the base and attaches the adapters; once."""
        if self.model is not None:
            return
        dtype, device = frozen_dtype(str(self.trainer.precision)), self.trainer.strategy.root_device
        model = load_base(*self._whole, self.adaptation, self.quantization, dtype, device)
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        self.base_identity = base_identity(*self._whole, model, data.tokenizer_fingerprint)
        if data.kept_pieces is not None:
            trim_model(model, data.kept_pieces)
        self.base_identity["vocabulary_rows"] = rows = model.get_output_embeddings().weight.shape[0]
        self.require_rows(rows)
        quantize_rest(model, self.quantization)
        if self.gradient_checkpointing:
            enable_gradient_checkpointing(model)
        model = adapt(model, self.adaptation, self.lora)
        if self._goes_on:
            load_adapters(model, self.base, self.revision)
        self.model = model

    @cached_property
    def _whole(self) -> tuple[str, str | None]:
        """The base and its revision; where that is adapters to go on from, those of their base."""
        return (self.base, self.revision) if self.adaptation == "full" else base_of(self.base, self.revision)

    @property
    def _goes_on(self) -> bool:
        return self._whole[0] != self.base

    def find_batch_size(self, longest_batch: Callable[[int], SummarizationBatch], limit: int) -> int:
        """How many rows fit into the device's memory, on every device; see `batch_size.find_batch_size`."""
        return find_batch_size(self, longest_batch, limit)

    def on_fit_start(self) -> None:
        """Reports what is trained."""
        self.report_parameters(self.adaptation + (f", going on from {self.base}" if self._goes_on else ""))

    # -- evaluation --------------------------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        """Begins to collect."""
        self.evaluation = Evaluation()

    def validation_step(self, batch: SummarizationBatch, batch_idx: int) -> None:
        """Collects losses and generated summaries."""
        losses = self.batch_loss(batch)[1]
        self.evaluation.add(self.summarize(batch), losses, batch["labels"] != IGNORED_LABEL)

    def on_validation_epoch_end(self) -> None:
        """Logs `val/*`."""
        self._log_evaluation("val")

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step

    def on_test_epoch_end(self) -> None:
        """Logs `test/*`, with more baselines and measures than a validation."""
        self._log_evaluation("test", whole=True)

    def predict_step(self, batch: SummarizationBatch, batch_idx: int) -> list[EvaluatedSummary]:
        """Summaries of a batch."""
        return self.summarize(batch)

    def summarize(self, batch: SummarizationBatch) -> list[EvaluatedSummary]:
        """Generates a summary for each row of a batch."""
        ids = self._summarizer.generate(batch["input_ids"], batch["attention_mask"])
        columns = zip(
            batch["ids"],
            batch["languages"],
            batch["articles"],
            batch["summaries"],
            decode(ids, self.tokenizer),
            ended(ids, self.tokenizer.eos_token_id),
            starts_with_sentinel(ids, self._sentinels),
            strict=True,
        )
        return [EvaluatedSummary(*row) for row in columns]

    @cached_property
    def _sentinels(self) -> list[int]:
        return sentinel_ids(self.tokenizer)

    @cached_property
    def _summarizer(self) -> Summarizer:
        config = generation_config(self.generation, self.tokenizer, self.base_identity["vocabulary_rows"])
        return Summarizer(self.model, config, self.generation.fast, self.generation.dequantize)

    def on_predict_epoch_end(self) -> None:
        """Frees what generation held."""
        self._summarizer.release()

    def _log_evaluation(self, stage: str, whole: bool = False) -> None:
        self._summarizer.release()
        self.evaluation = self.evaluation.gathered()
        self.evaluation.score(self.scoring, whole, self.trainer.datamodule.known_words)  # type: ignore[attr-defined]
        for name, value in self.evaluation.metrics().items():
            # Equal on all devices already, since the evaluation is gathered.
            self.log(f"{stage}/{name}", value, rank_zero_only=False)
