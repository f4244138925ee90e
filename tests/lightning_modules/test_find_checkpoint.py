import os
import shutil
from pathlib import Path

import pytest
import torch

from lightning_modules.checkpointing import find_checkpoint


def save_run(root: Path, name: str, time: int, best: str | None = None) -> Path:
    """A run folder as training leaves it, with `last.ckpt` written at a given time."""
    folder = root / name / "checkpoints"
    folder.mkdir(parents=True)
    paths = [folder / "last.ckpt"] + ([folder / best] if best else [])
    best_path = str(folder / best) if best else ""
    callbacks = {"RandomState": {"ranks": []}, "ModelCheckpoint": {"best_model_path": best_path}}
    for path in paths:
        torch.save({"state_dict": {}, "callbacks": callbacks}, path)
        os.utime(path, (time, time))
    return folder


def test_last_and_best_come_from_the_newest_run_even_when_it_was_moved(tmp_path: Path) -> None:
    save_run(tmp_path / "runs", "b-older", 1_000, "best-step=9.ckpt")
    save_run(tmp_path / "runs", "a-newer", 2_000, "best-step=5.ckpt")
    shutil.move(tmp_path / "runs", tmp_path / "moved")
    folder = tmp_path / "moved" / "a-newer" / "checkpoints"
    assert find_checkpoint(tmp_path / "moved", "last") == folder / "last.ckpt"
    assert find_checkpoint(tmp_path / "moved", "best") == folder / "best-step=5.ckpt"


@pytest.mark.parametrize("which", ["last", "best"])
def test_without_any_run_there_is_no_checkpoint(tmp_path: Path, which: str) -> None:
    with pytest.raises(ValueError, match=rf"no checkpoint '{which}': no run under '{tmp_path}'"):
        find_checkpoint(tmp_path, which)


@pytest.mark.parametrize("deleted", [False, True])
def test_a_run_without_a_best_checkpoint_says_so(tmp_path: Path, deleted: bool) -> None:
    folder = save_run(tmp_path, "run", 1_000, "best-step=5.ckpt" if deleted else None)
    (folder / "best-step=5.ckpt").unlink(missing_ok=not deleted)
    with pytest.raises(ValueError, match=r"run' has no best checkpoint"):
        find_checkpoint(tmp_path, "best")
