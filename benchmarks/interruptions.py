"""Do interrupted runs end as uninterrupted ones? Real runs of train.py, interrupted by real signals at random moments.

    python benchmarks/interruptions.py --runs 100 --work DIR --output FILE [-- FLAGS OF train.py]

Every run is one command line, submitted again after each of its one to five interruptions (SIGKILL, SIGTERM, SIGINT,
SIGHUP), until it ends by itself. Its moments are drawn over the whole run, from the preparation of the data to the last
validation; every fourth interruption waits for a checkpoint that is being written. What it leaves is compared with what
an uninterrupted run left: weights, optimizer, schedule, counters, every logged value (but those of `perf/`), best
checkpoints, summaries, W&B's id and steps.

Without a GPU, processes are forked from one that has imported train.py, which saves 10 seconds each; they run it as a
script.
"""

from __future__ import annotations

import argparse
import atexit
import json
import multiprocessing
import os
import random
import runpy
import shutil
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from main_job import current_commit, device_name, write  # noqa: E402
from run_outcome import outcome  # noqa: E402

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
GREATEST_INTERRUPTIONS = 5
WANDB = {"class_path": "callbacks.wandb_logger.ResumableWandbLogger", "init_args": {"offline": True}}
# By name: flags, optimizer steps between saves, and whether W&B watches.
SCHEDULES: dict[str, tuple[list[str], int, bool]] = {
    "each epoch": (["--trainer.max_epochs=3", "--trainer.val_check_interval=1.0"], 500, False),
    "twice an epoch, each step saved": (["--trainer.val_check_interval=3"], 1, False),
    "accumulated, sanity check": (
        [
            "--trainer.accumulate_grad_batches=4",
            "--trainer.val_check_interval=3",
            "--trainer.max_epochs=4",
            "--trainer.num_sanity_val_steps=2",
        ],
        1,
        False,
    ),
    "every second epoch, max_steps": (
        [
            "--trainer.val_check_interval=1.0",
            "--trainer.check_val_every_n_epoch=2",
            "--trainer.max_epochs=4",
            "--trainer.max_steps=21",
        ],
        5,
        False,
    ),
    "workers, validation across epochs": (
        ["--data.num_workers=2", "--trainer.check_val_every_n_epoch=null", "--trainer.val_check_interval=4"],
        2,
        False,
    ),
    "W&B": (["--trainer.max_epochs=3", "--trainer.val_check_interval=4"], 2, True),
}


def command(schedule: str, root: Path, more: list[str]) -> list[str]:
    """Return the command line of a run, which starts it or goes on with it; its callbacks are the default ones."""
    flags, every_n_steps, wandb = SCHEDULES[schedule]
    settings = yaml.safe_load((ROOT / "configs/default.yaml").read_text(encoding="utf-8"))["trainer"]
    for callback in settings["callbacks"]:
        if callback["class_path"].endswith("LastCheckpoint"):
            callback["init_args"] = {"every_n_steps": every_n_steps}
    logger = [one for one in settings["logger"] if "CSV" in one["class_path"]] + [WANDB] * wandb
    return [
        *("train.py", "fit", "--config=tests/conf/tiny.yaml", f"--trainer.default_root_dir={root / 'runs'}"),
        *(f"--trainer.callbacks={json.dumps(settings['callbacks'])}", f"--trainer.logger={json.dumps(logger)}"),
        *(*flags, "--ckpt_path=auto", *more),
    ]


def run_script(arguments: list[str], root: Path) -> None:
    """Run train.py in this process, as `python train.py` would."""
    os.chdir(ROOT)
    for number in SIGNALS[1:]:  # a shell may have had them ignored in what it starts in the background
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.environ.update(HF_DATASETS_CACHE=str(root / "cache"), HF_HUB_OFFLINE="1", WANDB_SILENT="true")
    import datasets

    datasets.config.HF_DATASETS_CACHE = root / "cache"
    with (root / "log.txt").open("ab", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    torch.set_num_threads(1)
    sys.argv, code = arguments, 0
    try:
        runpy.run_path("train.py", run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else bool(end.code)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr, flush=True)
    # As a script ends; multiprocessing would wait for the workers of data loaders, without what train.py does at exit.
    atexit._run_exitfuncs()
    os._exit(code)


def submit(arguments: list[str], root: Path) -> Any:
    """Start a process that runs the command."""
    root.mkdir(parents=True, exist_ok=True)
    # CUDA, which imports may have touched, does not survive a fork.
    method = "spawn" if torch.cuda.is_available() else "forkserver"
    process = multiprocessing.get_context(method).Process(target=run_script, args=(arguments, root))
    process.start()
    return process


def interrupt(process: Any, root: Path, rng: random.Random, seconds: float) -> dict[str, Any] | None:
    """Send one signal at a random moment; None if the process ends before it."""
    number, at_write = rng.choice(SIGNALS), rng.random() < 0.25
    begin, delay = time.monotonic(), rng.uniform(0, seconds)
    while process.is_alive():
        waited = time.monotonic() - begin
        writing = at_write and any(root.glob("runs/*/checkpoints/*.tmp"))
        if writing or (waited >= delay and not at_write):
            os.kill(process.pid, number)
            process.join()
            if process.exitcode == 0:  # it was ending by itself
                return None
            moment = "while a checkpoint was written" if writing else "at a random moment"
            return {"signal": number.name, "after_s": round(waited, 2), "moment": moment, "exit_code": process.exitcode}
        time.sleep(0.0005 if at_write else 0.005)
    return None


def interrupted_run(arguments: list[str], root: Path, rng: random.Random, seconds: float) -> list[dict[str, Any]]:
    """Interrupt a run one to five times, submit it again each time, and let it end; return the interruptions."""
    wanted, done = rng.randint(1, GREATEST_INTERRUPTIONS), []
    while len(done) < wanted:
        process = submit(arguments, root)
        stopped = interrupt(process, root, rng, seconds)
        if stopped is not None:
            done.append(stopped)
        elif process.exitcode != 0:
            raise RuntimeError(f"{root / 'log.txt'}: the run failed with exit code {process.exitcode}")
        elif done:
            return done  # it came to its end before the next signal
        else:
            shutil.rmtree(root)
            seconds *= 0.7
    process = submit(arguments, root)
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"{root / 'log.txt'}: the run failed with exit code {process.exitcode}")
    return done


# -- all of it ---------------------------------------------------------------------------------------------------------


class Comparison:
    """Interrupted runs beside the uninterrupted one of their schedule.

    Args:
        work: A folder for the runs.
        seed: Of the signals and their moments.
        more: Flags of train.py for all runs.
    """

    def __init__(self, work: Path, seed: int, more: list[str]) -> None:
        self.work, self.seed, self.more = work, seed, more
        self.references: dict[str, tuple[float, dict[str, Any]]] = {}
        self.noise: dict[str, list[str]] = {}

    def add_reference(self, schedule: str) -> None:
        """Run a schedule without interruption, twice, and keep its seconds and what both leave alike."""
        (seconds, first), (_, second) = (self._whole(schedule, attempt) for attempt in range(2))
        alike = {what: left for what, left in first.items() if left == second[what]}
        if noise := first.keys() - alike:
            print(f"Two uninterrupted runs of {schedule!r} differ: {', '.join(noise)}", flush=True)
            self.noise[schedule] = sorted(noise)
        self.references[schedule] = (seconds, alike)

    def _whole(self, schedule: str, attempt: int) -> tuple[float, dict[str, Any]]:
        root, begin = self.work / f"whole-{list(SCHEDULES).index(schedule)}-{attempt}", time.monotonic()
        process = submit(command(schedule, root, self.more), root)
        process.join()
        if process.exitcode != 0:
            raise RuntimeError(f"{root / 'log.txt'}: exit code {process.exitcode}")
        return time.monotonic() - begin, outcome(root)

    def run(self, number: int) -> dict[str, Any]:
        """Interrupt a run and compare what it leaves."""
        schedule = sorted(self.references)[number % len(self.references)]
        root = self.work / f"run-{number:03d}"
        seconds, expected = self.references[schedule]
        result: dict[str, Any] = {"run": number, "schedule": schedule, "interruptions": []}
        arguments, rng = command(schedule, root, self.more), random.Random(f"{self.seed}/{number}")
        try:
            result["interruptions"] = interrupted_run(arguments, root, rng, seconds)
            left = outcome(root)
            result["different"] = [what for what in expected if left[what] != expected[what]]
        except (RuntimeError, ValueError) as error:
            result["different"] = [str(error)]
        codes = ",".join(f"{one['signal'][3:]}:{one['exit_code']}" for one in result["interruptions"])
        print(f"{number:4d}  {schedule:34s} {codes:45s} {'; '.join(result['different']) or 'equal'}", flush=True)
        return result


def summarise(runs: list[dict[str, Any]], comparison: Comparison) -> dict[str, Any]:
    """Count what became of the runs so far."""
    interruptions = [one for run in runs for one in run["interruptions"]]
    return {
        "commit": current_commit(),
        "device": device_name(),
        "flags": comparison.more,
        "differs between uninterrupted runs": comparison.noise,
        "runs": len(runs),
        "equal": sum(not run["different"] for run in runs),
        "interruptions": len(interruptions),
        "signals and exit codes": dict(Counter(f"{one['signal']} {one['exit_code']}" for one in interruptions)),
        "moments": dict(Counter(one["moment"] for one in interruptions)),
        "interruptions of a run": dict(sorted(Counter(len(run["interruptions"]) for run in runs).items())),
    }


def main() -> None:
    """Interrupt all runs, print and write what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the runs")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--without-wandb", action="store_true", help="leave out the schedule that W&B watches")
    parser.add_argument("flags", nargs="*", help="of train.py, for all runs")
    options = parser.parse_args()
    multiprocessing.set_forkserver_preload(["train"])
    comparison = Comparison(options.work.absolute(), options.seed, options.flags)
    with ThreadPoolExecutor(options.at_once) as pool:
        chosen = [name for name in SCHEDULES if not (options.without_wandb and SCHEDULES[name][2])]
        list(pool.map(comparison.add_reference, chosen))
        jobs = [pool.submit(comparison.run, number) for number in range(options.runs)]
        runs = []
        for job in as_completed(jobs):
            runs.append(job.result())
            summary = summarise(runs, comparison)
            write(options.output, {**summary, "of": sorted(runs, key=lambda run: run["run"])})
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
