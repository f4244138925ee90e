import json
from dataclasses import replace
from pathlib import Path

import pytest

from metrics.significance import Interval
from reports.results import Results, read_predictions, read_results, write_predictions, write_results
from reports.results_table import results_table

RESULTS = Results(
    counts={"tr": 2},
    languages={"tr": {"rouge1": Interval(30.0, 25.5, 35.0), "lead_rouge1": Interval(20.0, 15.0, 25.0)}},
    overall={"rouge1": Interval(30.0, 25.5, 35.0)},
    incomplete={"tr": {"bertscore": 1}},
    bootstrap={"confidence": 0.95, "resamples": 2000, "seed": 0},
    settings={"generation": {"num_beams": 4}, "scoring": {"rouge_tokenizer": "unicode"}},
    model={"checkpoint": "best.ckpt", "step": 7, "base": {"name": "mt5"}},
    packages={"torch": "2.13.0", "py3langid": None},
    git={"commit": None, "changed": None},
)
SUMMARY = {
    "id": "1",
    "language": "tr",
    "article": "Satır\u2028arası\x85boşluk\n",
    "reference": "İ",
    "prediction": "",
    "scores": {"rouge1": 0.0},
}


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "test" / "results.json"
    write_results(path, RESULTS)
    assert read_results(path) == RESULTS
    write_results(path, replace(RESULTS, counts={"tr": 3}))
    assert read_results(str(path)).counts == {"tr": 3}
    assert [one.name for one in path.parent.iterdir()] == ["results.json"]


def test_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    second = SUMMARY | {"id": "2", "loss": 1.00000049, "scores": {"rouge1": float("inf")}}
    write_predictions(path, [SUMMARY, second])
    assert read_predictions(path) == [SUMMARY, second | {"loss": 1.0, "scores": {"rouge1": None}}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 2'), "has schema_version 2, .* reads 1"),
        (lambda text: text.replace('"schema_version": 1,', ""), "has schema_version None"),
        (lambda text: "[1]", "has schema_version None"),
        (lambda text: text[:50], "is no JSON"),
        (lambda text: text.replace('"low"', '"least"', 1), "has not the fields"),
        (lambda text: text.replace('"counts"', '"count"'), "has not the fields"),
        (lambda text: text.replace('"overall"', '"mean"'), "has not the fields"),
    ],
)
def test_other_files_are_no_results(tmp_path: Path, change, message: str) -> None:
    path = tmp_path / "results.json"
    write_results(path, RESULTS)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_results(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "Line 2 of .* is no JSON"),
        ("[]", "Line 2 of .* is no summary: id, language, .* missing"),
        (json.dumps(SUMMARY | {"scores": 3}), "Line 2 of .* is no summary: scores missing or of another type"),
        ("", "Line 2 of .* is no JSON"),
    ],
)
def test_a_line_that_is_no_summary_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text(f"{json.dumps(SUMMARY)}\n{line}\n{json.dumps(SUMMARY)}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_predictions(path)


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    for read in (read_results, read_predictions):
        with pytest.raises(ValueError, match=r"Cannot read .*nowhere: No such file"):
            read(tmp_path / "nowhere")
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="holds no summaries"):
        read_predictions(tmp_path / "empty")


def test_the_table_has_a_cell_only_where_there_is_a_score() -> None:
    results = replace(RESULTS, overall=RESULTS.languages["tr"] | {"lead3_rouge1": Interval(1.0, 0.5, 2.0)})
    table = results_table(results)
    cells = {column.header: list(column.cells) for column in table.columns}
    assert cells["language"] == ["tr (2)", "mean"]
    assert cells["model"] == ["30.00 [25.50, 35.00]"] * 2
    assert cells["lead"] == ["20.00", "20.00"]
    assert cells["lead3"] == ["", "1.00"]
