"""What a run leaves, as values that can be compared with those of another run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from reports.curves import read_run  # noqa: E402


def run_folder(root: Path) -> Path:
    """Return the folder of a root's only run that has checkpoints."""
    (last,) = root.glob("runs/*/checkpoints/last.ckpt")
    return last.parent.parent


def plain(value: Any, folder: str) -> Any:
    """Return a checkpoint's part as values that can be compared, without the folder's name."""
    if isinstance(value, dict):
        return {plain(key, folder): plain(child, folder) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(child, folder) for child in value]
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return value.replace(folder, "") if isinstance(value, str) else value


def wandb_record(folder: Path) -> dict[str, Any] | None:
    """Return W&B's ids and the steps of its offline records, the later of repeated ones."""
    folders = sorted(folder.glob("wandb/offline-run-*"))
    if not folders:
        return None
    losses: dict[int, Any] = {}
    for one in folders:
        read = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(one)]
        output = subprocess.run(read, capture_output=True, check=False, text=True).stdout
        for record in map(json.loads, output.splitlines()):
            item = record.get("history", {}).get("item", {})
            if "train/loss" in item:
                losses[item["trainer/global_step"]] = item["train/loss"]
    ids = {one.name.split("-")[-1] for one in folders}
    return {"one id": ids == {(folder / "wandb_run_id.txt").read_text().strip()}, "losses": losses}


def outcome(root: Path) -> dict[str, Any]:
    """Return all that a run leaves, by what it is."""
    folder = run_folder(root)
    files = {path.name: torch.load(path, weights_only=True) for path in sorted((folder / "checkpoints").glob("*.ckpt"))}
    last = files["last.ckpt"]
    loops = {key: value for key, value in last["loops"]["fit_loop"].items() if "val_loop" not in key}
    del loops["epoch_loop.state_dict"]["callback_metrics"]  # times are among them
    records = {key: points for key, points in read_run(folder).items() if not key.startswith("perf/")}
    left = {
        "weights": {name: checkpoint["state_dict"] for name, checkpoint in files.items()},
        "optimizer": [last["optimizer_states"], last["lr_schedulers"]],
        "counters": [last["global_step"], loops, last["BilingualDataModule"]],
        "random states": last["callbacks"]["RandomState"],
        "best": [state for key, state in last["callbacks"].items() if key.startswith("BestCheckpoint")],
        "logged values": {key: points for key, points in records.items() if not key.startswith("val/")},
        "validations": {key: points for key, points in records.items() if key.startswith("val/")},
        "summaries": (folder / "summaries.jsonl").read_text(encoding="utf-8"),
        "W&B": wandb_record(folder),
    }
    # As text, in which NaN equals itself.
    return {what: json.dumps(plain(value, str(folder.absolute())), sort_keys=True) for what, value in left.items()}
