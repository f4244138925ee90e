from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_modules.losses import IGNORED_LABEL, linear_cross_entropy, plain_cross_entropy, softmax_gradient_
from lightning_modules.quantized_matrix import QuantizedMatrix

TOKENS, VOCABULARY, HIDDEN = 37, 211, 16
# Relative error of a norm: in bf16, gradients are rounded to 8 bits once more or once less than by autograd.
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 6e-3}


def inputs(dtype: torch.dtype, train_head: bool = True) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(TOKENS, HIDDEN, generator=generator).mul(2).to(dtype).requires_grad_()
    head = torch.randn(VOCABULARY, HIDDEN, generator=generator).to(dtype).requires_grad_(train_head)
    labels = torch.randint(0, VOCABULARY, (TOKENS,), generator=generator)
    labels[5:9] = IGNORED_LABEL
    return hidden, head, labels


def error(one: torch.Tensor, other: torch.Tensor) -> float:
    return ((one.float() - other.float()).norm() / other.float().norm()).item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [1, 8, 37, 100])
def test_loss_and_gradients_equal_the_plain_computation(dtype, smoothing, chunk):
    results = []
    for loss_of in (plain_cross_entropy, lambda *given: linear_cross_entropy(*given, chunk=chunk)):
        hidden, head, labels = inputs(dtype)
        loss, losses = loss_of(hidden, head, labels, smoothing)
        (3 * loss).backward()  # as gradient accumulation scales it
        results.append((loss.detach(), losses, hidden.grad, head.grad))
    assert [tensor.dtype for tensor in results[0]] == [tensor.dtype for tensor in results[1]]
    errors = [error(own, plain) for plain, own in zip(*results, strict=True)]
    assert max(errors[:2]) < 1e-6
    assert max(errors[2:]) < TOLERANCE[dtype]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_mean_equals_pytorch_s_cross_entropy_of_all_logits(smoothing):
    hidden, head, labels = inputs(torch.float32)
    expected = F.cross_entropy(hidden @ head.T, labels, label_smoothing=smoothing)
    for loss_of in (plain_cross_entropy, linear_cross_entropy):
        torch.testing.assert_close(loss_of(hidden, head, labels, smoothing)[0], expected)


@pytest.mark.parametrize("loss_of", [plain_cross_entropy, linear_cross_entropy])
def test_each_token_loss_is_its_negative_log_probability_and_ignored_ones_are_zero(loss_of):
    hidden, head, labels = inputs(torch.float32)
    losses = loss_of(hidden, head, labels)[1]
    log_probabilities = (hidden @ head.T).log_softmax(-1)
    assert losses[20].item() == pytest.approx(-log_probabilities[20, labels[20]].item(), rel=1e-5)
    assert losses[5:9].tolist() == [0.0] * 4
    assert not losses.requires_grad


def test_a_divisor_takes_the_place_of_the_number_of_labels():
    hidden, head, labels = inputs(torch.float32)
    for loss_of in (plain_cross_entropy, linear_cross_entropy):
        mean, losses = loss_of(hidden, head, labels)
        divided = loss_of(hidden, head, labels, divisor=torch.tensor(11.0))[0]
        torch.testing.assert_close(divided, losses.sum() / 11)
        ratio = 11 / (labels != IGNORED_LABEL).sum()
        gradients = torch.autograd.grad(mean, hidden)[0], torch.autograd.grad(divided, hidden)[0]
        torch.testing.assert_close(gradients[0], gradients[1] * ratio)


def test_frozen_head_gets_no_gradient_and_a_token_that_is_ignored_none_either():
    hidden, head, labels = inputs(torch.float32, train_head=False)
    linear_cross_entropy(hidden, head, labels, chunk=8)[0].backward()
    assert head.grad is None
    assert hidden.grad is not None
    assert (hidden.grad.abs().sum(1) > 0).tolist() == (labels != IGNORED_LABEL).tolist()


def test_without_gradients_the_losses_are_the_same():
    hidden, head, labels = inputs(torch.bfloat16)
    with torch.no_grad():
        without = linear_cross_entropy(hidden, head, labels, 0.1, chunk=8)
    for one, other in zip(without, linear_cross_entropy(hidden, head, labels, 0.1, chunk=8), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_autocast_takes_its_dtype_and_leaves_the_gradients_theirs():
    hidden, head, labels = inputs(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = linear_cross_entropy(hidden, head, labels, chunk=8)
    loss.backward()
    rounded = plain_cross_entropy(hidden.bfloat16(), head.bfloat16(), labels)[0]
    assert loss.item() == pytest.approx(rounded.item(), rel=1e-6)
    assert loss.dtype is torch.float32
    assert hidden.grad is not None
    assert head.grad is not None
    assert (hidden.grad.dtype, head.grad.dtype) == (torch.float32, torch.float32)


class GreatestSize(TorchDispatchMode):
    """Remembers the most values that any tensor held."""

    values = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.values = max(self.values, result.untyped_storage().nbytes() // result.element_size())
        return result


def test_only_the_logits_of_a_chunk_ever_exist():
    hidden, head, labels = inputs(torch.float32, train_head=False)
    with GreatestSize() as plain:
        plain_cross_entropy(hidden, head, labels)[0].backward()
    with GreatestSize() as chunked:
        linear_cross_entropy(hidden, head, labels, chunk=4)[0].backward()
    assert plain.values == TOKENS * VOCABULARY
    assert chunked.values == max(4 * VOCABULARY, head.numel())


def test_a_batch_without_labels_has_no_mean():
    hidden, head, _ = inputs(torch.float32)
    nothing = torch.full((TOKENS,), IGNORED_LABEL)
    for loss_of in (plain_cross_entropy, linear_cross_entropy):
        assert loss_of(hidden, head, nothing)[0].isnan()


@pytest.mark.slow
def test_compiled_it_is_the_same():
    hidden, head, _ = inputs(torch.float32)
    logits = (hidden @ head.T).detach()
    labels, scale = torch.arange(TOKENS), torch.rand(TOKENS)
    copy = logits.clone()
    expected = softmax_gradient_(logits, labels, scale, 0.1)
    found = torch.compile(softmax_gradient_)(copy, labels, scale, 0.1)
    for one, other in zip((logits, *expected), (copy, *found), strict=True):
        torch.testing.assert_close(one, other)


# Of 6 labels: more than two chunks, for which it is de-quantised once, or not.
@pytest.mark.parametrize("chunk", [2, 4])
@pytest.mark.parametrize("bits", [4, 8])
def test_a_quantized_head_gives_the_loss_of_its_dequantized_weights(bits: Any, chunk: int) -> None:
    torch.manual_seed(0)
    head, labels = QuantizedMatrix(torch.randn(90, 64), bits), torch.tensor([3, 89, IGNORED_LABEL, 0, 5, 17])
    hidden = torch.randn(6, 64, requires_grad=True)
    own, own_losses = linear_cross_entropy(hidden, head, labels, 0.1, chunk=chunk)
    plain, plain_losses = plain_cross_entropy(hidden, head[:], labels, 0.1)
    torch.testing.assert_close(own_losses, plain_losses)
    gradients = [torch.autograd.grad(loss, hidden)[0] for loss in (own, plain)]
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(plain_cross_entropy(hidden, head, labels, 0.1)[0], plain)
