"""Makes a resumed run draw the same random numbers as an uninterrupted one."""

from __future__ import annotations

import random
from typing import Any

import lightning as L
import numpy as np
import torch

TorchStates = dict[str, torch.Tensor | None]


class RandomState(L.Callback):
    """Keeps every generator's state in the checkpoint: Python, NumPy, PyTorch on the CPU and on each device's GPU.

    The state is restored right before the first batch, or the validation that the checkpoint has not finished, after
    everything that draws while a run starts. Each device restores the state of its own rank if the run goes on with as
    many devices. A checkpoint saved in the middle of a validation holds the state before it, since it is repeated.
    """

    def __init__(self) -> None:
        self._loaded: list[dict[str, Any]] | None = None
        self._before_validation: dict[str, Any] | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Keeps the trainer, which `state_dict` is not handed."""
        self._trainer = trainer

    def state_dict(self) -> dict[str, Any]:
        """States by rank, as plain data."""
        if self._loaded is not None:  # nothing has drawn since
            return {"ranks": self._loaded}
        states = [self._before_validation or _capture()]
        if self._trainer.world_size > 1:
            gathered: list[Any] = [None] * self._trainer.world_size
            torch.distributed.all_gather_object(gathered, states[0])
            states = gathered
        return {"ranks": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remembers the states."""
        self._loaded = state_dict["ranks"]

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Restore the states once."""
        self._restore_once(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore the states once, and keep them until the validation ends."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._restore_once(trainer)
            self._before_validation = _capture()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the states before the validation; callbacks that save come after this one."""
        self._before_validation = None

    def _restore_once(self, trainer: L.Trainer) -> None:
        if self._loaded is not None and len(self._loaded) == trainer.world_size:
            _restore(self._loaded[trainer.global_rank])
        self._loaded = None


def capture_torch() -> TorchStates:
    """PyTorch's states, which dropout draws from, on the CPU and this process's GPU; a GPU need not wait."""
    on_gpu = torch.cuda.is_available()
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state() if on_gpu else None}


def restore_torch(states: TorchStates) -> None:
    """Sets them, as far as there is such a device."""
    if states["cpu"] is not None:
        torch.set_rng_state(states["cpu"])
    if states["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def _capture() -> dict[str, Any]:
    of_torch = capture_torch()
    numpy_state: Any = np.random.get_state()
    name, keys, position, has_gauss, gauss = numpy_state
    return {
        "python": random.getstate(),
        # As lists, since a checkpoint may hold tensors and plain data only.
        "numpy": (name, keys.tolist(), position, has_gauss, gauss),
        "torch": of_torch["cpu"],
        "cuda": of_torch["cuda"],
    }


def _restore(state: dict[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    restore_torch({"cpu": state["torch"], "cuda": state["cuda"]})
