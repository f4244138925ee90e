"""A rehearsal of the benchmark of adaptations on a CPU, and its table in the report."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import adaptation_cost  # noqa: E402

from lightning_modules import seq2seq  # noqa: E402
from reports.comparison.architectures import architecture_rows, architectures_section, read_architectures  # noqa: E402

CELL = {"architecture": "mt5-small", "adaptation": "lora", "trained": 3_000, "total": 300_000}
CELL |= {"articles_per_s": 1234.5, "epoch_seconds": 8.1, "summaries_per_s": 400.0, "weights_mib": 2.6}
RESULT = {"device": "NVIDIA H200", "batch_size": 32, "source_tokens": 512, "lengths": "labels: mean 60; full"}
RESULT |= {"articles": 10_000, "new_tokens": 64, "summaries": 64, "settings": ["model.lora.rank=8"]}


def options(output: Path, *more: str):
    sizes = "--architectures mt5-tiny --batch-size 2 --source-tokens 16 --new-tokens 4 --summaries 2 --repeats 1"
    return adaptation_cost.parse(
        [*sizes.split(), "--steps", "3", "--warmup", "1", "--output", str(output), "--commit", "c", *more]
    )


@pytest.mark.slow
def test_every_adaptation_is_measured_and_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(seq2seq, "load_base", seq2seq.load_base)  # the benchmark replaces it
    lines: list[str] = []
    first = adaptation_cost.run(options(tmp_path / "out.json", "--adaptations", "full", "lora"), lines.append)
    every = adaptation_cost.run(options(tmp_path / "out.json"), lines.append)
    assert every == json.loads((tmp_path / "out.json").read_text())
    assert every["rows"][:2] == first["rows"]
    rows = {row["adaptation"]: row for row in every["rows"]}
    assert list(rows) == ["full", "lora", "dora", "qlora"] and len(lines) == 4
    assert rows["full"]["trained"] == rows["full"]["total"] > rows["dora"]["trained"] > rows["lora"]["trained"]
    assert rows["qlora"]["trained"] == rows["lora"]["trained"]
    assert rows["lora"]["weights_mib"] == 4 * rows["lora"]["trained"] / 2**20
    for row in every["rows"]:
        assert row["epoch_seconds"] == pytest.approx(10_000 / row["articles_per_s"])
        assert row["summaries_per_s"] > 0 and len(row["ms"]) == 3


def test_cells_of_other_conditions_are_not_continued(tmp_path):
    (tmp_path / "out.json").write_text(json.dumps({"batch_size": 64, "rows": []}))
    with pytest.raises(ValueError, match=r"another .*batch_size"):
        adaptation_cost.run(options(tmp_path / "out.json"))


def test_no_cell_is_begun_when_the_time_is_over(tmp_path):
    lines: list[str] = []
    assert adaptation_cost.run(options(tmp_path / "out.json", "--seconds", "-1"), lines.append)["rows"] == []
    assert "4 cells are missing" in lines[0]


def test_the_report_says_that_no_quality_is_told(tmp_path):
    path = tmp_path / "a.json"
    base = {"architecture": "mt5-base", "adaptation": "full", "out_of_memory": True}
    path.write_text(json.dumps(RESULT | {"rows": [CELL | {"peak_allocated_mib": 2048}, base]}))
    text = architectures_section(read_architectures(path)).markdown
    assert "no quality is told" in text and "`NVIDIA H200`" not in text and "model.lora.rank=8" in text
    assert "| mt5-small | lora | 3,000 | 1.00% | 2.00 | 1,234.5 | 8.1 | 400.0 | 2.6 |" in text
    assert "| mt5-base | full | out of memory | – |" in text
    on_cpu = architecture_rows(RESULT | {"rows": [CELL, base]})
    assert {len(row) for row in on_cpu} == {8} and "peak GiB" not in on_cpu[0]


@pytest.mark.parametrize("content", ["{", '{"rows": [{}]}', json.dumps(RESULT | {"rows": []})])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=r"no result|no cell"):
        read_architectures(tmp_path / "a.json")
