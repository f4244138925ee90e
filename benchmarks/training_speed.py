"""Training with the seed's recipe and with ozet, side by side: articles a second, memory, waiting, matrix rate.

    python benchmarks/training_speed.py --base DIR --rounds 3 --batch-sizes 8 64 --output result.json
    python benchmarks/training_speed.py --base DIR --profile --batch-sizes 8 64 --output profile.json

DIR holds `config.json` and a tokenizer; without weights they are random, which changes neither speed nor memory. Each
recipe runs in a process of its own, through its own trainer, on the same rows; recipes take turns, round by round. A
step is one batch and one optimizer step. More variants of ozet, with settings as train.py takes them:

    --variant "ozet, rank 64" model.lora.rank=64 data.padding.target_multiple=128

The rows so far are in the result file at any time; what the recipes print is beside it, as `.log`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from main_job import current_commit, with_weights, write  # noqa: E402
from recipe_rows import SEED, measure_recipe  # noqa: E402
from synthetic_rows import TARGET_LENGTHS  # noqa: E402

# The seed's adapters, rank 16 on q and v, and ozet's own choice: the same rank on all linear layers.
VARIANTS: dict[str, list[str]] = {"ozet, q and v": ["model.lora.targets=[q,v]"], "ozet": []}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64, 128, 256])
    parser.add_argument("--recipes", nargs="+", help="default: the seed, then all variants")
    parser.add_argument("--variant", nargs="+", action="append", default=[], metavar=("NAME", "SETTING"))
    parser.add_argument("--rounds", type=int, default=1, help="turns of each recipe")
    parser.add_argument("--warmup", type=int, default=10, help="steps of a row that do not count")
    parser.add_argument("--steps", type=int, default=20, help="steps of a row that do")
    parser.add_argument("--batches", type=int, default=8, help="distinct batches of a row")
    parser.add_argument("--source-tokens", type=int, default=512)
    parser.add_argument("--row-seconds", type=float, default=30, help="then a row stops, if 3 of its steps count")
    parser.add_argument("--seconds", type=float, default=540, help="then everything stops; the rows so far stay")
    parser.add_argument("--memory-cap-gib", type=float, help="the GPU memory that a process may take")
    parser.add_argument("--matrix-size", type=int, default=8192, help="of the product that gives the matrix rate")
    parser.add_argument("--profile", action="store_true", help="profile a few steps instead of timing many")
    parser.add_argument("--commit", default=current_commit(), help="of the code, where the repository is absent")
    parser.add_argument("--only", help=argparse.SUPPRESS)  # in a recipe's own process: its name
    options = parser.parse_args(arguments)
    options.variants = VARIANTS | {name: settings for name, *settings in options.variant}
    options.recipes = options.recipes or [SEED, *options.variants]
    unknown = [name for name in options.recipes if name not in (SEED, *options.variants)]
    if unknown:
        parser.error(f"--recipes {unknown}: there are {[SEED, *options.variants]}.")
    if options.warmup < 1 or options.steps < 3:
        parser.error(f"--warmup {options.warmup} must be at least 1 and --steps {options.steps} at least 3.")
    return options


def run_all(options: argparse.Namespace, arguments: Sequence[str], base: Path) -> dict[str, Any]:
    """Lets the recipes take turns, and writes the result after every row.

    Args:
        options: What `arguments` say.
        arguments: For the recipes' processes.
        base: Folder with weights.
    """
    deadline = time.monotonic() + options.seconds
    settings = ("warmup", "steps", "batches", "source_tokens", "memory_cap_gib", "variants", "profile")
    result: dict[str, Any] = {
        "commit": options.commit,
        "base": options.base.name,
        "command": " ".join(arguments),
        **{name: getattr(options, name) for name in settings},
        "lengths": TARGET_LENGTHS,
        "matrix_tflops": [],
        "rows": [],
        "ended": [],
    }
    for turn in range(1 if options.profile else options.rounds):
        for recipe in options.recipes:
            left = deadline - time.monotonic()
            command = [*arguments, "--base", str(base), "--only", recipe]
            code = run_one(command, left, options.output, _take(result, turn, options.output))
            result["ended"].append({"recipe": recipe, "round": turn, "exit_code": code})
            write(options.output, result)
    return result


def run_one(arguments: Sequence[str], seconds: float, output: Path, take: Callable[[dict[str, Any]], None]) -> int:
    """Runs one recipe in its own process, kills it when the time is up; its exit code."""
    if seconds <= 0:
        return -9
    command = [sys.executable, __file__, *arguments]
    with (
        output.with_suffix(".log").open("a") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        for line in process.stdout:  # type: ignore[union-attr]
            if line.startswith("{"):  # libraries print too, while they are imported
                take(json.loads(line))
        timer.cancel()
    return process.returncode


def _take(result: dict[str, Any], turn: int, output: Path) -> Callable[[dict[str, Any]], None]:
    def take(message: dict[str, Any]) -> None:
        if "row" not in message:
            result.update(message["machine"])
            result["matrix_tflops"].append(message["matrix_tflops"])
            return
        row = {"round": turn, **message["row"]}
        if "table" in row:
            with output.with_suffix(".txt").open("a") as text:
                text.write(f"{row['recipe']}, batch {row['batch_size']}\n{row.pop('table')}\n")
        result["rows"].append(row)
        result["summary"] = [] if result["profile"] else summarize(result["rows"])
        write(output, result)
        print(_line(row), flush=True)

    return take


def summarize(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each recipe and batch size: medians over all steps of all rounds, and the spread."""

    def key(row: dict[str, Any]) -> tuple[str, int]:
        return row["recipe"], row["batch_size"]

    entries = []
    for (recipe, batch_size), group in groupby(sorted(rows, key=key), key):
        found = [row for row in group if "ms" in row]
        entry: dict[str, Any] = {"recipe": recipe, "batch_size": batch_size, "rounds": len(found)}
        if not found:
            entries.append(entry | {"out_of_memory": True})
            continue
        steps = [milliseconds for row in found for milliseconds in row["ms"]]
        entry |= {
            "ms_per_step": median(steps),
            "ms_least": min(steps),
            "ms_greatest": max(steps),
            "round_medians": [median(row["ms"]) for row in found],
            "articles_per_s": 1000 * batch_size / median(steps),
            "warm_up_seconds": [round(row["warm_up_seconds"], 2) for row in found],  # round by round
        }
        for name in ("wait_share", "step_tflop", "matrix_share", "peak_allocated_mib", "peak_reserved_mib"):
            if name in found[0]:
                entry[name] = median(row[name] for row in found)
        if "components" in found[0]:
            entry["components"] = found[-1]["components"]
        entries.append(entry)
    return entries


def _line(row: dict[str, Any]) -> str:
    name = f"round {row['round']}  {row['recipe']:<24} batch {row['batch_size']:>3} "
    if "ms" not in row:
        rest = "out of memory" if row.get("out_of_memory") else ""
        counts = ("kernels", "launches", "gpu_busy_ms", "busy_share", "synchronisations", "copies_to_host", "items")
        return name + (rest or "  ".join(f"{key} {row[key]:.2f}" for key in counts))
    speed = f"{median(row['ms']):9.2f} ms ({min(row['ms']):.2f} to {max(row['ms']):.2f})"
    shares = f"wait {row['wait_share']:.2%}, matrix rate {row.get('matrix_share', float('nan')):.1%}"
    peak = f"{row.get('peak_allocated_mib', 0):,.0f} MiB, reserved {row.get('peak_reserved_mib', 0):,.0f}"
    rate = 1000 * row["batch_size"] / median(row["ms"])
    return f"{name}{speed} {rate:8.1f} articles/s, {peak}, {shares}, warm-up {row['warm_up_seconds']:.1f} s"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, or, in a recipe's own process, measures that recipe."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = parse(arguments)
    if options.only:
        channel = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # progress bars go to the log, rows alone to the channel
        measure_recipe(options, lambda message: print(json.dumps(message), file=channel, flush=True))
        return
    for suffix in (".log", ".txt"):
        options.output.with_suffix(suffix).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as work:
        result = run_all(options, arguments, with_weights(options.base, Path(work)))
    for failed in (end for end in result["ended"] if end["exit_code"]):
        print(f"{failed['recipe']}, round {failed['round']}: exit code {failed['exit_code']}; see the log")


if __name__ == "__main__":
    main()
