"""Reads a folder that holds adapters: to go on training from them, or to use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft import PeftConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict

from lightning_modules.adaptation import Adaptation, Lora
from lightning_modules.base_check import download, require_tensors
from lightning_modules.error_reason import reason
from lightning_modules.finite_weights import require_finite
from lightning_modules.weight_files import ADAPTER, model_folder, stored_weights, tensor_shapes, weight_files
from metrics.pretrained import ADAPTER as CONFIGURATION
from metrics.pretrained import OwnCodeError, load_pretrained

# What changes a layer's function and that `Lora` has no words for.
_PATTERNS = ("rank_pattern", "alpha_pattern", "modules_to_save", "trainable_token_indices", "lora_bias")


def adapter_config(folder: str | Path, revision: str | None = None) -> PeftConfig:
    """Return an adapter's configuration.

    Args:
        folder: Folder or hub id.
        revision: Branch, tag or commit on the hub.

    Raises:
        ValueError: If it is damaged, of an unknown kind, or does not name its base.
    """
    refusal = (
        f"{str(Path(folder) / CONFIGURATION)!r} is no adapter's configuration: it must name its base as "
        "base_model_name_or_path, and a peft_type that the installed peft knows, such as LORA"
    )
    try:
        config = load_pretrained(PeftConfig, folder, revision=revision)
    except OwnCodeError:
        raise
    except Exception as error:  # a KeyError for an unknown type, others for JSON of another kind
        raise ValueError(f"{refusal} ({reason(error)}).") from error
    if config.peft_type is None or config.base_model_name_or_path is None:
        raise ValueError(f"{refusal}.")
    return config


def require_same_adapters(folder: str, revision: str | None, adaptation: Adaptation, lora: Lora) -> None:
    """Refuse to go on from adapters with settings that they were not trained with.

    Args:
        folder: Folder or hub id of the adapters.
        revision: Branch, tag or commit on the hub.
        adaptation: What is to be trained; not `full`.
        lora: The adapters to be trained.

    Raises:
        ValueError: Says which settings fit.
    """
    download(folder, revision, f"model.base {folder!r}")
    config: Any = adapter_config(folder, revision)
    who = f"model.base {folder!r} is an adapter"
    patterns = [name for name in _PATTERNS if getattr(config, name, None)]
    if config.peft_type != "LORA" or patterns:
        what = f"with {' and '.join(patterns)}" if patterns else f"of the kind {config.peft_type.value}"
        raise ValueError(f"{who} {what}, from which ozet cannot go on; merge it with its base first.")
    if config.use_dora != (adaptation == "dora"):
        kind = "dora" if config.use_dora else "lora or qlora"
        raise ValueError(f"{who} that only model.adaptation {kind} can go on from, not {adaptation}.")
    stored = {"rank": config.r, "alpha": config.lora_alpha, "rslora": config.use_rslora}
    wrong = [name for name, value in stored.items() if value != getattr(lora, name)]
    if wrong:
        needed = ", ".join(f"model.lora.{name}={stored[name]}" for name in wrong)
        raise ValueError(f"{who} with other settings than model.lora: set {needed}.")


def load_adapters(model: PeftModel, folder: str, revision: str | None) -> None:
    """Give a model's new adapters the weights of trained ones.

    Args:
        model: From `adapt`.
        folder: Folder or hub id of the adapters.
        revision: Branch, tag or commit on the hub.

    Raises:
        ValueError: If the files are damaged, or hold adapters of other layers or shapes.
    """
    targets: Any = adapter_config(folder, revision).target_modules
    named = targets if isinstance(targets, str) else f"[{', '.join(sorted(targets))}]"
    require_whole(model, model_folder(folder, revision), f"It was trained with model.lora.targets={named}.")
    files = weight_files(model_folder(folder, revision), ADAPTER)
    set_peft_model_state_dict(model, dict(stored_weights(files)))


def require_whole(model: PeftModel, folder: Path, remedy: str = "Save it again.") -> None:
    """Refuse a folder whose tensors are not those of a model's adapters: peft would leave the rest as it was.

    Args:
        model: With adapters.
        folder: That of the adapters.
        remedy: What to do.

    Raises:
        ValueError: If names or shapes differ, or a value is not finite.
    """
    files, name = weight_files(folder, ADAPTER), f"adapter in {str(folder)!r}"
    own = get_peft_model_state_dict(model, save_embedding_layers=False)
    shapes = {key: tuple(tensor.shape) for key, tensor in own.items()}
    require_tensors(tensor_shapes(files), shapes, f"The {name}", remedy)
    require_finite(stored_weights(files), f"the {name}")
