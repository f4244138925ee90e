"""Names weights that are NaN or infinite when they are loaded, before all that is computed from them is."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from safetensors import safe_open


def require_finite(weights: Iterable[tuple[str, torch.Tensor]], where: str) -> None:
    """Refuses NaN and infinity.

    Args:
        weights: By name; integers are passed over.
        where: What holds them, for the message.

    Raises:
        ValueError: If there are any; names the first tensor.
    """
    for name, weight in weights:
        # Least and greatest value are NaN if any is; ten times as fast as isfinite, without another tensor.
        if weight.is_floating_point() and weight.numel() and not torch.stack(torch.aminmax(weight)).isfinite().all():
            wrong = weight.numel() - int(weight.isfinite().sum())
            raise ValueError(
                f"{name} of {where} holds {wrong:,} of {weight.numel():,} values that are NaN or infinite. Use an "
                "earlier checkpoint, or other weights."
            )


def stored_weights(base: str, revision: str | None) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors in the files of a model, one after the other, as they are stored.

    From the files, since 4-bit quantisation turns NaN into numbers.

    Args:
        base: Folder or hub id; of the latter, what has been downloaded.
        revision: Branch, tag or commit on the hub.
    """
    if Path(base).is_dir():
        folder = Path(base)
    else:
        folder = Path(snapshot_download(base, revision=revision, local_files_only=True))
    files = sorted(folder.glob("*.safetensors"))
    for file in files:
        with safe_open(file, "pt") as tensors:
            yield from ((name, tensors.get_tensor(name)) for name in tensors.keys())  # noqa: SIM118  (no mapping)
    for file in [] if files else sorted(folder.glob("pytorch_model*.bin")):
        yield from torch.load(file, map_location="cpu", mmap=zipfile.is_zipfile(file), weights_only=True).items()
