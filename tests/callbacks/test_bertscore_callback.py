"""callbacks/bertscore.py; beside tests/metrics/test_bertscore.py its own name would be taken."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import lightning as L
import pytest
import torch
import wandb
from lightning.pytorch.loggers.logger import DummyLogger

import callbacks.bertscore_process
from callbacks.bertscore import BertScore
from callbacks.wandb_logger import ResumableWandbLogger
from lightning_modules.evaluation import EvaluatedSummary, Evaluation

FAKE = Path(__file__).parent.parent / "fake_scorer.py"
VALIDATED = [1, 3, 5, 7]  # steps under which Lightning logs validations after steps 2, 4, 6 and 8
PATIENCE = 0.5  # minutes; only a failing test waits so long


def summary(language: str, number: int, prediction: str) -> EvaluatedSummary:
    return EvaluatedSummary(f"{language}-{number}", language, "article", "reference", prediction, True, False)


class Writer(L.LightningModule):
    """Writes summaries as long as the number of steps taken, Turkish ones ten times as long."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.evaluation = Evaluation()

    def training_step(self, batch, batch_idx):
        return self.layer(batch).sum()

    def validation_step(self, batch, batch_idx):
        pass

    test_step = validation_step

    def on_validation_epoch_end(self):
        length = self.trainer.global_step
        texts = [("tr", 10 * length), ("tr", 30 * length), ("en", length)]
        self.evaluation = Evaluation([summary(code, -n, "a" * count) for n, (code, count) in enumerate(texts)])
        self.log("val/loss", 0.0)

    on_test_epoch_end = on_validation_epoch_end

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Recorder(DummyLogger):
    """Keeps (key, step, value) in the order of logging."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[str, int, float]] = []

    def log_metrics(self, metrics, step=None):
        self.rows += [(key, step, value) for key, value in metrics.items()]

    def series(self, key: str) -> dict[int, float]:
        return {step: value for name, step, value in self.rows if name == key}


class OpenGate(L.Callback):
    """Lets the scorer begin only when eight steps are taken, and lets training go on only when a score is logged."""

    def __init__(self, gate: Path, bertscore: BertScore, recorder: Recorder) -> None:
        self.gate, self.bertscore, self.recorder = gate, bertscore, recorder
        self.before: list[tuple[str, int, float]] = []
        self.after: list[tuple[str, int, float]] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 8:
            self.before = list(self.recorder.rows)
            open_gate(self.gate)
            deadline = time.monotonic() + 60 * PATIENCE
            while not self.recorder.series("val/bertscore") and time.monotonic() < deadline:
                self.bertscore.on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
            self.after = list(self.recorder.rows)


def open_gate(gate: Path) -> None:
    """Ends the waiting of who reads the pipe; plain writing would wait for ever where nobody does."""
    deadline = time.monotonic() + 60 * PATIENCE
    while time.monotonic() < deadline:
        with suppress(OSError):
            os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
            return


@pytest.fixture
def fake(monkeypatch):
    def behave(*arguments: str) -> None:
        monkeypatch.setattr(callbacks.bertscore_process, "_COMMAND", (sys.executable, str(FAKE), *arguments))

    return behave


def trainer(*callbacks: L.Callback, logger=None, **settings) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        logger=logger or Recorder(),
        callbacks=list(callbacks),
        max_steps=8,
        val_check_interval=2,
        num_sanity_val_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )


def fit(bertscore: BertScore, *others: L.Callback, logger=None, **settings) -> tuple[L.Trainer, Recorder]:
    made = trainer(*others, bertscore, logger=logger, **settings)
    made.fit(Writer(), torch.ones(8, 1), torch.ones(1, 1))
    assert made.global_step == 8
    assert bertscore._process is None
    return made, made.logger


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("callbacks.bertscore")]


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
