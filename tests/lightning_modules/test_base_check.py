"""What people bring as a base is trained as it is, or refused in one sentence before anything else is done."""

import re
from pathlib import Path

import pytest
import torch
from command_line import SAVE_EVERY_STEP, run, run_folder
from foreign_bases import (
    HEAD,
    SHARDS,
    WEIGHTS,
    add,
    change_tensors,
    configure,
    cut_weights,
    drop,
    prefix,
    remove,
    set_json,
    shard,
    write,
    write_t5,
)
from random_model import write_random_model
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM

from datamodules.bilingual import BilingualDataModule
from export import main as export
from lightning_modules.adaptation import Quantization, load_base
from lightning_modules.base_check import check_base
from lightning_modules.trained_model import load_trained
from lightning_modules.vocabulary import trim

CPU = torch.device("cpu")
ONE_STEP = ("--trainer.max_steps=1", "--model.schedule.warmup_steps=0", "--trainer.limit_val_batches=0")
LAYER = "decoder.block.1.layer.1.EncDecAttention.o.weight"
SLOW_COMMANDS = [pytest.param(name, marks=pytest.mark.slow) for name in ("validate", "test", "predict")]
EMBEDDED = "encoder.embed_tokens.weight"


@pytest.fixture
def base(random_mt5: Path, tmp_path: Path) -> Path:
    return write_random_model(random_mt5, tmp_path / "base")


def refusal(base: Path | str) -> str:
    with pytest.raises(ValueError) as caught:
        check_base(str(base))
    message = str(caught.value)
    assert str(base) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "family", ["umt5", "longt5", "mbart", "m2m_100", "pegasus", "bart", "gpt2", "t5gemma", "marian", "unheard-of", None]
)
def test_another_family_is_refused_with_those_that_work(base, family):
    set_json(base, model_type=family)
    assert f"of the family {family!r}" in (said := refusal(base))
    assert "mT5 (mt5: mT5, mT0) and T5 (t5: T5 v1.0, v1.1, FLAN-T5)" in said


FAULTS = {
    "another prefix": (prefix("model."), r"lacks 52 of 52 tensors, such as decoder.*has 52 .* such as model\.decoder"),
    "parallel": (prefix("module."), "such as module.decoder"),
    "a layer missing": (drop("encoder.block.1."), r"lacks \d+ of 52 tensors, such as encoder\.block\.1\."),
    "only the encoder": (drop("decoder.", "lm_head"), "tensors, such as decoder"),
    "no embeddings": (drop("shared"), r"lacks 1 of 52 tensors, such as shared\.weight"),
    "no head": (drop(HEAD), "lacks lm_head.weight: its head is not its embeddings"),
    "a layer too many": (configure(num_layers=1), r"has \d+ for which its configuration has no place"),
    "an adapter inside": (add("encoder.lora_A.weight", 2, 2), "such as encoder.lora_A.weight"),
    "another width": (configure(d_ff=128), r"of another shape .* \(256, 128\) instead of \(128, 128\)"),
    "other rows": (configure(vocab_size=8128), r"\(8064, 128\) instead of \(8128, 128\)"),
    "cut": (cut_weights, r"model\.safetensors' is damaged or holds no weights \(.*\); download it again"),
    "a pointer": (write(WEIGHTS, b"version https://git-lfs.github.com/spec/v1\n"), "is damaged or holds no weights"),
    "of another framework": (lambda f: (f / WEIGHTS).rename(f / "tf_model.h5"), "has neither model.safetensors nor"),
    "of another name": (lambda f: (f / WEIGHTS).rename(f / "weights.safetensors"), "has neither model.safetensors nor"),
    "an index of no files": (lambda f: (f / WEIGHTS).rename(f / SHARDS), "is no index of weights"),
    "no config": (remove("config.json"), "has no config.json, or a damaged one"),
    "half a config": (write("config.json", b'{"model_type": "mt5", '), "has no config.json, or a damaged one"),
    "sizes as words": (configure(d_model="wide"), r"config\.json of .* is unusable"),
    "no heads": (configure(num_heads=-4), r"config\.json of .* is unusable"),
    "quantised": (configure(quantization_config={"quant_method": "bitsandbytes"}), "is quantised already"),
    "another start": (configure(decoder_start_token_id=2), "starts its decoder with token 2"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_whole_is_refused(base, fault):
    spoil, message = FAULTS[fault]
    spoil(base)
    assert re.search(message, refusal(base))


@pytest.mark.parametrize("missing", ["one", "all"])
def test_missing_shards_are_named_and_never_replaced_by_random_weights(base, missing):
    files = shard(base)
    assert len(files) > 2
    for file in files[1:2] if missing == "one" else files:
        file.unlink()
    count, name = (1, files[1].name) if missing == "one" else (len(files), files[0].name)
    assert f"lacks {count} of {len(files)} files of weights" in (said := refusal(base))
    assert name in said


def test_whole_shards_and_pytorch_files_load_to_the_same_weights(base):
    whole = load_file(base / WEIGHTS)
    shard(base)
    sharded = load_base(str(base), None, "full", Quantization(), torch.float32, CPU)
    for file in base.glob("model*"):
        file.unlink()
    torch.save(whole, base / "pytorch_model.bin")
    pickled = load_base(str(base), None, "full", Quantization(), torch.float32, CPU)
    for model in (sharded, pickled):
        named = dict(model.named_parameters())
        assert named.keys() == whole.keys()
        assert all(torch.equal(named[name], whole[name]) for name in whole)


@pytest.mark.parametrize("saved", ["surplus copies", "one copy alone", "t5 v1.1"])
def test_files_that_transformers_reads_alike_pass(base, random_mt5, saved):
    if saved == "t5 v1.1":
        write_t5(random_mt5, base, tied=False)
    elif saved == "surplus copies":  # as old checkpoints of the hub have them
        unused = {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": torch.zeros(32, 4)}
        change_tensors(base, lambda old: old | unused | {EMBEDDED: old["shared.weight"].clone()})
    else:
        change_tensors(base, lambda old: {EMBEDDED if name == "shared.weight" else name: t for name, t in old.items()})
    ours = load_base(str(base), None, "full", Quantization(), torch.float32, CPU)
    theirs = AutoModelForSeq2SeqLM.from_pretrained(base)
    assert ours.lm_head.weight is not ours.shared.weight
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items())


def test_two_embeddings_are_refused(base):
    change_tensors(base, lambda old: old | {EMBEDDED: old["shared.weight"] + 1})
    with pytest.raises(ValueError, match="has other embeddings in its encoder"):
        load_base(str(base), None, "full", Quantization(), torch.float32, CPU)


def test_model_resized_and_saved_by_transformers_is_refused_for_its_lost_head(base):
    model = AutoModelForSeq2SeqLM.from_pretrained(base)
    model.resize_token_embeddings(8100)
    model.save_pretrained(base)
    assert HEAD not in load_file(base / WEIGHTS)
    assert "transformers 5 leaves it out" in refusal(base)


def test_folder_that_lacks_weights_is_initialised_and_others_are_not_there(random_mt5, tmp_path):
    check_base(str(random_mt5))
    assert "is not there" in refusal(tmp_path / "nothing")
    (tmp_path / "last.ckpt").touch()
    assert "is a file" in (said := refusal(tmp_path / "last.ckpt"))
    assert "export.py" in said


@pytest.mark.parametrize(
    "command",
    ["fit", "prepare", *(pytest.param(name, marks=pytest.mark.slow) for name in ("validate", "test", "predict"))],
)
def test_every_command_refuses_before_it_reads_the_data(base, tmp_path, monkeypatch, command):
    monkeypatch.setattr(BilingualDataModule, "prepare_data", lambda self: pytest.fail("the data were read"))
    drop("encoder.block.1.")(base)
    with pytest.raises(ValueError, match=f"model.base '{base}' lacks"):
        run(command, tmp_path / "runs", f"--model.base={base}")
    assert not list(tmp_path.glob("runs/*/*"))


def test_pretraining_refuses_too(base, tmp_path):
    prefix("model.")(base)
    with pytest.raises(ValueError, match=f"model.base '{base}' lacks"):
        run(
            "fit",
            tmp_path / "runs",
            "--config=tests/conf/pretraining.yaml",
            f"--model.base={base}",
            "--model.from_scratch=null",
        )


@pytest.mark.parametrize("spoil", [drop(LAYER), configure(model_type="umt5"), prefix("model.")])
def test_summarising_and_trimming_refuse_as_training_does(base, spoil, tmp_path):
    spoil(base)
    with pytest.raises(ValueError, match=f"The model '{base}' (lacks|is of the family)"):
        load_trained(str(base), CPU)
    with pytest.raises(ValueError, match=f"model.base '{base}' (lacks|is of the family)"):
        trim(str(base), tmp_path / "trimmed", None)


def test_export_refuses_a_base_that_lost_a_layer(base, tmp_path, capsys):
    run("fit", tmp_path / "runs", f"--model.base={base}", *ONE_STEP, callbacks=SAVE_EVERY_STEP)
    drop(LAYER)(base)
    with pytest.raises(ValueError, match=f"base '{base}' cannot be loaded.*lacks 1 of 52 tensors, such as {LAYER}"):
        export([str(run_folder(tmp_path / "runs")), "--output", str(tmp_path / "exported")])
