"""`data.batch_size: auto` through the command line; a CPU plays the GPU that bears 4 rows."""

import json

import pytest
import torch
from command_line import SAVE_EVERY_STEP, configured, last_checkpoint, records, run, run_folder
from interruptions import Crash

import datamodules.bilingual as bilingual
import lightning_modules.batch_size as batch_size

AUTO = "--data.batch_size=auto"


@pytest.fixture
def small_gpu(monkeypatch):
    real, tried = batch_size.passes, []

    def passes(module, batch, reserve):
        tried.append(len(batch["input_ids"]))
        return tried[-1] <= 4 and real(module, batch, reserve)

    monkeypatch.setattr(bilingual, "require_gpu", lambda device: None)
    monkeypatch.setattr(batch_size, "available_bytes", lambda device: 2**24)
    monkeypatch.setattr(batch_size, "passes", passes)
    return tried


@pytest.mark.slow
def test_the_run_is_that_of_the_size_that_is_found_and_resumes_with_it(tmp_path, small_gpu):
    run("fit", tmp_path / "given", callbacks=SAVE_EVERY_STEP)
    assert not small_gpu
    crash = configured("interruptions.CrashAt", step=2)
    with pytest.raises(Crash):
        run("fit", tmp_path / "found", AUTO, callbacks=(*SAVE_EVERY_STEP, crash))
    trials = len(small_gpu)
    assert 4 in small_gpu
    run("fit", tmp_path / "found", AUTO, "--ckpt_path=last", callbacks=SAVE_EVERY_STEP)
    assert len(small_gpu) == trials
    assert records(tmp_path / "found")["train/loss"] == records(tmp_path / "given")["train/loss"]
    found, given = last_checkpoint(tmp_path / "found"), last_checkpoint(tmp_path / "given")
    assert all(torch.equal(value, found["state_dict"][name]) for name, value in given["state_dict"].items())
    logged = (run_folder(tmp_path / "found") / "metrics" / "version_0" / "hparams.yaml").read_text()
    assert "data/batch_size: 4" in logged
    assert len(list(run_folder(tmp_path / "found").glob("checkpoints/*.ckpt"))) == 1


def test_a_cpu_is_refused_before_the_data_are_read(tmp_path):
    with pytest.raises(ValueError, match=r"data.batch_size auto fills the memory of a GPU.*device cpu.*such as 8"):
        run("fit", tmp_path, AUTO, "--data.sources=" + json.dumps([{"language": "tr", "path": "missing.jsonl"}]))
