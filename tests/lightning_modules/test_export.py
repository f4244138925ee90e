"""Exported folders, loaded by others, are the models that were trained; what cannot be exported is refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from test_trained_model import CPU, encoded, summarise
from trained_runs import SETTINGS, TrainedRun

from export import main as export
from lightning_modules.checkpointing import BASE_KEY
from lightning_modules.trained_model import load_trained

pytestmark = pytest.mark.xdist_group("trained runs")

# Knows nothing of this project: what anybody would write who got the folder.
OTHERS = """
import importlib.util, json, sys
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig
from peft import AutoPeftModelForSeq2SeqLM

assert importlib.util.find_spec("lightning_modules") is None
request, answer = json.load(sys.stdin), {}
for name, (folder, articles) in request["folders"].items():
    loader = AutoPeftModelForSeq2SeqLM if name.endswith("adapter") else AutoModelForSeq2SeqLM
    model, tokenizer = loader.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    settings = GenerationConfig.from_pretrained(folder)
    batches = [tokenizer(text, truncation=True, return_tensors="pt") for text in articles]
    ids = [model.generate(**batch, generation_config=settings)[0] for batch in batches]
    answer[name] = {
        "summaries": [text.strip() for text in tokenizer.batch_decode(ids, skip_special_tokens=True)],
        "pieces": [tokenizer(text).input_ids for text in request["texts"]],
        "again": [tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) for text in request["texts"]],
    }
print(json.dumps(answer))
"""
TEXTS = ["Kutlu olsun 🎉 日本語", "A literal </s> and <pad> inside", "<extra_id_0> perché"]


@pytest.fixture(scope="module")
def folders(trained_runs, tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("exported")
    for name in SETTINGS:
        export([str(trained_runs[name].folder), f"--output={root / name}", "--dtype=fp32"])
    for name in ("lora", "dora"):
        export([str(trained_runs[name].checkpoint), f"--output={root / name}-adapter", "--adapter-only"])
    return {folder.name: folder for folder in root.iterdir()}


@pytest.fixture(scope="module")
def loaded_by_others(folders, trained_runs, tmp_path_factory) -> dict[str, dict]:
    request = {"texts": TEXTS, "folders": {}}
    for name, folder in folders.items():
        run = trained_runs[name.removesuffix("-adapter")]
        prefix = json.loads((folder / "ozet.json").read_text())["source_prefix"]
        request["folders"][name] = [str(folder), [prefix + article for article in run.articles]]
    done = subprocess.run(
        [sys.executable, "-I", "-c", OTHERS],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("elsewhere"),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


ALL = [*SETTINGS, "lora-adapter", "dora-adapter"]


@pytest.mark.parametrize("name", ALL)
def test_others_get_the_summaries_of_training(loaded_by_others, trained_runs, name):
    assert loaded_by_others[name]["summaries"] == trained_runs[name.removesuffix("-adapter")].summaries


@pytest.mark.parametrize("name", ALL)
def test_others_tokenize_as_training_did(loaded_by_others, trained_runs, name):
    trained = load_trained(str(trained_runs[name.removesuffix("-adapter")].folder), CPU)
    assert loaded_by_others[name]["pieces"] == [encoded(trained, text)[0].tolist() for text in TEXTS]
    assert loaded_by_others[name]["again"] == TEXTS


@pytest.mark.parametrize("name", ALL)
def test_exported_folder_is_opened_by_ozet_too(folders, trained_runs, name):
    run = trained_runs[name.removesuffix("-adapter")]
    trained = load_trained(str(folders[name]), CPU)
    assert summarise(trained, run.articles) == run.summaries
    original = load_trained(str(run.folder), CPU)
    for field in ("generation", "source_prefix", "max_source_tokens", "languages", "prefixes"):
        assert getattr(trained, field) == getattr(original, field), field


@pytest.mark.parametrize("name", ALL)
def test_difference_is_stored(folders, name):
    found = json.loads((folders[name] / "verification.json").read_text())
    assert found["texts"] == 16
    assert (found["equal_inputs"], found["equal_greedy_outputs"]) == (1.0, 1.0)
    assert found["greatest_logit_difference"] < 1e-4 < found["logit_deviation"]


def test_adapter_of_a_trimmed_4_bit_run_is_near_for_peft_and_exact_for_ozet(trained_runs, tmp_path, capsys):
    run = trained_runs["qlora"]
    export([str(run.folder), f"--output={tmp_path / 'adapter'}", "--adapter-only"])
    assert "greedy summaries equal" in capsys.readouterr().out
    found = json.loads((tmp_path / "adapter" / "verification.json").read_text())
    assert 0 < found["mean_logit_difference"] < 0.3 * found["logit_deviation"]  # the base's numbers before quantisation
    assert summarise(load_trained(str(tmp_path / "adapter"), CPU), run.articles) == run.summaries


def test_bf16_is_the_default_and_the_head_stays_untied(trained_runs, tmp_path):
    export([str(trained_runs["full"].folder), f"--output={tmp_path / 'model'}"])
    with safe_open(tmp_path / "model" / "model.safetensors", "pt") as weights:
        embedding, head = weights.get_tensor("shared.weight"), weights.get_tensor("lm_head.weight")
    assert embedding.dtype == torch.bfloat16
    assert not torch.equal(embedding, head)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert (config["tie_word_embeddings"], config["dtype"]) == (False, "bfloat16")
    settings = json.loads((tmp_path / "model" / "generation_config.json").read_text())
    assert {7_900, 7_999, 8_000, 8_063} <= set(settings["suppress_tokens"])


@pytest.mark.parametrize(
    ("run", "flags", "message"),
    [
        ("full", ["--adapter-only"], "has no adapter: all parameters were trained"),
        ("full", ["--merge"], "has no adapter to merge"),
        ("qlora", ["--merge", "--dtype=nf4"], "cannot be merged into 4-bit weights: .* rounded away"),
        ("lora", ["--dtype=fp16"], "--dtype fp16 is unknown; give bf16 or fp32"),
        ("lora", ["--texts=nowhere.txt"], "Cannot read 'nowhere.txt'"),
    ],
)
def test_what_cannot_be_done_is_refused(trained_runs, tmp_path, run, flags, message):
    with pytest.raises(SystemExit, match=message):
        export([str(trained_runs[run].folder), f"--output={tmp_path / 'output'}", *flags])
    assert not list(tmp_path.iterdir())


def changed(run: TrainedRun, folder: Path, **base) -> str:
    content = torch.load(run.checkpoint, weights_only=True)
    content[BASE_KEY] |= base
    torch.save(content, folder / "changed.ckpt")
    return str(folder / "changed.ckpt")


@pytest.mark.parametrize(
    ("base", "flags", "message"),
    [
        ({"name": "nowhere/at-all"}, [], r"base 'nowhere/at-all' .* Start in the folder where the run began"),
        ({"fingerprint": "0123"}, ["--merge"], "not the one of the run"),
        ({"name": "assets/tiny-mt5"}, ["--adapter-only"], "holds no weights .* Use --merge"),
    ],
)
def test_base_that_is_not_there_is_refused(trained_runs, tmp_path, base, flags, message):
    file = changed(trained_runs["lora"], tmp_path, **base)
    with pytest.raises(SystemExit, match=message):
        export([file, f"--output={tmp_path / 'output'}", *flags])
    assert [path.name for path in tmp_path.iterdir()] == ["changed.ckpt"]


def test_folder_with_something_in_it_is_left_alone(trained_runs, tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(SystemExit, match="is not empty"):
        export([str(trained_runs["full"].folder), f"--output={tmp_path}"])
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
