"""The model of a checkpoint, as it was when the checkpoint was saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoConfig, PreTrainedModel

from datamodules.pieces import KEPT_KEY
from lightning_modules.adaptation import adapt, frozen_dtype
from lightning_modules.checkpointing import BASE_KEY, CONFIG_KEY, load_trainable_state
from lightning_modules.initialization import untied_model
from lightning_modules.quantization import cast_weights
from lightning_modules.recorded_base import RecordedBase
from lightning_modules.run_checkpoints import load_usable
from lightning_modules.run_settings import RunSettings, settings_of


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint, read.

    Attributes:
        file: Where it lies.
        content: All of it.
        base: What it does not hold.
        settings: What it was trained with.
    """

    file: Path
    content: dict[str, Any]
    base: RecordedBase
    settings: RunSettings

    @property
    def adapted(self) -> bool:
        """Whether it holds adapters only."""
        return self.settings.adaptation != "full"

    @property
    def vocabulary_rows(self) -> int:
        """Rows of the trained model's head."""
        return self.content[BASE_KEY]["vocabulary_rows"]

    @property
    def run(self) -> Path:
        """Its run's folder."""
        return self.file.absolute().parent.parent


def read_checkpoint(file: Path) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        ValueError: If it is missing, damaged, of another program, or says not how it was trained.
    """
    content = load_usable(file)
    if not content.get(BASE_KEY):
        raise ValueError(f"{str(file)!r} is no checkpoint of ozet: it does not say which base it belongs to.")
    kept = content.get(KEPT_KEY)
    base = RecordedBase(content[BASE_KEY], None if kept is None else kept.long())
    return Checkpoint(file, content, base, settings_of(content, file))


def model_of_checkpoint(
    checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype | None = None
) -> PreTrainedModel | PeftModel:
    """The model with its adapters, if any, beside its weights.

    Args:
        checkpoint: From `read_checkpoint`.
        device: Where 4-bit weights are placed.
        dtype: Of weights that are not quantised; None is that of frozen weights in training.

    Raises:
        ValueError: If the base is missing or not the one of the run, or the parameters do not fit.
    """
    settings, content = checkpoint.settings, checkpoint.content
    trained_in = frozen_dtype(settings.precision)
    if CONFIG_KEY in content:  # then nothing of the base is needed
        base: Any = untied_model(AutoConfig.for_model(**content[CONFIG_KEY]))
    else:
        base = checkpoint.base.model(settings.adaptation, settings.quantization, trained_in, device)
    cast_weights(base, dtype or trained_in)
    model = adapt(base, settings.adaptation, settings.lora)
    load_trainable_state(model, content["state_dict"])
    return model
