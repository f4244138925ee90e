"""The run whose own `config.yaml` a command line names: its checkpoints are found, its places are not reused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace

from lightning_modules.run_settings import CONFIGURATION


def recorded_run(config: Namespace) -> Path | None:
    """Return the folder of the run whose `config.yaml` is the last such file of `--config`; None without one.

    Runs may have been moved: only where the file lies counts.
    """
    for file in reversed([Path(str(one)) for one in config.get("config") or []]):
        if file.name == CONFIGURATION and (file.parent / "environment.json").is_file():
            return file.parent
    return None


def forget_places(config: Namespace, run: Path) -> None:
    """Reset the places that the run wrote to, so that a new command writes elsewhere.

    `trainer.default_root_dir` becomes the folder that the run lies in, unless the command line names another.

    Args:
        config: A subcommand's configuration; changed in place.
        run: From `recorded_run`.
    """
    recorded = yaml.safe_load((run / CONFIGURATION).read_text(encoding="utf-8"))["trainer"].get("default_root_dir")
    if config.trainer.default_root_dir == recorded:
        config.trainer.default_root_dir = str(run.parent)
    for part, name in (("logger", "save_dir"), ("callbacks", "dirpath")):
        for one in configured(config.trainer.get(part)):
            if recorded and str(one.init_args.get(name) or "").startswith(recorded):
                one.init_args[name] = None if name == "dirpath" else "."


def configured(value: Any) -> list[Namespace]:
    """Return the classes with arguments in a setting that is one, a list, or none."""
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, Namespace) and "init_args" in one]
