"""A run that W&B watches offline outlives its service process, and goes on as the same run after a kill."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command_line import SAVE_EVERY_STEP, TINY, configured, run_folder

from reports.curves import read_run

ROOT = Path(__file__).parent.parent


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """That of a machine that W&B knows nothing of."""
    (tmp_path / "home").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_") and name != "NETRC"}
    return {**kept, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT / "tests")}


def fit(root: Path, *flags: str, interruption: dict = configured("interruptions.Announce")) -> list[str]:
    callbacks = json.dumps([*SAVE_EVERY_STEP, interruption])
    csv = configured("lightning.pytorch.loggers.CSVLogger", save_dir=".", name="metrics")
    logger = json.dumps([configured("callbacks.wandb_logger.ResumableWandbLogger"), csv])
    common = [f"--config={TINY}", f"--trainer.default_root_dir={root}", "--trainer.limit_val_batches=0"]
    return [
        *(sys.executable, "train.py", "fit", *common),
        *(f"--trainer.callbacks={callbacks}", f"--trainer.logger={logger}", *flags),
    ]


def record(folder: Path) -> Path:
    """The file of the only offline run in a run's folder."""
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    return file


def logged(folder: Path, environment: dict[str, str]) -> tuple[list[int], dict]:
    """Steps with a training loss, and the configuration, from an offline folder."""
    read = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
    output = subprocess.run(read, env=environment, stdout=subprocess.PIPE, check=True).stdout
    records = [json.loads(line) for line in output.splitlines()]
    items = [one["history"]["item"] for one in records if "history" in one]
    config = {key: value for one in records for key, value in one.get("config", {}).get("update", {}).items()}
    return [item["trainer/global_step"] for item in items if "train/loss" in item], config


@pytest.mark.slow
def test_killed_offline_run_goes_on_under_its_id(tmp_path, environment):
    root = tmp_path / "runs"
    common = {"cwd": ROOT, "env": environment, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(fit(root, "--trainer.max_steps=1000", "--trainer.max_epochs=-1"), **common) as run:
        for line in run.stdout:
            step = int(line.split()[-1]) if line.startswith("finished step") else 0
            if step >= 4 and b"train/loss" in record(run_folder(root)).read_bytes():
                run.kill()
                break
    assert run.returncode == -signal.SIGKILL
    subprocess.run(fit(root, "--ckpt_path=last", f"--trainer.max_steps={step + 5}"), **common, check=True)

    run_id = (run_folder(root) / "wandb_run_id.txt").read_text().strip()
    folders = sorted((run_folder(root) / "wandb").glob("offline-run-*"))
    assert [folder.name.split("-")[-1] for folder in folders] == [run_id, run_id]
    (before, first_config), (after, second_config) = (logged(folder, environment) for folder in folders)
    assert first_config["model.init_args.lora.rank"] == second_config["model.init_args.lora.rank"] == 4
    assert before
    assert before == list(range(len(before)))
    # A step is announced before it is saved, and the kill may come while a further one is taken.
    assert after == list(range(after[0], step + 5))
    assert after[0] >= step - 1
    assert (run_folder(root) / f"config-resumed-at-{after[0]}.yaml").is_file()


@pytest.mark.slow
def test_run_outlives_the_service_process_of_wandb(tmp_path, environment):
    root, steps = tmp_path / "runs", 30
    kill = configured("interruptions.SignalWandbAt", step=10, number=int(signal.SIGKILL))
    flags = (f"--trainer.max_steps={steps}", "--trainer.max_epochs=-1")
    common = {"cwd": ROOT, "env": environment, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True}
    run = subprocess.run(fit(root, *flags, interruption=kill), **common, stderr=subprocess.STDOUT)
    assert run.returncode == 0, run.stdout
    assert run.stdout.count("ResumableWandbLogger failed and is off for the rest of this run") == 1
    assert "Traceback" not in run.stdout
    folder = run_folder(root)
    assert [step for step, _ in read_run(folder)["train/loss"]] == list(range(steps))
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == steps
    (offline,) = (folder / "wandb").glob("offline-run-*")
    seen, _ = logged(offline, environment)
    assert seen == list(range(len(seen)))  # readable up to then; how far depends on the machine
