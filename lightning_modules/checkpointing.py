"""What a checkpoint holds, and whether it fits.

A checkpoint holds the parameters that were trained, optimizer, scheduler, loop and loader positions, random states,
under `CONFIG_KEY` the configuration of a model that is trained as a whole, and under `BASE_KEY` the identity of
everything that it does not hold: the base model and the tokenizer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lightning_modules.weight_files import commit_of

BASE_KEY = "base_model"
CONFIG_KEY = "model_config"
# Matrices that bitsandbytes leaves alone in mT5, so that a base has one fingerprint in every adaptation.
_NEVER_QUANTIZED = ("shared.weight", "lm_head.weight", "wo.weight")
# Rows of each embedding that enter the fingerprint: enough to tell models apart, little enough to take no time.
_FINGERPRINT_ROWS = 512


def trainable_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """The trainable parameters by name."""
    return {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}


def load_trainable_state(model: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Copies saved parameters into a model.

    Args:
        model: The model, already adapted.
        state: From `trainable_state`.

    Raises:
        ValueError: If names or shapes differ from the model's trainable parameters.
    """
    own = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    missing, surplus = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    reshaped = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in sorted(own.keys() & state.keys())
        if own[name].shape != state[name].shape
    ]
    for what, names in (("lacks", missing), ("has no place for", surplus), ("has other shapes:", reshaped)):
        if names:
            raise ValueError(
                f"The checkpoint does not fit the model: {'it' if what == 'lacks' else 'the model'} {what} "
                f"{len(names)} of {len(own)} trained parameters, such as {names[0]}. "
                "Use the adaptation and lora settings that it was trained with."
            )
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(state[name])


def base_fingerprint(model: nn.Module) -> str:
    """Names the frozen base by its norms and by samples of the matrices that are never quantised, as bf16.

    Taken before training. A base that differs in its attention weights alone has the same name.

    Returns:
        16 hexadecimal digits, the same in every adaptation.
    """
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        if "lora_" in name or not (parameter.dim() == 1 or name.endswith(_NEVER_QUANTIZED)):
            continue
        step = max(parameter.shape[0] // _FINGERPRINT_ROWS, 1) if parameter.dim() > 1 else 1
        sample = parameter.detach()[::step].to("cpu", torch.bfloat16).contiguous()
        digest.update(sample.view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:16]


def base_identity(base: str, revision: str | None, model: Any, tokenizer: str) -> dict[str, Any]:
    """What a checkpoint says of the base that it belongs to.

    Args:
        base: Folder or hub id.
        revision: Branch, tag or commit on the hub.
        model: As loaded, whatever is kept of its vocabulary later.
        tokenizer: Fingerprint of the tokenizer in use.
    """
    return {
        "name": base,
        "revision": revision,
        "commit": commit_of(base, revision),
        "fingerprint": base_fingerprint(model),
        "tokenizer": tokenizer,
    }


def require_same_base(saved: Mapping[str, Any] | None, current: Mapping[str, Any]) -> None:
    """Refuses to put trained parameters onto another base.

    Args:
        saved: What stands in the checkpoint under `BASE_KEY`.
        current: The same of the model at hand.

    Raises:
        ValueError: If the checkpoint is none of ozet's, or a fingerprint differs; names both sides.
    """
    if saved is None:
        raise ValueError("This is no checkpoint of ozet: it does not say which base model it belongs to.")
    for key, what in (("fingerprint", "base model"), ("tokenizer", "tokenizer"), ("vocabulary_rows", "vocabulary")):
        if saved.get(key) != current.get(key):
            raise ValueError(
                f"The checkpoint was trained on another {what}: {_identify(saved, key)}, but now it is "
                f"{_identify(current, key)}. Set model.base and model.revision to those of the checkpoint"
                f"{'' if key == 'fingerprint' else ', and data.vocabulary.file to vocabulary.json in its run folder'}."
            )


def _identify(identity: Mapping[str, Any], key: str) -> str:
    return f"{identity.get('name')!r} (revision {identity.get('revision') or 'main'}, {key} {identity.get(key)})"
