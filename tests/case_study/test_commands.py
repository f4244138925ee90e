"""The commands of the case study: what is evaluated, what may fail, and what the guards say."""

import json
from pathlib import Path

import pytest

from case_study import evaluate
from case_study.evaluate import Evaluated, evaluations
from case_study.guards import message, write_messages
from case_study.run import unexpected_failures
from reports.results import Results, write_predictions, write_results
from reports.study_record import StudyRun

RUNS = [Path("a/seed-0"), Path("b/seed-0")]


def run(label: str, status: str) -> StudyRun:
    return StudyRun("failures", "", {"failure": label}, False, None, 0, "val/rougeL", [], [], status, ["it broke"])


def test_every_run_is_evaluated_in_every_form_and_the_base_once():
    found = evaluations(RUNS, ["adapters", "nf4", "untuned"], ["allowed", "suppressed"])
    assert len(found) == 2 * (2 * 2 + 1)
    assert {one.run for one in found if one.form == "untuned"} == {RUNS[0]}
    assert len({one.folder for one in found}) == len(found)


def test_an_evaluation_is_done_when_its_results_are_there(tmp_path):
    one = Evaluated(tmp_path, "nf4", "allowed")
    assert not one.done
    (tmp_path / "evaluations/nf4-allowed/test").mkdir(parents=True)
    (tmp_path / "evaluations/nf4-allowed/test/results.json").touch()
    assert one.done


def test_only_failures_that_are_not_the_point_are_unexpected():
    runs = [run("fp16-overflow", "failed"), run("cap-20", "failed"), run("good", "finished")]
    assert unexpected_failures(runs) == ["cap-20/seed-0: ['it broke']"]


def test_a_guard_that_says_nothing_is_none():
    with pytest.raises(RuntimeError, match="the fault passed"):
        message(lambda: None)


@pytest.mark.slow
def test_guards_refuse_in_their_own_words(tmp_path):
    write_messages(tmp_path / "guards.json")
    found = json.loads((tmp_path / "guards.json").read_text(encoding="utf-8"))
    said = {name: one["message"] for name, one in found.items()}
    assert "65,504" in said["fp16-overflow"]
    assert "must end in </s> exactly once" in said["labels-without-end"]
    assert "cannot be merged into 4-bit weights" in said["nf4-merge"]


@pytest.mark.parametrize(("sentinel", "beams", "copied"), [(0.0, 1, True), (1.0, 1, False), (0.0, 4, False)])
def test_suppression_is_evaluated_only_where_it_could_change_something(tmp_path, monkeypatch, sentinel, beams, copied):
    made = []
    monkeypatch.setattr(evaluate, "evaluate", made.append)
    allowed, suppressed = (Evaluated(tmp_path, "nf4", kind) for kind in ("allowed", "suppressed"))
    results = Results({}, {}, {}, {}, {}, {"generation": {"num_beams": beams}}, {}, {}, {})
    write_results(allowed.folder / "test/results.json", results)
    texts = dict.fromkeys(("id", "language", "article", "reference", "prediction"), "")
    write_predictions(allowed.folder / "test/predictions.jsonl", [texts | {"scores": {"sentinel": sentinel}}])
    evaluate.make(suppressed)
    assert made == ([] if copied else [suppressed])
    assert suppressed.done == copied
