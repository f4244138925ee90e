"""Keeps the best checkpoints of a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint


class BestCheckpoint(ModelCheckpoint):
    """Saves `checkpoints/best-step=N.ckpt` after each validation that is among the best.

    Lightning's callback forgets at a resume which step it has saved, and all its best files if the run's folder has
    been moved; and beside a file that a killed run left it writes another, `-v1`. This one does not.

    Args:
        monitor: Key of the score; of validation.
        mode: Whether the greatest (`max`) or the least (`min`) score is best.
        save_top_k: Checkpoints kept; -1 keeps all, 0 none.
        filename: Name of a file, without its suffix; Lightning fills in `{step}` and logged keys.
    """

    def __init__(
        self,
        monitor: str = "val/rougeL",
        mode: Literal["max", "min"] = "max",
        save_top_k: int = 2,
        filename: str = "best-{step}",
    ) -> None:
        super().__init__(
            filename=filename,
            monitor=monitor,
            mode=mode,
            save_top_k=save_top_k,
            # Right after a validation, so that last.ckpt, which is saved next, knows which is the best. Lightning's own
            # choice is the end of the epoch, where validations are made there: later than last.ckpt.
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Choose the folder: that of the run."""
        self.dirpath = str(Path(trainer.default_root_dir).absolute() / "checkpoints")
        super().setup(trainer, pl_module, stage)

    @property
    def best_step(self) -> int | None:
        """The step of the best checkpoint; None without one, or where `filename` does not tell."""
        told = re.search(r"step=(\d+)", Path(self.best_model_path).stem)
        return int(told[1]) if told else None

    def state_dict(self) -> dict[str, Any]:
        """Return the best files and their scores, and the step that was saved last."""
        return {**super().state_dict(), "saved_step": self._last_global_step_saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them over; the files stand in today's folder, by whatever path the checkpoint names them."""
        moved = {
            "dirpath": self.dirpath,
            "best_k_models": {self._here(path): score for path, score in state_dict["best_k_models"].items()},
            "best_model_path": self._here(state_dict["best_model_path"]),
            "kth_best_model_path": self._here(state_dict["kth_best_model_path"]),
        }
        super().load_state_dict({**state_dict, **moved})
        self.current_score = state_dict["current_score"]
        self._last_global_step_saved = state_dict["saved_step"]

    def _here(self, path: str) -> str:
        return str(Path(self.dirpath or "") / Path(path).name) if path else path
