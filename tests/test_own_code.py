"""Commands never run code that lies in a model's folder, whatever stands on standard input."""

import io
from pathlib import Path

import pytest
import torch
from command_line import run
from hostile_folder import (
    hostile_config,
    hostile_generation,
    hostile_part,
    hostile_tokenizer,
    hostile_weights,
    plant,
    ran,
    set_keys,
)
from random_model import write_random_model

from lightning_modules.trained_model import load_trained
from lightning_modules.vocabulary import main as vocabulary
from summarize import main

REFUSED = "wants to run its own code .*; ozet never runs it"


@pytest.fixture(autouse=True)
def an_article_that_says_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"y\n" * 9 + b"A storm closed the port.\n")))


@pytest.fixture
def model(random_mt5, tmp_path) -> Path:
    return write_random_model(random_mt5, tmp_path / "model")


def adapter(folder: Path, base: Path) -> Path:
    folder.mkdir()
    lora = {"peft_type": "LORA", "task_type": "SEQ_2_SEQ_LM", "r": 4, "target_modules": ["q"]}
    return set_keys(folder, "adapter_config.json", base_model_name_or_path=str(base), **lora)


@pytest.mark.parametrize("make", [hostile_config, hostile_tokenizer, hostile_part, hostile_generation])
def test_summarize_refuses_a_model_and_an_adapter_for_one(model, make, tmp_path):
    make(model)
    for given in (model, adapter(tmp_path / "adapter", model)):
        with pytest.raises(ValueError, match=f"^'{model}' {REFUSED}"):
            main([str(given), "--device=cpu"])
    assert not ran(model)


def test_summarize_refuses_an_adapter_that_names_a_module(model, tmp_path):
    plant(adapter(tmp_path / "adapter", model))
    set_keys(tmp_path / "adapter", "adapter_config.json", megatron_config={"a": 1}, megatron_core="adapter.evil")
    with pytest.raises(ValueError, match=f"^'{tmp_path / 'adapter'}' {REFUSED}"):
        main([str(tmp_path / "adapter"), "--device=cpu"])
    assert not ran(tmp_path / "adapter")


@pytest.mark.parametrize("make", [hostile_config, hostile_tokenizer])
def test_training_and_trimming_refuse_a_base(model, make, tmp_path):
    make(model)
    with pytest.raises(ValueError, match=f"^'{model}' {REFUSED}"):
        run("fit", tmp_path / "runs", f"--model.base={model}")
    (tmp_path / "texts.txt").write_text("Kar yağdı.\nKar dindi.\n")
    with pytest.raises(ValueError, match=f"^'{model}' {REFUSED}"):
        vocabulary(["trim", str(model), str(tmp_path / "trimmed"), "--texts", f"tr={tmp_path / 'texts.txt'}"])
    assert not ran(model)


def test_weights_of_an_adapter_are_never_unpickled(model, tmp_path):
    folder = hostile_weights(adapter(tmp_path / "adapter", model), "adapter_model.bin")
    with pytest.raises(ValueError, match="holds more than tensors"):
        load_trained(str(folder), torch.device("cpu"))
    assert not ran(folder)
