"""Enlarged numbers change nothing in exact arithmetic, and overflow in fp16."""

from types import SimpleNamespace

import pytest
import torch
from small_mt5 import small_mt5, sources

from case_study.half_precision import HalfPrecision, enlarge
from lightning_modules.memory_settings import training_memory

IDS, MASK = sources()
LABELS = torch.arange(IDS.numel())
BATCH = {"input_ids": IDS, "attention_mask": MASK, "decoder_input_ids": IDS}
BATCH |= {"label_positions": LABELS, "label_ids": LABELS % 60}


def module(factor: float) -> HalfPrecision:
    made = HalfPrecision("tests/random-mt5", factor=factor)
    made.model = small_mt5()
    enlarge(made.model, factor)
    return made


def logits(model, **autocast):
    with torch.no_grad(), torch.autocast("cpu", **autocast):
        return model(input_ids=IDS, attention_mask=MASK, decoder_input_ids=IDS).logits


def test_enlarged_numbers_are_the_same_function():
    model = small_mt5()
    before = logits(model, enabled=False)
    enlarge(model, 4096.0)
    assert torch.allclose(logits(model, enabled=False), before, atol=1e-3)


def test_only_enlarged_numbers_overflow_in_fp16():
    model = small_mt5()
    assert logits(model, dtype=torch.float16).isfinite().all()
    enlarge(model, 1e5)
    assert not logits(model, dtype=torch.float16).isfinite().all()


def test_a_factor_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"HalfPrecision.factor 0 must be above 0"):
        HalfPrecision("tests/random-mt5", factor=0)


@pytest.mark.parametrize(("factor", "finite"), [(1, True), (1e5, False)])
def test_its_loss_is_computed_in_fp16(factor, finite):
    exact = super(HalfPrecision, module(factor)).batch_loss
    with torch.no_grad():
        assert exact(BATCH)[0].isfinite()
        assert module(factor).batch_loss(BATCH)[0].isfinite() == finite


def test_its_memory_is_estimated_as_on_a_gpu():
    half = module(1.0)
    half._trainer = SimpleNamespace(precision="bf16-mixed", world_size=1)
    assert training_memory(half).chunk_tokens == half.acceleration.loss_chunk
