"""Writes down what a run was made of, in its own folder and to its loggers."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback

from callbacks.configuration_differences import differences, flatten
from callbacks.environment import describe_environment
from callbacks.run_choice import FINISHED, limits
from lightning_modules.run_settings import CONFIGURATION
from reports.atomic_write import write_text

# Settings of the command itself, not of the run: they differ in every resume.
_NOT_COMPARED = ("ckpt_path", "trainer.default_root_dir", "trainer.callbacks", "trainer.logger")


class RunRecord(SaveConfigCallback):
    """Saves what a run was made of in the run's folder, logs it, and compares the configuration on resume.

    `config.yaml` is the resolved configuration; `environment.json` holds versions, commit, machine, seed, and the
    fingerprints of the data (`data_report.json` has the counts), the tokenizer and the base. A resumed run keeps the
    first run's files; its own go beside them as `config-resumed-at-N.yaml` and `environment-resumed-at-N.json`. The
    command line wins over the checkpoint in every setting; each difference is shown.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "save_to_log_dir": False})
        self._differences: list[str] = []
        self._resumed_at = 0

    def save_config(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Logs the configuration; the file is written by `on_fit_start`, when a resume's step is known."""
        for logger in trainer.loggers:
            logger.log_hyperparams(flatten(self._resolved()))

    def begin(self, folder: Path) -> None:
        """Writes the configuration of a new run, before anything that takes time, so that a killed run has it, too."""
        if not (folder / CONFIGURATION).exists():
            write_text(folder / CONFIGURATION, self._text)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remembers the step, which the trainer takes over only after `on_fit_start`."""
        self._resumed_at = checkpoint["global_step"]

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the files."""
        if not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        suffix = f"-resumed-at-{self._resumed_at}" if (folder / "environment.json").exists() else ""
        (folder / f"config{suffix}.yaml").write_text(self._text, encoding="utf-8")
        environment = describe_environment() | {"seed": self.config.get("seed_everything"), **_fingerprints(trainer)}
        text = json.dumps(environment, indent=2, ensure_ascii=False) + "\n"
        (folder / f"environment{suffix}.json").write_text(text, encoding="utf-8")
        for logger in trainer.loggers:
            logger.log_hyperparams(flatten({"environment": environment}))

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Shows what differs from the checkpoint."""
        if trainer.is_global_zero:
            for line in self._differences:
                print(f"Resumed with another setting: {line}", flush=True)
        self._differences = []

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes down the limits that training has reached: nothing is left to do until they are raised."""
        if trainer.is_global_zero:
            text = yaml.safe_dump(limits(self._resolved()["trainer"]), sort_keys=False)
            write_text(Path(trainer.default_root_dir) / FINISHED, text)

    def state_dict(self) -> dict[str, Any]:
        """The configuration as text."""
        return {"config": self._text}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compares the checkpoint's configuration with today's."""
        found = differences(yaml.safe_load(state_dict["config"]), self._resolved())
        self._differences = [
            f"{name}: the checkpoint has {saved!r}, {now!r} is used"
            for name, (saved, now) in found.items()
            if not name.startswith(_NOT_COMPARED)
        ]

    @cached_property  # writing it takes as long as saving a small model
    def _text(self) -> str:
        config = Namespace({**vars(self.config), "ckpt_path": None})  # of one command, not of the run
        return resolved(self.parser, config)

    def _resolved(self) -> dict[str, Any]:
        return yaml.safe_load(self._text)


def resolved(parser: LightningArgumentParser, config: Namespace) -> str:
    """A configuration as YAML, with the settings that are linked or left at their defaults."""
    return parser.dump(config, skip_none=False, skip_link_targets=False)


def _fingerprints(trainer: L.Trainer) -> dict[str, Any]:
    """Of the data by source and split, and of base and tokenizer, where module and data module know them."""
    report = getattr(trainer.datamodule, "report", None)  # type: ignore[attr-defined]
    splits = report.splits if report is not None else []
    data = {f"{one.source} {one.language} {one.split}": one.fingerprint for one in splits}
    return {"data": data, "base": getattr(trainer.lightning_module, "base_identity", None)}
