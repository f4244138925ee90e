"""Folders of derived data: written whole or not at all, checked when they are opened, made anew when damaged."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import xxhash

from datamodules.storage import FULL, UNWRITABLE

log = logging.getLogger(__name__)
CONTENTS = "contents.json"
_PARTIAL = ".partial-"


def cached_folder(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, made first if it is missing or damaged.

    Processes that need the same folder at the same time wait for the one that makes it.

    Args:
        folder: Where it stands; its name must cover all that decides its content.
        make: Writes the content into the empty folder that it gets.

    Raises:
        ValueError: If the cache is full or cannot be written.
    """
    if not damage(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(folder.parent)
        with _locked(folder):
            found = damage(folder)
            if found and os.path.lexists(folder):
                log.warning("The cache %s is damaged (%s); it is made anew.", folder, found)
            if found:
                _make(folder, make)
    except OSError as error:
        if error.errno not in FULL | UNWRITABLE and folder.parent.is_dir():
            raise
        remedy = "Free space there" if error.errno in FULL else "Make it writable"
        raise ValueError(
            f"Cannot write the cache {str(folder.parent)!r}: {error.strerror or error}. {remedy}, or set "
            "HF_DATASETS_CACHE (data.cache for the tokens of pretraining) to another folder."
        ) from error
    return folder


def file_checksum(path: Path) -> str:
    """Hash a file's content, at about the speed of reading it; 32 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, xxhash.xxh3_128).hexdigest()  # type: ignore[arg-type]


def damage(folder: Path) -> str:
    """Say how a folder differs from what `cached_folder` has written; "" if it does not."""
    try:
        written = json.loads((folder / CONTENTS).read_bytes())
        found = {name: file_checksum(folder / name) for name in written}
    except (OSError, ValueError, TypeError) as error:
        return f"{CONTENTS}: {error}" if isinstance(error, ValueError | TypeError) else str(error)
    if not isinstance(written, dict) or not written:
        return f"{CONTENTS} lists no files"
    changed = [name for name in found if found[name] != written[name]]
    return f"{', '.join(changed)} changed since it was written" if changed else ""


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    partial = folder.with_name(f"{folder.name}{_PARTIAL}{os.getpid()}")
    partial.mkdir()
    try:
        make(partial)
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        contents = {str(path.relative_to(partial)): file_checksum(path) for path in files}
        (partial / CONTENTS).write_text(json.dumps(contents, indent=2) + "\n", encoding="utf-8")
        _remove(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_unfinished(cache: Path) -> None:
    """Remove what killed processes left; a process that still writes holds the lock."""
    for partial in cache.glob(f"*{_PARTIAL}*"):
        with suppress(BlockingIOError), _locked(cache / partial.name.split(_PARTIAL)[0], wait=False):
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _locked(folder: Path, wait: bool = True) -> Iterator[None]:
    path = folder.with_name(f"{folder.name}.lock")
    with ExitStack() as opened:
        file = opened.enter_context(path.open("a"))
        _lock(file, folder, wait)
        while not _is_still(path, file):  # who held it has removed it
            file = opened.enter_context(path.open("a"))
            _lock(file, folder, wait)
        try:
            yield
        finally:
            path.unlink()


def _lock(file: IO[str], folder: Path, wait: bool) -> None:
    # lockf, not flock: children that `datasets` forks would keep a flock when this process is killed.
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            raise
        log.warning("Another process is making %s: waiting for it.", folder)
        fcntl.lockf(file, fcntl.LOCK_EX)


def _is_still(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
