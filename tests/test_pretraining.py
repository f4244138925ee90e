"""Pretraining through the real command line, from random weights to a folder that transformers loads."""

from pathlib import Path

import pytest
import torch
from command_line import SAVE_EVERY_STEP, configured, last_checkpoint, records, run_folder
from interruptions import Crash
from transformers import AutoModelForSeq2SeqLM

from datamodules.tokenizer import load_tokenizer, tokenizer_fingerprint
from export import main as export
from train import main

CONFIG = "tests/conf/pretraining.yaml"


def pretrain(root: Path, *flags: str, callbacks: tuple[dict, ...] = ()) -> None:
    added = [f"--trainer.callbacks+={callback}" for callback in callbacks]
    main(["fit", f"--config={CONFIG}", f"--trainer.default_root_dir={root}", *added, *flags])


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("pretrained")
    pretrain(root, callbacks=(configured("callbacks.closing_summary.ClosingSummary"),))
    return root


def test_it_learns_and_logs_losses_by_language_tokens_and_speed(pretrained):
    logged = records(pretrained)
    assert sorted(logged["val/loss"]) == [3, 7]
    first, last = logged["val/loss"].values()
    assert last < first - 0.1
    assert logged["val/loss"][7] == pytest.approx((logged["val/loss/tr"][7] + logged["val/loss/en"][7]) / 2)
    assert logged["train/tokens"][7] == 8 * 16 * 70
    assert logged["perf/tokens_per_s"][7] > 0
    assert "perf/articles_per_s" not in logged
    assert (run_folder(pretrained) / "curves.png").is_file()
    assert (run_folder(pretrained) / "data_report.json").is_file()


@pytest.mark.parametrize(("step", "workers"), [(3, 0), pytest.param(7, 2, marks=pytest.mark.slow)])
def test_crashed_run_resumes_exactly(pretrained, tmp_path, step, workers):
    crash = configured("interruptions.CrashAt", step=step)
    with pytest.raises(Crash):
        pretrain(tmp_path, f"--data.num_workers={workers}", callbacks=(*SAVE_EVERY_STEP, crash))
    pretrain(tmp_path, "--ckpt_path=last", f"--data.num_workers={workers}")
    own, expected = records(tmp_path), records(pretrained)
    for key in ("train/loss", "train/learning_rate", "train/tokens", "val/loss/tr", "val/loss/en"):
        assert own[key] == expected[key], key
    checkpoint, other = last_checkpoint(tmp_path), last_checkpoint(pretrained)
    for name, value in other["state_dict"].items():
        assert torch.equal(checkpoint["state_dict"][name], value), name
    for index, state in other["optimizer_states"][0]["state"].items():
        for key, value in state.items():
            assert torch.equal(checkpoint["optimizer_states"][0]["state"][index][key], value)


def test_exported_folder_is_the_model(pretrained, tmp_path):
    output = tmp_path / "exported"
    export([str(run_folder(pretrained) / "checkpoints/last.ckpt"), f"--output={output}", "--dtype=fp32"])
    model = AutoModelForSeq2SeqLM.from_pretrained(output)
    trained = last_checkpoint(pretrained)["state_dict"]
    assert trained.keys() == dict(model.named_parameters()).keys()
    assert all(torch.equal(parameter, trained[name]) for name, parameter in model.named_parameters())
    assert not torch.equal(model.lm_head.weight, model.shared.weight)
    assert (model.config.vocab_size, model.config.decoder_start_token_id, model.config.dropout_rate) == (8064, 0, 0.1)
    tokenizer = load_tokenizer(str(output))
    assert tokenizer_fingerprint(tokenizer) == last_checkpoint(pretrained)["base_model"]["tokenizer"]
    filled = model.generate(**tokenizer("Vapur <extra_id_0>.", return_tensors="pt"), max_new_tokens=3)
    assert filled[0, 0] == 0


def test_exported_model_is_pretrained_further_from_its_weights(pretrained, tmp_path):
    export([str(run_folder(pretrained) / "checkpoints/last.ckpt"), f"--output={tmp_path / 'base'}"])
    flags = ("--model.from_scratch=null", f"--model.base={tmp_path / 'base'}")
    pretrain(tmp_path / "runs", *flags, "--trainer.max_steps=1", "--model.schedule.warmup_steps=0")
    before, after = records(pretrained)["val/loss"], records(tmp_path / "runs")["train/loss"]
    assert after[0] < before[3]
