from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from lightning_modules.acceleration import Acceleration
from lightning_modules.attention_kernels import cudnn_attention
from lightning_modules.seq2seq import Seq2SeqModule
from lightning_modules.span_corruption import SpanCorruptionModule

allowed = torch.backends.cuda.cudnn_sdp_enabled


@pytest.fixture(autouse=True)
def as_pytorch_has_it():
    with cudnn_attention(enabled=True):
        yield


def test_what_was_before_is_restored_even_after_an_error():
    with pytest.raises(KeyError), cudnn_attention(enabled=False):
        assert not allowed()
        raise KeyError
    assert allowed()


@pytest.mark.parametrize("kind", [Seq2SeqModule, SpanCorruptionModule])
def test_cudnn_is_kept_out_of_training_alone(kind):
    module = kind("a-base")
    module._trainer = SimpleNamespace(precision="bf16-mixed")
    module.setup("validate")
    assert allowed()
    module.setup("fit")
    assert not allowed()
    module.teardown("fit")
    assert allowed()


def test_cudnn_is_let_in_on_request():
    module = Seq2SeqModule("a-base", acceleration=Acceleration(cudnn_attention=True))
    module._trainer = SimpleNamespace(precision="bf16-mixed")
    module.setup("fit")
    assert allowed()


@pytest.mark.gpu
@pytest.mark.parametrize("keys", [64, 192, 256])
def test_gradients_of_very_negative_scores_are_finite_in_training(keys):
    queries, values = (torch.randn(1, 4, keys, 64, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    with torch.no_grad():
        queries[..., 0] = 1
        shift = F.one_hot(torch.tensor(0), 64).to(queries) * -200  # all scores are near -200
    queries.requires_grad_()
    with cudnn_attention(enabled=False):
        attended = F.scaled_dot_product_attention(
            queries, 0.1 * values + shift, values, attn_mask=values.new_zeros(1, 4, keys, keys), scale=1.0
        )
        (gradient,) = torch.autograd.grad(attended.square().sum(), queries)
    assert gradient.isfinite().all()
