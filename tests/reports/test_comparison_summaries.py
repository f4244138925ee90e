"""Sections of the comparison's report about the summaries themselves."""

from pathlib import Path

import numpy as np
import pytest
from fake_runs import scores, write_run

from reports.attention_record import AttentionRecord, write_attention
from reports.comparison.runs import collect
from reports.comparison.summaries import summary_sections
from reports.comparison.systems import group


def test_sections_are_errors_faithfulness_examples_and_attention(tmp_path: Path) -> None:
    for name, seed in (("full", 0), ("full", 1), ("lora", 0)):
        folder = tmp_path / "runs" / f"{name}-{seed}"
        write_run(folder, adaptation=name, seed=seed, rouge={"tr": scores(20, len(name))})
    weights, encoder = (np.full((1, 1, rows, 3), 1 / 3, np.float32) for rows in (2, 3))
    record = AttentionRecord("full", "row-1", "tr", ["Yaz ", "</s>"], ["Yaz"], [0], False, weights, encoder)
    write_attention(tmp_path / "attention" / "a.npz", record)
    systems = group(collect([tmp_path / "runs"]).runs)
    found = [make(systems, tmp_path / "out") for make in summary_sections(tmp_path / "attention")]
    titles = ["Errors by category", "Faithfulness", "Side by side", "Attention: row-1 (tr)"]
    assert [one.title for one in found] == titles
    note = "Of the first seed of each system (adaptation=full: 0, adaptation=lora: 0)."
    assert [note in one.markdown for one in found] == [True, True, True, False]
    assert note in found[2].html
    assert "| adaptation=lora | tr | 40 |" in found[0].markdown and "| references | tr |" in found[1].markdown
    assert 'id="attention-tr-row-1"' in found[3].html


def test_a_folder_without_records_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no records of attention"):
        summary_sections(tmp_path)
