"""What `--ckpt_path` takes in runs of the real command line that end early."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from command_line import SAVE_EVERY_STEP, configured, last_checkpoint, run, run_folder
from interruptions import Crash
from saved_runs import cut

from lightning_modules.run_checkpoints import runs_under

SHORT = ("--trainer.max_steps=2", "--model.schedule.warmup_steps=0", "--trainer.limit_val_batches=0")
pytestmark = pytest.mark.xdist_group("checkpoint choice")  # one run serves most of these tests


def crash_at(step: int) -> dict:
    return configured("interruptions.CrashAt", step=step)


@pytest.fixture(scope="module")
def crashed_once(tmp_path_factory) -> Path:
    """A run that was killed after its first step."""
    root = tmp_path_factory.mktemp("crashed")
    with pytest.raises(Crash):
        run("fit", root, *SHORT, callbacks=(*SAVE_EVERY_STEP, crash_at(1)))
    return root


@pytest.fixture
def crashed(crashed_once, tmp_path) -> Path:
    shutil.copytree(crashed_once, tmp_path / "copy")
    return tmp_path / "copy"


def test_one_command_begins_goes_on_and_ends(tmp_path, capsys):
    command = ("fit", tmp_path, *SHORT, "--ckpt_path=auto")
    for step in (0, 1):  # killed before its first save, so that the next begins anew, then after it
        with pytest.raises(Crash):
            run(*command, callbacks=(*SAVE_EVERY_STEP, crash_at(step)))
        assert "a new one begins" in capsys.readouterr().out
    new, old = runs_under(tmp_path)
    run(*command, callbacks=SAVE_EVERY_STEP)
    assert f"Continuing {new} at step 1" in capsys.readouterr().out
    before = (new / "checkpoints/last.ckpt").read_bytes()
    with pytest.raises(SystemExit) as stop:
        run(*command, callbacks=SAVE_EVERY_STEP)
    assert stop.value.code == 0
    assert f"'{new}' has ended" in capsys.readouterr().out
    assert (new / "checkpoints/last.ckpt").read_bytes() == before
    assert runs_under(tmp_path) == [new, old]


def test_run_that_dies_in_its_data_is_the_newest_and_last_says_so(crashed):
    first = run_folder(crashed)
    missing = "--data.sources=" + json.dumps([{"language": "tr", "path": "missing.jsonl"}])
    with pytest.raises(ValueError, match=r"missing\.jsonl"):
        run("fit", crashed, missing)
    newest = runs_under(crashed)[0]
    assert newest != first
    assert (
        yaml.safe_load((newest / "config.yaml").read_text())["data"]["init_args"]["sources"][0]["path"]
        == "missing.jsonl"
    )
    with pytest.raises(ValueError, match=rf"newest run '{newest}' has saved no .* --ckpt_path {first}$"):
        run("fit", crashed, *SHORT, "--ckpt_path=last")


@pytest.mark.slow
def test_dev_run_is_not_what_last_takes(crashed, capsys):
    first = run_folder(crashed)
    run("fit", crashed, "--trainer.fast_dev_run=true", "--model.schedule.warmup_steps=0", callbacks=SAVE_EVERY_STEP)
    assert runs_under(crashed) == [first]
    run("fit", crashed, *SHORT, "--ckpt_path=last", callbacks=SAVE_EVERY_STEP)
    assert f"Continuing {first} at step 1" in capsys.readouterr().out


@pytest.mark.slow
def test_damaged_last_is_left_for_the_next_older(crashed, capsys):
    folder = run_folder(crashed) / "checkpoints"
    shutil.copy(folder / "last.ckpt", folder / "step=1.ckpt")
    cut(folder / "last.ckpt")
    with pytest.raises(ValueError, match=rf"damaged .* of step 1: --ckpt_path {folder}/step=1\.ckpt$"):
        run("fit", crashed, *SHORT, "--ckpt_path=last")
    run("fit", crashed, *SHORT, "--ckpt_path=auto", callbacks=SAVE_EVERY_STEP)
    assert last_checkpoint(crashed)["global_step"] == 2


def test_state_of_an_optimizer_with_other_groups_is_refused(crashed):
    file = run_folder(crashed) / "checkpoints/last.ckpt"
    content = torch.load(file, weights_only=True)
    content["optimizer_states"][0]["param_groups"][0]["params"].pop()
    torch.save(content, file)
    with pytest.raises(ValueError, match=r"optimizer has groups of \[\d+\] parameters, and the configured AdamW of"):
        run("fit", crashed, *SHORT, "--ckpt_path=last")


def test_caches_that_cannot_be_written_are_named_before_the_run_begins(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "file" / "datasets")
    with pytest.raises(
        ValueError, match=r"Cannot write to '.*file/datasets' \(.*\)\. Set HF_DATASETS_CACHE, or HF_HOME"
    ):
        run("fit", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
