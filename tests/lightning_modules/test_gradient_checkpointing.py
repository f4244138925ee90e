from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from lightning_modules.adaptation import (
    Lora,
    adapt,
    enable_gradient_checkpointing,
    require_gradient_checkpointing,
)

Build = Callable[..., Any]


def base_of(model: Any) -> Any:
    return model.base_model.model if hasattr(model, "peft_config") else model


def count_calls(block: Any) -> list[nn.Module]:
    calls: list[nn.Module] = []
    # Before the block's first layer, since recomputation stops as soon as it has what it needs.
    block.layer[0].register_forward_pre_hook(lambda layer, inputs: calls.append(layer))
    return calls


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("adaptation", ["full", "lora", "dora", "qlora"])
def test_blocks_run_twice_and_gradients_stay_the_same(
    loaded: Build, gradients: Build, adaptation: Any, dtype: torch.dtype
) -> None:
    results = {}
    for checkpointed in (False, True):
        model = loaded(adaptation, dtype)
        if checkpointed:
            enable_gradient_checkpointing(model)
        torch.manual_seed(0)
        model = adapt(model, adaptation, Lora(rank=4))
        counters = [count_calls(getattr(base_of(model), name).block[1]) for name in ("encoder", "decoder")]
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
            results[checkpointed] = gradients(model)
        assert [len(calls) for calls in counters] == [2 if checkpointed else 1] * 2
    plain, recomputed = results[False], results[True]
    assert plain.keys() == recomputed.keys()
    assert any(gradient.any() for gradient in plain.values())
    for name in plain:
        # Gradients of a tensor used twice are summed in another order; another dropout would differ by far more.
        tolerance = 1e-5 * plain[name].abs().max().item()
        torch.testing.assert_close(recomputed[name], plain[name], rtol=0, atol=tolerance)


def test_checkpointing_that_is_on_passes(loaded: Build) -> None:
    model = loaded("full")
    enable_gradient_checkpointing(model)
    assert require_gradient_checkpointing(model) is None


def test_checkpointing_that_was_never_enabled_is_refused(loaded: Build) -> None:
    with pytest.raises(RuntimeError, match="off in 4 of 4 blocks"):
        require_gradient_checkpointing(loaded("full"))


def test_a_block_in_eval_mode_is_refused(loaded: Build) -> None:
    model = loaded("full")
    enable_gradient_checkpointing(model)
    model.decoder.block[0].eval()
    with pytest.raises(RuntimeError, match=r"off in 1 of 4 blocks .*eval mode"):
        require_gradient_checkpointing(model)


def test_a_model_without_blocks_is_refused() -> None:
    with pytest.raises(RuntimeError, match="off in 0 of 0 blocks"):
        require_gradient_checkpointing(nn.Linear(2, 2))
