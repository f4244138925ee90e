"""A rehearsal of the pretraining benchmark on a CPU, and what carries its files."""

import filecmp
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import pretraining  # noqa: E402
from pieces import pack, unpack  # noqa: E402


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
    assert 0.5 <= points[-1]["seconds"] < 5
    assert [point["tokens"] for point in points] == sorted(point["tokens"] for point in points)
    assert points[-1]["tokens"] == (points[-1]["steps"] + 2) * 4 * 17
    assert row["tokens_per_s"] == pytest.approx(points[-1]["steps"] / points[-1]["seconds"] * 4 * 17, rel=0.02)
    assert "loss/tr" in pretraining.table([row])


@pytest.mark.parametrize("mebibytes", [0.001, 1])
def test_folders_come_back_from_their_pieces(tmp_path, mebibytes):
    folder = tmp_path / "tokens"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "train.bin").write_bytes(bytes(range(256)) * 50)
    (folder / "record.json").write_text("{}")
    pieces = pack([folder], tmp_path / "pieces", mebibytes)
    assert all(piece.stat().st_size <= mebibytes * 2**20 for piece in pieces)
    unpack(tmp_path / "pieces", tmp_path / "back")
    same, other, missing = filecmp.cmpfiles(
        folder, tmp_path / "back" / "tokens", ["record.json", "deep/train.bin"], shallow=False
    )
    assert (len(same), other, missing) == (2, [], [])
    with pytest.raises(ValueError, match="exists"):
        pack([folder], tmp_path / "pieces", mebibytes)
