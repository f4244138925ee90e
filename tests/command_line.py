"""Runs the real command line in this process, and reads what it leaves behind."""

import json
from pathlib import Path

import torch

from reports.curves import read_run
from train import main

TINY = "tests/conf/tiny.yaml"


def configured(class_path: str, **init_args) -> dict:
    return {"class_path": class_path, "init_args": init_args}


SAVE_EVERY_STEP = (configured("callbacks.last_checkpoint.LastCheckpoint", every_n_steps=1),)
SAVE_AFTER_VALIDATION = (
    configured("lightning.pytorch.callbacks.ModelCheckpoint", monitor="val/loss", filename="best-{step}"),
    configured("callbacks.last_checkpoint.LastCheckpoint"),
)


def run(subcommand: str, root: Path, *flags: str, callbacks: tuple[dict, ...] = SAVE_AFTER_VALIDATION) -> None:
    """`python train.py SUBCOMMAND --config tests/conf/tiny.yaml FLAGS`, writing under `root`."""
    common = [f"--config={TINY}", f"--trainer.default_root_dir={root}"]
    main([subcommand, *common, f"--trainer.callbacks={json.dumps(list(callbacks))}", *flags])


def run_folder(root: Path) -> Path:
    (folder,) = root.iterdir()
    return folder


def records(root: Path) -> dict[str, dict[int, float]]:
    return {key: dict(points) for key, points in read_run(run_folder(root)).items()}


def last_checkpoint(root: Path) -> dict:
    return torch.load(run_folder(root) / "checkpoints" / "last.ckpt", weights_only=True)
