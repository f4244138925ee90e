"""Which files hold the weights of a model or an adapter, and which tensors are in them."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from safetensors import safe_open

from lightning_modules.error_reason import reason

MODEL = ("model.safetensors", "pytorch_model.bin")
ADAPTER = ("adapter_model.safetensors", "adapter_model.bin")
# Of all frameworks: a folder with any such file was not meant to be initialised at random.
_WEIGHTS = (".safetensors", ".bin", ".h5", ".msgpack", ".ot", ".onnx", ".gguf", ".pt", ".pth", ".ckpt", ".index.json")


def model_folder(base: str, revision: str | None) -> Path:
    """Return a folder as it is, and where a downloaded hub id lies."""
    return (
        Path(base) if Path(base).is_dir() else Path(snapshot_download(base, revision=revision, local_files_only=True))
    )


def commit_of(base: str, revision: str | None) -> str | None:
    """Return the commit of a downloaded hub id; None for a folder, and for what is not downloaded."""
    try:
        return None if Path(base).is_dir() else model_folder(base, revision).name
    except (OSError, ValueError):
        return None


def lacks_weights(base: str) -> bool:
    """Return whether a folder has a `config.json` and no weights of any format."""
    folder = Path(base)
    return (folder / "config.json").is_file() and not any(name.endswith(_WEIGHTS) for name in os.listdir(folder))


def weight_files(folder: Path, names: tuple[str, ...] = MODEL) -> list[Path]:
    """Return the files that `from_pretrained` reads: one, or the shards that an index names.

    Args:
        folder: From `model_folder`.
        names: `MODEL` or `ADAPTER`; the first that is there counts.

    Raises:
        ValueError: If there is none, or a shard is missing.
    """
    for name in names:
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}.index.json").is_file():
            return _shards(folder / f"{name}.index.json")
    raise ValueError(f"{str(folder)!r} has neither {' nor '.join(names)}; save the weights as {names[0]}.")


def tensor_shapes(files: Iterable[Path]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors by name, without reading the tensors.

    Raises:
        ValueError: If a file is damaged.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files:
        with _readable(file):
            if file.suffix == ".safetensors":
                with safe_open(file, "pt") as tensors:
                    shapes |= {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
            else:
                shapes |= {name: tuple(tensor.shape) for name, tensor in _load_bin(file).items()}
    return shapes


def stored_weights(files: Iterable[Path]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield all tensors by name, one after the other, as they are stored.

    Raises:
        ValueError: If a file is damaged.
    """
    for file in files:
        with _readable(file):
            if file.suffix == ".safetensors":
                with safe_open(file, "pt") as tensors:
                    yield from ((name, tensors.get_tensor(name)) for name in tensors.keys())  # noqa: SIM118
            else:
                yield from _load_bin(file).items()


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{str(index)!r} is no index of weights ({reason(error)}); download it again.") from error
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise ValueError(
            f"{str(index.parent)!r} lacks {len(missing)} of {len(names)} files of weights that {index.name} names, "
            f"such as {missing[0]}; download them."
        )
    return [index.parent / name for name in names]


def _load_bin(file: Path) -> dict[str, torch.Tensor]:
    return torch.load(file, map_location="cpu", mmap=zipfile.is_zipfile(file), weights_only=True)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each format has its own
        # PyTorch's own advice is to unpickle anything.
        why = "it must hold tensors alone" if file.suffix == ".bin" else reason(error)
        raise ValueError(
            f"{str(file)!r} is damaged or holds no weights ({why}); download it again or save it as safetensors."
        ) from error
