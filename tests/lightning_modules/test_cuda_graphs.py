import gc

import pytest
import torch
from torch import nn

from lightning_modules.cuda_graphs import GraphedLoss

pytestmark = pytest.mark.gpu


class Regression(nn.Module):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.Dropout(dropout), nn.Linear(16, 1))

    def forward(self, rows: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        errors = (self.layers(rows)[:, 0] - targets).square()
        return errors.mean(), errors.detach()


def batch(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator("cuda").manual_seed(seed)
    return torch.randn(rows, 8, generator=generator, device="cuda"), torch.randn(
        rows, generator=generator, device="cuda"
    )


def train(graphed: bool, accumulate: int, set_to_none: bool = True, dropout: float = 0.0) -> list[float]:
    model = Regression(dropout).cuda()
    parameters = list(model.parameters())
    loss_of = GraphedLoss(model, parameters) if graphed else model
    optimizer = torch.optim.AdamW(parameters, lr=0.05, fused=True)
    torch.manual_seed(1)
    seen = []
    for step in range(12):
        rows = 6 if step % 3 else 4  # two shapes
        loss, errors = loss_of(*batch(rows, step))
        if step % accumulate == 0:
            optimizer.zero_grad(set_to_none)  # between the passes, as Lightning does
        (loss / accumulate).backward()
        seen += [loss.item(), errors.sum().item()]
        if step % accumulate == accumulate - 1:
            optimizer.step()
    return seen


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("set_to_none", [True, False])
def test_replays_train_as_plain_steps_do(accumulate, set_to_none):
    plain, graphed = train(False, accumulate, set_to_none), train(True, accumulate, set_to_none)
    assert graphed == pytest.approx(plain, rel=1e-5)


def test_dropout_draws_anew_each_step_and_a_capture_leaves_no_trace_in_the_random_numbers():
    model = Regression(dropout=0.5).cuda()
    loss_of = GraphedLoss(model, list(model.parameters()))
    torch.manual_seed(0)
    first = [loss_of(*batch(6, 0))[0].item() for _ in range(4)]
    torch.manual_seed(0)
    again = [loss_of(*batch(6, 0))[0].item() for _ in range(4)]
    assert first == again  # the first of `first` came with the capture
    assert len(set(first)) == 4


def test_losses_of_earlier_steps_are_not_overwritten():
    model = Regression().cuda()
    loss_of = GraphedLoss(model, list(model.parameters()))
    one = loss_of(*batch(6, 0))
    values = [tensor.clone() for tensor in one]
    loss_of(*batch(6, 1))
    assert all(torch.equal(*pair) for pair in zip(one, values, strict=True))


def reserved() -> int:
    gc.collect()
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved()


def test_captures_of_all_shapes_take_the_memory_of_one_step():
    layers = nn.Sequential(*[nn.Linear(512, 512) for _ in range(16)]).cuda()
    parameters, rows = list(layers.parameters()), torch.ones(32768, 512, device="cuda")

    def loss(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return layers(rows).square().mean(), rows.new_zeros(())

    before = reserved()
    torch.autograd.grad(loss(rows)[0], parameters)
    plain = torch.cuda.memory_reserved() - before
    before, loss_of = reserved(), GraphedLoss(loss, parameters)
    for count in (32768, 32000, 30000):
        loss_of(rows[:count])[0].backward()
    # 16 activations of 64 MiB, and the rows of three shapes that graphs read.
    assert 2**30 < plain < reserved() - before < 1.3 * plain


def test_parameter_that_no_gradient_reaches_has_none_as_without_graphs() -> None:
    model = Regression().cuda()
    idle = nn.Parameter(torch.ones(3, device="cuda"))
    loss_of = GraphedLoss(model, [*model.parameters(), idle])
    for rows in (4, 6, 4):
        loss_of(*batch(rows, rows))[0].backward()
        assert idle.grad is None
        assert all(parameter.grad is not None for parameter in model.parameters())
