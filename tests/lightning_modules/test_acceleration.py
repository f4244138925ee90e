from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lightning_modules.acceleration import Acceleration, BatchLoss
from lightning_modules.adaptation import Lora, Quantization, adapt, enable_gradient_checkpointing, load_base
from lightning_modules.hidden_states import run_block
from lightning_modules.losses import IGNORED_LABEL, softmax_gradient_

CPU, GPU = torch.device("cpu"), torch.device("cuda")
OFF = Acceleration(compile=False, cuda_graphs=False)


def build(base: Any, dropout: float = 0.0, adaptation: Any = "lora") -> Any:
    torch.manual_seed(0)
    model = load_base(str(base), None, adaptation, Quantization(), torch.float32, CPU)
    for layer in model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = dropout
        if hasattr(layer, "dropout") and isinstance(layer.dropout, float):
            layer.dropout = dropout
    model = adapt(model, adaptation, Lora(rank=2, dropout=dropout))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(torch.randn(parameter.shape), alpha=0.02)
    return model


def collated(rows: int = 3, width: int = 24, seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(5, 300, (rows, 8), generator=generator)
    labels[1, 5:] = labels[2, 2:] = IGNORED_LABEL
    positions = (labels.flatten() != IGNORED_LABEL).nonzero()[:, 0]
    mask = torch.ones(rows, width, dtype=torch.int64)
    mask[1, 7:] = 0
    return {
        "input_ids": torch.randint(5, 300, (rows, width), generator=generator),
        "attention_mask": mask,
        "labels": labels,
        "decoder_input_ids": F.pad(labels.clamp(min=0), (1, -1)),
        "label_positions": F.pad(positions, (0, 20 - len(positions))),
        "label_ids": F.pad(labels.flatten()[positions], (0, 20 - len(positions)), value=IGNORED_LABEL),
    }


def step(model: Any, settings: Acceleration, batch: dict[str, Any], smoothing: float = 0.0) -> tuple[Any, Any, Any]:
    model.zero_grad()
    head = model.get_output_embeddings().weight
    loss, losses = BatchLoss(model, head, settings, smoothing)(batch)
    loss.backward()
    return loss.detach(), losses, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("adaptation", ["lora", "full"])
def test_loss_and_gradients_are_those_of_the_model_and_pytorch_s_cross_entropy(random_mt5, smoothing, adaptation):
    model, batch = build(random_mt5, adaptation=adaptation), collated()
    for settings in (OFF, Acceleration(False, False, 4), Acceleration(False, False, None)):
        loss, losses, gradients = step(model, settings, batch, smoothing)
        model.zero_grad()
        names = ("input_ids", "attention_mask", "decoder_input_ids")
        logits = model(**{name: batch[name] for name in names}).logits
        expected = F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), label_smoothing=smoothing)
        expected.backward()
        plain = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        torch.testing.assert_close(loss, expected.detach(), rtol=1e-5, atol=1e-5)
        assert (gradients - plain).norm() < 1e-4 * plain.norm()
        assert ((losses != 0) == (batch["labels"] != IGNORED_LABEL)).all()


def test_divisor_of_the_batch_divides_the_sum(random_mt5):
    model, batch = build(random_mt5), collated()
    _, losses, gradients = step(model, OFF, batch)
    divided, _, divided_gradients = step(model, OFF, {**batch, "loss_divisor": torch.tensor(50.0)})
    torch.testing.assert_close(divided, losses.sum() / 50)
    torch.testing.assert_close(divided_gradients * 50, gradients * len(losses[losses != 0]), rtol=1e-4, atol=1e-4)


def test_evaluation_is_not_smoothed_and_needs_no_gradients(random_mt5):
    model, batch = build(random_mt5).eval(), collated()
    head = model.get_output_embeddings().weight
    with torch.no_grad():
        plain, smoothed = (BatchLoss(model, head, OFF, smoothing)(batch)[0] for smoothing in (0.0, 0.3))
        assert plain == smoothed
        assert BatchLoss(model.train(), head, OFF, 0.3)(batch)[0] != plain


@pytest.mark.slow
@pytest.mark.parametrize("adaptation", ["lora", "qlora"])
def test_compiled_blocks_give_the_same_gradients_for_every_shape_and_few_versions(random_mt5, adaptation):
    model = build(random_mt5, adaptation=adaptation)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    for width in (24, 16, 32, 40):
        batch = collated(width=width, seed=width)
        loss, losses, gradients = step(model, OFF, batch)
        compiled = step(model, Acceleration(True, False), batch)
        torch.testing.assert_close(compiled[0], loss)
        torch.testing.assert_close(compiled[1], losses)
        assert (compiled[2] - gradients).norm() < 1e-4 * gradients.norm()
    # Encoder, decoder and loss, first with fixed widths and then with any: not one for each layer and width.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 9


@pytest.mark.parametrize(
    ("device", "checkpointing", "expected"), [(CPU, False, False), (GPU, False, True), (GPU, True, False)]
)
def test_graphs_are_used_where_they_work(monkeypatch, device, checkpointing, expected):
    memory = SimpleNamespace(total_memory=16 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: memory)
    assert Acceleration(compile=False).resolved(device, checkpointing).cuda_graphs is expected
    asked = Acceleration(compile=False, cuda_graphs=True)
    if expected:
        memory.total_memory = 6 * 2**30
        assert not Acceleration(compile=False).resolved(device, checkpointing).cuda_graphs
        assert asked.resolved(device, checkpointing).cuda_graphs
    else:
        with pytest.raises(ValueError, match=r"cuda_graphs does not work (on|with) .*; set it to null or false"):
            asked.resolved(device, checkpointing)


def test_nothing_is_compiled_for_a_cpu_unless_asked_for():
    assert Acceleration().resolved(CPU, False).compile is False
    assert Acceleration(compile=True).resolved(CPU, False).compile is True


def test_blocks_that_are_computed_twice_are_not_compiled(adapted):
    model = adapted("lora")
    compiled = BatchLoss(model, model.get_output_embeddings().weight, Acceleration(True, False), 0.0)
    enable_gradient_checkpointing(model.get_base_model())
    checkpointed = BatchLoss(model, model.get_output_embeddings().weight, Acceleration(True, False), 0.0)
    assert compiled._block is not run_block and checkpointed._block is run_block
    assert compiled._softmax_gradient is checkpointed._softmax_gradient is not softmax_gradient_


def test_nothing_is_counted_where_nothing_is_compiled(adapted):
    model = adapted("lora")
    assert BatchLoss(model, model.get_output_embeddings().weight, OFF, 0.0).counts() == {}


def test_chunk_must_be_positive():
    with pytest.raises(ValueError, match="loss_chunk 0 must be at least 1, or null"):
        Acceleration(loss_chunk=0)


@pytest.mark.gpu
def test_compilations_and_captures_are_counted(random_mt5):
    torch._dynamo.utils.counters.clear()
    model = build(random_mt5).cuda()
    loss = BatchLoss(model, model.get_output_embeddings().weight, Acceleration(True, True), 0.0)
    counts = []
    for width in (24, 24, 32):
        batch = {name: value.cuda() for name, value in collated(width=width).items()}
        loss(batch)[0].backward()
        counts.append(loss.counts())
    assert [count["captured_graphs"] for count in counts] == [1, 1, 2]
    assert 0 < counts[0]["compilations"] == counts[1]["compilations"]
