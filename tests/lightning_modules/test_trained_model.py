"""What training left is opened again, and summarises as training did."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from command_line import configured, last_checkpoint, run, run_folder
from transformers import PreTrainedTokenizerBase

from datamodules.tokenize import truncate_with_eos
from lightning_modules.generation import decode, generation_config
from lightning_modules.summarizer import Summarizer
from lightning_modules.trained_model import TrainedModel, load_trained

CPU = torch.device("cpu")
SHORT = ("--trainer.max_epochs=1", "--trainer.limit_val_batches=1", "--model.optimizer.lr=0.01")
PREDICTIONS = (configured("callbacks.prediction_writer.PredictionWriter"),)
RUNS = {
    "full": ("--model.adaptation=full", "--model.optimizer.lr=0.001", "--data.prefixes={tr: 'özet: ', en: 'özet: '}"),
    "dora": ("--model.adaptation=dora", "--model.generation.num_beams=2", "--data.max_source_tokens=40"),
    "qlora": ("--data.vocabulary.reserve=0", "--model.quantization={wo: true, embedding_bits: 8, head_bits: 4}"),
}

pytestmark = pytest.mark.xdist_group("trained model")  # one run of each kind serves all of these tests


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    for name, flags in RUNS.items():
        run("fit", root / name, *SHORT, *flags)
        run("predict", root / name, *flags, "--ckpt_path=best", callbacks=PREDICTIONS)
    return root


def predictions(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def summaries(trained: TrainedModel, articles: list[str]) -> list[str]:
    rows = trained.model.get_output_embeddings().weight.shape[0]
    summarizer = Summarizer(trained.model, generation_config(trained.generation, trained.tokenizer, rows))
    return [
        decode(summarizer.generate(ids, torch.ones_like(ids)), trained.tokenizer)[0]
        for ids in (encoded(trained.tokenizer, trained.source_prefix + text, trained) for text in articles)
    ]


def encoded(tokenizer: PreTrainedTokenizerBase, text: str, trained: TrainedModel) -> torch.Tensor:
    ids = tokenizer(text, add_special_tokens=False).input_ids
    return torch.tensor([truncate_with_eos(ids, trained.max_source_tokens, tokenizer.eos_token_id)])


@pytest.mark.parametrize("name", RUNS)
def test_run_is_opened_as_it_predicted(runs, name):
    folder = run_folder(runs / name)
    expected = predictions(folder)
    trained = load_trained(str(folder), CPU)
    assert not trained.model.training
    assert trained.languages == ["tr", "en"]
    assert summaries(trained, [row["article"] for row in expected]) == [row["prediction"] for row in expected]
    assert len({row["prediction"] for row in expected}) > 1


def test_checkpoint_away_from_its_run_is_enough(runs, tmp_path):
    shutil.copy(run_folder(runs / "dora") / "checkpoints" / "last.ckpt", tmp_path / "model.ckpt")
    trained = load_trained(str(tmp_path / "model.ckpt"), CPU)
    assert (trained.generation.num_beams, trained.max_source_tokens) == (2, 40)
    saved = last_checkpoint(runs / "dora")["state_dict"]
    assert all(torch.equal(trained.model.state_dict()[name.replace("module.", "")], saved[name]) for name in saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "nowhere/at-all"}, r"base 'nowhere/at-all'.* cannot be .*Start in the folder where the run began"),
        ({"fingerprint": "0123"}, r"base model of 'assets/tiny-mt5' .* not the one of the run: .* instead of 0123"),
        ({"tokenizer": "0123"}, r"tokenizer of 'assets/tiny-mt5' .* not the one of the run: .* instead of 0123"),
        (None, "no checkpoint of ozet"),
    ],
)
def test_other_base_is_refused(runs, tmp_path, change, message):
    checkpoint = last_checkpoint(runs / "dora")
    checkpoint["base_model"] = None if change is None else checkpoint["base_model"] | change
    torch.save(checkpoint, tmp_path / "model.ckpt")
    with pytest.raises(ValueError, match=message):
        load_trained(str(tmp_path / "model.ckpt"), CPU)


@pytest.mark.parametrize("path", ["nowhere", "assets"])
def test_what_is_no_model_is_refused(path):
    with pytest.raises(ValueError, match=rf"'{path}' is no trained model.*export\.py"):
        load_trained(path, CPU)
