"""What a checkpoint or an adapter needs and does not hold: base and tokenizer, as they were in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from datamodules.tokenizer import load_tokenizer, tokenizer_fingerprint, trim_tokenizer
from lightning_modules.adaptation import Adaptation, load_base
from lightning_modules.checkpointing import base_fingerprint
from lightning_modules.quantization import Quantization, quantize_rest
from lightning_modules.vocabulary_rows import trim_model
from metrics.pretrained import OwnCodeError, load_pretrained

_REMEDY = "Start in the folder where the run began, or where the hub can be reached."


@dataclass(frozen=True)
class RecordedBase:
    """A base, and how to get it back.

    Attributes:
        identity: From `checkpointing.base_identity`.
        kept: (K,) int64 ids of the pieces that a trimmed vocabulary keeps, None for all.
    """

    identity: Mapping[str, Any]
    kept: torch.Tensor | None = None

    @property
    def name(self) -> str:
        """Folder or hub id."""
        return self.identity["name"]

    @property
    def revision(self) -> str | None:
        """The commit on the hub where it is known, else what the run was told."""
        return None if Path(self.name).is_dir() else self.identity.get("commit") or self.identity.get("revision")

    def rows(self) -> int:
        """Rows of the whole base's head."""
        return load_pretrained(AutoConfig, self.name, revision=self.revision).vocab_size

    def tokenizer(self, trimmed: bool = True) -> PreTrainedTokenizerBase:
        """The tokenizer of the run.

        Args:
            trimmed: Without the pieces that the run did not keep.

        Raises:
            ValueError: If it cannot be found, or is not the one of the run.
        """
        try:
            tokenizer = load_tokenizer(self.name, self.revision)
        except OwnCodeError:
            raise
        except ValueError as error:
            raise ValueError(
                f"The tokenizer of the checkpoint's base {self.name!r} (revision {self.revision or 'main'!r}) cannot "
                f"be found. {_REMEDY} ({error})"
            ) from error
        if self.kept is not None and trimmed:
            trim_tokenizer(tokenizer, self.kept.tolist())
        if trimmed or self.kept is None:
            self._require("tokenizer", tokenizer_fingerprint(tokenizer))
        return tokenizer

    def model(
        self,
        adaptation: Adaptation,
        quantization: Quantization,
        trained_in: torch.dtype,
        device: torch.device = torch.device("cpu"),
    ) -> PreTrainedModel:
        """The base in the state that adapters were put onto: trimmed, then quantised.

        Args:
            adaptation: `qlora` gives the 4-bit model, anything else the plain one.
            quantization: The 4-bit format.
            trained_in: Format of frozen weights in training: what is quantised must be rounded as it was there.
            device: Where 4-bit weights are placed.

        Raises:
            ValueError: If it cannot be found, or is not the one of the run.
        """
        try:
            model = load_base(self.name, self.revision, adaptation, quantization, trained_in, device)
        except OwnCodeError:
            raise
        except ValueError as error:
            raise ValueError(f"The checkpoint's base {self.name!r} cannot be loaded. {_REMEDY} ({error})") from error
        self._require("fingerprint", base_fingerprint(model))
        if self.kept is not None:
            trim_model(model, self.kept)
        if adaptation == "qlora":
            quantize_rest(model, quantization)
        return model

    def _require(self, key: str, found: str) -> None:
        expected = self.identity.get(key)
        if expected is not None and expected != found:
            raise ValueError(
                f"The {'base model' if key == 'fingerprint' else key} of {self.name!r} (revision "
                f"{self.revision or 'main'!r}) is not the one of the run: its fingerprint is {found} instead of "
                f"{expected}. Put the files of the run's base there again."
            )
