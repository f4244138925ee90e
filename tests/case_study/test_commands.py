"""The commands of the case study: what is evaluated, what may fail, and what the guards say."""

import json
from pathlib import Path

import pytest
import yaml

from case_study import evaluate
from case_study.evaluate import Evaluated, evaluations
from case_study.guards import message, write_messages
from case_study.run import FOLDER, MEANT_TO_FAIL, failed_as_meant, reference_alone, unexpected
from reports.results import Results, write_predictions, write_results
from reports.study_record import StudyRun
from studies.matrix import cells
from studies.study import read_study

RUNS = [Path("a/seed-0"), Path("b/seed-0")]


def run(label: str, status: str, error: str = "") -> StudyRun:
    return StudyRun("failures", "", {"failure": label}, False, None, 0, "val/rougeL", [], [], status, ["line", error])


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


@pytest.mark.parametrize("count", [1, 2, 3, 20])
def test_shares_hold_each_evaluation_once_and_both_kinds_of_one_together(count):
    forms, kinds = ["adapters", "nf4", "untuned"], ["allowed", "suppressed"]
    shares = [evaluations(RUNS, forms, kinds, (number, count)) for number in range(1, count + 1)]
    found = [one.folder for share in shares for one in share]
    assert sorted(found) == sorted(one.folder for one in evaluations(RUNS, forms, kinds))
    for share in shares:
        assert [one.sentinels for one in share] == kinds * (len(share) // 2)
        assert [one.form for one in share[::2]] == [one.form for one in share[1::2]]


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b"])
def test_a_share_that_is_none_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["RUN", "--share", text])
    assert "--share" in capsys.readouterr().err


def test_a_fault_must_end_its_run_and_end_it_in_its_own_way():
    good, other = run("good", "finished"), run("cap-20", "failed", "it broke")
    meant = run("fp16-overflow", "failed", "error: Step 0 is not finite.")
    otherwise = run("fp16-overflow", "failed", "AttributeError: settings")
    passed = run("minus-100-in-decoding", "finished")
    assert unexpected([good, meant, run("bertscore-on-gpu", "begun")]) == []
    assert unexpected([other, otherwise, passed]) == [
        "cap-20/seed-0 failed: it broke",
        "fp16-overflow/seed-0 failed: AttributeError: settings",
        "minus-100-in-decoding/seed-0 did not fail",
    ]
    assert failed_as_meant(meant) and not failed_as_meant(otherwise) and not failed_as_meant(other)


def test_the_cells_that_must_fail_are_in_the_study():
    study = read_study(FOLDER / "failures.yaml", {"pairs": "DATA"})
    assert MEANT_TO_FAIL.keys() < study.axes["failure"].keys()


@pytest.mark.parametrize("name", ["collapse", "failures", "mt5_small"])
def test_the_reference_alone_holds_every_variable(name):
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    variables = dict.fromkeys(yaml.safe_load(text)["variables"], "17")
    study = read_study(FOLDER / f"{name}.yaml", variables)
    (cell,) = cells(reference_alone(study))
    others = {flag for one in cells(study) for flag in one.flags} - set(cell.flags)
    assert not any("17" in flag for flag in others)
    assert sum("17" in flag for flag in cell.flags) >= len(variables) - 3  # three stand in one flag, data.sources


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
