"""One folder for each run: where it writes."""

from __future__ import annotations

import atexit
import errno
import fcntl
import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TextIO

from jsonargparse import Namespace

from callbacks.recorded_run import configured, forget_places, recorded_run
from callbacks.run_choice import Settings, choose_checkpoint
from lightning_modules.run_checkpoints import RUN_NAME

DEFAULT_ROOT = "runs"
# Processes that Lightning starts for further devices inherit them, so that all do what the first has decided.
_FOLDER_KEY, _CHECKPOINT_KEY = "OZET_RUN_FOLDER", "OZET_CHECKPOINT"
_locks: list[TextIO] = []  # open as long as this process lives


def place_run(config: Namespace, subcommand: str, settings: Settings = dict) -> Path:
    """Chooses the run's folder and points trainer, loggers and checkpoints at it.

    A new run gets `<trainer.default_root_dir>/<date-time>`. A run with a `ckpt_path` writes into the folder of the run
    that the checkpoint belongs to; `run_choice.choose_checkpoint` says which. A dev run (`trainer.fast_dev_run`) writes
    into a folder that is removed when the process ends.

    `validate`, `test` and `predict` log into a folder of their own in that of the run, so that its curves stay its own.
    With `--config RUN/config.yaml` they take RUN's best checkpoint if none is given, and `fit` begins a run beside RUN.

    Args:
        config: A subcommand's configuration; changed in place.
        subcommand: `fit`, `validate`, `test` or `predict`.
        settings: Gives the configuration, resolved, to be compared with that of earlier runs.

    Returns:
        The folder.

    Raises:
        ValueError: If the checkpoint does not exist or cannot be used, or the folder cannot be written.
        FinishedRun: If nothing is left to train, see `choose_checkpoint`.
    """
    if int(os.environ.get("LOCAL_RANK", 0)) == 0 or _FOLDER_KEY not in os.environ:
        run = recorded_run(config)
        if run is not None:
            forget_places(config, run)
        root = Path(config.trainer.default_root_dir or DEFAULT_ROOT)
        chosen = choose_checkpoint(root, config.get("ckpt_path"), subcommand, settings, run)
        os.environ[_FOLDER_KEY] = str(_folder(root, chosen, bool(config.trainer.get("fast_dev_run"))))
        os.environ[_CHECKPOINT_KEY] = str(chosen or "")
    folder = Path(os.environ[_FOLDER_KEY])
    config.ckpt_path = os.environ[_CHECKPOINT_KEY] or None
    config.trainer.default_root_dir = str(folder)
    for logger in configured(config.trainer.get("logger")):
        if logger.init_args.get("save_dir") in (None, "."):
            logger.init_args.save_dir = str(folder if subcommand == "fit" else folder / subcommand)
    for callback in configured(config.trainer.get("callbacks")):
        if callback.class_path.endswith("ModelCheckpoint") and callback.init_args.get("dirpath") is None:
            callback.init_args.dirpath = str(folder / "checkpoints")
    return folder


def place_preparation(config: Namespace) -> None:
    """Point the trainer of `prepare` at the run whose configuration is used, or else at the folder of runs.

    Args:
        config: Of the subcommand; changed in place.

    Raises:
        ValueError: If the folder cannot be written.
    """
    folder = recorded_run(config) or Path(config.trainer.default_root_dir or DEFAULT_ROOT)
    require_writable(folder, "Give a folder that can be written as --trainer.default_root_dir.")
    config.trainer.default_root_dir = str(folder)


def lock_run(folder: Path) -> None:
    """Keep other processes from training in a run's folder as long as this one lives: both would write the same files.

    Raises:
        ValueError: If another process trains there.
    """
    file = (folder / ".lock").open("a")
    try:
        # lockf, not flock: children that outlive this process would keep a flock.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise ValueError(
                f"Another process is training in {str(folder)!r}; wait until it ends, or leave out --ckpt_path for a "
                "new run."
            ) from error
    _locks.append(file)


def require_writable(folder: Path, remedy: str) -> None:
    """Makes a folder and tries to write into it.

    Raises:
        ValueError: If that fails; ends in the remedy.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"Cannot write to {str(folder)!r} ({error.strerror}). {remedy}") from error


def _folder(root: Path, checkpoint: Path | None, dev_run: bool) -> Path:
    if checkpoint is not None and checkpoint.parent.name == "checkpoints" and not dev_run:
        folder = checkpoint.parent.parent
        require_writable(folder, "Copy the run to a folder that can be written, and give the copy as ckpt_path.")
        return folder
    require_writable(root, "Give a folder that can be written as --trainer.default_root_dir.")
    if not dev_run:
        return _new_folder(root)
    folder = Path(tempfile.mkdtemp(prefix=".dev-run-", dir=root))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _new_folder(root: Path) -> Path:
    """Makes a folder that no other run has, not even one that starts at the same moment."""
    stamp = datetime.now().strftime(RUN_NAME)
    folder, count = root / stamp, 1
    while True:
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            count += 1
            folder = root / f"{stamp}-{count}"
