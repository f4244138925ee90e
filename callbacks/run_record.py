"""Writes down what a run was made of, in its own folder and to its loggers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from lightning.pytorch.cli import SaveConfigCallback

log = logging.getLogger(__name__)
# Settings of the command itself, not of the run: they differ in every resume.
_NOT_COMPARED = ("ckpt_path", "trainer.default_root_dir", "trainer.callbacks", "trainer.logger")


class RunRecord(SaveConfigCallback):
    """Saves the resolved configuration as `config.yaml` in the run's folder, logs it, and compares it on resume.

    A resumed run keeps the first run's `config.yaml`; its own goes beside it as `config-resumed-at-N.yaml`. The command
    line wins over the checkpoint in every setting; each difference is shown.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "save_to_log_dir": False})
        self._differences: list[str] = []
        self._resumed_at = 0

    def save_config(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Logs the configuration; the file is written by `on_fit_start`, when a resume's step is known."""
        for logger in trainer.loggers:
            logger.log_hyperparams(_flatten(self._resolved()))

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remembers the step, which the trainer takes over only after `on_fit_start`."""
        self._resumed_at = checkpoint["global_step"]

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the file."""
        if not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        name = "config.yaml"
        if (folder / name).exists():
            name = f"config-resumed-at-{self._resumed_at}.yaml"
        (folder / name).write_text(self._text(), encoding="utf-8")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Shows what differs from the checkpoint."""
        if trainer.is_global_zero:
            for line in self._differences:
                print(f"Resumed with another setting: {line}", flush=True)
        self._differences = []

    def state_dict(self) -> dict[str, Any]:
        """The configuration as text."""
        return {"config": self._text()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compares the checkpoint's configuration with today's."""
        saved, now = _flatten(yaml.safe_load(state_dict["config"])), _flatten(self._resolved())
        self._differences = [
            f"{key}: the checkpoint has {saved.get(key)!r}, {now.get(key)!r} is used"
            for key in sorted(saved.keys() | now.keys())
            if saved.get(key) != now.get(key) and not key.startswith(_NOT_COMPARED)
        ]

    def _text(self) -> str:
        return self.parser.dump(self.config, skip_none=False, skip_link_targets=False)

    def _resolved(self) -> dict[str, Any]:
        return yaml.safe_load(self._text())


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        children = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        children = ((str(index), item) for index, item in enumerate(value))  # type: ignore[assignment]
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, child in children:
        flat |= _flatten(child, f"{prefix}.{key}" if prefix else str(key))
    return flat
