"""The record of a training stays as it was when other commands use its configuration."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from command_line import SAVE_AFTER_VALIDATION, TINY, configured, run, run_folder

from train import main, with_subcommand

WANDB = configured("callbacks.wandb_logger.ResumableWandbLogger", offline=True)
ONE_STEP = ("--trainer.max_steps=1", "--trainer.limit_val_batches=0", "--model.schedule.warmup_steps=0")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    predictions = (*SAVE_AFTER_VALIDATION, configured("callbacks.prediction_writer.PredictionWriter"))
    run("fit", root, "--trainer.max_epochs=1", callbacks=predictions)
    return root


@pytest.fixture
def folder(trained, tmp_path) -> Path:
    """A run that was moved: its configuration names another place."""
    shutil.copytree(run_folder(trained), tmp_path / "moved" / "run")
    return tmp_path / "moved" / "run"


def contents(folder: Path, but: tuple[str, ...] = ()) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file() and file.relative_to(folder).parts[0] not in but]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.parametrize("command", ["validate", "test", "predict", "prepare"])
def test_a_command_with_the_configuration_of_a_run_writes_beside_its_record(command, folder, trained, capsys):
    before, elsewhere = contents(folder), contents(trained)
    main([command, f"--config={folder}/config.yaml"])
    own = (command, "predictions.jsonl") if command == "predict" else (command,)
    assert contents(folder, but=own) == before
    assert contents(trained) == elsewhere
    assert [one.name for one in folder.parent.iterdir()] == ["run"]
    assert (folder / command / "data_report.json").is_file()
    assert (f"Taking {folder}/checkpoints/best-step=" in capsys.readouterr().out) == (command != "prepare")


@pytest.mark.parametrize(("given", "name"), [("best", "best-step="), ("last", "last.ckpt")])
def test_best_and_last_are_those_of_the_run(given, name, folder, capsys):
    shutil.copytree(folder, folder.parent / "20990101-000000")  # a newer one
    main(["validate", f"--config={folder}/config.yaml", f"--ckpt_path={given}"])
    assert f"Taking {folder}/checkpoints/{name}" in capsys.readouterr().out


def test_fit_with_the_configuration_of_a_run_begins_another_beside_it(folder, trained):
    before, elsewhere = contents(folder), contents(trained)
    main(["fit", f"--config={folder}/config.yaml", *ONE_STEP])
    assert contents(folder) == before
    assert contents(trained) == elsewhere
    assert len(list(folder.parent.iterdir())) == 2


def test_fit_goes_on_in_the_run_if_told_so(folder):
    main(["fit", f"--config={folder}/config.yaml", "--ckpt_path=last", "--trainer.max_epochs=2"])
    assert [one.name for one in folder.parent.iterdir()] == ["run"]
    assert (folder / "config-resumed-at-6.yaml").is_file()


def test_predict_has_a_wandb_run_of_its_own(folder, monkeypatch):
    given: dict = {}
    monkeypatch.setattr("callbacks.wandb_logger.WandbLogger.__init__", lambda self, **kwargs: given.update(kwargs))
    monkeypatch.setattr("train.guard_logger", lambda logger: None)
    monkeypatch.setattr("train.OzetCLI._run_subcommand", lambda self, subcommand: None)
    (folder / "wandb_run_id.txt").write_text("training\n")
    main(["predict", f"--config={folder}/config.yaml", f"--trainer.logger={json.dumps(WANDB)}"])
    assert given["save_dir"] == str(folder / "predict")
    assert given["id"] == (folder / "predict" / "wandb_run_id.txt").read_text().strip() != "training"
    assert (folder / "wandb_run_id.txt").read_text() == "training\n"


def test_a_dev_run_in_between_is_not_what_last_takes(folder, capsys):
    flags = [f"--config={TINY}", f"--trainer.default_root_dir={folder.parent}", "--trainer.max_epochs=2"]
    folder = folder.rename(folder.parent / "20260101-000000")
    main(["fit", *flags, "--trainer.fast_dev_run=true", *ONE_STEP])
    assert [one.name for one in folder.parent.iterdir() if not one.name.startswith(".dev-run-")] == [folder.name]
    main(["fit", *flags, "--ckpt_path=last", "--trainer.limit_val_batches=0", "--trainer.num_sanity_val_steps=0"])
    assert f"Continuing {folder} at step 6" in capsys.readouterr().out


def test_flags_alone_are_of_the_quickstart():
    quickstart = with_subcommand([])
    assert quickstart[:2] == ["fit", "--config"] and quickstart[2].endswith("configs/quickstart.yaml")
    assert with_subcommand(["--ckpt_path", "last"]) == [*quickstart, "--ckpt_path", "last"]
    for args in (["--help"], ["fit", "--ckpt_path=last"], ["validate"]):
        assert with_subcommand(args) == args
