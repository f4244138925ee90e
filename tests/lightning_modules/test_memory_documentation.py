"""The tables of docs/memory.md, and the numbers in its text, are recomputed."""

import importlib.util
import re
from pathlib import Path

import pytest

from lightning_modules.architecture import MT5_SMALL
from lightning_modules.memory import estimate
from lightning_modules.memory_settings import planned_settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")


def load_benchmark():
    path = ROOT / "benchmarks" / "memory_by_component.py"
    spec = importlib.util.spec_from_file_location("memory_by_component", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCHMARK = load_benchmark()


@pytest.mark.parametrize("table", BENCHMARK.TABLES, ids=lambda table: table.__name__)
def test_the_tables_are_those_of_the_estimate(table):
    rows = table()
    header = "| " + " | ".join(rows[0]) + " |"
    lines = PAGE[PAGE.index(header) :].split("\n\n")[0].splitlines()
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert found == [list(row.values()) for row in rows]


def test_the_numbers_of_the_text_are_those_of_the_estimate():
    text = " ".join(PAGE.split())
    logits = 8 * 128 * MT5_SMALL.vocabulary
    plain = estimate(planned_settings(MT5_SMALL, "qlora", chunk_tokens=None), 8, 512, 128)
    assert f"make {logits / 1e6:.0f} million logits: {2 * logits / 2**20:.0f} MiB in bf16" in text
    assert f"its gradient need {plain.logits / 2**30:.1f} GiB" in text
    assert f"Of {BENCHMARK.CARD_GIB} GiB plan with {BENCHMARK.FREE_GIB:g}." in text
    measured = BENCHMARK.SEED_MEASURED_MIB / 1024
    assert f"{measured:.2f} GiB were measured on an H200" in text
    large, small = BENCHMARK.recipes()["large, QLoRA, checkpointing"], BENCHMARK.recipes()["small, all parameters"]
    assert small.total > large.total  # all of the small model takes more than adapters on the large one
    eager = estimate(planned_settings(MT5_SMALL, "qlora"), 8, 512, 128).activations
    compiled = estimate(planned_settings(MT5_SMALL, "qlora", compiled=True), 8, 512, 128).activations
    assert f"it is {eager / compiled:.1f} times as large" in text


def test_the_picture_can_be_drawn(tmp_path):
    BENCHMARK.main(["--output", str(tmp_path / "memory.png")])
    assert (tmp_path / "memory.png").stat().st_size > 10_000
    assert re.search(r"!\[[^]]+\]\(images/memory\.png\)", PAGE)
    assert (ROOT / "docs" / "images" / "memory.png").is_file()
