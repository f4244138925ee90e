from types import SimpleNamespace

import pytest
import torch
from peak_on_gpu import peak_and_estimate
from torch import nn
from torch.nn.attention import SDPBackend

from lightning_modules.adaptation import Lora
from lightning_modules.architecture import Architecture
from lightning_modules.device_memory import available_bytes
from lightning_modules.memory_settings import (
    attention_kernel,
    memory_settings,
    optimizer_bytes,
    planned_settings,
)
from lightning_modules.quantization import count_parameters


@pytest.mark.parametrize("adaptation", ["full", "qlora"])
def test_sizes_are_those_of_the_model(adapted, adaptation):
    model = adapted(adaptation)
    count, settings = count_parameters(model), memory_settings(model, adaptation, Lora(), chunk_tokens=7)
    assert (settings.weight_bytes, settings.trainable) == (count.weight_bytes, count.trainable)
    assert settings.architecture == Architecture(2, 2, 128, 32, 4, 256, 8064)
    assert (settings.adaptation, settings.dropout, settings.chunk_tokens) == (adaptation, 0.1, 7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("adaptation", ["full", "lora", "qlora"])
@pytest.mark.parametrize("lora", [Lora(rank=4), Lora(rank=8, targets=["q", "wo"])], ids=["all layers", "two of them"])
def test_a_planned_model_is_as_large_as_the_loaded_one(adapted, adaptation, lora, dtype):
    loaded = memory_settings(adapted(adaptation, lora, dtype), adaptation, lora)
    planned = planned_settings(loaded.architecture, adaptation, lora, compute_bytes=dtype.itemsize)
    assert planned.trainable == loaded.trainable
    assert planned.weight_bytes == pytest.approx(loaded.weight_bytes, rel=0.01 if adaptation == "qlora" else 0)


@pytest.mark.parametrize(("optimizer", "options"), [(torch.optim.AdamW, {}), (torch.optim.SGD, {"momentum": 0.9})])
def test_the_optimizers_state_is_what_it_holds(optimizer, options):
    parameter = nn.Parameter(torch.zeros(1000))
    stepping = optimizer([parameter], lr=1.0, **options)
    parameter.grad = torch.ones(1000)
    stepping.step()
    held = sum(value.nbytes for value in stepping.state[parameter].values() if value.dim())
    assert held / 1000 == optimizer_bytes(stepping)


def test_an_unknown_optimizer_counts_as_adam():
    assert optimizer_bytes(torch.optim.NAdam([nn.Parameter(torch.zeros(1))])) == 8


@pytest.mark.parametrize(("free", "held", "share", "available"), [(60, 10, 1.0, 70), (60, 10, 0.5, 50), (60, 0, 1, 60)])
def test_a_process_may_use_what_is_free_and_what_it_holds_below_its_limit(monkeypatch, free, held, share, available):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 100))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: held)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda _: share)
    assert available_bytes(torch.device("cuda")) == available
    assert available_bytes(torch.device("cpu")) is None


@pytest.mark.parametrize(
    ("backend", "kernel"), [(SDPBackend.MATH, "math"), (SDPBackend.EFFICIENT_ATTENTION, "efficient")]
)
def test_the_kernel_is_the_one_that_pytorch_takes(adapted, monkeypatch, backend, kernel):
    def choose(query, key, value, bias, dropout, causal):
        assert (query.dtype, bias.shape, dropout) == (torch.bfloat16, (1, 4, 64, 64), 0.1)
        return backend.value

    monkeypatch.setattr(torch, "_fused_sdp_choice", choose)
    assert attention_kernel(memory_settings(adapted("lora"), "lora", Lora()), torch.device("cpu")) == kernel


@pytest.mark.gpu
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(("base", "rows"), [("tiny", 64), ("small", 8), ("small", 32)])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_gpu_holds_what_is_estimated(random_mt5, base, rows, compiled, checkpointing, capsys):
    peak, estimated = peak_and_estimate(random_mt5, base, rows, compiled, checkpointing)
    with capsys.disabled():
        print(SimpleNamespace(base=base, rows=rows, compiled=compiled, peak=peak, estimated=estimated))
    assert estimated == pytest.approx(peak, rel=0.15)
