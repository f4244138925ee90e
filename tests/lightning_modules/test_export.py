"""Exported folders, loaded by others, are the models that were trained; what cannot be exported is refused."""

import functools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors import safe_open
from test_trained_model import CPU, encoded, summarise
from trained_runs import TrainedRun

import export as command
from export import main as export
from lightning_modules.checkpointing import BASE_KEY
from lightning_modules.export import push
from lightning_modules.trained_model import load_trained

pytestmark = pytest.mark.xdist_group("trained runs")

# Knows nothing of this project: what anybody would write who got the folder.
OTHERS = """
import json, sys

OURS = ("lightning_modules", "datamodules", "callbacks", "metrics", "reports")
sys.modules |= dict.fromkeys(OURS)  # importing them fails, even where they are installed
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig
from peft import AutoPeftModelForSeq2SeqLM

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


@pytest.fixture(autouse=True, scope="module")
def few_texts() -> Iterator[None]:
    with mock.patch.object(command, "COMPARED", 4):
        yield


TEXTS = ["Kutlu olsun 🎉 日本語", "A literal </s> and <pad> inside", "<extra_id_0> perché"]


# Name of the run, and flags of its export. In the default suite: all that can go wrong, in one.
EXPORTS = {
    "qlora": ("qlora", "--dtype=fp32"),  # trimmed, and quantised as far as it goes
    "dora-adapter": ("dora", "--adapter-only"),
    "full": ("full", "--dtype=fp32"),
    "lora": ("lora", "--dtype=fp32", "--merge"),
    "dora": ("dora", "--dtype=fp32"),
    "lora-adapter": ("lora", "--adapter-only"),
}
FAST = ("qlora",)
ALL = [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in EXPORTS]


@dataclass(frozen=True)
class Exported:
    """A run, its exported folder, and what others get from that."""

    run: TrainedRun
    folder: Path
    by_others: dict[str, list]


@pytest.fixture(scope="module")
def exported(trained_run, tmp_path_factory) -> Callable[[str], Exported]:
    root = tmp_path_factory.mktemp("exported")

    @functools.cache
    def group(names: tuple[str, ...]) -> dict[str, Exported]:
        """One process loads them all: starting it takes longer than the rest."""
        requests = {}
        for name in names:
            run = trained_run(EXPORTS[name][0])
            export([str(run.folder), f"--output={root / name}", *EXPORTS[name][1:]])
            prefix = json.loads((root / name / "ozet.json").read_text())["source_prefix"]
            requests[name] = [str(root / name), [prefix + article for article in run.articles]]
        answers = ask_others(requests, tmp_path_factory.mktemp("elsewhere"))
        return {name: Exported(trained_run(EXPORTS[name][0]), root / name, answers[name]) for name in names}

    return lambda name: group(FAST if name in FAST else tuple(EXPORTS.keys() - set(FAST)))[name]


def ask_others(folders: dict[str, list], elsewhere: Path) -> dict[str, dict]:
    request = json.dumps({"texts": TEXTS, "folders": folders})
    command = [sys.executable, "-I", "-c", OTHERS]
    done = subprocess.run(command, input=request, capture_output=True, text=True, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ALL)
def test_others_get_the_summaries_of_training(exported, name):
    assert exported(name).by_others["summaries"] == exported(name).run.summaries


@pytest.mark.parametrize("name", ALL)
def test_others_tokenize_as_training_did(exported, name):
    trained = load_trained(str(exported(name).run.folder), CPU)
    assert exported(name).by_others["pieces"] == [encoded(trained, text)[0].tolist() for text in TEXTS]
    assert exported(name).by_others["again"] == TEXTS


@pytest.mark.parametrize("name", ALL)
def test_exported_folder_is_opened_by_ozet_too(exported, name):
    run = exported(name).run
    trained, original = load_trained(str(exported(name).folder), CPU), load_trained(str(run.folder), CPU)
    assert summarise(trained, run.articles) == run.summaries
    for field in ("generation", "source_prefix", "max_source_tokens", "languages", "prefixes"):
        assert getattr(trained, field) == getattr(original, field), field


@pytest.mark.parametrize("name", ALL)
def test_difference_is_stored(exported, name):
    found = json.loads((exported(name).folder / "verification.json").read_text())
    assert found["texts"] == 4
    assert (found["equal_inputs"], found["equal_greedy_outputs"]) == (1.0, 1.0)
    assert found["greatest_logit_difference"] < 1e-4 < found["logit_deviation"]


@pytest.mark.parametrize("name", ALL)
def test_who_may_read_one_file_may_read_all(exported, name):
    assert len({file.stat().st_mode for file in exported(name).folder.iterdir()}) == 1


@pytest.mark.slow
def test_adapter_of_a_trimmed_4_bit_run_is_near_for_peft_and_exact_for_ozet(trained_run, tmp_path, capsys):
    run = trained_run("qlora")
    export([str(run.folder), f"--output={tmp_path / 'adapter'}", "--adapter-only"])
    assert "greedy summaries equal" in capsys.readouterr().out
    found = json.loads((tmp_path / "adapter" / "verification.json").read_text())
    assert 0 < found["mean_logit_difference"] < 0.3 * found["logit_deviation"]  # the base's numbers before quantisation
    assert summarise(load_trained(str(tmp_path / "adapter"), CPU), run.articles) == run.summaries


@pytest.mark.slow
def test_bf16_is_the_default_and_the_head_stays_untied(trained_run, tmp_path):
    export([str(trained_run("full").folder), f"--output={tmp_path / 'model'}"])
    with safe_open(tmp_path / "model" / "model.safetensors", "pt") as weights:
        embedding, head = weights.get_tensor("shared.weight"), weights.get_tensor("lm_head.weight")
    assert embedding.dtype == torch.bfloat16
    assert not torch.equal(embedding, head)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert (config["tie_word_embeddings"], config["dtype"]) == (False, "bfloat16")
    settings = json.loads((tmp_path / "model" / "generation_config.json").read_text())
    assert {7_900, 7_999, 8_000, 8_063} <= set(settings["suppress_tokens"])


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        pytest.param("full", ["--adapter-only"], "has no adapter: all parameters were", marks=pytest.mark.slow),
        pytest.param("full", ["--merge"], "has no adapter to merge", marks=pytest.mark.slow),
        ("qlora", ["--merge", "--dtype=nf4"], "cannot be merged into 4-bit weights: .* rounded away"),
        ("qlora", ["--dtype=fp16"], "--dtype fp16 is unknown; with --format transformers give bf16 or fp32"),
        ("qlora", ["--texts=nowhere.txt"], "Cannot read 'nowhere.txt'"),
    ],
)
def test_what_cannot_be_done_is_refused(trained_run, tmp_path, name, flags, message):
    with pytest.raises(ValueError, match=message):
        export([str(trained_run(name).folder), f"--output={tmp_path / 'output'}", *flags])
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
        ({"name": "tests/random-mt5"}, ["--adapter-only"], "holds no weights .* Use --merge"),
    ],
)
def test_base_that_is_not_there_is_refused(trained_run, tmp_path, base, flags, message):
    file = changed(trained_run("qlora"), tmp_path, **base)
    with pytest.raises(ValueError, match=message):
        export([file, f"--output={tmp_path / 'output'}", *flags])
    assert [path.name for path in tmp_path.iterdir()] == ["changed.ckpt"]


def test_folder_with_something_in_it_is_left_alone(trained_run, tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(ValueError, match="is not empty"):
        export([str(trained_run("qlora").folder), f"--output={tmp_path}"])
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.slow
def test_upload_is_of_the_whole_folder_and_private(trained_run, tmp_path, capsys):
    output = tmp_path / "output"
    with mock.patch("lightning_modules.export.HfApi") as hub:
        hub().upload_folder.return_value = "https://hub/me/mine"
        export([str(trained_run("qlora").folder), f"--output={output}", "--push=me/mine", "--license=apache-2.0"])
    hub().create_repo.assert_called_once_with("me/mine", private=True, exist_ok=True)
    assert hub().upload_folder.call_args.kwargs["folder_path"] == output
    names = {file.name for file in output.iterdir()}
    assert {"README.md", "DATA_CARD.md", "model.safetensors", "tokenizer.json"} <= names
    card = ModelCard.load(output / "README.md")
    assert (card.data.model_name, card.data.license) == ("mine", "apache-2.0")
    assert "https://hub/me/mine" in capsys.readouterr().out


def test_failed_upload_says_that_the_folder_is_complete(tmp_path):
    with pytest.raises(ValueError, match=r"Cannot upload to 'me/mine': .*offline.* is complete; log in by"):
        push(tmp_path, "me/mine")


def test_adapter_of_a_local_base_is_not_uploaded(trained_run, tmp_path):
    with pytest.raises(ValueError, match=r"nobody else could load it\. Push a merged model"):
        export(
            [str(trained_run("qlora").folder), f"--output={tmp_path / 'output'}", "--adapter-only", "--push=me/mine"]
        )
    assert not list(tmp_path.iterdir())
