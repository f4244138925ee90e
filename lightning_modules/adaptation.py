"""How much of an mT5 is trained, and in which number formats the rest is held."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoModelForSeq2SeqLM, GenerationConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from lightning_modules.base_check import check_base, require_one_embedding, set_tied
from lightning_modules.error_reason import reason
from lightning_modules.finite_weights import require_finite
from lightning_modules.initialization import initialize
from lightning_modules.quantization import (  # noqa: F401  (other modules import these from here)
    ParameterCount,
    Quantization,
    bitsandbytes_config,
    count_parameters,
    prepare_bitsandbytes,
)
from lightning_modules.weight_files import lacks_weights, model_folder, stored_weights, weight_files
from metrics.pretrained import OwnCodeError, load_pretrained

Adaptation = Literal["full", "lora", "dora", "qlora"]


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685).

    Args:
        rank: Rank of the update, at least 1.
        alpha: The update is scaled by alpha / rank (alpha / sqrt(rank) with `rslora`); above 0.
        dropout: Dropout before the adapters, in [0, 1).
        targets: `all-linear` (every linear layer but the head) or names of layers, such as [q, v].
        rslora: Rank-stabilised scaling (Kalajdzievski 2023, arXiv:2312.03732).

    Raises:
        ValueError: If a value is out of range.
    """

    rank: int = 16
    alpha: float = 32
    dropout: float = 0.05
    targets: Literal["all-linear"] | list[str] = "all-linear"
    rslora: bool = False

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"lora.rank {self.rank} must be at least 1.")
        if not self.alpha > 0:
            raise ValueError(f"lora.alpha {self.alpha} must be above 0.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"lora.dropout {self.dropout} must be in [0, 1).")
        if not self.targets:
            raise ValueError("lora.targets is empty; name layers such as [q, v], or all-linear.")


def require_supported_precision(precision: str) -> None:
    """Refuses number formats in which mT5 does not train.

    Args:
        precision: Lightning's name, such as `bf16-mixed`.

    Raises:
        ValueError: For all but `bf16-mixed` and `32-true`; says why.
    """
    if precision in ("16", "16-mixed", "16-true"):
        raise ValueError(
            f"trainer.precision {precision}: mT5 was pretrained in bf16, and its feed-forward outputs exceed the "
            "greatest fp16 number (65,504), so that losses become NaN. Use bf16-mixed, or 32-true where the device "
            "has no bf16."
        )
    if precision in ("bf16", "bf16-true"):
        raise ValueError(
            f"trainer.precision {precision} would hold the trained weights in bf16, whose 8 bits swallow most updates. "
            "Use bf16-mixed: frozen weights are bf16 anyway."
        )
    if precision not in ("bf16-mixed", "32-true", "32"):
        raise ValueError(f"trainer.precision {precision} is not supported; use bf16-mixed or 32-true.")


def frozen_dtype(precision: str) -> torch.dtype:
    """Format of weights that are not trained: bf16 under `bf16-mixed`, else fp32 (CPUs are slow in bf16)."""
    return torch.bfloat16 if precision == "bf16-mixed" else torch.float32


def load_base(
    base: str,
    revision: str | None,
    adaptation: Adaptation,
    quantization: Quantization,
    dtype: torch.dtype,
    device: torch.device,
) -> PreTrainedModel:
    """Loads a pretrained encoder-decoder under the one dtype policy.

    Trained weights are fp32, frozen weights `dtype`, frozen linear layers of `qlora` 4-bit, computing in `dtype`.

    A folder that holds a `config.json` but no weights is initialised at random, always alike.

    Args:
        base: Folder or hub id.
        revision: Branch, tag or commit on the hub.
        adaptation: What will be trained.
        quantization: Format of the 4-bit weights.
        dtype: From `frozen_dtype`.
        device: Where 4-bit weights are placed; others are left on the CPU for Lightning to move.

    Returns:
        The model in training mode, its head untied from its embeddings except in T5 v1.0.

    Raises:
        ValueError: If the base cannot be loaded; see `check_base`.
    """
    check_base(base, revision)
    if adaptation == "qlora":
        prepare_bitsandbytes(device)
    options: dict[str, Any] = {"dtype": torch.float32 if adaptation == "full" else dtype}
    if adaptation == "qlora":
        options |= {"quantization_config": bitsandbytes_config(quantization, dtype), "device_map": {"": device}}
    # It advises a setting that would leave the encoder's and the decoder's embeddings at random values.
    logging.getLogger("transformers.modeling_utils").addFilter(_is_no_tying_advice)
    with tempfile.TemporaryDirectory() as folder:
        if lacks_weights(base):
            rank_zero_warn(f"model.base {base!r} holds no weights: the model is initialised at random.")
            initialize(base, folder)
            path, revision = folder, None
        else:
            path = base
        try:
            model = load_pretrained(AutoModelForSeq2SeqLM, path, revision=revision, **options)
        except OwnCodeError:
            raise
        except Exception as error:  # a damaged or foreign file may raise anything
            raise ValueError(
                f"Cannot load model.base {base!r} (revision {revision or 'main'!r}): {reason(error)}."
            ) from error
        require_finite(stored_weights(weight_files(model_folder(path, revision))), f"model.base {base!r}")
    require_one_embedding(model, f"model.base {base!r}")
    set_tied(model)
    # `generate` fills what its settings leave open from the base's own, such as an n-gram ban or a forced first token.
    model.generation_config = GenerationConfig()
    return model.train()  # from_pretrained leaves eval mode, which silently disables dropout and checkpointing


def adapt(model: PreTrainedModel, adaptation: Adaptation, lora: Lora) -> PreTrainedModel | PeftModel:
    """Makes the right parameters trainable.

    Args:
        model: From `load_base`.
        adaptation: `full` trains everything; the others freeze it and add fp32 adapters.
        lora: The adapters.

    Returns:
        `model`, or a `PeftModel` around it, in training mode.

    Raises:
        ValueError: If one of `lora.targets` names no linear layer of the blocks.
    """
    if adaptation == "full":
        return model.requires_grad_(True).train()
    model.requires_grad_(False)
    require_targets(model, lora.targets)
    config = LoraConfig(
        task_type="SEQ_2_SEQ_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
        use_rslora=lora.rslora,
        use_dora=adaptation == "dora",
    )
    return get_peft_model(model, config).train()


def require_targets(model: PreTrainedModel, targets: Literal["all-linear"] | list[str]) -> None:
    """Refuse targets of adapters that are no linear layers of the blocks.

    The loss multiplies with the head's matrix itself, and the embeddings are looked up in several places: adapters on
    them would learn nothing.

    Raises:
        ValueError: For the first target that names none.
    """
    head = model.get_output_embeddings()
    layers = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and layer is not head]
    for target in [] if targets == "all-linear" else targets:
        if not any(f".{name}".endswith(f".{target}") for name in layers):
            known = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in layers}))
            raise ValueError(
                f"lora.targets {targets}: {target!r} names no linear layer of encoder or decoder; they are {known}. "
                "Embeddings and head cannot be adapted."
            )


def require_gradients(model: nn.Module) -> None:
    """Refuse to train parameters that the loss does not depend on; call after the first backward pass.

    Raises:
        ValueError: If any has no gradient; names the first.
    """
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    idle = [name for name, parameter in trained if parameter.grad is None]
    if idle:
        raise ValueError(
            f"{len(idle)} of {len(trained)} trained parameters have no gradient, such as {idle[0]}: the loss does not "
            "depend on them, so that they would stay as they are. Train other layers (model.lora.targets), or freeze "
            "them."
        )


def enable_gradient_checkpointing(model: PreTrainedModel) -> None:
    """Recomputes activations in the backward pass instead of keeping them; works with frozen embeddings."""
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def require_gradient_checkpointing(model: nn.Module) -> None:
    """Checks that checkpointing is really on: a block in eval mode skips it without a word.

    Raises:
        RuntimeError: If any block would keep its activations.
    """
    blocks = [block for block in model.modules() if isinstance(block, GradientCheckpointingLayer)]
    idle = [block for block in blocks if not (block.gradient_checkpointing and block.training)]
    if not blocks or idle:
        raise RuntimeError(
            f"Gradient checkpointing was asked for, but is off in {len(idle)} of {len(blocks)} blocks "
            "(a block in eval mode ignores it)."
        )


def _is_no_tying_advice(record: logging.LogRecord) -> bool:
    return "tied weights mapping" not in record.getMessage()
