"""What training left is opened again, and summarises as training did."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from saved_runs import cut

from datamodules.tokenize import truncate_with_eos
from export import main as export
from lightning_modules.generation import decode, generation_config
from lightning_modules.run_checkpoints import checkpoint_of_run
from lightning_modules.summarizer import Summarizer
from lightning_modules.trained_model import TrainedModel, load_trained

CPU = torch.device("cpu")

pytestmark = pytest.mark.xdist_group("trained runs")  # one run of each kind serves all of these tests


def summarise(trained: TrainedModel, articles: list[str]) -> list[str]:
    rows = trained.model.get_output_embeddings().weight.shape[0]
    summarizer = Summarizer(trained.model, generation_config(trained.generation, trained.tokenizer, rows))
    sources = [encoded(trained, trained.source_prefix + text) for text in articles]
    return [decode(summarizer.generate(ids, torch.ones_like(ids)), trained.tokenizer)[0] for ids in sources]


def encoded(trained: TrainedModel, text: str) -> torch.Tensor:
    ids = trained.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    return torch.tensor([truncate_with_eos(ids, trained.max_source_tokens, trained.tokenizer.eos_token_id)])


@pytest.mark.parametrize(
    "name", ["qlora", *(pytest.param(name, marks=pytest.mark.slow) for name in ("full", "lora", "dora"))]
)
def test_run_is_opened_as_it_was_trained(trained_run, name):
    run = trained_run(name)
    trained = load_trained(str(run.folder), CPU)
    assert summarise(trained, run.articles) == run.summaries
    assert not trained.model.training
    assert trained.languages == ["tr", "en"]
    assert trained.source_prefix == ("özet: " if name == "full" else "")


@pytest.mark.slow
def test_checkpoint_away_from_its_run_is_enough(trained_run, tmp_path):
    shutil.copy(trained_run("dora").checkpoint, tmp_path / "model.ckpt")
    trained = load_trained(str(tmp_path / "model.ckpt"), CPU)
    assert (trained.generation.num_beams, trained.max_source_tokens) == (2, 40)
    assert summarise(trained, trained_run("dora").articles) == trained_run("dora").summaries


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "nowhere/at-all"}, r"base 'nowhere/at-all' .*\. Start in the folder where the run began"),
        ({"fingerprint": "0123"}, r"base model of '.*base' .* not the one of the run: .* instead of 0123"),
        ({"tokenizer": "0123"}, r"tokenizer of '.*base' .* not the one of the run: .* instead of 0123"),
        (None, "no checkpoint of ozet"),
    ],
)
def test_other_base_is_refused(trained_run, tmp_path, change, message):
    checkpoint = torch.load(trained_run("qlora").checkpoint, weights_only=True)
    checkpoint["base_model"] = None if change is None else checkpoint["base_model"] | change
    torch.save(checkpoint, tmp_path / "model.ckpt")
    with pytest.raises(ValueError, match=message):
        load_trained(str(tmp_path / "model.ckpt"), CPU)


@pytest.mark.parametrize("path", ["nowhere", "assets"])
def test_what_is_no_model_is_refused(path):
    with pytest.raises(ValueError, match=rf"'{path}' is no trained model.*export\.py"):
        load_trained(path, CPU)


def test_best_checkpoint_of_a_run_is_chosen_and_else_the_last(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    with pytest.raises(ValueError, match="has not saved one yet"):
        checkpoint_of_run(tmp_path)
    state = {"ModelCheckpoint": {"best_model_path": "/elsewhere/checkpoints/best-step=3.ckpt"}}
    torch.save({"state_dict": {}, "callbacks": state}, folder / "last.ckpt")
    assert checkpoint_of_run(tmp_path).name == "last.ckpt"
    (folder / "best-step=3.ckpt").touch()
    assert checkpoint_of_run(tmp_path).name == "best-step=3.ckpt"


@pytest.fixture
def copied_run(trained_run, tmp_path) -> Path:
    """A run with an older checkpoint beside its last."""
    shutil.copytree(trained_run("qlora").folder, tmp_path / "run")
    shutil.copy(tmp_path / "run/checkpoints/last.ckpt", tmp_path / "run/checkpoints/best-step=2.ckpt")
    return tmp_path / "run"


def test_damaged_checkpoint_of_a_run_names_the_one_that_is_whole(copied_run):
    last = cut(copied_run / "checkpoints/last.ckpt")
    for path in (last, copied_run):
        with pytest.raises(ValueError, match=r"last\.ckpt.* is damaged .* is of step 2: .*best-step=2\.ckpt$"):
            load_trained(str(path), CPU)


def test_damaged_last_blocks_neither_summaries_nor_export_of_the_best(copied_run, trained_run, tmp_path):
    best = copied_run / "checkpoints/best-step=2.ckpt"
    content = torch.load(best, weights_only=True)
    content["callbacks"]["ModelCheckpoint"] = {"best_model_path": str(best), "best_model_score": torch.tensor(1.0)}
    torch.save(content, best)
    cut(copied_run / "checkpoints/last.ckpt")
    run = trained_run("qlora")
    assert summarise(load_trained(str(copied_run), CPU), run.articles) == run.summaries
    export([str(copied_run), f"--output={tmp_path / 'adapter'}", "--adapter-only"])


def test_weights_of_a_run_that_are_no_numbers_are_named(copied_run):
    last = copied_run / "checkpoints/last.ckpt"
    content = torch.load(last, weights_only=True)
    name = sorted(content["state_dict"])[3]
    content["state_dict"][name][0, 0] = float("inf")
    torch.save(content, last)
    with pytest.raises(ValueError, match=rf"{name} of the checkpoint '{last}' holds 1 of .* NaN or infinite"):
        load_trained(str(last), CPU)


def test_adapter_folder_that_cannot_be_used_says_why(trained_run, tmp_path):
    folder = tmp_path / "adapter"
    export([str(trained_run("qlora").folder), f"--output={folder}", "--adapter-only"])
    weights = load_file(folder / "adapter_model.safetensors")
    name = sorted(weights)[0]
    save_file(weights | {name: weights[name] * float("nan")}, folder / "adapter_model.safetensors")
    with pytest.raises(ValueError, match=rf"{name} of the adapter in '{folder}' holds .* NaN or infinite"):
        load_trained(str(folder), CPU)
    configuration = json.loads((folder / "adapter_config.json").read_text())
    for changed in (configuration | {"peft_type": "NOVEL"}, configuration | {"peft_type": None}, [1]):
        (folder / "adapter_config.json").write_text(json.dumps(changed))
        with pytest.raises(
            ValueError, match=r"adapter_config\.json' is no adapter's configuration: it must name .*LORA"
        ):
            load_trained(str(folder), CPU)
