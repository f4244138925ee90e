"""Does clipping save a learning rate that is too high? The same training with several ways of clipping, side by side.

    python benchmarks/clipping.py --pairs DIR --base DIR --steps 2000 --seconds 200 --output FILE

Each variant is a process of its own on the same device, stopped after `--seconds`. `--steps` is the length of the
learning rate's course. Flags that it does not know are handed to train.py.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from main_job import current_commit, device_name, sources, write  # noqa: E402

from reports.curves import read_run  # noqa: E402

CLIPPING: dict[str, dict[str, Any]] = {
    "norm 1": {"mode": "norm", "threshold": 1.0},
    "norm 0.1": {"mode": "norm", "threshold": 0.1},
    "percentile 10": {"mode": "percentile", "threshold": 10},
}


def start(name: str, command: list[str], work: Path) -> tuple[subprocess.Popen, Path]:
    """Starts one variant; what it prints goes to a file."""
    root = work / name.replace(" ", "_")
    shutil.rmtree(root, ignore_errors=True)
    callbacks = [
        {"class_path": "callbacks.nan_monitor.NanMonitor"},
        {"class_path": "callbacks.gradient_clipping.GradientClipping", "init_args": CLIPPING[name]},
        {"class_path": "callbacks.throughput.Throughput"},
    ]
    flags = [f"--trainer.callbacks={json.dumps(callbacks)}", f"--trainer.default_root_dir={root}"]
    log = work / f"{root.name}.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "train.py", "fit", *command, *flags], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
        )
    return process, log


def collect(name: str, root: Path, log: Path, code: int | None) -> dict[str, Any]:
    """What became of one variant."""
    (run,) = root.iterdir()
    series = read_run(run)
    error = re.search(r"^error: (.*)", log.read_text(), re.MULTILINE)
    keys = ("train/loss", "train/loss/tr", "train/loss/en", "train/gradient_norm", "train/clipped_share")
    return {
        "variant": name,
        "clipping": CLIPPING[name],
        "exit_code": code,
        "error": error and error.group(1),
        "last_step": max((step for step, _ in series.get("train/loss", [])), default=None),
        "records": {key: series.get(key, []) for key in keys},
    }


def main() -> None:
    """Runs all variants and prints a table last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=200)
    parser.add_argument("--work", type=Path, default=Path("runs/clipping"))
    parser.add_argument("--output", type=Path, required=True)
    options, extra = parser.parse_known_args()
    options.work.mkdir(parents=True, exist_ok=True)
    command = [
        "--config=benchmarks/configs/tbmm_xsum.yaml",
        sources(options.pairs.resolve(), {}),
        f"--model.base={options.base}",
        f"--trainer.max_steps={options.steps}",
        "--trainer.limit_val_batches=0",
        "--trainer.enable_checkpointing=false",
        *extra,
    ]
    started = time.monotonic()
    running = {name: start(name, command, options.work) for name in CLIPPING}
    while time.monotonic() - started < options.seconds and any(one.poll() is None for one, _ in running.values()):
        time.sleep(1)
    codes = {name: process.poll() for name, (process, _) in running.items()}
    for process, _ in running.values():
        process.kill()
    results = [collect(name, options.work / log.stem, log, codes[name]) for name, (_, log) in running.items()]
    head = {"device": device_name(), "torch": torch.__version__, "commit": current_commit(), "flags": extra}
    write(options.output, head | {"steps": options.steps, "results": results})
    for result in results:
        losses = " ".join(f"{value:.2f}@{step}" for step, value in result["records"]["train/loss"][::10])
        print(f"{result['variant']:<15}step {result['last_step']!s:>5}  {result['error'] or 'no fault'}\n    {losses}")


if __name__ == "__main__":
    main()
