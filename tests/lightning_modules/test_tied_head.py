"""T5 v1.0, whose head is its embeddings and whose outputs are scaled, is trained as transformers computes it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import SAVE_EVERY_STEP, run, run_folder
from foreign_bases import HEAD, write_t5
from safetensors.torch import load_file
from small_mt5 import plain
from test_acceleration import OFF, collated, step
from transformers import AutoModelForSeq2SeqLM

from export import main as export
from lightning_modules.acceleration import Acceleration, BatchLoss
from lightning_modules.adaptation import Lora, Quantization, adapt, load_base
from lightning_modules.generation import Generation, generation_config
from lightning_modules.summarizer import Summarizer
from lightning_modules.trained_model import load_trained
from lightning_modules.vocabulary_rows import trim_model

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def t5(random_mt5: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_t5(random_mt5, tmp_path_factory.mktemp("t5") / "base"))


def load(base: str, adaptation: Any = "full") -> Any:
    model = load_base(base, None, adaptation, Quantization(), torch.float32, CPU)
    return adapt(model, adaptation, Lora(rank=2, dropout=0.0))


def library_loss(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    names = ("input_ids", "attention_mask", "labels")
    return model(**{name: batch[name] for name in names}).loss


@pytest.mark.parametrize("adaptation", ["full", "lora", "qlora"])
@pytest.mark.parametrize("chunk", [None, 4, 512])
def test_loss_is_the_library_s_own(t5, adaptation, chunk):
    model, batch = load(t5, adaptation).train(), collated()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
        elif isinstance(getattr(layer, "dropout", None), float):
            layer.dropout = 0.0
    if adaptation != "qlora":
        theirs = library_loss(AutoModelForSeq2SeqLM.from_pretrained(t5).eval(), batch)
    else:  # 4-bit weights
        theirs = library_loss(model, batch).detach()
    loss, _, gradient = step(model, Acceleration(compile=False, cuda_graphs=False, loss_chunk=chunk), batch)
    assert loss == pytest.approx(theirs.item(), abs=1e-5)
    model.zero_grad()
    library_loss(model, batch).backward()
    expected = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert torch.allclose(gradient, expected, atol=1e-5)


def test_head_stays_the_embeddings(t5):
    model = load(t5)
    assert model.lm_head.weight is model.shared.weight
    assert model.config.tie_word_embeddings
    assert HEAD not in dict(model.named_parameters())
    before = model.shared.weight[5:9].clone()
    trim_model(model, torch.tensor([0, 1, 5, 6, 7, 8]))
    assert model.lm_head.weight is model.shared.weight
    assert torch.equal(model.shared.weight[2:], before)


@pytest.mark.parametrize("beams", [1, 3])
def test_fast_generation_equals_the_library_s(t5, tiny_tokenizer, beams):
    model = load(t5).eval()
    config = generation_config(Generation(max_new_tokens=12, num_beams=beams), tiny_tokenizer, 8064)
    ids, mask = collated()["input_ids"], collated()["attention_mask"]
    summarizer = Summarizer(model, config)
    assert summarizer.fast
    assert torch.equal(summarizer.generate(ids, mask), plain(model, ids, mask, config))


@pytest.mark.parametrize(
    ("adaptation", "form"),
    [("full", ()), ("lora", ("--adapter-only",)), pytest.param("qlora", ("--merge",), marks=pytest.mark.slow)],
)
def test_run_is_exported_and_opened_with_its_loss(t5, tmp_path, capsys, adaptation, form):
    rate = "0.01" if adaptation != "full" else "0.001"
    flags = ("--trainer.max_steps=2", "--model.schedule.warmup_steps=0", "--trainer.limit_val_batches=0")
    chosen = (f"--model.base={t5}", f"--model.adaptation={adaptation}", f"--model.optimizer.lr={rate}")
    cli = run("fit", tmp_path / "runs", *flags, *chosen, callbacks=SAVE_EVERY_STEP)
    trained = library_loss(cli.model.model.eval(), collated()).item()
    tolerance = 1e-2 if adaptation == "qlora" else 1e-4  # merged into what the 4 bits stand for
    dtype = () if "--adapter-only" in form else ("--dtype=fp32",)
    export([str(run_folder(tmp_path / "runs")), "--output", str(tmp_path / "out"), *form, *dtype])
    assert "greedy summaries equal 100.0%" in capsys.readouterr().out
    for place in (run_folder(tmp_path / "runs"), tmp_path / "out"):
        opened = load_trained(str(place), CPU).model
        loss, _ = BatchLoss(opened, opened.get_output_embeddings().weight, OFF, 0.0)(collated())
        assert loss.item() == pytest.approx(trained, abs=tolerance)
    if adaptation == "full":
        assert HEAD not in load_file(tmp_path / "out" / "model.safetensors")
        check = load(str(tmp_path / "out"))  # as a base of the next run
        assert library_loss(check.eval(), collated()).item() == pytest.approx(trained, abs=1e-4)
