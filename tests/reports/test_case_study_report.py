"""The page is made of what was recorded: it names the factor that a test builds in, and invents nothing."""

import itertools
import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from metrics.score_intervals import Bootstrap, score_intervals
from reports.case_study.alphabets import alphabets_table, both_ways
from reports.case_study.collapse import NOT_MEASURED, read_collapse
from reports.case_study.failures import FailureRun, shortened
from reports.case_study.page import write_case_study
from reports.case_study.statements import endings, merge_by_rate, price_of_no_end
from reports.case_study.tables import effects_table, suppression_verdict, verdict
from reports.results import Results, write_predictions, write_results
from reports.study_record import StudyRun, write_study_run

ARTICLES = 3
CELLS = list(itertools.product(("lr-5.6e-5", "lr-1e-3"), ("q-v", "all-linear"), ("with-end", "without-end")))


def write_evaluation(folder: Path, sentinel: float, ended: float, rouge: float, empty: float = 0.0) -> None:
    names = {"sentinel_start": sentinel, "ended": ended, "empty": empty, "rouge1": rouge, "length_ratio": 1.5 - ended}
    table = {name: ([value] * ARTICLES, [1.0] * ARTICLES) for name, value in names.items()}
    languages, overall = score_intervals({"tr": table, "en": table}, Bootstrap(resamples=10))
    counts = {"tr": ARTICLES, "en": ARTICLES}
    model = {"step": 9, "base": {"name": "somewhere/mini"}}
    write_results(folder / "test/results.json", Results(counts, languages, overall, {}, {}, {}, model, {}, {}))
    texts = {"article": "", "reference": "r", "prediction": "p", "scores": names}
    rows = [{"id": str(number), "language": code, **texts} for code in counts for number in range(ARTICLES)]
    write_predictions(folder / "test/predictions.jsonl", rows)


def write_training(root: Path, labels: tuple[str, ...], seed: int) -> Path:
    folder = root / "collapse" / "_".join(labels) / f"seed-{seed}"
    named = dict(zip(("rate", "targets", "labels"), labels, strict=True))
    good = labels == ("lr-1e-3", "all-linear", "with-end")
    write_study_run(folder, StudyRun("collapse", "", named, good, None, seed, "val/rougeL", [], [], "fitted"))
    metrics = folder / "20260101-000000/metrics/version_0"
    metrics.mkdir(parents=True)
    (metrics.parent.parent / "config.yaml").touch()
    (metrics / "metrics.csv").write_text("step,val/sentinel_start\n4,1.0\n9,0.5\n")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Sentinels hang on the rate and on NF4 alone, endings on the labels alone."""
    tmp_path = tmp_path_factory.mktemp("case_study")
    for labels, seed in itertools.product(CELLS, (0, 1)):
        folder = write_training(tmp_path, labels, seed)
        slow = labels[0] == "lr-5.6e-5"
        for form in ("adapters", "nf4", "bf16"):
            sentinel, ended = float(slow or form == "nf4"), float(labels[2] == "with-end")
            write_evaluation(folder / f"evaluations/{form}-allowed", sentinel, ended, 20 * (1 - sentinel))
            write_evaluation(folder / f"evaluations/{form}-suppressed", 0.0, ended, 20 * (1 - sentinel) + 1)
    merged = [
        {"layer": "encoder.q", "relative_size": 0.01, "survived": 0.1, "cosine": 0.3, "changed": 0.04},
        {"layer": "encoder.wo", "relative_size": 0.01, "survived": 1.0, "cosine": 1.0, "changed": 1.0},
    ]
    best = tmp_path / "collapse/lr-1e-3_all-linear_with-end/seed-0"
    (best / "evaluations/nf4-allowed/merge.json").write_text(json.dumps(merged))
    return tmp_path


def test_the_factor_that_does_it_is_named(runs):
    found = verdict(read_collapse(runs / "collapse"))
    assert found["ended"] == "labels 100% [100%, 100%]"
    assert re.match(r"learning rate \d+% \[.*, merge \d+%", found["sentinel_start"])


def test_where_cells_do_not_differ_no_factor_is_named(runs, tmp_path):
    shutil.copytree(runs, tmp_path / "copy")
    for folder in (tmp_path / "copy").glob("collapse/*/*/evaluations/*-allowed"):
        write_evaluation(folder, 0.0, 1.0, 20.0)
    assert set(verdict(read_collapse(tmp_path / "copy/collapse")).values()) == {"nothing: the cells do not differ"}


def test_a_monitor_that_said_nothing_is_not_called_unmeasured(tmp_path):
    folder = tmp_path / "failures/cap-20/seed-0"
    write_study_run(folder, StudyRun("f", "", {"failure": "cap-20"}, False, None, 0, "m", [], [], "finished"))
    (folder / "20260101-000000").mkdir()
    (folder / "20260101-000000/config.yaml").touch()
    write_evaluation(folder / "20260101-000000", 0.0, 1.0, 20.0)
    text = write_case_study(tmp_path, tmp_path / "docs").read_text(encoding="utf-8")
    said = {
        name: text.split(f"`{name}`:\n\n```text\n")[1].split("\n```")[0] for name in ("cap_20", "sentinels_allowed")
    }
    assert said == {
        "cap_20": "(nothing about this)",
        "sentinels_allowed": NOT_MEASURED,
    }


def test_effects_are_those_that_were_built_in(runs):
    lines = effects_table(read_collapse(runs / "collapse")).splitlines()
    cells = {line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1:] for line in lines}
    # Of NF4's cells, half print sentinels anyway.
    assert cells["merged into NF4"][0] == "+50.0 points [+50.0, +50.0]"
    assert cells["labels without `</s>`"][1] == "-100.0 points [-100.0, -100.0]"
    assert cells["merged into bf16"][:2] == ["+0.0 points [+0.0, +0.0]"] * 2
    assert cells["5.6e-5 instead of 1e-3"][3].startswith("-13.3 [")


def test_the_page_shows_what_was_measured_and_draws_it(runs, tmp_path):
    text = write_case_study(runs, tmp_path / "docs").read_text(encoding="utf-8")
    pictures = re.findall(r"\]\((images/[^)]+)\)", text)
    assert [Path(one).stem for one in pictures] == ["sentinels", "ended", "merges"]
    assert all((tmp_path / "docs" / one).stat().st_size > 5000 for one in pictures)
    assert "Base: `mini`, 16 trainings of 9 steps in 8 cells with 2 seeds, 96 tests on 3 tr, 3 en articles" in text
    assert "| 5.6e-5 | q and v | with `</s>` | not merged | 100% | 0.0 / 0.0 | 1.0 / 1.0 | 100 / 100 |" in text
    assert "4.0% of the 4-bit weights change at all" in text


def test_an_empty_summary_is_no_good_end(runs, tmp_path):
    shutil.copytree(runs, tmp_path / "copy")
    for seed in (0, 1):
        folder = tmp_path / f"copy/collapse/lr-5.6e-5_q-v_with-end/seed-{seed}/evaluations/adapters-allowed"
        write_evaluation(folder, 0.0, 1.0, 0.0, empty=1.0)
    said = endings(read_collapse(tmp_path / "copy/collapse"))
    assert "100% of those of the cell (5.6e-5, q and v) are empty, and 0% end and have words" in said
    assert said.endswith("of the cell (1e-3, all layers) 0% and 100%.")


def test_what_labels_without_an_end_cost_is_told_with_the_lengths(runs):
    said = price_of_no_end(read_collapse(runs / "collapse"))
    assert "with `</s>` have ROUGE-1 20.0 / 20.0 (tr / en) and 0.50 / 0.50 times" in said
    assert "without it 20.0 / 20.0 and 1.50 / 1.50." in said


def test_merges_are_told_by_learning_rate(runs):
    rows = [line.strip("| ").split(" | ") for line in merge_by_rate(read_collapse(runs / "collapse")).splitlines()[2:]]
    assert rows == [
        ["5.6e-5", NOT_MEASURED, "100%", "100%", "0.0 / 0.0", "0.0 / 0.0"],
        ["1e-3", "4.0%", "0%", "100%", "20.0 / 20.0", "0.0 / 0.0"],
    ]


def test_suppression_is_judged_by_the_models_that_begin_with_sentinels(runs):
    # All forms of the lower rate's four cells, and NF4 of the others.
    said = suppression_verdict(read_collapse(runs / "collapse"))
    assert said.startswith("It hides them. In 16 of 24 rows")
    assert "from 0.0 to 1.0; a cure" in said and said.endswith("unmerged: 20.0.")


def test_an_incomplete_design_has_no_effects(runs, tmp_path):
    shutil.copytree(runs, tmp_path / "copy")
    (tmp_path / "copy/collapse/lr-1e-3_q-v_with-end/seed-1/evaluations/nf4-allowed/test/results.json").unlink()
    collapse = read_collapse(tmp_path / "copy/collapse")
    assert NOT_MEASURED in effects_table(collapse)
    assert set(verdict(collapse).values()) == {NOT_MEASURED}


def test_without_runs_every_number_is_not_measured_yet(tmp_path):
    text = write_case_study(tmp_path / "none", tmp_path / "docs").read_text(encoding="utf-8")
    assert text.count(NOT_MEASURED) > 30
    assert "![" not in text


def test_the_usual_tokenizer_sees_no_cyrillic_and_too_much_turkish():
    assert both_ways(["снег в городе"], ["снег в городе"], "ru") == (0.0, 100.0)
    rows = {line.split(" | ")[0]: line.strip("| ").split(" | ")[1:] for line in alphabets_table({}).splitlines()[2:]}
    unrelated = [float(cell) for cell in rows["| another article's reference"]]
    turkish, russian, english = unrelated[:2], unrelated[2:4], unrelated[4:]
    assert turkish[0] > 2 * turkish[1]
    assert russian[0] == 0
    assert english[0] == english[1]


def test_the_error_of_a_run_is_told_without_its_machine():
    lines = ["warning: x", "error: Step 0 is not finite. Recorded in /data/a b/failures/fp16/seed-0/nan", "Try less."]
    lines[1] = lines[1].replace("a b", "ab")
    study = StudyRun("f", "", {"failure": "x"}, False, None, 0, "m", [], [], "failed", lines)
    told = "Step 0 is not finite. Recorded in runs/case_study/failures/fp16/seed-0/nan\nTry less."
    assert FailureRun(study).error == told
    raised = {**asdict(study), "error": ["Traceback", "  in decode", "OverflowError: out of range"]}
    assert FailureRun(StudyRun(**raised)).error == "OverflowError: out of range"
    assert shortened("see collapse/x") == "see collapse/x"
