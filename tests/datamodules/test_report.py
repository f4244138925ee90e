import json

import numpy as np
import pytest
from rich.console import Console

from datamodules.report import DataReport, SplitReport, TokenLengths
from datamodules.validation import REASONS


def make_split(language="tr", split="train", source="assets/tr.jsonl", problems=None, over_limit=0, kept=100):
    problems = problems or {}
    return SplitReport(
        source=source,
        language=language,
        split=split,
        read=kept + over_limit + sum(problems.values()),
        problems=problems,
        over_limit=over_limit,
        kept=kept,
        source_tokens=TokenLengths.measure(np.arange(1, 101), limit=90),
        target_tokens=TokenLengths.measure(np.arange(1, 101), limit=100),
        fingerprint="0123456789abcdef",
    )


def printed(report):
    console = Console(width=200, record=True)
    report.print(console)
    return console.export_text()


def test_lengths_are_measured_at_percentiles():
    lengths = TokenLengths.measure(np.arange(100, 0, -1), limit=90)
    assert lengths == TokenLengths({"p50": 50, "p90": 90, "p99": 99, "p100": 100}, 90, 0.1)


def test_text_at_the_limit_is_not_truncated():
    assert TokenLengths.measure(np.array([5, 6, 6, 7]), limit=6).truncated == 0.25


def test_no_rows_have_no_length():
    lengths = TokenLengths.measure(np.empty(0, np.int64), limit=9)
    assert lengths == TokenLengths({"p50": 0, "p90": 0, "p99": 0, "p100": 0}, 9, 0.0)


def test_saved_report_is_the_report_as_plain_data(tmp_path):
    report = DataReport([make_split(problems={"leak": 2}), make_split("it", "test", source="città.csv")])
    report.save(tmp_path / "new" / "report.json")
    text = (tmp_path / "new" / "report.json").read_text(encoding="utf-8")
    assert json.loads(text) == report.as_dict()
    assert "città.csv" in text
    assert SplitReport(**{**json.loads(text)["splits"][0], **lengths_of(report)}) == report.splits[0]


def lengths_of(report):
    return {"source_tokens": report.splits[0].source_tokens, "target_tokens": report.splits[0].target_tokens}


def test_problems_are_summed_over_splits_in_the_order_of_the_reasons():
    report = DataReport([make_split(problems={"leak": 2}), make_split(problems={"leak": 1, "unreadable": 4})])
    assert list(report.problems().items()) == [("unreadable", 4), ("leak", 3)]


def test_scalars_are_summed_over_the_sources_of_a_language():
    report = DataReport(
        [
            make_split("tr", "train", problems={"leak": 2, "duplicate": 1}, kept=100),
            make_split("tr", "train", problems={"leak": 4}, kept=50, over_limit=7),
            make_split("it", "test", kept=8),
        ]
    )
    assert report.scalars() == {
        "data/train/rows/tr": 150,
        "data/train/rows_left_out/tr": 7,
        "data/test/rows/it": 8,
        "data/test/rows_left_out/it": 0,
    }


@pytest.mark.parametrize("reason", REASONS)
def test_table_says_every_reason_in_words(reason):
    text = printed(DataReport([make_split(problems={reason: 1234})]))
    assert f"{reason}: 1,234 ({REASONS[reason]})" in text


def test_table_shows_what_was_read_used_and_left_out():
    text = printed(DataReport([make_split(problems={"leak": 2}, over_limit=30, kept=1000), make_split("it", "test")]))
    tr, it = (next(line for line in text.splitlines() if f" {language} " in line) for language in ("tr", "it"))
    for cell in ("tr.jsonl", "train", "1,032", "1,000", "leak 2, over limit 30", "50/90/99/100", "10.0%", "0.0%"):
        assert cell in tr
    assert "leak" not in it
    assert "│ -" in it


def test_clean_data_has_no_reasons_below_the_table():
    assert not any(reason in printed(DataReport([make_split()])) for reason in REASONS)


def test_held_out_rows_that_are_few_are_said_with_the_interval_of_their_number():
    report = DataReport(
        [
            make_split("tr", "train", kept=3),
            make_split("tr", "validation", kept=9),
            make_split("tr", "validation", kept=7),
            make_split("it", "validation", kept=0),
            make_split("it", "test", kept=100),
        ]
    )
    (warning,) = report.warnings()
    assert warning.startswith("validation tr: 16 rows are few")
    assert "uncertain by 5.9 points" in warning  # 1.96 * 12 / 4
    assert "16 rows are few" in printed(report)
