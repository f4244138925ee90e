"""What watching costs: the same training alone, with validation, and with every watcher and BERTScore on the CPU.

    python benchmarks/watchers.py --pairs DIR --base DIR --encoder DIR --steps 300 --every 100 --rounds 2 --output FILE

The variants take turns, round by round, on one device. The clock runs from the first training step until the program
has nothing left to do, the wait for BERTScore included. Flags that it does not know are handed to train.py.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from main_job import current_commit, device_name, sources, write  # noqa: E402

from reports.curves import read_run  # noqa: E402


class WallClock(L.Callback):
    """Writes the seconds of a fit, of its validations and of what comes after the last of them, as JSON.

    Put it last among the callbacks.

    Args:
        output: File to write.
    """

    def __init__(self, output: str) -> None:
        self.output = Path(output)
        self.validation = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock."""
        self.started = self.worked = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Remembers when the last step ended."""
        self.worked = time.perf_counter()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock of a validation."""
        self.validation_started = time.perf_counter()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stops it."""
        self.worked = time.perf_counter()
        self.validation += self.worked - self.validation_started

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Writes."""
        now = time.perf_counter()
        seconds = {"total": now - self.started, "validation": self.validation, "after": now - self.worked}
        self.output.write_text(json.dumps(seconds))


def configured(class_path: str, **init_args: object) -> dict[str, Any]:
    """A class as train.py's flags name it."""
    return {"class_path": class_path, "init_args": init_args}


def variants(encoder: Path | None, clock: Path) -> dict[str, list[str]]:
    """Flags of each variant by its name."""
    last = [
        configured("callbacks.last_checkpoint.LastCheckpoint"),
        configured("benchmarks.watchers.WallClock", output=str(clock)),
    ]
    plain = [configured("callbacks.throughput.Throughput"), *last]
    everything = [
        configured("callbacks.nan_monitor.NanMonitor"),
        configured("callbacks.gradient_clipping.GradientClipping"),
        configured("callbacks.throughput.Throughput"),
        configured("callbacks.collapse_monitor.CollapseMonitor"),
        configured("callbacks.summary_table.SummaryTable"),
    ]
    if encoder is not None:
        encoders = {language: {"model": str(encoder)} for language in ("tr", "en")}
        everything.append(configured("callbacks.bertscore.BertScore", encoders=encoders))
    return {
        "training alone": [f"--trainer.callbacks={json.dumps(plain)}", "--trainer.limit_val_batches=0"],
        "with validation": [f"--trainer.callbacks={json.dumps(plain)}"],
        "everything": [f"--trainer.callbacks={json.dumps(everything + last)}"],
    }


def measure(name: str, command: list[str], root: Path, clock: Path) -> dict[str, Any]:
    """Runs train.py once."""
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run([sys.executable, "train.py", "fit", *command], cwd=ROOT, check=True)
    (run,) = root.iterdir()
    series = read_run(run)
    rates = [value for _, value in series["perf/articles_per_s"]]
    seconds = json.loads(clock.read_text())
    print(name, seconds, flush=True)
    bertscore = {key: points for key, points in series.items() if "bertscore" in key}
    return {"variant": name, "seconds": seconds, "articles_per_s": median(rates), "bertscore": bertscore}


def main() -> None:
    """Measures and prints a table last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, help="folder of an encoder for BERTScore; left out: no BERTScore")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--every", type=int, default=100, help="steps between validations")
    parser.add_argument("--validation", type=int, default=200, help="validation pairs of each language")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--variants", nargs="+", help="some of them; left out: all")
    parser.add_argument("--work", type=Path, default=Path("runs/watchers"))
    parser.add_argument("--output", type=Path, required=True)
    options, extra = parser.parse_known_args()
    options.work.mkdir(parents=True, exist_ok=True)
    clock = (options.work / "clock.json").resolve()
    results = []
    for _ in range(options.rounds):
        for name, flags in variants(options.encoder, clock).items():
            if options.variants and name not in options.variants:
                continue
            root = options.work / name.replace(" ", "_")
            command = [
                "--config=benchmarks/configs/tbmm_xsum.yaml",
                sources(options.pairs.resolve(), {"validation": options.validation}),
                f"--model.base={options.base}",
                f"--trainer.max_steps={options.steps}",
                f"--trainer.val_check_interval={options.every}",
                f"--trainer.default_root_dir={root}",
                *flags,
                *extra,
            ]
            results.append(measure(name, command, root, clock))
            record(options, extra, results)
    table(results)


def record(options: argparse.Namespace, extra: list[str], results: list[dict[str, Any]]) -> None:
    """Writes what is known so far."""
    head = {"device": device_name(), "torch": torch.__version__, "commit": current_commit(), "flags": extra}
    head |= {name: getattr(options, name) for name in ("steps", "every", "validation", "rounds")}
    write(options.output, head | {"results": results})


def table(results: list[dict[str, Any]]) -> None:
    """Prints medians over the rounds."""
    print(f"{'variant':<18}{'total s':>9}{'validation s':>14}{'after s':>9}{'articles/s':>12}")
    for name in dict.fromkeys(result["variant"] for result in results):
        chosen = [result for result in results if result["variant"] == name]
        seconds = {key: median(one["seconds"][key] for one in chosen) for key in chosen[0]["seconds"]}
        rate = median(one["articles_per_s"] for one in chosen)
        print(f"{name:<18}{seconds['total']:>9.1f}{seconds['validation']:>14.1f}{seconds['after']:>9.1f}{rate:>12.0f}")


if __name__ == "__main__":
    main()
