"""A rehearsal of the benchmark of damaged checkpoints."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from checkpoint_damage import costs, damage


def test_nothing_damaged_is_used_but_by_torch_alone(tmp_path: Path) -> None:
    found = damage(tmp_path, flips=12, cuts=6)
    for name in ("sealed", "unsealed"):
        assert set(found[name]["flips"]) | set(found[name]["truncations"]) <= {"refused", "harmless"}
    assert found["torch"]["flips"]["used silently"] > 6


def test_every_way_is_timed(tmp_path: Path) -> None:
    found = costs(tmp_path, 0.1, rounds=1)
    assert found["MiB"] == 0.1
    for way in ("save", "load"):
        assert {f"{way}, torch", f"{way}, ozet"} <= found.keys()
