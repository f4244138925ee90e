"""Enlarged numbers change nothing in exact arithmetic, and overflow in fp16."""

import pytest
import torch
from small_mt5 import small_mt5, sources

from case_study.half_precision import HalfPrecision, enlarge

IDS, MASK = sources()


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
