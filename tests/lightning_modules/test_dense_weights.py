from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import lightning_modules.dense_weights as module
from lightning_modules.adaptation import Lora, adapt
from lightning_modules.dense_weights import DenseWeights, dequantized, hold_dense
from lightning_modules.quantization import count_parameters

INPUTS = {"input_ids": torch.arange(300, 320).view(2, 10), "decoder_input_ids": torch.arange(400, 412).view(2, 6)}


@torch.no_grad()
def logits(model: nn.Module, autocast: bool) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        return model(**INPUTS).logits


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_four_bit_layers_compute_the_same_with_copies(adapted: Callable[..., Any], dtype: torch.dtype) -> None:
    model = adapted("qlora", dtype=dtype).eval()
    plain = logits(model, autocast=dtype == torch.bfloat16)
    copies = DenseWeights(model, autocast=None)
    assert len(copies.forwards) == 2 * (4 + 2) + 2 * (8 + 2)  # all linear layers but `wo` and the head
    for layer, _ in copies.forwards:
        layer.weight.data.zero_()  # nothing but the copies is read
    with copies.applied():
        assert torch.equal(logits(model, autocast=dtype == torch.bfloat16), plain)
    assert not torch.equal(logits(model, autocast=dtype == torch.bfloat16), plain)


def test_dequantised_weights_are_near_the_originals(loaded: Callable[..., Any]) -> None:
    whole, quantised = (
        loaded(adaptation).encoder.block[0].layer[0].SelfAttention.q for adaptation in ("full", "qlora")
    )
    error = (dequantized(quantised) - whole.weight).norm() / whole.weight.norm()
    assert 0 < error < 0.15


def test_fp32_weights_are_copied_only_under_autocast_and_renewed_each_time(adapted: Callable[..., Any]) -> None:
    model = adapted("full").eval()
    assert DenseWeights(model, None).forwards == []
    copies = DenseWeights(model, torch.bfloat16)
    for _ in range(2):
        with copies.applied():
            held = logits(model, autocast=True)
        assert torch.equal(held, logits(model, autocast=True))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.1)


def test_layers_are_as_before_even_after_an_error(adapted: Callable[..., Any]) -> None:
    model = adapted("qlora")
    copies = DenseWeights(model, None)
    with pytest.raises(KeyError), copies.applied():
        assert all("forward" in vars(layer) for layer, _ in copies.forwards)
        raise KeyError
    assert not any("forward" in vars(layer) for layer in model.modules())


@pytest.mark.parametrize(("free", "fits"), [(39, False), (40, True)])
def test_copies_take_no_more_than_their_share_of_the_free_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, free: int, fits: bool
) -> None:
    gib = 2**30
    for name, value in (
        ("mem_get_info", (100 * gib, 100 * gib)),
        ("get_per_process_memory_fraction", (free + 10) / 100),
        ("memory_reserved", 30 * gib),
        ("memory_allocated", 10 * gib),
    ):
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    with caplog.at_level("INFO"):
        assert module._fits(10 * gib, torch.device("cuda")) is fits
    assert ("10,240 MiB, more than 25% of" in caplog.text) is not fits


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_plain_layers_with_4_bit_numbers_compute_and_learn_the_same(
    loaded: Callable[..., Any], dtype: torch.dtype
) -> None:
    results = []
    for wanted in (False, True):
        torch.manual_seed(0)
        model = loaded("qlora", dtype)
        hold_dense(model, wanted)
        model = adapt(model, "qlora", Lora(rank=2, dropout=0.0)).eval()
        layer = model.get_base_model().encoder.block[0].layer[0].SelfAttention.q
        assert (type(layer.base_layer) is nn.Linear) is wanted
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            out = model(**INPUTS).logits
        out.float().square().mean().backward()
        results.append((out, layer.lora_B["default"].weight.grad))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1])
    assert results[0][1].abs().sum() > 0


@pytest.mark.parametrize(("available", "held"), [(None, False), (2_000_000, False), (200_000_000, True)])
def test_left_open_numbers_are_held_where_memory_is_plenty(
    loaded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, available: int | None, held: bool
) -> None:
    monkeypatch.setattr(module, "available_bytes", lambda device: available)
    model = loaded("qlora")
    four_bit = count_parameters(model).four_bit
    hold_dense(model, None)
    assert count_parameters(model).four_bit == (0 if held else four_bit)
