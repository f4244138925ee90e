from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import lightning_modules.dense_weights as module
from lightning_modules.dense_weights import DenseWeights, dequantized

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
