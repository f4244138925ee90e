"""What only looks on never ends a run: its failure is one warning, and it is off from then on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import lightning as L
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import DummyLogger

Watching = TypeVar("Watching", bound=Callable[..., Any])


class Watcher(L.Callback):
    """Base of callbacks that a run does not depend on.

    An exception in a hook switches the callback off, with a warning. `setup` is excepted, which may refuse a
    configuration.
    """

    # Exceptions that are raised to end the run.
    deliberate: tuple[type[Exception], ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in dir(cls):
            hook, unused = getattr(cls, name), getattr(L.Callback, name, None)
            is_hook = name.startswith("on_") or name in ("teardown", "state_dict", "load_state_dict")
            if is_hook and hook is not unused:
                setattr(cls, name, _guarded(hook))

    def release(self, error: Exception) -> None:
        """Give back what the callback holds; called when it is switched off."""


def guard_logger(logger: Logger) -> None:
    """Make a logger's own failure switch it off, with a warning.

    What `release(error)` of the logger does, if it has one, is done then.
    """
    cls = type(logger)
    methods = [name for name in dir(cls) if name.startswith("log_") or name in ("save", "finalize")]
    guards: dict[str, Any] = {name: _guarded(value) for name in methods if callable(value := getattr(cls, name))}
    guards["after_save_checkpoint"] = _guarded(cls.after_save_checkpoint)
    open_experiment = _guarded(cls.experiment.fget)

    def experiment(self: Logger) -> Any:
        opened = open_experiment(self)
        return DummyLogger().experiment if _is_off(self) else opened

    logger.__class__ = type(cls.__name__, (cls,), {**guards, "experiment": property(experiment)})


def _guarded(method: Watching) -> Watching:
    @wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _is_off(self):
            return None
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            if isinstance(error, getattr(self, "deliberate", ())):
                raise
            _switch_off(self, error)

    return guarded  # type: ignore[return-value]


def _is_off(watching: object) -> bool:
    return getattr(watching, "_is_off", False)


def _switch_off(watching: Any, error: Exception) -> None:
    watching._is_off = True
    if hasattr(watching, "release"):
        watching.release(error)
    cause = f"{type(error).__name__}: {error}".strip().rstrip(".")
    warnings.warn(
        f"{type(watching).__name__} failed and is off for the rest of this run, which goes on: {cause}.", stacklevel=3
    )
