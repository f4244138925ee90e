"""A run on a trimmed vocabulary: what it keeps, that it resumes, and what it refuses."""

import json
from pathlib import Path

import pytest
import torch
from command_line import SAVE_EVERY_STEP, configured, last_checkpoint, records, run, run_folder
from interruptions import Crash
from transformers import AutoModelForSeq2SeqLM

from datamodules.pieces import KEPT_KEY, RECORD
from lightning_modules.initialization import initialize
from lightning_modules.vocabulary import main as vocabulary


def source(language: str, splits: str = "{}") -> str:
    settings = f"splits: {splits}, limits: {{train: 12, validation: 2, test: 2}}, columns: {{id: id, split: split}}"
    return f"--data.sources=[{{language: {language}, path: assets/quickstart/{language}.jsonl, {settings}}}]"


TRIMMED = (source("tr"), "--data.vocabulary.reserve=0", "--trainer.max_epochs=1")
FULL = (
    *TRIMMED,
    "--model.adaptation=full",
    "--trainer.limit_val_batches=0",
    "--trainer.max_steps=1",
    "--model.schedule.warmup_steps=0",
)

pytestmark = pytest.mark.xdist_group("trimmed run")  # one run is crashed for all of these tests


@pytest.fixture(scope="module")
def crashed(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("crashed")
    with pytest.raises(Crash):
        crash = configured("interruptions.CrashAt", step=1)
        run("fit", root, *TRIMMED, callbacks=(*SAVE_EVERY_STEP, crash))
    return root


def test_run_keeps_what_its_rows_need_and_says_so(crashed):
    checkpoint = last_checkpoint(crashed)
    kept = checkpoint[KEPT_KEY]
    assert checkpoint["base_model"]["vocabulary_rows"] == len(kept) < 1_000
    assert len(kept) % 64 == 0
    record = json.loads((run_folder(crashed) / RECORD).read_text())
    assert (record[KEPT_KEY], record["tokenizer"]) == (kept.tolist(), checkpoint["base_model"]["tokenizer"])


def test_other_vocabulary_is_refused_and_the_recorded_one_accepted(crashed):
    before = (run_folder(crashed) / RECORD).read_bytes()
    with pytest.raises(ValueError, match=r"trained on another tokenizer.*data\.vocabulary\.file to vocabulary\.json"):
        run("fit", crashed, *TRIMMED, source("en"), f"--ckpt_path={run_folder(crashed)}")
    recorded = f"--data.vocabulary.file={run_folder(crashed) / RECORD}"
    run("test", crashed, recorded, source("en", "{train: null, validation: null}"), "--ckpt_path=last")
    assert "test/rougeL/en" in records(crashed, "test")
    assert (run_folder(crashed) / RECORD).read_bytes() == before


@pytest.mark.slow
def test_crashed_run_resumes_exactly(crashed, tmp_path):
    run("fit", tmp_path, *TRIMMED)
    run("fit", crashed, *TRIMMED, "--ckpt_path=last")
    for key in ("train/loss", "val/loss"):
        assert records(crashed)[key] == records(tmp_path)[key], key


def test_checkpoint_of_full_fine_tuning_expands_to_the_whole_vocabulary(tmp_path, random_mt5):
    run("fit", tmp_path / "run", *FULL, callbacks=SAVE_EVERY_STEP)
    checkpoint = last_checkpoint(tmp_path / "run")
    file = run_folder(tmp_path / "run") / "checkpoints" / "last.ckpt"
    vocabulary(["expand", str(file), "tests/random-mt5", str(tmp_path / "whole")])
    initialize(str(random_mt5), str(tmp_path / "base"))
    whole, base = (AutoModelForSeq2SeqLM.from_pretrained(tmp_path / name).state_dict() for name in ("whole", "base"))
    others = torch.ones(8_064, dtype=torch.bool)
    others[checkpoint[KEPT_KEY].long()] = False
    for name, trained in checkpoint["state_dict"].items():
        if name in ("shared.weight", "lm_head.weight"):
            assert torch.equal(whole[name][~others], trained)
            assert torch.equal(whole[name][others], base[name][others])
            assert not torch.equal(trained, base[name][~others])
        else:
            assert torch.equal(whole[name], trained), name


def test_adapters_are_not_expanded(crashed, tmp_path):
    file = run_folder(crashed) / "checkpoints" / "last.ckpt"
    with pytest.raises(ValueError, match="holds adapters only; they fit the whole vocabulary as they are"):
        vocabulary(["expand", str(file), "tests/random-mt5", str(tmp_path / "whole")])
