"""callbacks/bertscore.py; beside tests/metrics/test_bertscore.py its own name would be taken."""

import json
import os
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
import wandb
from scored_runs import PATIENCE, OpenGate, Recorder, Writer, fit, summary, trainer, warnings

import callbacks.bertscore_process
from callbacks.bertscore import BertScore
from callbacks.wandb_logger import ResumableWandbLogger
from lightning_modules.evaluation import Evaluation

FAKE = Path(__file__).parent.parent / "fake_scorer.py"
VALIDATED = [1, 3, 5, 7]  # steps under which Lightning logs validations after steps 2, 4, 6 and 8


@pytest.fixture
def fake(monkeypatch):
    def behave(*arguments: str) -> None:
        monkeypatch.setattr(callbacks.bertscore_process, "_COMMAND", (sys.executable, str(FAKE), *arguments))

    return behave


def test_scores_are_logged_at_the_step_they_belong_to_while_training_goes_on(fake, tmp_path, caplog):
    os.mkfifo(gate := tmp_path / "gate")
    fake("waits for a sign", str(gate))
    bertscore, recorder = BertScore(timeout_minutes=PATIENCE), Recorder()
    opener = OpenGate(gate, bertscore, recorder)
    fit(bertscore, opener, logger=recorder)
    assert list(recorder.series("val/loss")) == VALIDATED
    assert {key for key, _, _ in opener.before} == {"val/loss", "epoch"}
    assert ("val/bertscore", 1, 21.0) in opener.after
    assert recorder.series("val/bertscore/tr") == {step: 20.0 * (step + 1) for step in VALIDATED}
    assert recorder.series("val/bertscore/en") == {step: 1.0 * (step + 1) for step in VALIDATED}
    assert recorder.series("val/bertscore") == {step: 10.5 * (step + 1) for step in VALIDATED}
    assert warnings(caplog) == []


def test_with_gradient_accumulation_the_steps_are_lightnings_too(fake):
    fake("answers")
    made = trainer(BertScore(timeout_minutes=PATIENCE), accumulate_grad_batches=3)
    made.fit(Writer(), torch.ones(8, 1), torch.ones(1, 1))
    assert list(made.logger.series("val/bertscore")) == list(made.logger.series("val/loss"))


def test_limit_counts_for_each_language_by_id_and_only_during_training(fake):
    fake("answers")
    made, recorder = fit(BertScore(limit=1, batch_size=1, timeout_minutes=PATIENCE))
    assert recorder.series("val/bertscore/tr") == {step: 30.0 * (step + 1) for step in VALIDATED}
    module = Writer()
    made.validate(module, torch.ones(1, 1), verbose=False)
    assert [one.scores for one in module.evaluation.summaries] == [{"bertscore": length} for length in (80, 240, 8)]


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_validate_and_test_wait_and_put_the_scores_beside_the_summaries(fake, stage, capsys):
    fake("answers")
    bertscore = BertScore(batch_size=1, timeout_minutes=PATIENCE)
    made, module = trainer(bertscore), Writer()
    module.on_validation_epoch_end = lambda: None
    module.on_test_epoch_end = lambda: None
    # An empty evaluation is none.
    getattr(made, stage)(module, torch.ones(1, 1), verbose=False)
    assert made.logger.rows == []
    module.evaluation = Evaluation([summary("tr", 2, "aa"), summary("en", 1, ""), summary("tr", 1, "aaaa")])
    getattr(made, stage)(module, torch.ones(1, 1), verbose=False)
    assert [one.scores["bertscore"] for one in module.evaluation.summaries] == [2.0, 0.0, 4.0]
    prefix = {"validate": "val", "test": "test"}[stage]
    logged = {key: value for key, _, value in made.logger.rows}
    assert logged == {f"{prefix}/bertscore/en": 0.0, f"{prefix}/bertscore/tr": 3.0, f"{prefix}/bertscore": 1.5}
    assert f"{prefix}/bertscore/tr 3.0000" in capsys.readouterr().out
    assert bertscore._process is None


def test_a_scorer_that_dies_is_named_and_the_run_goes_on(fake, tmp_path, caplog):
    fake("dies", str(tmp_path / "starts"))
    _, recorder = fit(BertScore(timeout_minutes=PATIENCE))
    assert list(recorder.series("val/loss")) == VALIDATED
    assert recorder.series("val/bertscore") == {}
    assert (tmp_path / "starts").read_text() == "started\n" * 2
    first, second = warnings(caplog)
    assert "died, with exit code 1, saying: nothing works | out of luck. It is started once more" in first
    assert "off for the rest of this run: its process died twice, with exit code 1" in second


def test_a_scorer_that_is_killed_once_loses_nothing(fake, tmp_path, caplog):
    fake("is killed once", str(tmp_path / "died"))
    _, recorder = fit(BertScore(timeout_minutes=PATIENCE))
    assert list(recorder.series("val/bertscore")) == VALIDATED
    assert len(warnings(caplog)) == 1


def test_a_scorer_that_hangs_is_ended_after_the_time_out(fake, caplog):
    fake("hangs")
    _, recorder = fit(BertScore(timeout_minutes=0.002))
    assert list(recorder.series("val/loss")) == VALIDATED
    assert recorder.series("val/bertscore") == {}
    (warning,) = warnings(caplog)
    assert "12 summaries have no score, and for 0.002 minutes none came" in warning
    assert "timeout_minutes" in warning


def test_a_scorer_that_cannot_be_started_is_named(monkeypatch, caplog):
    monkeypatch.setattr(callbacks.bertscore_process, "_COMMAND", ("/nowhere/python",))
    fit(BertScore(timeout_minutes=PATIENCE))
    (warning,) = warnings(caplog)
    assert "No such file or directory: '/nowhere/python'" in warning


def test_a_language_that_fails_is_left_out_of_everything(fake, caplog):
    fake("fails at some Turkish")
    bertscore = BertScore(batch_size=1, timeout_minutes=PATIENCE)
    made, recorder = fit(bertscore)
    assert recorder.series("val/bertscore/tr") == {}
    assert recorder.series("val/bertscore/en") != {}
    assert recorder.series("val/bertscore") == {}  # would no longer be the mean of both
    (warning,) = warnings(caplog)
    assert "language tr is off for the rest of this run: OSError: no encoder 'x'. Offline" in warning
    assert "BertScore.encoders.tr.model" in warning
    caplog.clear()
    module = Writer()
    made.test(module, torch.ones(1, 1), verbose=False)
    assert [list(one.scores) for one in module.evaluation.summaries] == [[], [], ["bertscore"]]
    assert len(warnings(caplog)) == 1  # a new run, a new chance


def test_a_run_that_fails_leaves_no_process(fake, caplog):
    fake("hangs")
    bertscore, seen = BertScore(), []

    class Fail(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.global_step == 4:
                seen.append(bertscore._process)
                raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        fit(bertscore, Fail())
    assert seen[0]._process.returncode is not None
    assert warnings(caplog) == ["The run ended before 6 summaries had their BERTScore."]
    assert bertscore._process is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch_size": 0}, "batch_size 0 must be at least 1"),
        ({"threads": 0}, "threads 0 must be at least 1"),
        ({"limit": 0}, "limit 0 must be at least 1"),
        ({"timeout_minutes": 0.0}, "timeout_minutes 0.0 must be above 0"),
        ({"timeout_minutes": float("nan")}, "timeout_minutes nan must be above 0"),
    ],
)
def test_impossible_settings_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        BertScore(**settings)


def test_late_scores_reach_wandb_at_their_step(fake, tmp_path, monkeypatch):
    os.mkfifo(gate := tmp_path / "gate")
    fake("waits for a sign", str(gate))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    bertscore, recorder = BertScore(timeout_minutes=PATIENCE), Recorder()
    logger = ResumableWandbLogger(save_dir=str(tmp_path / "run"), offline=True)
    fit(bertscore, OpenGate(gate, bertscore, recorder), logger=[logger, recorder], log_every_n_steps=1)
    wandb.finish()
    (folder,) = tmp_path.glob("run/wandb/offline-run-*")
    read = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
    output = subprocess.run(read, stdout=subprocess.PIPE, check=True).stdout
    items = [line["history"]["item"] for line in map(json.loads, output.splitlines()) if "history" in line]
    scores = {one["trainer/global_step"]: one["val/bertscore"] for one in items if "val/bertscore" in one}
    assert scores == {step: 10.5 * (step + 1) for step in VALIDATED}
    assert scores == recorder.series("val/bertscore")


def test_scores_that_a_killed_run_was_waiting_for_are_logged_after_its_resume(fake, tmp_path):
    fake("hangs")
    killed = BertScore()
    states = []

    class Keep(L.Callback):
        def on_validation_end(self, trainer, pl_module):
            if trainer.global_step == 8:  # as a checkpoint holds it, through a file
                torch.save(killed.state_dict(), tmp_path / "state")
                states.append(torch.load(tmp_path / "state", weights_only=True))
                raise KeyError("killed")

    with pytest.raises(KeyError):
        trainer(killed, Keep()).fit(Writer(), torch.ones(8, 1), torch.ones(1, 1))
    fake("answers")
    resumed = BertScore()
    resumed.load_state_dict(states[0])
    recorder = Recorder()
    finished = trainer(resumed, logger=recorder, limit_val_batches=0)
    finished.fit(Writer(), torch.ones(8, 1))
    assert recorder.series("val/bertscore/tr") == {step: 20.0 * (step + 1) for step in VALIDATED}
