import pytest
import torch
import torch.nn.functional as F

from lightning_modules.losses import IGNORED_LABEL, mean_token_loss, token_losses


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(3, 5, 17, generator=torch.Generator().manual_seed(0)) * 4


@pytest.fixture
def labels() -> torch.Tensor:
    ids = torch.randint(0, 17, (3, 5), generator=torch.Generator().manual_seed(1))
    ids[0, 3:] = IGNORED_LABEL
    ids[2] = IGNORED_LABEL
    return ids


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_mean_equals_cross_entropy_over_all_counted_tokens(
    logits: torch.Tensor, labels: torch.Tensor, smoothing: float
) -> None:
    losses = token_losses(logits, labels, smoothing)
    expected = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=smoothing)
    torch.testing.assert_close(mean_token_loss(losses, labels), expected)


def test_each_token_loss_is_its_negative_log_probability(logits: torch.Tensor, labels: torch.Tensor) -> None:
    losses = token_losses(logits, labels)
    assert losses.shape == labels.shape
    assert losses[1, 2].item() == pytest.approx(-logits[1, 2].log_softmax(0)[labels[1, 2]].item(), rel=1e-5)


def test_smoothing_mixes_in_the_mean_over_the_vocabulary(logits: torch.Tensor, labels: torch.Tensor) -> None:
    log_probabilities = logits[1, 0].log_softmax(0)
    expected = -0.8 * log_probabilities[labels[1, 0]] - 0.2 * log_probabilities.mean()
    assert token_losses(logits, labels, 0.2)[1, 0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_ignored_labels_count_nothing_and_a_row_of_them_is_zero(logits: torch.Tensor, labels: torch.Tensor) -> None:
    losses = token_losses(logits, labels, 0.1)
    assert losses[2].tolist() == [0.0] * 5
    assert losses[0, 3:].tolist() == [0.0, 0.0]
    assert (losses[1] > 0).all()


def test_bf16_logits_give_fp32_losses_computed_in_fp32(logits: torch.Tensor, labels: torch.Tensor) -> None:
    half = logits.bfloat16()
    losses = token_losses(half, labels)
    assert losses.dtype is torch.float32
    torch.testing.assert_close(losses, token_losses(half.float(), labels), rtol=0, atol=0)


def test_gradients_of_ignored_positions_are_zero(logits: torch.Tensor, labels: torch.Tensor) -> None:
    logits.requires_grad_(True)
    mean_token_loss(token_losses(logits, labels, 0.1), labels).backward()
    assert not logits.grad[labels == IGNORED_LABEL].any()
    assert logits.grad[labels != IGNORED_LABEL].any(dim=-1).all()
