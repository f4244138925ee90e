"""The model that is trained: an mT5, adapted, with its losses, generation and optimizer.

Shapes: B rows, S source tokens, T target tokens, V vocabulary rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from transformers import PreTrainedTokenizerBase

from datamodules.pieces import KEPT_KEY
from lightning_modules.acceleration import Acceleration, BatchLoss
from lightning_modules.across_devices import sum_over_devices
from lightning_modules.adaptation import (
    Adaptation,
    Lora,
    ParameterCount,
    Quantization,
    adapt,
    count_parameters,
    download_base,
    enable_gradient_checkpointing,
    frozen_dtype,
    load_base,
    require_gradient_checkpointing,
    require_supported_precision,
)
from lightning_modules.batch_size import find_batch_size
from lightning_modules.checkpointing import (
    BASE_KEY,
    base_identity,
    load_trainable_state,
    require_same_base,
    trainable_state,
)
from lightning_modules.evaluation import EvaluatedSummary, Evaluation, Scoring
from lightning_modules.generation import (
    Generation,
    decode,
    ended,
    generation_config,
    sentinel_ids,
    starts_with_sentinel,
)
from lightning_modules.losses import IGNORED_LABEL, sums_by_group
from lightning_modules.optimization import Schedule, apply_current_settings, build_scheduler
from lightning_modules.quantization import quantize_rest, require_quantizable
from lightning_modules.summarizer import Summarizer
from lightning_modules.vocabulary_rows import trim_model

if TYPE_CHECKING:
    from datamodules.collate import SummarizationBatch


class Seq2SeqModule(L.LightningModule):
    """Fine-tunes an encoder-decoder to summarise.

    Args:
        base: Folder or hub id of the pretrained model, such as `google/mt5-small`. A folder with a `config.json` and
            no weights is initialised at random.
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

    strict_loading = True  # of the trained parameters: `load_state_dict` compares every name and shape

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
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"model.label_smoothing {label_smoothing} must be in [0, 1).")
        require_quantizable(quantization, adaptation)
        self.base, self.revision = base, revision
        self.adaptation, self.lora, self.quantization = adaptation, lora, quantization
        self.generation, self.scoring = generation, scoring
        self.optimizer, self.schedule = optimizer, schedule
        self.label_smoothing, self.gradient_checkpointing = label_smoothing, gradient_checkpointing
        self.acceleration = acceleration
        self.model: Any = None
        self.evaluation = Evaluation()
        self.base_identity: dict[str, Any] = {}
        self._resumed = False

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The data module's tokenizer: there is only one."""
        return self.trainer.datamodule.tokenizer  # type: ignore[attr-defined]

    @property
    def parameter_count(self) -> ParameterCount:
        """Sizes of the loaded model."""
        return count_parameters(self.model)

    # -- set-up ------------------------------------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Downloads the base, on one process of each node."""
        download_base(self.base, self.revision)

    def setup(self, stage: str) -> None:
        """Refuses precisions that give NaN, before anything is loaded."""
        require_supported_precision(str(self.trainer.precision))

    def configure_model(self) -> None:
        """Loads the base and attaches the adapters; once."""
        if self.model is not None:
            return
        dtype, device = frozen_dtype(str(self.trainer.precision)), self.trainer.strategy.root_device
        model = load_base(self.base, self.revision, self.adaptation, self.quantization, dtype, device)
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        self.base_identity = base_identity(self.base, self.revision, model, data.tokenizer_fingerprint)
        if data.kept_pieces is not None:
            trim_model(model, data.kept_pieces)
        self.base_identity["vocabulary_rows"] = rows = model.get_output_embeddings().weight.shape[0]
        if len(self.tokenizer) > rows:
            raise ValueError(
                f"The tokenizer has {len(self.tokenizer)} pieces, but model.base {self.base!r} only {rows} rows. "
                "Use the tokenizer that belongs to the model (leave data.tokenizer out)."
            )
        quantize_rest(model, self.quantization)
        if self.gradient_checkpointing:
            enable_gradient_checkpointing(model)
        self.model = adapt(model, self.adaptation, self.lora)

    def configure_optimizers(self) -> Any:
        """Optimizer over the trainable parameters, scheduler stepped each optimizer step."""
        optimizer = self.optimizer([p for p in self.model.parameters() if p.requires_grad])
        scheduler = build_scheduler(self.schedule, optimizer, self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def find_batch_size(self, longest_batch: Callable[[int], SummarizationBatch], limit: int) -> int:
        """How many rows fit into the device's memory, on every device; see `batch_size.find_batch_size`."""
        return find_batch_size(self, longest_batch, limit)

    def on_fit_start(self) -> None:
        """Reports what is trained."""
        count = self.parameter_count
        rank_zero_info(
            f"{self.adaptation}: {count.trainable:,} of {count.total:,} parameters trained "
            f"({count.trainable / count.total:.2%}), {count.four_bit:,} held in 4 bits, "
            f"weights {count.weight_bytes / 2**20:,.0f} MiB."
        )
        for logger in self.loggers:
            logger.log_hyperparams({f"parameters/{name}": value for name, value in vars(count).items()})

    def on_train_start(self) -> None:
        """Checks that checkpointing is on, and lets the current optimizer settings win over a checkpoint's."""
        if self.gradient_checkpointing:
            require_gradient_checkpointing(self.model)
        if self._resumed:
            changed = apply_current_settings(self.optimizers(use_pl_optimizer=False), self.lr_schedulers())  # type: ignore[arg-type]
            for name, (before, now) in changed.items():
                rank_zero_info(
                    f"Optimizer setting {name}: the checkpoint had {before}, the configuration's {now} wins."
                )

    # -- training ----------------------------------------------------------------------------------------------------

    @cached_property
    def batch_loss(self) -> BatchLoss:
        """Gives the loss of a batch: scalar, and (B, T) of its labels."""
        settings = self.acceleration.resolved(self.device, self.trainer.world_size, self.gradient_checkpointing)
        return BatchLoss(self.model, self.model.get_output_embeddings().weight, settings, self.label_smoothing)

    def forward(self, batch: SummarizationBatch) -> torch.Tensor:
        """Mean loss over the labels of a batch."""
        return self.batch_loss(batch)[0]

    def training_step(self, batch: SummarizationBatch, batch_idx: int) -> torch.Tensor:
        """Mean loss of a batch, logged overall and by language."""
        loss, losses = self.batch_loss(batch)
        # Filled on the device: a plain number would be copied there, and the device waited for.
        rate = torch.full((), self.trainer.optimizers[0].param_groups[0]["lr"], device=self.device)
        self.log("train/learning_rate", rate, batch_size=1)
        self._log_losses(batch, losses)
        return loss

    def _log_losses(self, batch: SummarizationBatch, losses: torch.Tensor) -> None:
        languages = self.trainer.datamodule.languages  # type: ignore[attr-defined]
        counted = batch["labels"] != IGNORED_LABEL
        sums, tokens = sum_over_devices(sums_by_group(losses, counted, batch["language_index"], len(languages)))
        self.log("train/loss", sums.sum() / tokens.sum(), batch_size=1)
        for language, mean in zip(languages, sums / tokens, strict=True):
            # Without a row of it NaN, a gap: Lightning would log the loss of an earlier batch again.
            self.log(f"train/loss/{language}", mean, batch_size=1)

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
        self.evaluation.score(self.scoring, whole)
        for name, value in self.evaluation.metrics().items():
            # Equal on all devices already, since the evaluation is gathered.
            self.log(f"{stage}/{name}", value, rank_zero_only=False)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The trained parameters only."""
        return trainable_state(self.model)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> None:  # type: ignore[override]
        """Loads trained parameters; every name and shape must fit."""
        load_trainable_state(self.model, state_dict)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the identity of base and tokenizer."""
        checkpoint[BASE_KEY] = self.base_identity
        checkpoint[KEPT_KEY] = self.trainer.datamodule.kept_pieces  # type: ignore[attr-defined]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses a checkpoint of another base, tokenizer or program."""
        require_same_base(checkpoint.get(BASE_KEY), self.base_identity)
        self._resumed = True
