"""What happens to damaged checkpoints, and what checking them costs; writes a JSON.

    python benchmarks/checkpoint_damage.py --output benchmarks/results/cpu_checkpoint_damage.json

Damage: single flipped bits and truncated files at random places, of a checkpoint as it is saved now ("sealed"), of one
as torch.save alone writes it, loaded as train.py loads it ("unsealed"), and that by torch.load alone ("torch"). Costs:
plain torch against ours, size by size, all in each round in random order; files are in the page cache.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lightning_modules.checkpoint_file import OzetCheckpointIO, read_contents, require_whole  # noqa: E402

OURS = OzetCheckpointIO()


def checkpoint(mebibytes: float) -> dict[str, Any]:
    """Weights and two moments of each, in tensors of up to 16 MiB."""
    numbers, tensors = int(mebibytes * 2**20 / 4 / 3), {}
    while numbers > 0:
        tensors[f"layer.{len(tensors)}"] = torch.randn(min(numbers, 2**22))
        numbers -= 2**22
    state = {index: {"exp_avg": one / 2, "exp_avg_sq": one**2} for index, one in enumerate(tensors.values())}
    groups = [{"lr": 1e-3, "params": list(state)}]
    return {"global_step": 1, "state_dict": tensors, "optimizer_states": [{"state": state, "param_groups": groups}]}


def torch_save(content: dict[str, Any], path: Path) -> None:
    """As checkpoints were saved before they had checksums."""
    memory = io.BytesIO()
    torch.save(content, memory)
    temporary = path.with_name("temporary")
    with temporary.open("wb") as file:
        file.write(memory.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def torch_load(path: Path) -> dict[str, Any]:
    """Without any check."""
    return torch.load(path, map_location="cpu", weights_only=True)


def same(one: Any, other: Any) -> bool:
    """Whether two checkpoints hold the same."""
    if isinstance(one, dict):
        return isinstance(other, dict) and all(key in other and same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def outcome(content: dict[str, Any], path: Path, load: Callable[[Path], Any]) -> str:
    """What becomes of a damaged file."""
    try:
        loaded = load(path)
    except Exception as error:  # noqa: BLE001  (each refusal counts)
        return "refused" if isinstance(error, ValueError) else f"refused by {type(error).__name__}"
    return "harmless" if same(content, loaded) else "used silently"


def damage(folder: Path, flips: int, cuts: int, seed: int = 0) -> dict[str, dict[str, dict[str, int]]]:
    """Outcomes by kind of file and of damage."""
    content, path, found = checkpoint(0.3), folder / "damaged.ckpt", {}
    for name, save, load in (
        ("sealed", OURS.save_checkpoint, OURS.load_checkpoint),
        ("unsealed", torch_save, OURS.load_checkpoint),
        ("torch", torch_save, torch_load),
    ):
        save(content, path)
        whole, chance = path.read_bytes(), random.Random(seed)
        flipped, truncated = Counter[str](), Counter[str]()
        for _ in range(flips):
            copy = bytearray(whole)
            copy[chance.randrange(len(copy))] ^= 1 << chance.randrange(8)
            path.write_bytes(copy)
            flipped[outcome(content, path, load)] += 1
        for _ in range(cuts):
            path.write_bytes(whole[: chance.randrange(len(whole))])
            truncated[outcome(content, path, load)] += 1
        found[name] = {"flips": dict(flipped), "truncations": dict(truncated)}
    return found


def costs(folder: Path, mebibytes: float, rounds: int) -> dict[str, float]:
    """Median seconds of each way to save and load a checkpoint of a size, and of finding out its step."""
    content, plain, ours = checkpoint(mebibytes), folder / "plain.ckpt", folder / "ours.ckpt"
    ways: dict[str, Callable[[], object]] = {
        "save, torch": lambda: torch_save(content, plain),
        "save, ozet": lambda: OURS.save_checkpoint(content, ours),
        "load, torch": lambda: torch_load(plain),
        "load, ozet": lambda: OURS.load_checkpoint(ours),
        "load, ozet, without checksum": lambda: OURS.load_checkpoint(plain),
        "check alone": lambda: require_whole(ours),
        "step and configuration alone": lambda: read_contents(ours),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    chance = random.Random(0)
    for number in range(rounds + 1):  # in random order but for the first, which warms up
        for name, way in chance.sample(list(ways.items()), len(ways)) if number else ways.items():
            started = time.perf_counter()
            way()
            if number:
                times[name].append(time.perf_counter() - started)
    return {"MiB": round(ours.stat().st_size / 2**20, 1)} | {name: round(median(one), 4) for name, one in times.items()}


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--truncations", type=int, default=50)
    parser.add_argument("--mebibytes", type=float, nargs="*", default=[4, 100, 1000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        result = {
            "what": f"outcomes by number of files; seconds, median of {options.rounds} rounds",
            "damage": damage(Path(folder), options.flips, options.truncations),
            "seconds": [costs(Path(folder), size, options.rounds) for size in options.mebibytes],
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "torch": torch.__version__,
        }
    text = json.dumps(result, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
