import pytest
import torch

from lightning_modules.adaptation import frozen_dtype, require_supported_precision


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16-mixed", torch.bfloat16), ("32-true", torch.float32), ("32", torch.float32)]
)
def test_frozen_weights_are_bf16_under_bf16_mixed_only(precision: str, dtype: torch.dtype) -> None:
    assert frozen_dtype(precision) is dtype


@pytest.mark.parametrize("precision", ["16", "16-mixed", "16-true"])
def test_fp16_is_refused_because_mt5_overflows(precision: str) -> None:
    with pytest.raises(ValueError, match=rf"{precision}: .*65,504.*NaN.*Use bf16-mixed"):
        require_supported_precision(precision)


@pytest.mark.parametrize("precision", ["bf16", "bf16-true"])
def test_pure_bf16_is_refused_because_updates_vanish(precision: str) -> None:
    with pytest.raises(ValueError, match=rf"{precision} .*swallow most updates.*Use bf16-mixed"):
        require_supported_precision(precision)


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true", "32"])
def test_supported_precisions_pass(precision: str) -> None:
    assert require_supported_precision(precision) is None
