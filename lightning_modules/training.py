"""What every module that trains an mT5 shares: its loss, its optimizer and schedule, its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from transformers import PreTrainedTokenizerBase

from datamodules.pieces import KEPT_KEY
from lightning_modules.acceleration import Acceleration, BatchLoss
from lightning_modules.across_devices import average_gradients, sum_over_devices
from lightning_modules.adaptation import (
    ParameterCount,
    count_parameters,
    require_gradient_checkpointing,
    require_gradients,
    require_supported_precision,
)
from lightning_modules.base_check import check_base
from lightning_modules.checkpointing import (
    BASE_KEY,
    CONFIG_KEY,
    load_trainable_state,
    require_same_base,
    trainable_state,
)
from lightning_modules.losses import IGNORED_LABEL, sums_by_group
from lightning_modules.optimization import Schedule, apply_current_settings, build_scheduler, require_same_groups

if TYPE_CHECKING:
    from datamodules.collate import SummarizationBatch


class TrainingModule(L.LightningModule):
    """Trains an encoder-decoder; a subclass loads `model` and `base_identity` in `configure_model`, and validates.

    Args:
        base: Folder or hub id of the pretrained model.
        revision: Branch, tag or commit on the hub.
        optimizer: Class and settings of the optimizer.
        schedule: Course of the learning rate.
        label_smoothing: In [0, 1).
        gradient_checkpointing: Recompute activations in the backward pass.
        acceleration: How the loss is computed.

    Raises:
        ValueError: If a number is out of range.
    """

    strict_loading = True  # of the trained parameters: `load_state_dict` compares every name and shape

    def __init__(
        self,
        base: str,
        revision: str | None,
        optimizer: OptimizerCallable,
        schedule: Schedule,
        label_smoothing: float,
        gradient_checkpointing: bool,
        acceleration: Acceleration,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"model.label_smoothing {label_smoothing} must be in [0, 1).")
        self.base, self.revision = base, revision
        self.optimizer, self.schedule = optimizer, schedule
        self.label_smoothing, self.gradient_checkpointing = label_smoothing, gradient_checkpointing
        self.acceleration = acceleration
        self.model: Any = None
        self.base_identity: dict[str, Any] = {}
        self._resumed = self._learns = False
        self._saved_groups: list[dict[str, Any]] | None = None

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
        """Downloads and checks the base, on one process of each node."""
        check_base(self.base, self.revision)

    def setup(self, stage: str) -> None:
        """Refuses precisions that give NaN."""
        require_supported_precision(str(self.trainer.precision))

    def require_rows(self, rows: int) -> None:
        """Refuses a tokenizer whose ids a model of so many vocabulary rows does not have."""
        if len(self.tokenizer) > rows:
            raise ValueError(
                f"The tokenizer has {len(self.tokenizer)} pieces, but model.base {self.base!r} only {rows} rows. "
                "Use the tokenizer that belongs to the model (leave data.tokenizer out)."
            )

    def configure_optimizers(self) -> Any:
        """Optimizer over the trainable parameters, scheduler stepped each optimizer step."""
        # With their names, since optimizers may treat embeddings and hidden matrices differently.
        optimizer = self.optimizer([(name, p) for name, p in self.model.named_parameters() if p.requires_grad])
        if self._saved_groups is not None:
            require_same_groups(self._saved_groups, optimizer)
        scheduler = build_scheduler(self.schedule, optimizer, self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def report_parameters(self, what: str) -> None:
        """Prints and logs how much of the model is trained."""
        count = self.parameter_count
        rank_zero_info(
            f"{what}: {count.trainable:,} of {count.total:,} parameters trained "
            f"({count.trainable / count.total:.2%}), {count.four_bit:,} held in 4 bits, "
            f"weights {count.weight_bytes / 2**20:,.0f} MiB."
        )
        for logger in self.loggers:
            logger.log_hyperparams({f"parameters/{name}": value for name, value in vars(count).items()})

    def on_train_start(self) -> None:
        """Checks that checkpointing is on, and lets the current optimizer settings win over a checkpoint's."""
        if self.gradient_checkpointing:
            require_gradient_checkpointing(self.model)
        if self.averages_gradients:
            self.trainer.strategy.model.require_backward_grad_sync = False  # type: ignore[union-attr]
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
        settings = self.acceleration.resolved(self.device, self.gradient_checkpointing)
        return BatchLoss(self.model, self.model.get_output_embeddings().weight, settings, self.label_smoothing)

    def forward(self, batch: SummarizationBatch) -> torch.Tensor:
        """Mean loss over the labels of a batch."""
        return self.batch_loss(batch)[0]

    def training_step(self, batch: SummarizationBatch, batch_idx: int) -> torch.Tensor:
        """Mean loss of a batch, logged overall and by language."""
        loss, losses = self.batch_loss(batch)
        self.log_on_device("train/learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])
        sums, tokens = sum_over_devices(self.loss_by_language(batch, losses))
        self.log("train/loss", sums.sum() / tokens.sum(), batch_size=1)
        for language, mean in zip(self.languages, sums / tokens, strict=True):
            # Without a row of it NaN, a gap: Lightning would log the loss of an earlier batch again.
            self.log(f"train/loss/{language}", mean, batch_size=1)
        return loss

    @property
    def averages_gradients(self) -> bool:
        """Whether devices average their gradients here: PyTorch's DDP would in hooks, which replays do not call."""
        return self.trainer.world_size > 1 and bool(self.batch_loss.settings.cuda_graphs)

    def backward(self, loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """Backward pass; before a step of the optimizer all devices have the same gradients.

        The first one must reach every trained parameter.
        """
        super().backward(loss, *args, **kwargs)
        if not self._learns:
            require_gradients(self.model)
            self._learns = True
        if self.averages_gradients and not self.trainer.fit_loop.epoch_loop._should_accumulate():
            # Not those of the model: walking through all its layers takes milliseconds in each step.
            groups = self.trainer.optimizers[0].param_groups
            average_gradients(parameter for group in groups for parameter in group["params"])

    @property
    def languages(self) -> list[str]:
        """Those of the data."""
        return self.trainer.datamodule.languages  # type: ignore[attr-defined]

    def loss_by_language(self, batch: SummarizationBatch, losses: torch.Tensor) -> torch.Tensor:
        """(2, languages) fp32 sums of the (B, T) losses, and numbers of labels, of this device's rows."""
        counted = batch["labels"] != IGNORED_LABEL
        return sums_by_group(losses, counted, batch["language_index"], len(self.languages))

    def log_on_device(self, name: str, value: float) -> None:
        """Logs a number, filled on the device: a plain number would be copied there, and the device waited for."""
        self.log(name, torch.full((), value, device=self.device), batch_size=1)

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The trained parameters only."""
        return trainable_state(self.model)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> None:  # type: ignore[override]
        """Loads trained parameters; every name and shape must fit."""
        load_trainable_state(self.model, state_dict)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the identity of base and tokenizer, and the configuration of a model that is trained as a whole."""
        checkpoint[BASE_KEY] = self.base_identity
        if all(parameter.requires_grad for parameter in self.model.parameters()):
            checkpoint[CONFIG_KEY] = self.model.config.to_dict()
        checkpoint[KEPT_KEY] = self.trainer.datamodule.kept_pieces  # type: ignore[attr-defined]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses a checkpoint of another base, tokenizer or program."""
        require_same_base(checkpoint.get(BASE_KEY), self.base_identity)
        self._resumed = True
        if self.trainer.state.fn == "fit":
            self._saved_groups = checkpoint["optimizer_states"][0]["param_groups"]
