import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from callbacks.prediction_writer import PredictionWriter
from lightning_modules.evaluation import EvaluatedSummary

MODULE: Any = None


def summary(name: str, prediction: str) -> EvaluatedSummary:
    return EvaluatedSummary(name, "tr", "Uzun\nmetin", "özet", prediction, True, False)


def predict(folder: Path, batches: list[list[EvaluatedSummary]], world_size: int = 1, rank: int = 0) -> None:
    trainer: Any = SimpleNamespace(default_root_dir=str(folder), world_size=world_size, global_rank=rank)
    writer = PredictionWriter()
    writer.on_predict_start(trainer, MODULE)
    for index, batch in enumerate(batches):
        writer.write_on_batch_end(trainer, MODULE, batch, None, None, index, 0)
    writer.on_predict_end(trainer, MODULE)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_summary_is_one_readable_line_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predict(tmp_path / "run", [[summary("1", "ışık"), summary("2", 'bir\n"iki"')], [summary("3", "")]])
    path = tmp_path / "run" / "predictions.jsonl"
    rows = read(path)
    assert [(row["id"], row["prediction"]) for row in rows] == [("1", "ışık"), ("2", 'bir\n"iki"'), ("3", "")]
    assert rows[0] == vars(summary("1", "ışık"))
    assert "ışık" in path.read_text(encoding="utf-8")  # and no \u escapes
    assert str(path) in capsys.readouterr().out


def test_a_second_prediction_replaces_the_first(tmp_path: Path) -> None:
    predict(tmp_path, [[summary("1", "a"), summary("2", "b")]])
    predict(tmp_path, [[summary("3", "c")]])
    assert [row["id"] for row in read(tmp_path / "predictions.jsonl")] == ["3"]


def test_each_of_several_devices_has_its_own_file(tmp_path: Path) -> None:
    for rank in range(2):
        predict(tmp_path, [[summary(str(rank), "a")]], world_size=2, rank=rank)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["predictions-0.jsonl", "predictions-1.jsonl"]
    assert [row["id"] for row in read(tmp_path / "predictions-1.jsonl")] == ["1"]
