"""One folder for each run: where a run writes, and which run a checkpoint continues."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from jsonargparse import Namespace

from lightning_modules.checkpointing import find_checkpoint

DEFAULT_ROOT = "runs"
# Processes that Lightning starts for further devices inherit it, so that all of them write to one folder.
_ENVIRONMENT_KEY = "OZET_RUN_FOLDER"


def place_run(config: Namespace, subcommand: str) -> Path:
    """Chooses the run's folder and points trainer, loggers and checkpoints at it.

    A new run gets `<trainer.default_root_dir>/<date-time>`. A run with a `ckpt_path` writes into the folder of the run
    that the checkpoint belongs to. `last` and `best` are looked up in the newest run under `default_root_dir`.

    `validate`, `test` and `predict` log into a folder of their own in that of the run, so that its curves stay its own.

    Args:
        config: A subcommand's configuration; changed in place.
        subcommand: `fit`, `validate`, `test` or `predict`.

    Returns:
        The folder.

    Raises:
        ValueError: If the checkpoint does not exist.
    """
    root = Path(config.trainer.default_root_dir or DEFAULT_ROOT)
    checkpoint = resolve_checkpoint(root, config.get("ckpt_path"))
    if checkpoint is not None:
        config.ckpt_path = str(checkpoint)
    if checkpoint is not None and checkpoint.parent.name == "checkpoints":
        folder = checkpoint.parent.parent
    else:
        folder = _folder_of_all_devices(root)
    config.trainer.default_root_dir = str(folder)
    for logger in _configured(config.trainer.get("logger")):
        if logger.init_args.get("save_dir") in (None, "."):
            logger.init_args.save_dir = str(folder if subcommand == "fit" else folder / subcommand)
    for callback in _configured(config.trainer.get("callbacks")):
        if callback.class_path.endswith("ModelCheckpoint") and callback.init_args.get("dirpath") is None:
            callback.init_args.dirpath = str(folder / "checkpoints")
    return folder


def resolve_checkpoint(root: Path, path: str | None) -> Path | None:
    """The file that `ckpt_path` means.

    Raises:
        ValueError: If there is no such file.
    """
    if path is None:
        return None
    if path in ("last", "best"):
        return find_checkpoint(root, path)
    if not Path(path).is_file():
        raise ValueError(f"No checkpoint file {path!r}; give a .ckpt file, `last` or `best`.")
    return Path(path)


def _folder_of_all_devices(root: Path) -> Path:
    if int(os.environ.get("LOCAL_RANK", 0)) == 0 or _ENVIRONMENT_KEY not in os.environ:
        os.environ[_ENVIRONMENT_KEY] = str(_new_folder(root))
    return Path(os.environ[_ENVIRONMENT_KEY])


def _new_folder(root: Path) -> Path:
    """Makes a folder that no other run has, not even one that starts at the same moment."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder, count = root / stamp, 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            count += 1
            folder = root / f"{stamp}-{count}"


def _configured(value: object) -> list[Namespace]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, Namespace) and "init_args" in one]
