"""Two GPUs against one with as many rows a step: the losses, the scores and the speed; writes a JSON.

    python benchmarks/two_devices.py --pairs DIR --base DIR --steps 60 --output result.json

Data and base are those of main_job.py; LoRA, without dropout, which each device would draw for itself. Flags that it
does not know are handed to train.py.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from main_job import current_commit, device_name, sources, train, with_weights, write  # noqa: E402

from reports.curves import Series, read_run  # noqa: E402


def without_dropout(base: Path, work: Path) -> Path:
    """A copy of the base whose layers draw nothing."""
    copy = work / "without-dropout"
    shutil.copytree(base, copy, dirs_exist_ok=True)
    config = json.loads((base / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"dropout_rate": 0.0}))
    return copy


def run(options: argparse.Namespace, base: Path, devices: int, extra: list[str]) -> Series:
    """Trains, and returns the records."""
    root = options.work / f"{devices}"
    command = [
        "--config=benchmarks/configs/tbmm_xsum.yaml",
        sources(options.pairs.resolve(), {"validation": options.validation, "test": 1}),
        f"--model.base={base}",
        "--model.adaptation=lora",
        "--model.lora.dropout=0",
        f"--data.batch_size={options.rows // devices}",
        f"--trainer.devices={devices}",
        f"--trainer.strategy={'ddp' if devices > 1 else 'auto'}",
        f"--trainer.max_steps={options.steps}",
        f"--trainer.val_check_interval={options.steps}",
        "--trainer.log_every_n_steps=1",
        f"--trainer.default_root_dir={root}",
        *extra,
    ]
    train(command, root, kill_at=None, steps=options.steps)
    (folder,) = root.iterdir()
    return read_run(folder)


def compare(one: Series, two: Series) -> dict[str, Any]:
    """Greatest relative differences of losses, and both runs' scores and speeds."""
    pairs = list(zip(one["train/loss"], two["train/loss"], strict=True))
    differences = [abs(own - other) / own for (_, own), (_, other) in pairs]
    scores = [key for key in one if key.startswith(("val/loss", "val/rouge"))]
    return {
        "steps": len(pairs),
        "first_losses": [[own, other] for (_, own), (_, other) in pairs[:3]],
        "last_losses": [[own, other] for (_, own), (_, other) in pairs[-3:]],
        "greatest_relative_difference_of_losses": max(differences),
        "scores": {key: [one[key][-1][1], two[key][-1][1]] for key in scores},
        "articles_per_s": [median(value for _, value in series["perf/articles_per_s"]) for series in (one, two)],
    }


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=64, help="of an optimizer step, over all devices")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--validation", type=int, default=51, help="validation pairs of each language")
    parser.add_argument("--work", type=Path, default=Path("runs/two_devices"), help="must not hold earlier runs")
    parser.add_argument("--commit", default=current_commit(), help="of the code, where the repository is absent")
    parser.add_argument("--output", type=Path, required=True)
    options, extra = parser.parse_known_args()
    base = without_dropout(with_weights(options.base, options.work), options.work)
    one, two = (run(options, base, devices, extra) for devices in (1, 2))
    result = compare(one, two) | {"rows": options.rows, "flags": extra}
    write(options.output, {"commit": options.commit, "device": device_name()} | result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
