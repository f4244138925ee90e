from dataclasses import astuple
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch

from callbacks.results_writer import ResultsWriter
from lightning_modules.evaluation import EvaluatedSummary, Evaluation, Scoring
from lightning_modules.generation import Generation
from metrics.score_intervals import Bootstrap
from metrics.significance import interval, ratio_interval
from reports.results import Results, read_predictions, read_results
from tests import command_line
from tests.command_line import configured, run_folder

TR = [(10.0, 3.0, 4), (30.0, 40.0, 8), (20.5, 6.0, 2)]  # rouge1, loss, label tokens
EN = [(50.0, 2.0, 2), (70.0, 1.0, 1)]


def summary(language: str, number: int, rouge1: float, loss: float, tokens: int) -> EvaluatedSummary:
    scores = {"rouge1": rouge1, "lead_rouge1": rouge1 / 3, "lead2_rouge1": 1.0, "ended": 1.0}
    return EvaluatedSummary(
        f"id-{number}", language, "Uzun\u2028metin", "özet", "ışık\n'a'", True, False, loss, tokens, scores
    )


class Module(L.LightningModule):
    """Finds the same summaries in every test, in the order of two devices."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.generation, self.scoring = Generation(num_beams=4), Scoring(stemming=True)
        self.base_identity = {"name": "tiny", "fingerprint": "abc"}
        found = [("tr", *enumerated) for enumerated in enumerate(TR)] + [("en", *one) for one in enumerate(EN)]
        summaries = [summary(language, number, *values) for language, number, values in found]
        self.evaluation = Evaluation(summaries[::2] + summaries[1::2])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.layer(batch).mean()

    def test_step(self, batch: Any, batch_idx: int) -> None: ...


def trainer(folder: Path, **settings: Any) -> L.Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    writer = ResultsWriter(Bootstrap(resamples=200, seed=7))
    return L.Trainer(accelerator="cpu", default_root_dir=folder, logger=False, callbacks=[writer], **quiet, **settings)


LOADER = torch.utils.data.DataLoader(torch.ones(4, 1))


def judge(folder: Path, module: Module | None = None) -> Results:
    trainer(folder).test(module or Module(), LOADER, verbose=False)
    return read_results(folder / "test" / "results.json")


def test_each_language_and_their_mean_have_scores_with_intervals(tmp_path: Path) -> None:
    results = judge(tmp_path)
    assert results.counts == {"en": 2, "tr": 3}
    assert results.languages["tr"].keys() == {"loss", "rouge1", "lead_rouge1", "lead2_rouge1", "ended"}
    assert results.overall.keys() == results.languages["tr"].keys()
    # Summaries come in the order of evaluation; each language has a seed of its own.
    scores = [values[0] for values in (TR[0], TR[2], TR[1])]
    expected = interval(scores, resamples=200, seed=[7, *b"tr"])
    assert astuple(results.languages["tr"]["rouge1"]) == pytest.approx(astuple(expected), abs=1e-5)
    loss = ratio_interval([3.0, 6.0, 40.0], [4, 2, 8], resamples=200, seed=[7, *b"tr"])
    assert astuple(results.languages["tr"]["loss"]) == pytest.approx(astuple(loss), abs=1e-5)
    assert results.overall["rouge1"].mean == pytest.approx((60.5 / 3 + 60) / 2, abs=1e-5)
    assert results.overall["loss"].mean == pytest.approx((49 / 14 + 1) / 2, abs=1e-5)
    assert results.incomplete == {"en": {}, "tr": {}}


def test_results_say_what_they_are_results_of(tmp_path: Path) -> None:
    results = judge(tmp_path)
    assert results.bootstrap == {"confidence": 0.95, "resamples": 200, "seed": 7}
    assert results.settings["generation"]["num_beams"] == 4
    assert results.settings["scoring"]["stemming"] is True
    assert results.model == {"checkpoint": None, "step": 0, "base": {"name": "tiny", "fingerprint": "abc"}}
    assert results.packages["numpy"] == np.__version__
    assert results.git.keys() == {"commit", "changed"}


def test_the_step_is_that_of_the_checkpoint(tmp_path: Path) -> None:
    fitted = trainer(tmp_path / "fit", max_steps=3)
    fitted.fit(Module(), LOADER)
    path = tmp_path / "three.ckpt"
    fitted.save_checkpoint(path)
    trainer(tmp_path / "again").test(Module(), LOADER, ckpt_path=path, verbose=False)
    model = read_results(tmp_path / "again" / "test" / "results.json").model
    assert (model["checkpoint"], model["step"]) == (str(path), 3)
    fitted.test(Module(), LOADER, verbose=False)
    assert read_results(tmp_path / "fit" / "test" / "results.json").model["step"] == 3


def test_predictions_hold_every_field_of_every_summary(tmp_path: Path) -> None:
    module = Module()
    module.evaluation.summaries[0].scores["rouge1"] = 100 / 3
    judge(tmp_path, module)
    rows = read_predictions(tmp_path / "test" / "predictions.jsonl")
    assert len(rows) == 5
    expected = vars(module.evaluation.summaries[0])
    assert rows[0] == expected | {"scores": expected["scores"] | {"rouge1": 33.333333, "lead_rouge1": 3.333333}}
    assert "ışık" in (tmp_path / "test" / "predictions.jsonl").read_text(encoding="utf-8")


def test_a_second_test_replaces_both_files_and_leaves_no_other(tmp_path: Path) -> None:
    judge(tmp_path)
    module = Module()
    del module.evaluation.summaries[1:]
    assert judge(tmp_path, module).counts == {"tr": 1}
    assert len(read_predictions(tmp_path / "test" / "predictions.jsonl")) == 1
    assert {path.name for path in (tmp_path / "test").iterdir()} == {"predictions.jsonl", "results.json"}


def test_a_score_that_summaries_lack_is_left_out_of_its_language_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = Module()
    english = [one for one in module.evaluation.summaries if one.language == "en"]
    del english[1].scores["rouge1"]
    english[0].scores["ended"] = float("nan")
    english[0].label_tokens = 0
    results = judge(tmp_path, module)
    assert results.languages["en"].keys() == {"lead_rouge1", "lead2_rouge1"}
    assert results.incomplete == {"en": {"rouge1": 1, "ended": 1, "loss": 1}, "tr": {}}
    assert results.overall["rouge1"] == results.languages["tr"]["rouge1"]
    assert "'rouge1': 1" in capsys.readouterr().out
    rows = {
        (row["language"], row["id"]): row["scores"] for row in read_predictions(tmp_path / "test/predictions.jsonl")
    }
    assert rows["en", english[0].id]["ended"] is None
    assert "rouge1" not in rows["en", english[1].id]


def test_the_table_shows_each_score_beside_its_baselines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rouge1 = judge(tmp_path).languages["tr"]["rouge1"]
    lines = capsys.readouterr().out.splitlines()
    (head,) = [line for line in lines if "model" in line]
    assert [name for name in ("lead", "lead2") if name in head.replace("│", " ").split()] == ["lead", "lead2"]
    (turkish,) = [line for line in lines if "tr (3)" in line]
    cells = ["rouge1", f"20.17 [{rouge1.low:.2f}, {rouge1.high:.2f}]", "6.72", "1.00"]
    assert [cell.strip() for cell in turkish.split("│")[2:-1]] == cells
    assert sum("ended" in line for line in lines) == 1
    assert any("mean" in line and "40.08 [" in line for line in lines)


def test_a_test_without_summaries_writes_empty_results(tmp_path: Path) -> None:
    module = Module()
    module.evaluation = Evaluation()
    assert judge(tmp_path, module).languages == {}


def test_only_the_first_device_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L.Trainer, "is_global_zero", False)
    trainer(tmp_path).test(Module(), LOADER, verbose=False)
    assert not (tmp_path / "test").exists()


def test_results_of_the_command_line_are_what_it_logs(tmp_path: Path) -> None:
    command_line.run("test", tmp_path, callbacks=(configured("callbacks.results_writer.ResultsWriter"),))
    folder = run_folder(tmp_path)
    results, rows = read_results(folder / "test" / "results.json"), read_predictions(folder / "test/predictions.jsonl")
    assert results.counts == {"en": 3, "tr": 3}
    logged = {key: value for key, points in command_line.records(tmp_path, "test").items() for value in points.values()}
    scores = {f"test/{name}": score.mean for name, score in results.overall.items()}
    for language, found in results.languages.items():
        scores |= {f"test/{name}/{language}": score.mean for name, score in found.items()}
    assert {"test/loss", "test/rougeL/tr", "test/lead_rouge1/en", "test/copied/tr"} <= scores.keys()
    assert scores == pytest.approx({key: logged[key] for key in scores}, abs=1e-4)
    assert logged.keys() - scores.keys() <= {"epoch"}
    assert {row["language"] for row in rows} == {"tr", "en"}
    assert results.settings["generation"]["max_new_tokens"] == 8
