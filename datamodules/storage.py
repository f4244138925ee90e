"""Says in one sentence what is full or cannot be written, and what to do."""

from __future__ import annotations

import errno
import os
import re
import traceback
from collections.abc import Iterator

FULL = {errno.ENOSPC, errno.EDQUOT}
UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR}
# What torch says where a batch cannot be handed over by a worker.
_SHARED_MEMORY = re.compile(r"shared memory|</torch_|killed by signal: Bus error")


def explain_storage_failure(error: BaseException) -> str | None:
    """Name the full or unwritable place that an error, or one before it, comes from; None for other errors."""
    for one in _chain(error):
        if _is_of_shared_memory(one):
            return (
                "The shared memory of this machine (/dev/shm), in which data.num_workers hand over batches, is full. "
                "Set data.num_workers to 0, or enlarge it: in a container with --shm-size=2g or --ipc=host."
            )
        if isinstance(one, OSError) and one.errno in FULL | UNWRITABLE:
            place = f": {one.filename!r}" if one.filename else ""
            remedy = "Free space" if one.errno in FULL else "Change its permissions"
            return (
                f"{os.strerror(one.errno)}{place}. {remedy}, or choose another place: --trainer.default_root_dir for "
                "runs, HF_HOME for caches, TMPDIR for temporary files."
            )
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_of_shared_memory(error: BaseException) -> bool:
    if isinstance(error, RuntimeError):
        return bool(_SHARED_MEMORY.search(str(error)))
    # Locks of multiprocessing lie there; the error names no file.
    frames = traceback.extract_tb(error.__traceback__)
    from_lock = any(frame.filename.endswith("multiprocessing/synchronize.py") for frame in frames)
    return isinstance(error, OSError) and error.errno in FULL and from_lock
