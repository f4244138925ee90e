"""What a user can get wrong ends in one clear message, before any expensive work."""

import shutil
from pathlib import Path

import datasets
import pytest
import torch
from command_line import SAVE_EVERY_STEP, last_checkpoint, run, run_folder

from commands.failures import failure_message
from lightning_modules.initialization import initialize

ONE_STEP = ("--trainer.max_steps=1", "--model.schedule.warmup_steps=0", "--trainer.limit_val_batches=0")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    run("fit", root, *ONE_STEP, callbacks=SAVE_EVERY_STEP)
    return root


@pytest.fixture
def copied_run(trained, tmp_path) -> Path:
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize(
    "flag",
    [
        "--model.adaptaton=lora",
        "--model.lora.rnk=4",
        "--data.batchsize=4",
        "--trainer.max_epoks=1",
        "--model.adaptation=qloar",
    ],
)
def test_misspelt_key_or_choice_is_refused(tmp_path, flag, capsys):
    with pytest.raises(SystemExit) as stop:
        run("fit", tmp_path, flag)
    assert stop.value.code == 2
    assert flag.lstrip("-").split("=")[0].split(".")[-1] in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize("precision", ["16-mixed", "16-true", "bf16-true"])
def test_precision_that_gives_nan_is_refused_with_the_reason(tmp_path, precision):
    with pytest.raises(ValueError, match="bf16-mixed"):
        run("fit", tmp_path, f"--trainer.precision={precision}")


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--model.lora.rank=0", "rank 0 must be at least 1"),
        ("--model.label_smoothing=1", "label_smoothing 1"),
        ("--data.max_source_tokens=1", "max_source_tokens is 1; it must be at least 2"),
        ("--data.temperature=0.5", "temperature is 0.5"),
        ("--data.sources.language=turkish", "is not a language code"),
    ],
)
def test_value_out_of_range_is_refused_with_its_bound(tmp_path, flag, message, capsys):
    with pytest.raises((ValueError, SystemExit)) as refusal:
        run("fit", tmp_path, flag)
    assert message in str(refusal.value) + capsys.readouterr().err
    assert not list(tmp_path.rglob("*.*"))


def test_missing_model_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"model\.base '\./no-such-model' is not there"):
        run("fit", tmp_path, "--model.base=./no-such-model")


def test_last_without_a_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no checkpoint 'last'"):
        run("fit", tmp_path, "--ckpt_path=last")


def test_damaged_checkpoint_is_refused(copied_run):
    file = run_folder(copied_run) / "checkpoints" / "last.ckpt"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ValueError, match="damaged or of another program"):
        run("fit", copied_run, f"--ckpt_path={file}")


def test_foreign_checkpoint_is_refused(copied_run):
    file = run_folder(copied_run) / "checkpoints" / "last.ckpt"
    checkpoint = last_checkpoint(copied_run)
    del checkpoint["base_model"]
    torch.save(checkpoint, file)
    with pytest.raises(ValueError, match="no checkpoint of ozet"):
        run("fit", copied_run, f"--ckpt_path={file}")


def test_checkpoint_on_another_base_is_refused_with_both_names(copied_run, tmp_path, random_mt5):
    other = tmp_path / "other"
    initialize(str(random_mt5), str(other), seed=1)
    for name in ("spiece.model", "tokenizer_config.json"):
        shutil.copy(random_mt5 / name, other)
    with pytest.raises(ValueError, match=r"another base model: 'tests/random-mt5'.* but now it is '.*other'"):
        run("fit", copied_run, f"--ckpt_path={run_folder(copied_run)}", f"--model.base={other}")


def test_checkpoint_of_other_adapters_is_refused(copied_run):
    with pytest.raises(ValueError, match="other shapes"):
        run("fit", copied_run, f"--ckpt_path={run_folder(copied_run)}", "--model.lora.rank=8")


@pytest.fixture
def file(tmp_path) -> Path:
    (tmp_path / "file").write_text("")
    return tmp_path / "file"


def test_folder_for_runs_that_cannot_be_made_is_named(file):
    with pytest.raises(ValueError) as caught:
        run("fit", file / "runs")
    message = failure_message(caught.value)
    assert message.startswith(f"Cannot write to '{file}/runs' (Not a directory)")
    assert "--trainer.default_root_dir" in message


def test_cache_that_cannot_be_made_is_named(file, monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", file / "cache")
    with pytest.raises(ValueError) as caught:
        run("fit", tmp_path / "runs")
    message = failure_message(caught.value)
    assert message.startswith(f"Cannot write to '{file}/cache' (Not a directory)")
    assert "HF_DATASETS_CACHE" in message


def test_fault_of_the_program_keeps_its_traceback():
    with pytest.raises(FileNotFoundError) as caught:
        Path("nowhere").stat()
    assert failure_message(caught.value) is None
    assert failure_message(KeyError("a")) is None
