"""How every command answers what a user can mend: one sentence and an exit code, no traceback."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from datamodules.storage import explain_storage_failure

ROOT = Path(__file__).resolve().parent.parent
# Where Lightning checks what it was configured with.
_CHECKS = (
    "lightning/pytorch/trainer/",
    "lightning/fabric/utilities/",
    "lightning/pytorch/accelerators/",
    "lightning/pytorch/loops/fit_loop",
    "torch/optim/",
)
_REMEDIES = {
    "No supported gpu backend found!": "This machine has no GPU that PyTorch can use; give --trainer.accelerator=cpu.",
    "is not a valid input using": "Give a number of devices that this machine has, at least 1, or auto.",
}


def debugging() -> bool:
    """Return whether `OZET_DEBUG=1` asks for tracebacks."""
    return os.environ.get("OZET_DEBUG", "0") not in ("", "0")


def answer(main: Callable[[], int | None]) -> None:
    """Run a command and exit; a failure that the user can mend becomes one sentence on standard error and code 1.

    With `OZET_DEBUG=1` the traceback is shown instead. Faults of the program always show it.
    """
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        message = None if debugging() else failure_message(error)
        if message is None:
            raise
        sys.exit(f"error: {message}")


def failure_message(error: Exception) -> str | None:
    """Say in one sentence what a user can mend; None for what is a fault of the program."""
    if _named(error, "OutOfMemoryError"):
        return _memory(error)
    if isinstance(error, ValueError | OSError) and _raised_here(error):
        return str(error)
    if _named(error, "MisconfigurationException") or (isinstance(error, ValueError | TypeError) and _checked(error)):
        return _with_remedy(" ".join(str(error).split()))
    return explain_storage_failure(error) or _wrapped(error)


def _wrapped(error: Exception) -> str | None:
    """Return what our code said of an argument where jsonargparse has put a page around it."""
    if not isinstance(error, ValueError) or "jsonargparse" not in _origin(error).parts:
        return None
    cause = error.__cause__
    while isinstance(cause, ValueError):
        if _raised_here(cause) or "torch/optim/" in _origin(cause).as_posix():
            return str(cause)
        cause = cause.__cause__
    return None


def _with_remedy(said: str) -> str:
    return next((f"{said} {remedy}" for part, remedy in _REMEDIES.items() if part in said), said)


def _memory(error: Exception) -> str:
    """Return what MemoryGuard has put into the error, or a remedy for commands without it."""
    said = str(error)
    return said if "out of memory. Tried" not in said else (
        "The GPU's memory is too small; lower --batch-size, or add --device cpu."
    )  # fmt: skip


def _named(error: Exception, name: str) -> bool:
    """Return whether an error is of a class, without importing the library that has it."""
    return any(one.__name__ == name for one in type(error).__mro__)


def _raised_here(error: BaseException) -> bool:
    """Whether our own code raised: then the message is for the user, and where it came from is not."""
    origin = _origin(error)
    return origin.is_relative_to(ROOT) and "site-packages" not in origin.parts


def _checked(error: BaseException) -> bool:
    return any(place in _origin(error).as_posix() for place in _CHECKS)


def _origin(error: BaseException) -> Path:
    return Path(traceback.extract_tb(error.__traceback__)[-1].filename)
