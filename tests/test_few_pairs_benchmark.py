"""The figure and the table of the study of few pairs show what its runs scored."""

import json
import sys
from pathlib import Path

import pytest

from reports.results import write_predictions
from reports.study_record import StudyRun, write_study_run

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from few_pairs import main


def write_seed(study: Path, pairs: str, base: str, seed: int, rouge: list[float], status: str = "finished") -> None:
    folder = study / f"{base}_{pairs}" / f"seed-{seed}"
    labels = {"language": "en", "base": base, "training_pairs": pairs, "method": "full"}
    scores = [{"rougeL": value, "lead1_rougeL": 9.0, "invented_words": 0.25} for value in rouge]
    text = {"language": "en", "article": "A storm.", "reference": "A storm.", "prediction": "A storm."}
    write_predictions(
        folder / "20260101-000000/test/predictions.jsonl",
        [text | {"id": str(number), "scores": one} for number, one in enumerate(scores)],
    )
    record = StudyRun("few-pairs", "?", labels, False, 1e-3, seed, "val/rougeL", [], [], status)
    write_study_run(folder, record)


def test_cells_hold_all_seeds_in_the_order_of_pairs(tmp_path, capsys):
    for pairs, base in (("1000", "gap"), ("30", "gap"), ("0", "plain")):
        for seed, rouge in ((0, [10.0, 20.0]), (1, [12.0, 22.0])):
            write_seed(tmp_path / "study", pairs, base, seed, rouge)
    write_seed(tmp_path / "study", "10", "gap", 0, [99.0, 99.0], status="fitted")
    main([str(tmp_path / "study"), "--output", str(tmp_path / "out.json"), "--figure", str(tmp_path)])
    cells = json.loads((tmp_path / "out.json").read_text())["cells"]
    assert [cell["training_pairs"] for cell in cells] == ["30", "1000", "0"]
    assert cells[0]["seeds"] == [0, 1]
    mean, low, high = cells[0]["scores"]["rougeL"]
    assert mean == pytest.approx(16)
    assert 10 <= low < mean < high <= 22
    assert cells[0]["scores"]["invented_words"] == [25, 25, 25]
    assert "rougeL 16.0" in capsys.readouterr().out
    assert (tmp_path / "figures/few_pairs.png").stat().st_size > 10_000


def test_a_study_without_tested_runs_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="no run under"):
        main([str(tmp_path), "--output", str(tmp_path / "out.json")])
