"""The checkpoints of a run, and the runs under a folder: which is the best, the last, the newest."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lightning_modules.checkpoint_file import DamagedCheckpoint, OzetCheckpointIO, read_contents, require_whole
from lightning_modules.run_settings import CONFIGURATION

RUN_NAME = "%Y%m%d-%H%M%S"  # of a run's folder; a number follows where several begin in the same second
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SavedCheckpoint:
    """A checkpoint of a run.

    Attributes:
        file: Where it lies.
        contents: From `read_contents`.
    """

    file: Path
    contents: dict[str, Any]

    @property
    def step(self) -> int:
        """Optimizer steps until it was saved."""
        return self.contents.get("global_step", 0)

    @property
    def resumable(self) -> bool:
        """Whether training can go on from it, rather than with its weights alone."""
        return bool(self.contents.get("optimizer_states")) and "lr_schedulers" in self.contents


def last_checkpoint_of(run: Path) -> Path:
    """A run's last checkpoint.

    Raises:
        ValueError: If the run has saved none.
    """
    if not has_checkpoint(run):
        raise ValueError(f"The run {str(run)!r} has no checkpoint: it has not saved one yet.")
    last = run / "checkpoints" / "last.ckpt"
    readable = [] if last.is_file() else readable_checkpoints(last.parent)
    return readable[0].file if readable else last


def has_checkpoint(run: Path) -> bool:
    """Whether a run has saved any checkpoint, whole or not."""
    return any((run / "checkpoints").glob("*.ckpt"))


def readable_checkpoints(folder: Path) -> list[SavedCheckpoint]:
    """Those of a folder whose contents can be read, from the newest to the oldest; their tensors are not checked."""
    found = []
    for file in folder.glob("*.ckpt"):
        try:
            found.append(SavedCheckpoint(file, read_contents(file)))
        except ValueError as error:
            log.debug("%s", error)
    return sorted(found, key=lambda one: (one.step, one.file.name == "last.ckpt"), reverse=True)


def require_usable(file: Path, flag: str = "") -> SavedCheckpoint:
    """Refuses a damaged checkpoint.

    Args:
        file: The checkpoint.
        flag: What a command line says before a checkpoint, for the remedy.

    Raises:
        ValueError: If it is missing or damaged; names the newest whole one beside it.
    """
    try:
        require_whole(file)
        return SavedCheckpoint(file, read_contents(file))
    except DamagedCheckpoint as error:
        raise ValueError(f"{error}{_another(file, flag)}") from error


def load_usable(file: Path) -> dict[str, Any]:
    """Reads a checkpoint; see `require_usable`."""
    try:
        return OzetCheckpointIO().load_checkpoint(file)
    except DamagedCheckpoint as error:
        raise ValueError(f"{error}{_another(file)}") from error


def is_whole(file: Path) -> bool:
    """Whether a checkpoint equals its checksum."""
    try:
        require_whole(file)
    except DamagedCheckpoint:
        return False
    return True


def best_checkpoint_of(run: Path) -> Path | None:
    """The best checkpoint by the monitored figure, None if no validation has ended.

    The newest checkpoint that can be read says which is the best. If that file is gone, the next best is taken, with a
    warning.
    """
    for saved in readable_checkpoints(run / "checkpoints"):
        for state in saved.contents.get("callbacks", {}).values():
            if isinstance(state, Mapping) and state.get("best_model_path"):
                return _first_that_exists(run, state)
    return None


def checkpoint_of_run(run: Path) -> Path:
    """The best checkpoint of a run's folder, or the last one if no validation has ended.

    Raises:
        ValueError: If the run has saved none.
    """
    return best_checkpoint_of(run) or last_checkpoint_of(run)


def runs_under(root: Path) -> list[Path]:
    """The folders of trainings, from the newest to the oldest by their start; dev runs and evaluations are none."""
    return sorted((file.parent for file in root.glob(f"*/{CONFIGURATION}")), key=_start, reverse=True)


def _another(damaged: Path, flag: str = "") -> str:
    whole = (one for one in readable_checkpoints(damaged.parent) if one.file != damaged and is_whole(one.file))
    other = next(whole, None)
    return f" The newest whole checkpoint beside it is of step {other.step}: {flag}{other.file}" if other else ""


def _first_that_exists(run: Path, state: Mapping[str, Any]) -> Path | None:
    best, scores = state["best_model_path"], state.get("best_k_models", {})
    # Whether greater or smaller is better, the next best is the one that is nearest to the best.
    others = sorted(scores, key=lambda path: abs(float(scores[path]) - float(state["best_model_score"])))
    # Only the names count: the run may have been moved since.
    names = dict.fromkeys(Path(path).name for path in (best, *others))
    found = next((file for name in names if (file := run / "checkpoints" / name).is_file()), None)
    if found is not None and found.name != Path(best).name:
        log.warning("The best checkpoint %s is gone; the next best is used: %s.", Path(best).name, found)
    return found


def _start(run: Path) -> tuple[float, int]:
    """When a run began, by its folder's name, which copies keep; of a renamed folder by its first file."""
    named = re.fullmatch(r"(\d{8}-\d{6})(?:-(\d+))?", run.name)
    if named is None:
        return (run / CONFIGURATION).stat().st_mtime, 0
    return datetime.strptime(named[1], RUN_NAME).timestamp(), int(named[2] or 1)
