"""The main job on a GPU: train, kill with -9 in the middle, resume, test; writes a JSON of what was measured.

Needs two Parquet files, tr-tbmm.parquet and en-xsum.parquet, with columns id, split, article, summary, and a model
folder: a checkpoint, or only `config.json` and a tokenizer (then the weights are random: speed and memory only).

    python benchmarks/main_job.py --pairs DIR --base DIR --adaptation qlora --steps 600 --output result.json

Flags that it does not know are handed to train.py, such as `--data.batch_size=32`.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch
import transformers

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from callbacks.environment import git_state  # noqa: E402
from lightning_modules.initialization import initialize  # noqa: E402
from reports.curves import Series, read_run  # noqa: E402


def sources(pairs: Path, limits: dict[str, int]) -> str:
    """The sources of configs/tbmm_xsum.yaml with real paths, as a command-line flag."""
    columns = {"id": "id", "split": "split"}
    files = {"tr": "tr-tbmm.parquet", "en": "en-xsum.parquet"}
    return "--data.sources=" + json.dumps(
        [
            {"language": language, "path": str(pairs / file), "columns": columns, "limits": limits}
            for language, file in files.items()
        ]
    )


def train(command: list[str], root: Path, kill_at: int | None, steps: int) -> None:
    """Runs `train.py fit`; kills it with SIGKILL once its record shows optimizer step `kill_at`."""
    process = subprocess.Popen([sys.executable, str(ROOT / "train.py"), "fit", *command], cwd=ROOT)
    while process.poll() is None:
        time.sleep(0.5)
        if kill_at is not None and last_step(root) >= kill_at:
            process.send_signal(signal.SIGKILL)
            process.wait()
            print(f"killed with -9 at step {last_step(root)} of {steps}", flush=True)
            return
    if process.returncode != 0:
        raise SystemExit(f"train.py ended with {process.returncode}")


def last_step(root: Path) -> int:
    """The newest optimizer step in the run's record, -1 if there is none yet."""
    points = [step for run in root.glob("*") for step, _ in read_run(run).get("train/loss", [])]
    return max(points, default=-1)


def evaluate(command: list[str], root: Path, suppress: bool) -> dict[str, float]:
    """Runs `train.py test` on the last checkpoint; returns its metrics."""
    flags = ["--ckpt_path=last", f"--model.generation.suppress_sentinels={str(suppress).lower()}"]
    subprocess.run([sys.executable, str(ROOT / "train.py"), "test", *command, *flags], cwd=ROOT, check=True)
    series = read_run(next(root.iterdir()) / "test")
    return {key: points[-1][1] for key, points in series.items() if key.startswith("test/")}


def summarize(series: Series, steps: int) -> dict:
    """Loss by language at the start and the end (means of 20 records), speed and memory (medians)."""
    result: dict = {"steps": steps}
    for key in ("train/loss/tr", "train/loss/en"):
        values = [value for _, value in series[key] if math.isfinite(value)]
        result[key] = {"first": sum(values[:20]) / len(values[:20]), "last": sum(values[-20:]) / len(values[-20:])}
    rates = [value for _, value in series["perf/articles_per_s"]]
    result["articles_per_s"] = {"median": median(rates), "min": min(rates), "max": max(rates), "records": len(rates)}
    for name in ("peak_memory_gib", "validation_peak_memory_gib"):
        if f"perf/{name}" in series:
            result[name] = max(value for _, value in series[f"perf/{name}"])
    result["validation"] = {key: points for key, points in series.items() if key.startswith("val/")}
    return result


def parse() -> tuple[argparse.Namespace, list[str]]:
    """Options, and the flags for train.py."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--adaptation", default="qlora")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument(
        "--kill-at", type=float, default=0.6, help="share of the steps after which to kill -9; 0 = never"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/main_job"))
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--validation", type=int, default=200, help="validation pairs of each language")
    parser.add_argument("--what", default="", help="one line for the reader of the result")
    parser.add_argument("--commit", default=current_commit(), help="of the code, where the repository is absent")
    parser.add_argument("--test", type=int, help="also run `test` on so many pairs, with and without suppression")
    return parser.parse_known_args()


def with_weights(base: Path, work: Path) -> Path:
    """The base, or a copy of it with random weights if it has none."""
    if any(base.glob("*.safetensors")):
        return base
    copy = work / "random" / base.name
    initialize(str(base), str(copy))
    for file in base.iterdir():
        if file.name != "config.json":
            shutil.copy(file, copy)
    return copy


def measure(options: argparse.Namespace, command: list[str], root: Path) -> dict:
    """Trains, with a kill and a resume if asked for, and collects the run's record."""
    started = time.perf_counter()
    if options.kill_at:
        train(command, root, kill_at=int(options.steps * options.kill_at), steps=options.steps)
        train([*command, "--ckpt_path=last"], root, kill_at=None, steps=options.steps)
    else:
        train(command, root, kill_at=None, steps=options.steps)
    run = next(root.iterdir())
    return summarize(read_run(run), options.steps) | {
        "what": options.what,
        "commit": options.commit,
        "adaptation": options.adaptation,
        "base": options.base.name,
        "seconds": time.perf_counter() - started,
        "device": device_name(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "wandb_run_id": (run / "wandb_run_id.txt").read_text().strip(),
        "wandb_offline_folders": sorted(path.name for path in run.glob("wandb/offline-run-*")),
        "checkpoint_mib": (run / "checkpoints" / "last.ckpt").stat().st_size / 2**20,
    }


def main() -> None:
    """Measures one adaptation."""
    options, extra = parse()
    root = options.work / options.adaptation
    command = [
        "--config=benchmarks/configs/tbmm_xsum.yaml",
        sources(options.pairs.resolve(), {"validation": options.validation, "test": options.test or 500}),
        f"--model.base={with_weights(options.base, options.work)}",
        f"--model.adaptation={options.adaptation}",
        f"--trainer.max_steps={options.steps}",
        f"--trainer.val_check_interval={options.steps // 4}",
        f"--trainer.default_root_dir={root}",
        *extra,
    ]
    result = measure(options, command, root) | {"flags": extra}
    write(options.output, result)
    for suppress in (False, True) if options.test else ():
        result.setdefault("test", {})[f"suppress_sentinels={suppress}"] = evaluate(command, root, suppress)
        write(options.output, result)
    print(json.dumps({key: value for key, value in result.items() if key != "validation"}, indent=1))


def current_commit() -> str | None:
    """The commit of this checkout, None outside a repository."""
    return git_state()["commit"]


def device_name() -> str:
    """The GPU, or `cpu`."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def write(path: Path, result: dict) -> None:
    """Writes what is known so far, so that a run that is cut off keeps it."""
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
