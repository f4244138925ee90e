import json
from types import SimpleNamespace
from unittest import mock

import pytest
from command_line import SAVE_AFTER_VALIDATION, configured, records, run, run_folder
from lightning.pytorch.loggers import WandbLogger

from callbacks.step_rows import read_rows
from callbacks.summary_table import COLUMNS, SummaryTable
from lightning_modules.evaluation import EvaluatedSummary, Evaluation


def trainer(folder, step, loggers=()):
    state = SimpleNamespace(fn="fit")
    return SimpleNamespace(
        default_root_dir=folder,
        global_step=step,
        state=state,
        sanity_checking=False,
        is_global_zero=True,
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(_batches_that_stepped=step - 1)),
        loggers=list(loggers),
    )


def module(*rows):
    summaries = [
        EvaluatedSummary(name, language, "article", "reference", text, True, False, scores={"rougeL": 12.25})
        for language, name, text in rows
    ]
    return SimpleNamespace(evaluation=Evaluation(summaries))


ROWS = [("tr", "b", "iki"), ("en", "z", "four"), ("tr", "c", "üç"), ("tr", "a", "bir")]


def test_the_same_examples_of_each_language_whatever_the_order(tmp_path):
    table = SummaryTable(examples=2)
    table.on_validation_end(trainer(tmp_path, 10), module(*ROWS))
    table.on_validation_end(trainer(tmp_path, 20), module(*ROWS[::-1]))
    rows = read_rows(tmp_path / "summaries.jsonl")
    assert [(row["step"], row["language"], row["id"], row["generated"]) for row in rows] == [
        (step, *found) for step in (10, 20) for found in [("en", "z", "four"), ("tr", "a", "bir"), ("tr", "b", "iki")]
    ]
    assert list(rows[0]) == COLUMNS
    assert rows[0]["rougeL"] == 12.25


def test_a_resumed_run_replaces_the_steps_that_it_repeats(tmp_path):
    for step in (10, 20, 30, 20):
        SummaryTable(1).on_validation_end(trainer(tmp_path, step), module(("tr", "a", f"at {step}")))
    assert [row["step"] for row in read_rows(tmp_path / "summaries.jsonl")] == [10, 20]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\n"])
def test_any_line_break_in_a_text_is_read_back(tmp_path, mark):
    for step in (10, 20):
        SummaryTable(1).on_validation_end(trainer(tmp_path, step), module(("tr", "a", f"bir{mark}iki")))
    assert [row["generated"] for row in read_rows(tmp_path / "summaries.jsonl")] == [f"bir{mark}iki"] * 2


def test_wandb_gets_all_validations_so_far_as_a_table(tmp_path):
    logger = mock.Mock(spec=WandbLogger)
    for step in (10, 20):
        SummaryTable(1).on_validation_end(trainer(tmp_path, step, [logger]), module(("tr", "a", f"at {step}")))
    call = logger.log_table.call_args
    assert call.args == ("val/summaries",)
    assert call.kwargs["columns"] == COLUMNS
    assert [(row[0], row[5]) for row in call.kwargs["data"]] == [(10, "at 10"), (20, "at 20")]


def test_no_examples_are_refused():
    with pytest.raises(ValueError, match=r"SummaryTable\.examples 0 must be at least 1"):
        SummaryTable(examples=0)


def test_a_run_writes_them_at_the_steps_of_its_validations(tmp_path):
    callbacks = (*SAVE_AFTER_VALIDATION, configured("callbacks.summary_table.SummaryTable", examples=1))
    run("fit", tmp_path, "--trainer.max_epochs=1", callbacks=callbacks)
    rows = [json.loads(line) for line in (run_folder(tmp_path) / "summaries.jsonl").read_text().splitlines()]
    assert {row["step"] for row in rows} == {step + 1 for step in records(tmp_path)["val/rougeL/tr"]}
    assert {row["language"] for row in rows} == {"tr", "en"}
    assert all(len(row["source"]) > 100 for row in rows)
