"""Training goes on from adapters exactly where they are, or is refused; it never starts again beside them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import SAVE_EVERY_STEP, run, run_folder
from foreign_bases import set_json
from peft import LoraConfig, PeftModel, get_peft_model
from random_model import write_random_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSeq2SeqLM

from export import main as export
from lightning_modules.adaptation import Lora, Quantization, adapt, load_base
from lightning_modules.adapter_folder import load_adapters, require_same_adapters
from lightning_modules.trained_model import load_trained

CPU = torch.device("cpu")
CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
LORA = Lora(rank=2, alpha=3, dropout=0.0, targets=["q", "v"])


@pytest.fixture(scope="session")
def base(random_mt5: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(random_mt5, tmp_path_factory.mktemp("whole") / "base")


def saved_adapter(base: Path, folder: Path, **settings: Any) -> Path:
    """What peft alone saves, trained somewhat, without a tokenizer."""
    model = AutoModelForSeq2SeqLM.from_pretrained(base)
    settings = {"r": 2, "lora_alpha": 3, "target_modules": ["q", "v"]} | settings
    adapted = get_peft_model(model, LoraConfig(task_type="SEQ_2_SEQ_LM", **settings))
    torch.manual_seed(3)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def shared_adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_adapter(base, tmp_path_factory.mktemp("adapter"))


@pytest.fixture
def adapter(shared_adapter: Path, tmp_path: Path) -> Iterator[Path]:
    return shutil.copytree(shared_adapter, tmp_path / "adapter")


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(
            input_ids=torch.arange(300, 320).view(2, 10), labels=torch.arange(400, 412).view(2, 6)
        ).logits


def gone_on(base: Path, adapter: Path, adaptation: Any = "lora", lora: Lora = LORA) -> Any:
    require_same_adapters(str(adapter), None, adaptation, lora)
    model = adapt(load_base(str(base), None, adaptation, Quantization(), torch.float32, CPU), adaptation, lora)
    load_adapters(model, str(adapter), None)
    return model


def test_model_goes_on_from_the_adapter_and_trains_it(base, adapter):
    theirs = PeftModel.from_pretrained(AutoModelForSeq2SeqLM.from_pretrained(base), adapter)
    model = gone_on(base, adapter)
    assert torch.allclose(logits(model), logits(theirs), atol=1e-5)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        name for name, _ in theirs.named_parameters() if "lora_" in name
    }


@pytest.mark.parametrize(("adaptation", "settings"), [("dora", {"use_dora": True}), ("lora", {"use_rslora": True})])
def test_adapters_of_other_kinds_go_on_too(base, tmp_path, adaptation, settings):
    saved = saved_adapter(base, tmp_path / "kind", **settings)
    theirs = PeftModel.from_pretrained(AutoModelForSeq2SeqLM.from_pretrained(base), saved)
    lora = Lora(rank=2, alpha=3, dropout=0.0, targets=["q", "v"], rslora="use_rslora" in settings)
    assert torch.allclose(logits(gone_on(base, saved, adaptation, lora)), logits(theirs), atol=1e-5)


@pytest.mark.parametrize(
    ("lora", "adaptation", "message"),
    [
        (Lora(rank=4, alpha=3), "lora", r"other settings than model\.lora: set model\.lora\.rank=2\."),
        (Lora(rank=8, alpha=8, rslora=True), "qlora", r"set .*rank=2, model\.lora\.alpha=3, model\.lora\.rslora=False"),
        (LORA, "dora", "only model.adaptation lora or qlora can go on from, not dora"),
        (Lora(rank=2, alpha=3, targets=["q"]), "lora", r"has 12 for which .* with model\.lora\.targets=\[q, v\]"),
        (Lora(rank=2, alpha=3), "lora", r"lacks \d+ of \d+ tensors.* model\.lora\.targets=\[q, v\]"),
    ],
)
def test_other_settings_are_refused_with_those_that_fit(base, adapter, lora, adaptation, message):
    with pytest.raises(ValueError, match=message):
        gone_on(base, adapter, adaptation, lora)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"alpha_pattern": {"q": 7}}, "is an adapter with alpha_pattern, from which ozet cannot go on"),
        ({"modules_to_save": ["lm_head"]}, "is an adapter with modules_to_save"),
        ({"peft_type": "IA3", "feedforward_modules": []}, "is an adapter of the kind IA3"),
        ({"peft_type": "UNHEARD_OF"}, "is no adapter's configuration"),
        ({"use_dora": True}, "only model.adaptation dora can go on from"),
    ],
)
def test_adapters_that_lora_has_no_words_for_are_refused(base, adapter, values, message):
    set_json(adapter, CONFIG, **values)
    with pytest.raises(ValueError, match=message):
        gone_on(base, adapter)


def drop_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / TENSORS)
    tensors.pop(next(name for name in tensors if "lora_B" in name))
    save_file(tensors, folder / TENSORS)


def rename_tensors(folder: Path) -> None:
    save_file({f"model.{name}": tensor for name, tensor in load_file(folder / TENSORS).items()}, folder / TENSORS)


def spoil_a_value(folder: Path) -> None:
    tensors = load_file(folder / TENSORS)
    next(iter(tensors.values()))[0, 0] = torch.nan
    save_file(tensors, folder / TENSORS)


DAMAGE = {
    "a tensor missing": (drop_a_tensor, r"lacks 1 of 24 tensors, such as .*lora_B"),
    "other names": (rename_tensors, r"lacks 24 of 24 tensors"),
    "NaN": (spoil_a_value, "NaN or infinite"),
    "cut": (lambda f: (f / TENSORS).write_bytes((f / TENSORS).read_bytes()[:2000]), "is damaged or holds no weights"),
    "absent": (lambda f: (f / TENSORS).unlink(), "has neither adapter_model.safetensors nor adapter_model.bin"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_adapters_are_neither_trained_nor_used(base, adapter, damage):
    spoil, message = DAMAGE[damage]
    spoil(adapter)
    with pytest.raises(ValueError, match=message):
        gone_on(base, adapter)
    with pytest.raises(ValueError, match=f"{message}|Cannot load the adapter"):
        load_trained(str(adapter), CPU)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"base_model_name_or_path": None}, "does not name its base"),
        ({"base_model_name_or_path": "/moved/away"}, "is an adapter, and its base '/moved/away' is not there"),
        ({"base_model_name_or_path": "SELF"}, "is an adapter where a whole model is needed"),
    ],
)
def test_adapter_without_its_base_is_refused(adapter, tmp_path, values, message):
    set_json(adapter, CONFIG, **{name: str(adapter) if value == "SELF" else value for name, value in values.items()})
    with pytest.raises(ValueError, match=message):
        run("fit", tmp_path / "runs", f"--model.base={adapter}", "--model.adaptation=lora", *SAME)


SAME = ("--model.lora={rank: 2, alpha: 3, dropout: 0.0, targets: [q, v]}",)


def test_all_weights_cannot_be_trained_from_an_adapter(adapter, tmp_path):
    with pytest.raises(ValueError, match="is an adapter where a whole model is needed: merge it"):
        run("fit", tmp_path, f"--model.base={adapter}", "--model.adaptation=full")


def test_run_goes_on_from_an_export_and_its_own_export_needs_only_the_base(base, tmp_path, capsys):
    lora = ("--model.adaptation=lora", *SAME, "--model.schedule.warmup_steps=0", "--trainer.limit_val_batches=0")
    learning = (f"--model.base={base}", "--trainer.max_steps=3", "--model.optimizer.lr=0.05")
    first = run("fit", tmp_path / "a", *lora, *learning, callbacks=SAVE_EVERY_STEP)
    assert not torch.allclose(logits(first.model.model), logits(AutoModelForSeq2SeqLM.from_pretrained(base)), atol=0.1)
    folder = tmp_path / "adapter"
    export([str(run_folder(tmp_path / "a")), "--output", str(folder), "--adapter-only"])
    still = ("--trainer.max_steps=1", "--model.optimizer.lr=0")
    second = run("fit", tmp_path / "b", f"--model.base={folder}", *lora, *still, callbacks=SAVE_EVERY_STEP)
    assert torch.allclose(logits(second.model.model), logits(first.model.model), atol=1e-5)
    assert second.model.base_identity["name"] == str(base)
    shutil.rmtree(folder)  # the checkpoint holds all of the adapter
    opened = load_trained(str(run_folder(tmp_path / "b")), CPU)
    assert torch.allclose(logits(opened.model), logits(first.model.model), atol=1e-5)
