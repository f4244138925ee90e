import inspect
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from callbacks.collapse_advice import ADVICE
from callbacks.collapse_monitor import CollapseError, CollapseMonitor
from lightning_modules.seq2seq import Seq2SeqModule
from tests import command_line
from tests.command_line import SAVE_AFTER_VALIDATION, configured, run_folder

MODULE: Any = None
HEALTHY = {
    "sentinel_start": 0.0,
    "sentinel": 0.0,
    "ended": 0.98,
    "empty": 0.0,
    "repetition": 0.01,
    "length_ratio": 0.9,
    "wrong_language": 0.002,
    "copied": 0.05,
    "uniform": 0.01,
    "invented_words": 0.02,
}
OFF: dict[str, Any] = {
    name: None for name in inspect.signature(CollapseMonitor).parameters if name.startswith(("min_", "max_"))
}


def trainer(folder: Path, step: int = 1000, fn: str = "fit", rank: int = 0, **figures: float) -> Any:
    """A trainer after a validation that has logged healthy figures, but for those given."""
    logged = {f"val/{name}/{code}": value for code in ("tr", "en") for name, value in HEALTHY.items()}
    logged |= {f"val/{name}/tr": value for name, value in figures.items()}
    logged |= {"train/loss": 9.0, "val/loss": 9.0, "val/loss/tr": 9.0, "val/sentinel_start": 1.0}  # not its business
    return SimpleNamespace(
        default_root_dir=str(folder),
        state=SimpleNamespace(fn=fn),
        sanity_checking=False,
        global_step=step,
        is_global_zero=rank == 0,
        callback_metrics={name: torch.tensor(value) for name, value in logged.items()},
    )


def written(folder: Path) -> list[dict[str, Any]]:
    path = folder / "diagnosis.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def test_a_healthy_run_is_silent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    monitor = CollapseMonitor(action="stop", patience=1, ignore_steps=0)
    monitor.on_validation_end(trainer(tmp_path), MODULE)
    monitor.on_train_batch_start(trainer(tmp_path), MODULE, None, 0)
    assert not caplog.records
    assert not written(tmp_path)


@pytest.mark.parametrize(
    ("figure", "value", "words"),
    [
        ("sentinel_start", 0.97, "97% of the tr summaries begin with <extra_id_N>"),
        ("sentinel", 0.06, "6% of the tr summaries contain <extra_id_N>"),
        ("ended", 0.2, "80% of the tr summaries do not end by themselves"),
        ("empty", 0.5, "50% of the tr summaries have no words"),
        ("repetition", 0.4, "40% of the 3-grams in the tr summaries repeat"),
        ("length_ratio", 0.1, "The tr summaries have 0.10 times the words"),
        ("length_ratio", 8.0, "The tr summaries have 8.00 times the words of their references: they do not end"),
        ("wrong_language", 1.0, "100% of the tr summaries are in another language"),
        ("copied", 0.9, "90% of the tr summaries stand word for word"),
        ("uniform", 0.9, "90% of the tr summaries are the same, word for word, as another article's"),
        ("invented_words", 0.15, "15% of the words in the tr summaries stand neither in their article nor among the"),
        ("empty", float("nan"), "nan% of the tr summaries have no words"),
    ],
)
def test_each_figure_beyond_its_threshold_is_named_in_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, figure: str, value: float, words: str
) -> None:
    CollapseMonitor().on_validation_end(trainer(tmp_path, **{figure: value}), MODULE)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert words in record.getMessage()
    (line,) = written(tmp_path)
    assert words in line["text"]
    assert (line["step"], line["language"], line["figure"], line["in_a_row"]) == (1000, "tr", figure, 1)


@pytest.mark.parametrize(
    ("argument", "figure", "within", "beyond"),
    [
        ("max_sentinel_start", "sentinel_start", 0.5, 0.51),
        ("max_sentinel", "sentinel", 0.5, 0.51),
        ("min_ended", "ended", 0.5, 0.49),
        ("max_empty", "empty", 0.5, 0.51),
        ("max_repetition", "repetition", 0.5, 0.51),
        ("min_length_ratio", "length_ratio", 0.5, 0.49),
        ("max_length_ratio", "length_ratio", 1.5, 1.51),
        ("max_wrong_language", "wrong_language", 0.5, 0.51),
        ("max_copied", "copied", 0.5, 0.51),
        ("max_uniform", "uniform", 0.5, 0.51),
        ("max_invented_words", "invented_words", 0.5, 0.51),
    ],
)
def test_each_threshold_is_the_last_value_that_passes_and_null_is_off(
    tmp_path: Path, argument: str, figure: str, within: float, beyond: float
) -> None:
    for name, threshold, value in (("in", within, within), ("out", within, beyond), ("off", None, beyond)):
        monitor = CollapseMonitor(**{**OFF, argument: threshold})
        monitor.on_validation_end(trainer(tmp_path / name, **{figure: value}), MODULE)
    found = {name: [one["language"] for one in written(tmp_path / name)] for name in ("in", "out", "off")}
    assert found == {"in": [], "out": ["tr"], "off": []}


def test_every_advice_is_that_of_a_threshold() -> None:
    assert {f"{'max' if kind == 'high' else 'min'}_{figure}" for figure, kind in ADVICE} == OFF.keys()


def test_it_is_shown_when_it_begins_and_written_while_it_lasts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = CollapseMonitor()
    for step, share in ((100, 0.9), (200, 0.8), (300, 0.0), (400, 0.7)):
        monitor.on_validation_end(trainer(tmp_path, step, empty=share), MODULE)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["Step 100", "Step 400"]
    assert [(line["step"], line["in_a_row"]) for line in written(tmp_path)] == [(100, 1), (200, 2), (400, 1)]


def test_an_untrained_model_and_the_sanity_check_are_not_judged(tmp_path: Path) -> None:
    monitor = CollapseMonitor(action="stop", patience=1, ignore_steps=100)
    monitor.on_validation_end(trainer(tmp_path, 99, empty=1.0), MODULE)
    checking = trainer(tmp_path, 100, empty=1.0)
    checking.sanity_checking = True
    monitor.on_validation_end(checking, MODULE)
    monitor.on_train_batch_start(checking, MODULE, None, 0)
    assert not written(tmp_path)
    monitor.on_validation_end(trainer(tmp_path, 100, empty=1.0), MODULE)
    assert len(written(tmp_path)) == 1


def test_validate_is_judged_at_any_step_but_never_stopped(tmp_path: Path) -> None:
    monitor = CollapseMonitor(action="stop", patience=1)
    monitor.on_validation_end(trainer(tmp_path, 0, fn="validate", empty=1.0), MODULE)
    monitor.on_train_batch_start(trainer(tmp_path), MODULE, None, 0)
    assert written(tmp_path) == []  # that of the training run
    assert len(written(tmp_path / "validate")) == 1


@pytest.mark.parametrize("hook", ["batch", "epoch"])
def test_stop_waits_for_patience_and_says_why(tmp_path: Path, hook: str) -> None:
    def go_on(monitor: CollapseMonitor) -> None:
        if hook == "batch":
            monitor.on_train_batch_start(trainer(tmp_path), MODULE, None, 0)
        else:
            monitor.on_train_epoch_end(trainer(tmp_path), MODULE)

    monitor = CollapseMonitor(action="stop", patience=3)
    for figures in ({"empty": 0.5}, {"empty": 0.5}, {"copied": 0.9}, {"empty": 0.5, "copied": 0.9}):
        monitor.on_validation_end(trainer(tmp_path, **figures), MODULE)
        go_on(monitor)
    monitor.on_validation_end(trainer(tmp_path, 1200, copied=0.9), MODULE)
    with pytest.raises(
        CollapseError, match=r"step 1200, after 3 validations in a\s+row with\s+90% of the tr summaries"
    ):
        go_on(monitor)
    go_on(monitor)  # a second fit begins anew


def test_every_device_stops_but_only_the_first_writes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    monitor = CollapseMonitor(action="stop", patience=1)
    monitor.on_validation_end(trainer(tmp_path, rank=1, empty=1.0), MODULE)
    assert not written(tmp_path) and not caplog.records
    with pytest.raises(CollapseError):
        monitor.on_train_batch_start(trainer(tmp_path, rank=1), MODULE, None, 0)


def test_a_resumed_run_goes_on_counting(tmp_path: Path) -> None:
    monitor, resumed = CollapseMonitor(), CollapseMonitor(action="stop", patience=2)
    monitor.on_validation_end(trainer(tmp_path, empty=1.0), MODULE)
    resumed.load_state_dict(json.loads(json.dumps(monitor.state_dict())))
    resumed.on_validation_end(trainer(tmp_path, empty=1.0), MODULE)
    with pytest.raises(CollapseError, match="after 2 validations"):
        resumed.on_train_batch_start(trainer(tmp_path), MODULE, None, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_sentinel": 5}, "threshold 5 of sentinel must be a share"),
        ({"min_ended": -0.1}, "threshold -0.1 of ended must be a share"),
        ({"min_length_ratio": -1}, "min_length_ratio -1 must be at least 0"),
        ({"min_length_ratio": 2, "max_length_ratio": 1.5}, "max_length_ratio 1.5 must be above the least, 2"),
        ({"patience": 0}, "patience 0 must be at least 1"),
        ({"ignore_steps": -1}, "ignore_steps -1 must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CollapseMonitor(**settings)


# -- a real run ------------------------------------------------------------------------------------------------------


def test_a_run_that_prints_only_sentinels_is_stopped_and_keeps_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summarize = Seq2SeqModule.summarize

    def broken(self: Seq2SeqModule, batch: Any) -> Any:
        summaries = summarize(self, batch)
        for summary in summaries:
            summary.prediction, summary.ended, summary.starts_with_sentinel = "<extra_id_0> <extra_id_1>", True, True
        return summaries

    monkeypatch.setattr(Seq2SeqModule, "summarize", broken)
    settings = {"action": "stop", "patience": 1, "ignore_steps": 3, "min_length_ratio": None}
    watch = (configured("callbacks.collapse_monitor.CollapseMonitor", **settings), *SAVE_AFTER_VALIDATION)
    with pytest.raises(CollapseError) as raised:
        command_line.run("fit", tmp_path, callbacks=watch)
    # The command line prints an error that is raised in the project, and exits with 1.
    assert raised.traceback[-1].path.name == "collapse_monitor.py"
    message = str(raised.value)
    for language in ("tr", "en"):
        assert f"100% of the {language} summaries begin with <extra_id_N>" in message
        assert f"100% of the {language} summaries have no words" in message
    assert "learning rate" in message
    assert "do not end" not in message
    assert command_line.last_checkpoint(tmp_path)["global_step"] == 3  # of 12
    figures = {"sentinel_start", "sentinel", "empty"}
    assert {(line["step"], line["figure"]) for line in written(run_folder(tmp_path))} == {(3, one) for one in figures}
