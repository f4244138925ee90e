"""What a checkpoint holds, how it is written, found and checked.

A checkpoint holds the parameters that were trained, optimizer, scheduler, loop and loader positions, random states,
under `CONFIG_KEY` the configuration of a model that is trained as a whole, and under `BASE_KEY` the identity of
everything that it does not hold: the base model and the tokenizer.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

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
        "commit": getattr(model.config, "_commit_hash", None),
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


class OzetCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints so that a failure never costs the previous one, and reads only plain data."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes to a temporary file in the same folder, then renames it.

        Lightning's own lies in TMPDIR: if that is another disk, its "rename" copies over the previous checkpoint.

        Raises:
            OSError: If the disk is full; the message says what survives.
        """
        path = Path(path)
        temporary = path.with_name(f"{path.name}.tmp")
        content = io.BytesIO()  # written straight to a file, torch.save hides what the disk says
        torch.save(checkpoint, content)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            size = sum(tensor.numel() * tensor.element_size() for tensor in _tensors(checkpoint))
            raise OSError(
                error.errno,
                f"No space to save a checkpoint of {size / 2**20:,.0f} MiB as {path} ({error.strerror}). Earlier "
                "checkpoints are untouched; free some space and go on with `--ckpt_path last`",
            ) from error
        finally:
            temporary.unlink(missing_ok=True)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Reads a checkpoint; never executes code that stands in it.

        Raises:
            ValueError: If the file is missing, damaged or no checkpoint.
        """
        if not Path(path).is_file():
            raise ValueError(f"No checkpoint file {str(path)!r}; give a .ckpt file, `last` or `best`.")
        try:
            checkpoint = super().load_checkpoint(path, map_location or "cpu", weights_only=True)
        except Exception as error:
            raise ValueError(
                f"Cannot read {str(path)!r} as a checkpoint; it is damaged or of another program "
                f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})."
            ) from error
        if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
            raise ValueError(f"{str(path)!r} is no training checkpoint.")
        return checkpoint


def find_checkpoint(root: Path, which: str) -> Path:
    """Finds a checkpoint of the newest run.

    Args:
        root: Folder that holds run folders.
        which: `last`, or `best` by the monitored validation metric.

    Returns:
        The checkpoint file.

    Raises:
        ValueError: If there is none.
    """
    candidates = sorted(root.glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
    if not candidates:
        raise ValueError(f"There is no checkpoint {which!r}: no run under {str(root)!r} has saved one yet.")
    last = candidates[-1]
    if which == "last":
        return last
    best = _best_beside(last)
    if best is None:
        raise ValueError(f"The run {str(last.parent.parent)!r} has no best checkpoint: no validation has ended yet.")
    return best


def checkpoint_of_run(run: Path) -> Path:
    """The best checkpoint of a run's folder, or the last one if no validation has ended.

    Raises:
        ValueError: If the run has saved none.
    """
    last = run / "checkpoints" / "last.ckpt"
    if not last.is_file():
        raise ValueError(f"The run {str(run)!r} has no checkpoints/last.ckpt: it has not saved one yet.")
    return _best_beside(last) or last


def _best_beside(last: Path) -> Path | None:
    states = OzetCheckpointIO().load_checkpoint(last)["callbacks"].values()
    best = next((state["best_model_path"] for state in states if state.get("best_model_path")), None)
    # Only the name counts: the run may have been moved since.
    file = last.parent / Path(best).name if best else None
    return file if file is not None and file.is_file() else None


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for child in children for tensor in _tensors(child)]
