import io

import pytest
import torch
from torch import nn

from callbacks.nan_window import Verdict
from lightning_modules.muon import MuonWithAdamW, orthogonalize
from lightning_modules.optimization import Schedule, apply_current_settings, build_scheduler

SHAPES = [(16, 24), (16, 24), (24, 16), (16, 16)]


def parameters(seed: int = 0) -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {f"encoder.block.{index}.wi": shape for index, shape in enumerate(SHAPES)}
    shapes |= {"shared": (30, 16), "lm_head": (30, 16), "encoder.block.0.norm": (16,)}
    shapes |= {"encoder.block.0.relative_attention_bias": (8, 2)}
    return {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}


def take_steps(optimizer: torch.optim.Optimizer, trained: dict[str, nn.Parameter], first: int, last: int) -> None:
    for step in range(first, last):
        generator = torch.Generator().manual_seed(100 + step)
        for parameter in trained.values():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()


def states(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [value.clone() for state in optimizer.state.values() for value in state.values()]


def test_steps_are_those_of_pytorchs_muon_and_adamw() -> None:
    ours, theirs = parameters(), parameters()
    optimizer = MuonWithAdamW(ours.items(), lr=0.01, muon_lr=0.02, betas=(0.8, 0.9), momentum=0.9, weight_decay=0.1)
    hidden = [parameter for name, parameter in theirs.items() if name.endswith("wi")]
    rest = [parameter for name, parameter in theirs.items() if not name.endswith("wi")]
    muon = torch.optim.Muon(hidden, lr=0.02, momentum=0.9, weight_decay=0.1)
    adamw = torch.optim.AdamW(rest, lr=0.01, betas=(0.8, 0.9), weight_decay=0.1)
    take_steps(optimizer, ours, 0, 4)
    take_steps(muon, theirs, 0, 4)
    take_steps(adamw, theirs, 0, 4)
    for name, parameter in theirs.items():
        # PyTorch's Muon computes in bf16: 3 digits of each step of about 0.02.
        tolerance = 1e-3 if name.endswith("wi") else 1e-6
        torch.testing.assert_close(ours[name], parameter, rtol=0, atol=tolerance)
        assert not torch.equal(parameter, parameters()[name])


def test_singular_values_come_near_one_and_directions_stay() -> None:
    matrices = torch.randn(3, 20, 12, generator=torch.Generator().manual_seed(0))
    result = orthogonalize(matrices)
    assert torch.linalg.svdvals(result).sub(1).abs().max() < 0.35
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    aligned = left.mT @ result @ right.mT
    assert (aligned - torch.diag_embed(aligned.diagonal(dim1=1, dim2=2))).abs().max() < 1e-4
    assert not orthogonalize(torch.zeros(1, 4, 3)).any()


def test_resumed_steps_are_those_of_an_uninterrupted_run() -> None:
    def make() -> tuple[MuonWithAdamW, torch.optim.lr_scheduler.LambdaLR, dict[str, nn.Parameter]]:
        trained = parameters()
        optimizer = MuonWithAdamW(trained.items(), lr=0.01, muon_lr=0.02)
        return optimizer, build_scheduler(Schedule(warmup_steps=2), optimizer, 8), trained

    def run(optimizer, scheduler, trained, first: int, last: int) -> None:
        for step in range(first, last):
            take_steps(optimizer, trained, step, step + 1)
            scheduler.step()

    whole, cut, resumed = make(), make(), make()
    run(*whole, 0, 6)
    run(*cut, 0, 3)
    file = io.BytesIO()
    torch.save([cut[0].state_dict(), cut[1].state_dict()], file)
    file.seek(0)
    for part, state in zip(resumed, torch.load(file, weights_only=True), strict=False):
        part.load_state_dict(state)
    with torch.no_grad():
        for name, parameter in resumed[2].items():
            parameter.copy_(cut[2][name])
    assert apply_current_settings(*resumed[:2]) == {}
    run(*resumed, 3, 6)
    assert all(torch.equal(resumed[2][name], parameter) for name, parameter in whole[2].items())
    assert all(torch.equal(one, other) for one, other in zip(states(resumed[0]), states(whole[0]), strict=True))
    assert [group["lr"] for group in whole[0].param_groups] == pytest.approx([0.02 * 2 / 6, 0.01 * 2 / 6])


def test_configured_rates_win_over_a_checkpoints_each_in_its_group() -> None:
    before = MuonWithAdamW(parameters().items(), lr=0.01, muon_lr=0.02)
    build_scheduler(Schedule(warmup_steps=0), before, 10)
    now = MuonWithAdamW(parameters().items(), lr=0.01, muon_lr=0.05)
    scheduler = build_scheduler(Schedule(warmup_steps=0), now, 10)
    now.load_state_dict(before.state_dict())
    scheduler.last_epoch = 5
    assert apply_current_settings(now, scheduler) == {"lr": (0.02, 0.05)}
    assert [group["lr"] for group in now.param_groups] == pytest.approx([0.025, 0.01])


@pytest.mark.parametrize("steps_before", [0, 2])
def test_bad_step_is_left_out_on_the_device(steps_before: int) -> None:
    trained = parameters()
    optimizer = MuonWithAdamW(trained.items(), weight_decay=0.1)
    take_steps(optimizer, trained, 0, steps_before)
    weights, before = [p.detach().clone() for p in trained.values()], states(optimizer)
    for parameter in trained.values():
        parameter.grad = torch.full_like(parameter, torch.nan)
    assert Verdict(0, [], torch.tensor(True)).defer_to(optimizer)
    optimizer.step()
    assert all(torch.equal(p, weight) for p, weight in zip(trained.values(), weights, strict=True))
    after = states(optimizer)
    before = before or [torch.zeros_like(value) for value in after]
    assert all(torch.equal(one, other) for one, other in zip(after, before, strict=True))
    Verdict(0, [], torch.tensor(False)).defer_to(optimizer)
    take_steps(optimizer, trained, 5, 6)
    assert all(not torch.equal(p, weight) for p, weight in zip(trained.values(), weights, strict=True))
    assert all(p.isfinite().all() for p in trained.values())


def test_step_without_gradients_changes_nothing() -> None:
    trained = parameters()
    optimizer = MuonWithAdamW(trained.items())
    optimizer.step()
    assert all(torch.equal(parameter, parameters()[name]) for name, parameter in trained.items())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MuonWithAdamW(parameters().values()), "needs the names of matrices"),
        (lambda: MuonWithAdamW(parameters().items(), muon_lr=0.0), r"muon_lr 0\.0 must be above 0"),
        (lambda: MuonWithAdamW(parameters().items(), momentum=1.0), r"momentum 1\.0 must be in"),
    ],
)
def test_what_cannot_work_is_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
