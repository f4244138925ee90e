"""The comparison's report shows the summaries themselves."""

import re
from pathlib import Path

import numpy as np
import pytest
from fake_runs import scores, write_run

from reports.attention_record import AttentionRecord, write_attention
from reports.comparison.report import write_report
from reports.comparison.summaries import summary_sections


def test_report_has_errors_faithfulness_examples_and_attention(tmp_path: Path) -> None:
    for name, seed in (("full", 0), ("full", 1), ("lora", 0)):
        folder = tmp_path / "runs" / f"{name}-{seed}"
        write_run(folder, adaptation=name, seed=seed, rouge={"tr": scores(20, len(name))})
    weights, encoder = (np.full((1, 1, rows, 3), 1 / 3, np.float32) for rows in (2, 3))
    record = AttentionRecord("full", "row-1", "tr", ["Yaz ", "</s>"], ["Yaz"], [0], False, weights, encoder)
    write_attention(tmp_path / "attention" / "a.npz", record)
    write_report([tmp_path / "runs"], tmp_path / "out", further=summary_sections(tmp_path / "attention"))
    headings = re.findall("^## (.*)", (tmp_path / "out" / "report.md").read_text(), re.M)
    expected = ["Errors by category", "Faithfulness", "Side by side", "Attention: row-1 (tr)"]
    assert [one for one in headings if one in expected] == expected
    assert (tmp_path / "out" / "report.md").read_text().count(
        "Of the first seed of each system (adaptation=full: 0, "
    ) == 2
    page = (tmp_path / "out" / "report.html").read_text()
    assert 'id="attention-tr-row-1"' in page and "references" in page


def test_a_folder_without_records_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no records of attention"):
        summary_sections(tmp_path)
