"""`compare.py` as a user calls it, and the studies and the sweep that ship."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from command_line import TINY, parser

from compare import main
from reports.study_record import read_study_run
from studies.matrix import cells, run_count
from studies.study import read_study

ROOT = Path(__file__).parent.parent
STUDIES = sorted((ROOT / "configs/studies").rglob("*.yaml"))
SWEEPS = sorted((ROOT / "configs/sweeps").glob("*.yaml"))
STUDY = {
    "name": "mini",
    "flags": {"config": TINY, "trainer.max_epochs": 1},
    "axes": {"method": {"full": {"model.adaptation": "full"}}},
    "reference": {"method": "full"},
}


def shipped(path: Path):
    local = path.parent.name == "small" or path.stem in ("collapse", "failures", "few_pairs")
    own = {"pretraining": {"random": "tests/random-mt5"}, "few_pairs": {"plain": "tests/random-mt5"}}
    return read_study(path, ({"pairs": "data"} if local else {}) | own.get(path.stem, {}))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / "configs"))


def write(path: Path, **changes) -> Path:
    path.write_text(yaml.safe_dump(STUDY | changes, sort_keys=False), encoding="utf-8")
    return path


def test_every_study_ships_for_the_hub_and_for_local_files():
    names = {"adaptation", "rank", "cross_lingual", "zero_shot_language"}
    assert {path.stem for path in STUDIES if path.parent.name == "studies"} == names | {"few_pairs"}
    assert {path.stem for path in STUDIES if path.parent.name == "small"} == names | {"pretraining"}


@pytest.mark.parametrize("path", [path for path in STUDIES if path.parent.name == "small"], ids=name)
def test_a_shipped_study_is_read_and_its_last_cell_parsed(path):
    study = shipped(path)
    run = cells(study)[-1].tries()[-1]
    config = parser().parse_args(["fit", *run.fit_flags]).fit
    assert config.model.init_args.optimizer.init_args.lr == run.learning_rate
    assert config.seed_everything == run.seed
    assert {source.language for source in config.data.init_args.sources} >= {"en", "tr"}


@pytest.mark.slow
@pytest.mark.parametrize("path", STUDIES, ids=name)
def test_every_cell_of_a_shipped_study_is_parsed(path):
    for cell in cells(shipped(path)):
        run = cell.tries()[0]
        for subcommand, flags in (("fit", run.fit_flags), ("test", run.test_flags)):
            assert parser().parse_args([subcommand, *flags])[subcommand].model.init_args.adaptation


def test_the_adaptation_study_gives_every_method_the_same_budget():
    study = shipped(ROOT / "configs/studies/small/adaptation.yaml")
    assert [cell.labels[0][1] for cell in cells(study)] == ["full", "lora", "dora", "qlora"]
    assert {len(cell.learning_rates) for cell in cells(study)} == {4}
    assert (len(study.seeds), run_count(study)) == (3, 24)


def test_cross_lingual_cells_are_trained_on_one_language_and_tested_on_all():
    (cell,) = [
        cell
        for cell in cells(shipped(ROOT / "configs/studies/small/cross_lingual.yaml"))
        if dict(cell.labels) == {"method": "lora", "trained-on": "tr"}
    ]
    (flag,) = [flag for flag in cell.flags if flag.startswith("--data.sources=")]
    sources = json.loads(flag.partition("=")[2])
    trained = [one["language"] for one in sources if one.get("splits", {}).get("train", "train")]
    assert (trained, sorted(one["language"] for one in sources)) == (["tr"], ["en", "it", "tr"])


@pytest.mark.parametrize("path", SWEEPS, ids=name)
def test_a_shipped_sweep_draws_flags_that_train_takes(path):
    sweep = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert (ROOT / sweep["program"]).is_file()
    assert sweep["metric"] == {"name": "val/rougeL", "goal": "maximize"}
    drawn = [f"--{key}={one.get('min', one.get('values', [None])[0])}" for key, one in sweep["parameters"].items()]
    start = sweep["command"].index("fit")
    flags = [flag for part in sweep["command"][start:] for flag in (drawn if part == "${args}" else [part])]
    config = parser().parse_args(flags).fit
    assert config.model.init_args.optimizer.init_args.lr == sweep["parameters"]["model.optimizer.init_args.lr"]["min"]


def test_a_dry_run_prints_the_matrix_and_touches_nothing(tmp_path, capsys):
    path = write(tmp_path / "study.yaml", seeds=[0, 1])
    assert main(["run", str(path), "--output", str(tmp_path / "out"), "--dry-run"]) == 0
    assert "1 cells, seeds 0, 1: 2 trainings" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [({"model.lora.rang": 4}, "rang"), ({"trainer.precision": "16-mixed"}, "65,504")],
)
def test_flags_that_train_refuses_are_refused_before_anything_runs(tmp_path, flags, message):
    path = write(tmp_path / "study.yaml", axes={"method": {"full": flags}})
    with pytest.raises(ValueError, match=message):
        main(["run", str(path), "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_variable_without_a_value_is_refused():
    with pytest.raises(ValueError, match="NAME=VALUE"):
        main(["run", str(STUDIES[0]), "--set", "base"])


def test_report_passes_its_arguments_on_and_prints_what_it_wrote(tmp_path, capsys, monkeypatch):
    asked = []

    def write_report(*arguments):
        asked.append(arguments)
        return [Path("a.html"), Path("a.md")]

    monkeypatch.setattr("compare.write_report", write_report)
    monkeypatch.setattr("compare.summary_sections", lambda attention: [attention])
    assert (
        main(
            [
                "report",
                "one",
                "two",
                "--output",
                "out",
                "--reference",
                "lora",
                "--attention",
                "maps",
                "--architectures",
                "a.json",
            ]
        )
        == 0
    )
    assert asked == [([Path("one"), Path("two")], Path("out"), "lora", [Path("maps")], Path("a.json"))]
    assert capsys.readouterr().out.split() == ["a.html", "a.md"]


@pytest.mark.slow
def test_a_study_is_interrupted_goes_on_and_is_reported(tmp_path):
    interruption = {
        "class_path": "interruptions.SignalParentAt",
        "init_args": {"step": 2, "number": int(signal.SIGTERM)},
    }
    flags = {"config": TINY, "trainer.max_epochs": 1, "trainer.callbacks+": [interruption]}
    axes = {"method": {"full": {"model.adaptation": "full"}, "none": {"model.lora.targets": ["nonsense"]}}}
    path, output = write(tmp_path / "study.yaml", flags=flags, axes=axes), tmp_path / "out"

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "compare.py", "run", str(path), "--output", str(output)]
        environment = os.environ | {"PYTHONPATH": "tests", "CUDA_VISIBLE_DEVICES": ""}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)

    stopped = run()
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stdout + stopped.stderr
    assert read_study_run(output / "full/seed-0").status == "begun"
    assert "saved step 3" in (output / "full/seed-0/fit.log").read_text()

    ended = run()
    assert ended.returncode == 1  # of the cell that cannot be trained
    assert "full/seed-0: fit goes on" in ended.stdout
    assert read_study_run(output / "full/seed-0").status == "finished"
    assert "nonsense" in read_study_run(output / "none/seed-0").error[-1]

    main(["report", str(output), "--output", str(tmp_path / "report")])
    (results,) = output.glob("full/seed-0/*/test/results.json")
    mean = json.loads(results.read_text())["languages"]["tr"]["lead_rougeL"]["mean"]
    text = (tmp_path / "report/report.md").read_text()
    assert re.search(rf"first words of the article\*.*{mean:.2f} \[", text)
    assert "### Failed: 1" in text
