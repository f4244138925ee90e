"""Which checkpoint a `ckpt_path` means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from callbacks.configuration_differences import differences, of_the_experiment
from lightning_modules.run_checkpoints import (
    SavedCheckpoint,
    best_checkpoint_of,
    checkpoint_of_run,
    has_checkpoint,
    is_whole,
    last_checkpoint_of,
    readable_checkpoints,
    require_usable,
    runs_under,
)
from lightning_modules.run_settings import configuration_of

FINISHED = "finished.yaml"  # of a run's folder: the limits that it was trained to
_LIMITS = ("max_epochs", "max_steps", "max_time", "min_epochs", "min_steps")
_OPTIMIZER = "model.init_args.optimizer.class_path"
_SHOWN = 3
Settings = Callable[[], Mapping[str, Any]]


class FinishedRun(Exception):
    """There is nothing left to train."""


def choose_checkpoint(
    root: Path, path: str | None, subcommand: str, settings: Settings, run: Path | None = None
) -> Path | None:
    """Finds and checks the checkpoint that `ckpt_path` means.

    - A file.
    - A run's folder: its last checkpoint for `fit`; its best for the other subcommands, or its last if no validation
      has ended.
    - `last` or `best` of `run`, or else of the newest run under `root`. `fit` refuses a run of another experiment: one
      whose model, data, seed, precision or accumulation is not today's.
    - `auto`, for `fit`: the newest whole checkpoint of the newest run of the same experiment, or None, to begin anew.

    Args:
        root: Folder that holds run folders.
        path: The `ckpt_path`.
        subcommand: `fit`, `validate`, `test` or `predict`.
        settings: Gives today's configuration, resolved.
        run: The run whose configuration is used; evaluation takes its best checkpoint without a `ckpt_path`.

    Returns:
        The file, None without a `ckpt_path`.

    Raises:
        ValueError: If there is none, or it cannot be used; says what can.
        FinishedRun: If `auto` finds a run that has been trained to today's limits.
    """
    training = subcommand == "fit"
    if path == "auto":
        if not training:
            raise ValueError(f"ckpt_path auto is for fit; give {subcommand} a run's folder, a file, last or best.")
        return _where_to_go_on(root, settings)
    if path is None and run is not None and not training:
        path = str(run)
    if path is None:
        return None
    chosen = require_usable(_file_of(root, path, training, run), "--ckpt_path ")
    if training:
        now = settings()
        _require_resumable(chosen, now)
        if path in ("last", "best"):
            _require_same_experiment(chosen, now)
    _announce(chosen, training)
    return chosen.file


def limits(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a trainer that say when training ends."""
    return {name: trainer.get(name) for name in _LIMITS}


def _file_of(root: Path, path: str, training: bool, run: Path | None) -> Path:
    if path not in ("last", "best"):
        folder = Path(path)
        return folder if not folder.is_dir() else last_checkpoint_of(folder) if training else checkpoint_of_run(folder)
    run = run or _newest(root, path)
    if path == "last":
        return last_checkpoint_of(run)
    best = best_checkpoint_of(run)
    if best is None:
        raise ValueError(f"The run {str(run)!r} has no best checkpoint: no validation has ended yet.")
    return best


def _newest(root: Path, which: str) -> Path:
    runs = runs_under(root)
    saved = [run for run in runs if has_checkpoint(run)]
    if not saved:
        raise ValueError(f"There is no checkpoint {which!r}: no run under {str(root)!r} has saved one yet.")
    if saved[0] != runs[0]:
        raise ValueError(
            f"The newest run {str(runs[0])!r} has saved no checkpoint; to take the one before it that has, give "
            f"--ckpt_path {saved[0]}"
        )
    return saved[0]


def _require_resumable(chosen: SavedCheckpoint, now: Mapping[str, Any]) -> None:
    if not chosen.resumable:
        raise ValueError(
            f"Training cannot go on from {str(chosen.file)!r}: it holds weights without the state of an optimizer. "
            "Give another checkpoint, or export it and train anew with the exported folder as model.base."
        )
    was, today = _other_settings(chosen, now).get(_OPTIMIZER, (None, None))
    if was != today:
        raise ValueError(
            f"Training cannot go on from {str(chosen.file)!r} with another optimizer: it has the state of {was}, and "
            f"model.optimizer is {today}. Take {was}, or export it and train anew with the exported folder as "
            "model.base."
        )


def _require_same_experiment(chosen: SavedCheckpoint, now: Mapping[str, Any]) -> None:
    found = _other_settings(chosen, now)
    if found:
        shown = "; ".join(f"{name} was {was!r}, is {today!r}" for name, (was, today) in list(found.items())[:_SHOWN])
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        run = chosen.file.parent.parent
        raise ValueError(
            f"The newest run {str(run)!r} is another experiment ({shown}{more}); to continue it with other settings, "
            f"give --ckpt_path {run}"
        )


def _other_settings(saved: SavedCheckpoint, now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return of_the_experiment(differences(configuration_of(saved.contents, saved.file), now))


def _where_to_go_on(root: Path, settings: Settings) -> Path | None:
    now = settings()
    for run in runs_under(root):
        readable = readable_checkpoints(run / "checkpoints")
        if not readable or _other_settings(readable[0], now):
            continue
        if _finished(run, now):
            raise FinishedRun(
                f"The run {str(run)!r} has ended: it was trained to these limits, {readable[0].step} steps. Raise "
                "trainer.max_epochs or trainer.max_steps to train it further, or leave out --ckpt_path for a new run."
            )
        chosen = next((saved for saved in readable if saved.resumable and is_whole(saved.file)), None)
        if chosen is not None:
            last = last_checkpoint_of(run)
            if chosen.file != last:
                print(f"{last} cannot be used: it is damaged. The next older checkpoint is taken.", flush=True)
            _announce(chosen, training=True)
            return chosen.file
    print(f"No run of this experiment under {str(root)!r} has a checkpoint: a new one begins.", flush=True)
    return None


def _finished(run: Path, now: Mapping[str, Any]) -> bool:
    file = run / FINISHED
    if not file.is_file():
        return False
    return yaml.safe_load(file.read_text(encoding="utf-8")) == limits(now["trainer"])


def _announce(chosen: SavedCheckpoint, training: bool) -> None:
    file = chosen.file
    if not training:
        print(f"Taking {file}, saved at step {chosen.step}.", flush=True)
    elif file.parent.name == "checkpoints":
        print(f"Continuing {file.parent.parent} at step {chosen.step}, from {file.name}.", flush=True)
    else:
        print(f"Continuing from {file} at step {chosen.step}, in a run of its own.", flush=True)
