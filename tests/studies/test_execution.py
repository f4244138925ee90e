"""Runs are made once, go on where they were interrupted, and a failure stops none of the others."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from reports.study_record import read_study_run
from studies.execution import Execution, locked
from studies.study import LearningRates, Study

RATES = LearningRates("method", {"full": [0.1, 0.2], "lora": [0.3, 0.4]})
STUDY = Study(
    name="mini",
    axes={"method": {"full": ["--m=full"], "lora": ["--m=lora"]}},
    reference={"method": "full"},
    seeds=[0, 1],
    learning_rates=RATES,
)


class Trainings:
    """Stands for `Processes`: writes what `train.py` would leave behind, without training.

    Args:
        quality: Validation figure by learning rate.
        ends: Exit codes by a part of the command, None for a stop; 0 for all others.
    """

    def __init__(self, quality: dict[str, float] | None = None, ends: dict[str, int | None] | None = None):
        self.quality = {"0.1": 10.0, "0.2": 20.0, "0.3": 30.0, "0.4": 25.0} | (quality or {})
        self.ends, self.commands, self.stops = ends or {}, [], []
        self.stopping = None

    def run_all(self, jobs):
        for job in jobs:
            job(None)

    def at_a_time(self, device):
        return 3

    def run(self, command, device, log: Path, stop: int):
        line = " ".join(part for part in command[2:] if "progress_bar" not in part)
        self.commands.append(line)
        self.stops.append(stop)
        log.write_text("a line\n\nValueError: what went wrong\n")
        code = next((code for part, code in self.ends.items() if part in line), 0)
        if command[2] == "fit" and (code == 0 or code is None):
            run = log.parent / "20260101-000000"
            (run / "checkpoints").mkdir(parents=True, exist_ok=True)
            (run / "checkpoints/last.ckpt").touch()
            (run / "metrics/version_0").mkdir(parents=True, exist_ok=True)
            rate = line.partition("init_args.lr=")[2].split(" ")[0]
            (run / "metrics/version_0/metrics.csv").write_text(
                f"step,val/rougeL\n9,nan\n19,{self.quality.get(rate, 1.0)}\n29,1.0\n"
            )
        return code

    def made(self, subcommand: str, *parts: str) -> list[str]:
        own = [line for line in self.commands if line.startswith(subcommand)]
        return [line for line in own if all(part in line for part in parts)]


def carry_out(output: Path, trainings: Trainings, study: Study = STUDY):
    return Execution(study, output, trainings).carry_out()


def status(output: Path, name: str) -> str:
    return read_study_run(output / name).status


def test_the_best_rate_of_the_first_seed_is_trained_with_the_others_and_tested(tmp_path):
    trainings = Trainings()
    records = carry_out(tmp_path, trainings)
    assert len(trainings.made("fit")) == 4 + 2
    tested = [line.split("lr=")[1].split()[:2] for line in trainings.made("test")]
    seeds = ("--seed_everything=0", "--seed_everything=1")
    assert tested == [[rate, seed] for rate in ("0.2", "0.3") for seed in seeds]
    assert all("--ckpt_path=best" in line for line in trainings.made("test"))
    assert [one.status for one in records].count("finished") == 4
    assert status(tmp_path, "full/lr-0.1/seed-0") == "fitted"
    assert [one.reference for one in records if one.labels["method"] == "lora"] == [False] * 3


def test_models_that_another_program_evaluates_are_not_tested(tmp_path):
    trainings = Trainings()
    records = carry_out(tmp_path, trainings, replace(STUDY, tested=False))
    assert len(trainings.made("fit")) == 4 + 2
    assert trainings.made("test") == []
    assert {one.status for one in records} == {"fitted"}


def test_finished_runs_are_not_made_again(tmp_path):
    carry_out(tmp_path, Trainings())
    again = Trainings()
    carry_out(tmp_path, again)
    assert again.commands == []


def test_where_there_is_no_rate_to_try_each_run_is_tested_right_after_its_training(tmp_path):
    trainings = Trainings()
    records = carry_out(tmp_path, trainings, replace(STUDY, learning_rates=None))
    assert [line.split()[0] for line in trainings.commands] == ["fit", "test"] * 4
    assert {one.status for one in records} == {"finished"}


def test_only_what_failed_as_it_was_meant_to_is_not_tried_again(tmp_path):
    study = replace(STUDY, learning_rates=None)
    carry_out(tmp_path, Trainings(ends={"fit": 1}), study)
    again = Trainings()
    Execution(study, tmp_path, again, lambda run: run.labels["method"] == "lora").carry_out()
    assert len(again.made("fit", "m=full")) == 2
    assert not again.made("fit", "m=lora") and not again.made("test", "m=lora")


def test_an_interrupted_training_goes_on_from_its_checkpoint(tmp_path):
    carry_out(tmp_path, Trainings(ends={"lr=0.4": None}))
    assert status(tmp_path, "lora/lr-0.4/seed-0") == "begun"
    again = Trainings()
    carry_out(tmp_path, again)
    first, *others = again.made("fit")
    assert "lr=0.4" in first and "--ckpt_path=last" in first
    assert not any("--ckpt_path=last" in line for line in others)
    assert status(tmp_path, "lora/lr-0.3/seed-1") == "finished"


def test_after_a_signal_nothing_is_begun(tmp_path):
    trainings = Trainings()
    trainings.stopping = signal.SIGTERM
    carry_out(tmp_path, trainings)
    assert trainings.commands == []
    assert not list(tmp_path.iterdir())


def test_a_cell_is_not_decided_while_a_try_is_missing(tmp_path):
    trainings = Trainings(ends={"lr=0.4": None})
    carry_out(tmp_path, trainings)
    assert trainings.made("test", "m=full")
    assert not trainings.made("test", "m=lora")


def test_a_failed_run_is_recorded_with_its_last_lines_and_stops_no_other(tmp_path):
    trainings = Trainings(ends={"lr=0.2": 1})
    records = carry_out(tmp_path, trainings)
    failed = read_study_run(tmp_path / "full/lr-0.2/seed-0")
    assert (failed.status, failed.error) == ("failed", ["a line", "ValueError: what went wrong"])
    assert [one.status for one in records].count("finished") == 4  # the other rate of the cell, and the other cell
    assert trainings.made("test", "lr=0.1")


def test_a_failed_run_is_tried_again_from_the_beginning_where_it_saved_nothing(tmp_path):
    carry_out(tmp_path, Trainings(ends={"lr=0.2": 1}))
    again = Trainings()
    carry_out(tmp_path, again)
    assert "--ckpt_path" not in again.made("fit", "lr=0.2", "seed_everything=0")[0]
    assert read_study_run(tmp_path / "full/lr-0.2/seed-0").status == "finished"


def test_a_cell_whose_tries_all_fail_leaves_the_others_whole(tmp_path):
    records = carry_out(tmp_path, Trainings(ends={"m=full": 1}))
    assert [one.labels["method"] for one in records if one.status == "finished"] == ["lora", "lora"]


def test_a_failed_test_is_made_again_without_training(tmp_path):
    carry_out(tmp_path, Trainings(ends={"test --m": 1}))
    assert status(tmp_path, "full/lr-0.2/seed-1") == "failed"
    again = Trainings()
    carry_out(tmp_path, again)
    assert all("--ckpt_path=last" in line for line in again.made("fit"))
    assert status(tmp_path, "full/lr-0.2/seed-1") == "finished"


def test_training_is_asked_to_save_and_a_test_is_killed(tmp_path):
    trainings = Trainings()
    carry_out(tmp_path, trainings)
    for line, stop in zip(trainings.commands, trainings.stops, strict=True):
        assert stop == (signal.SIGTERM if line.startswith("fit") else signal.SIGKILL)


def test_a_folder_of_runs_with_other_flags_is_refused_before_anything_runs(tmp_path):
    carry_out(tmp_path, Trainings())
    changed = Study(**{**vars(STUDY), "flags": ["--trainer.max_epochs=9"]})
    trainings = Trainings()
    with pytest.raises(ValueError, match="max_epochs=9"):
        carry_out(tmp_path, trainings, changed)
    assert trainings.commands == []


def test_a_damaged_record_is_named(tmp_path):
    carry_out(tmp_path, Trainings())
    (tmp_path / "full/lr-0.1/seed-0/study_run.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        carry_out(tmp_path, Trainings())


def test_two_processes_cannot_work_on_one_study(tmp_path):
    with locked(tmp_path / "study"), pytest.raises(ValueError, match="Another process"), locked(tmp_path / "study"):
        pass
    with locked(tmp_path / "study"):  # free again
        pass


def test_a_record_keeps_how_many_runs_shared_the_device_in_training(tmp_path):
    Execution(STUDY, tmp_path, Trainings()).carry_out()
    alone = Trainings()
    alone.at_a_time = lambda device: 1
    records = Execution(STUDY, tmp_path, alone).carry_out()  # nothing is left to train
    assert not alone.commands
    assert {record.at_a_time for record in records} == {3}


def test_a_base_is_tested_without_training_or_checkpoint(tmp_path):
    pairs = {"0": None, "10": ["--caps=10"]}
    study = replace(
        STUDY, axes=STUDY.axes | {"pairs": pairs}, reference={"method": "full", "pairs": "10"}, learning_rates=None
    )
    trainings = Trainings()
    carry_out(tmp_path, trainings, study)
    tested = [line for line in trainings.made("test") if "--caps" not in line]
    assert len(tested) == 2
    assert not any("ckpt_path" in line for line in tested)
    assert all("--caps=10" in line for line in trainings.made("fit"))
    assert status(tmp_path, "full_0/seed-0") == "finished"
