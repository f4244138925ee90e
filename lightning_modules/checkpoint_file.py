"""The file of a checkpoint: how it is written, checked and read.

It is the zip archive of `torch.save`, which any program of PyTorch reads, and behind it a line with a checksum of it.
Files without that line (from before there was one, or saved again by another program) are checked by the archive's own
CRC-32 of each member, which `torch.load` does not look at.
"""

from __future__ import annotations

import errno
import io
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
import xxhash
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lightning_modules.error_reason import reason
from lightning_modules.finite_weights import require_finite

FORMAT_KEY = "ozet_format"
FORMAT = 1  # to be raised when an older program would misread what a newer one saves
_CHECKSUM_LINE = re.compile(rb"\nozet xxh3-128 ([0-9a-f]{32})\n")
_LINE_LENGTH = len("\nozet xxh3-128 \n") + 32
_CHUNK = 2**20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DamagedCheckpoint(ValueError):
    """A file that cannot be used as a checkpoint, whatever the run."""


class OzetCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints so that a failure never costs the previous one, and reads only whole files of plain data."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes to a temporary file in the same folder, then renames it.

        Lightning's own lies in TMPDIR: if that is another disk, its "rename" copies over the previous checkpoint.

        Raises:
            OSError: If the file cannot be written; the message says what survives.
        """
        path = Path(path)
        temporary = path.with_name(f"{path.name}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                _write({FORMAT_KEY: FORMAT, **checkpoint}, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise OSError(error.errno, _why_unsaved(checkpoint, path, error)) from error
        finally:
            with suppress(OSError):  # where it could not be made
                temporary.unlink()

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Checks a checkpoint and reads it; never executes code that stands in it.

        Raises:
            ValueError: If the file is missing, damaged, no checkpoint, of a newer format, or holds NaN or infinity.
        """
        with _opened(Path(path)) as file:
            _require_whole(file)
            checkpoint = torch.load(file, map_location=map_location or "cpu", weights_only=True)
        _require_known(checkpoint, path)
        require_finite(checkpoint["state_dict"].items(), f"the checkpoint {str(path)!r}")
        return checkpoint


def require_whole(path: Path) -> None:
    """Reads a file once, and compares it with its checksum.

    Raises:
        ValueError: If it is missing or damaged.
    """
    with _opened(path) as file:
        _require_whole(file)


def read_contents(path: Path) -> dict[str, Any]:
    """All of a checkpoint but the numbers of its tensors, which are read when they are looked at, and not checked.

    Raises:
        ValueError: If the file is missing, damaged, no checkpoint, or of a newer format.
    """
    with _opened(path) as file, zipfile.ZipFile(file) as archive:
        archive.read(next(name for name in archive.namelist() if name.endswith("/data.pkl")))  # checks its CRC-32
        checkpoint = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    _require_known(checkpoint, path)
    return checkpoint


class _Checksummed(io.RawIOBase):
    """Writes to a file and computes the checksum of all that was written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, xxhash.xxh3_128()
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Writes until the first failure, which is kept: torch.save would hide it behind one of its own."""
        if self.error is None:
            try:
                self.file.write(data)
                self.digest.update(data)
            except OSError as error:
                self.error = error
        return len(data)


def _write(checkpoint: Mapping[str, Any], file: BinaryIO) -> None:
    archive = _Checksummed(file)
    torch.save(checkpoint, archive)  # type: ignore[arg-type]
    if archive.error is not None:
        raise archive.error
    file.write(b"\nozet xxh3-128 %s\n" % archive.digest.hexdigest().encode())


def _require_whole(file: BinaryIO) -> None:
    """Leaves the file at its beginning."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(length - _LINE_LENGTH, 0))
    line = _CHECKSUM_LINE.fullmatch(file.read())
    file.seek(0)
    if line is None:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the CRC-32 of its part {damaged} is another")
    else:
        digest, left = xxhash.xxh3_128(), length - _LINE_LENGTH
        while left:
            chunk = file.read(min(left, _CHUNK))
            digest.update(chunk)
            left -= len(chunk)
        if digest.hexdigest().encode() != line[1]:
            raise ValueError(f"its checksum is {digest.hexdigest()} instead of {line[1].decode()}")
    file.seek(0)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Opens a checkpoint; whatever fails in reading it is the file's fault."""
    if not path.is_file():
        raise ValueError(f"No checkpoint file {str(path)!r}; give a .ckpt file, a run's folder, `last` or `best`.")
    try:
        with path.open("rb") as file:
            yield file
    except Exception as error:
        raise DamagedCheckpoint(
            f"Cannot read {str(path)!r} as a checkpoint; it is damaged or of another program ({reason(error)})."
        ) from error


def _require_known(checkpoint: Any, path: Any) -> None:
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise DamagedCheckpoint(f"{str(path)!r} is no training checkpoint.")
    saved = checkpoint.get(FORMAT_KEY, 0)  # files from before there were formats
    if saved > FORMAT:
        raise ValueError(
            f"{str(path)!r} has checkpoint format {saved}, and this version of ozet reads formats up to {FORMAT}. "
            "Use the version of ozet that saved it, or a later one."
        )


def _why_unsaved(checkpoint: Mapping[str, Any], path: Path, error: OSError) -> str:
    size = sum(tensor.numel() * tensor.element_size() for tensor in _tensors(checkpoint)) / 2**20
    if error.errno not in _FULL:
        return f"Cannot save a checkpoint as {path} ({error.strerror}). Make its folder one that can be written."
    if path.parent.is_dir() and any(path.parent.glob("*.ckpt")):
        rest = "Earlier checkpoints are untouched; free some space and go on with `--ckpt_path last`"
    else:
        rest = "The run has no earlier checkpoint; free some space and start it again"
    return f"No space to save a checkpoint of {size:,.0f} MiB as {path} ({error.strerror}). {rest}"


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for child in children for tensor in _tensors(child)]
