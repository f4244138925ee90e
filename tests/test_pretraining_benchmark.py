"""A rehearsal of the pretraining benchmark on a CPU."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import pretraining  # noqa: E402


def test_a_row_ends_in_time_and_counts_what_it_has_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "WARM_UP", 2)
    texts = tmp_path / "tr.txt"
    texts.write_text("".join(f"{number} numaralı vapur limandan geç ayrıldı.\n" for number in range(2_000)))
    small = ["--sizes", "16", "32", "1", "1", "--batch-size=4", "--input-tokens=16", "--validation-blocks=4"]
    flags = ["--workers=0", "--matrix-size=16", "--every=5", "--seconds=0.5", f"--cache={tmp_path / 'cache'}"]
    output = tmp_path / "row.json"
    pretraining.main(["--text", f"tr={texts}", *small, *flags, f"--output={output}", "--only=Muon 0.004"])
    row = json.loads(output.read_text())
    points = row["points"]
    assert row["row"] == "Muon 0.004"
    assert points[-1]["seconds"] >= 0.5
    assert [point["tokens"] for point in points] == sorted(point["tokens"] for point in points)
    assert points[-1]["tokens"] == (points[-1]["steps"] + 2) * 4 * 17
    assert row["tokens_per_s"] == pytest.approx(points[-1]["steps"] / points[-1]["seconds"] * 4 * 17, rel=0.02)
    assert "loss/tr" in pretraining.table([row])
