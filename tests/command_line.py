"""Runs the real command line in this process, and reads what it leaves behind."""

import functools
import json
from pathlib import Path
from unittest import mock

import torch
from lightning.pytorch.cli import LightningArgumentParser

from reports.curves import read_run
from train import OzetCLI, main

TINY = "tests/conf/tiny.yaml"


def configured(class_path: str, **init_args) -> dict:
    return {"class_path": class_path, "init_args": init_args}


SAVE_EVERY_STEP = (configured("callbacks.last_checkpoint.LastCheckpoint", every_n_steps=1),)
SAVE_AFTER_VALIDATION = (
    configured("callbacks.best_checkpoint.BestCheckpoint", monitor="val/loss", mode="min", save_top_k=1),
    configured("callbacks.last_checkpoint.LastCheckpoint"),
)


class _Built(Exception):
    pass


class _StopsWhenBuilt(OzetCLI):
    def parse_arguments(self, parser, args):
        raise _Built(parser)


@functools.cache
def parser() -> LightningArgumentParser:
    """The parser of `train.main`, with its defaults, built once: a file takes it a third of a second."""
    with mock.patch("train.OzetCLI", _StopsWhenBuilt):
        try:
            main([])
        except _Built as built:
            return built.args[0]
    raise AssertionError("train.main builds no OzetCLI")


def run(subcommand: str, root: Path, *flags: str, callbacks: tuple[dict, ...] = SAVE_AFTER_VALIDATION) -> OzetCLI:
    """`python train.py SUBCOMMAND --config tests/conf/tiny.yaml FLAGS`, writing under `root`."""
    common = [f"--config={TINY}", f"--trainer.default_root_dir={root}"]
    return main([subcommand, *common, f"--trainer.callbacks={json.dumps(list(callbacks))}", *flags])


def run_folder(root: Path) -> Path:
    (folder,) = root.iterdir()
    return folder


def records(root: Path, stage: str = "") -> dict[str, dict[int, float | None]]:
    """Values by key and step, with None for NaN, which equals nothing."""
    series = read_run(run_folder(root) / stage)
    return {key: {step: None if value != value else value for step, value in points} for key, points in series.items()}


def last_checkpoint(root: Path) -> dict:
    return torch.load(run_folder(root) / "checkpoints" / "last.ckpt", weights_only=True)
