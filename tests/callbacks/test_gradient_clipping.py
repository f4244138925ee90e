from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from tiny_module import fit
from torch import nn

from callbacks.gradient_clipping import GradientClipping


class Module:
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.logged: dict[str, list[float]] = {"train/gradient_norm": [], "train/clipped_share": []}

    def log(self, name: str, value: torch.Tensor, **settings: Any) -> None:
        self.logged[name].append(float(value))


def step(clipping: GradientClipping, norm: float, module: Any, number: int = 0, every: int = 1) -> float:
    """Takes a step whose gradient has this norm; returns the norm after clipping."""
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([norm, 0.0])
    trainer: Any = SimpleNamespace(global_step=number, log_every_n_steps=every)
    clipping.on_before_optimizer_step(trainer, module, torch.optim.SGD([parameter], lr=1.0))
    return float(parameter.grad.norm())


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize(("mode", "threshold"), [("norm", 0.5), ("value", 0.2)])
def test_training_equals_that_with_lightnings_own_clipping(tmp_path, mode, threshold, accumulate):
    own = fit(tmp_path, GradientClipping(mode, threshold), accumulate=accumulate)
    settings = {"gradient_clip_val": threshold, "gradient_clip_algorithm": mode}
    expected = fit(tmp_path, accumulate=accumulate, **settings).state_dict()
    free = fit(tmp_path, accumulate=accumulate).state_dict()
    # Not equal: Lightning's norm is float32, and it adds 1e-6.
    torch.testing.assert_close(dict(own.state_dict()), dict(expected), rtol=1e-4, atol=1e-5)
    assert not torch.equal(expected["first.weight"], free["first.weight"])


@pytest.mark.parametrize("mode", ["norm", "value"])
def test_norm_before_clipping_is_logged_each_step_and_the_share_since_the_last_record(mode):
    clipping, module = GradientClipping(mode, 10.0), Module()
    for number, norm in enumerate((5.0, 20.0, 11.0, 30.0, 1.0, 2.0)):
        assert step(clipping, norm, module, number, every=3) == pytest.approx(min(norm, 10.0))
    assert module.logged["train/gradient_norm"] == pytest.approx([5, 20, 11, 30, 1, 2])
    assert module.logged["train/clipped_share"] == pytest.approx([2 / 3, 1 / 3])


def test_both_reach_the_loggers(tmp_path):
    logger = CSVLogger(tmp_path, flush_logs_every_n_steps=1)
    fit(tmp_path, GradientClipping(threshold=5.0), steps=4, logger=logger, log_every_n_steps=2)
    rows = np.genfromtxt(tmp_path / "lightning_logs/version_0/metrics.csv", delimiter=",", names=True, deletechars="")
    assert list(rows["step"]) == [1, 3]
    assert set(rows["train/clipped_share"]) <= {0.0, 0.5, 1.0}
    assert (rows["train/gradient_norm"] > 0).all()


def test_percentile_is_that_of_the_latest_norms_with_the_current_one():
    norms = np.random.default_rng(0).lognormal(0, 1, 40).tolist()
    clipping, module = GradientClipping("percentile", 30, window=12, warmup=5), Module()
    for index, norm in enumerate(norms):
        after = step(clipping, norm, module)
        limit = np.percentile(norms[max(index - 11, 0) : index + 1], 30) if index >= 5 else np.inf
        assert after == pytest.approx(min(norm, limit), rel=1e-4)
    assert 0.5 < np.mean(module.logged["train/clipped_share"]) < 0.8


@pytest.mark.parametrize("cut", [3, 7, 20])
def test_history_survives_a_resume(tmp_path, cut):
    norms = np.random.default_rng(1).lognormal(0, 1, 30).tolist()
    whole, module = GradientClipping("percentile", 30, window=8, warmup=5), Module()
    expected = [step(whole, norm, module, number, every=4) for number, norm in enumerate(norms)]
    before, after = (GradientClipping("percentile", 30, window=8, warmup=5) for _ in range(2))
    other = Module()
    done = [step(before, norm, other, number, every=4) for number, norm in enumerate(norms[:cut])]
    torch.save(before.state_dict(), tmp_path / "state")
    after.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    done += [step(after, norm, other, cut + number, every=4) for number, norm in enumerate(norms[cut:])]
    assert done == expected
    assert other.logged == module.logged


@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize(("mode", "threshold"), [("norm", 3.0), ("percentile", 50.0)])
def test_norm_that_is_not_finite_leaves_gradients_and_percentile_alone(mode, threshold, value):
    clipping, module = GradientClipping(mode, threshold, window=4, warmup=0), Module()
    step(clipping, 1.0, module)
    parameter = nn.Parameter(torch.zeros(3))
    gradient = torch.tensor([100.0, float(value), -50.0])
    parameter.grad = gradient.clone()
    trainer: Any = SimpleNamespace(global_step=0, log_every_n_steps=1)
    clipping.on_before_optimizer_step(trainer, module, torch.optim.SGD([parameter], lr=1.0))
    torch.testing.assert_close(parameter.grad, gradient, rtol=0, atol=0, equal_nan=True)
    assert module.logged["train/clipped_share"] == [0.0, 0.0]
    assert step(clipping, 5.0, module) == pytest.approx(3.0)  # the median of 1 and 5


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("value", [1e17, 1e25, 3e38])
@pytest.mark.parametrize(("mode", "settings"), [("norm", {}), ("percentile", {"threshold": 10, "warmup": 0})])
def test_finite_values_are_shortened_however_large_they_are(mode, settings, value, fused):
    """Their squares are infinite in float32 from 1.8e19 on, and the norm of 300 times 3e38 is itself."""
    clipping, module = GradientClipping(mode, **settings), Module()
    clipping._norms = torch.full((20,), 0.5)
    large, small = nn.Parameter(torch.ones(300)), nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    optimizer = torch.optim.AdamW([large, small], lr=0.1, weight_decay=0.0, fused=fused)
    trainer: Any = SimpleNamespace(global_step=0, log_every_n_steps=1)
    for norm, expected in ((0.5, 0.5), (value * 300**0.5, 1.0 if mode == "norm" else 0.5)):
        large.grad, small.grad = torch.full((300,), norm / 300**0.5), torch.zeros(2, dtype=torch.bfloat16)
        clipping.on_before_optimizer_step(trainer, module, optimizer)
        assert float(large.grad.norm()) == pytest.approx(expected, rel=1e-4)
        before = large.detach().clone()
        optimizer.step()
    assert module.logged["train/gradient_norm"] == pytest.approx([0.5, value * 300**0.5])
    assert module.logged["train/clipped_share"] == [0.0, 1.0]
    assert (large - before).abs().min() > 0.05  # no weight is frozen
    state = [large, small, *(tensor for one in optimizer.state.values() for tensor in one.values())]
    assert all(tensor.isfinite().all() for tensor in state)


def test_step_without_gradients_is_left_alone():
    clipping, module = GradientClipping("percentile", 10), Module()
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(2))], lr=1.0)
    clipping.on_before_optimizer_step(SimpleNamespace(global_step=0, log_every_n_steps=1), module, optimizer)  # type: ignore[arg-type]
    (norm,) = module.logged["train/gradient_norm"]  # else that of the step before would be logged again
    assert norm != norm
    assert module.logged["train/clipped_share"] == []
    assert clipping.state_dict()["steps"] == 0


def test_clipping_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"gradient_clip_val 1\.0 and the callback GradientClipping would both clip"):
        fit(tmp_path, GradientClipping(), gradient_clip_val=1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 0.0}, r"threshold 0\.0 must be above 0"),
        ({"threshold": float("nan")}, "threshold nan must be above 0"),
        ({"mode": "percentile"}, r"threshold 1\.0 is a percentile here: it must be above 1 and at most 100"),
        ({"mode": "percentile", "threshold": 101}, "threshold 101 is a percentile"),
        ({"window": 10, "warmup": 10}, "warmup 10 must be at least 0 and below window 10"),
        ({"warmup": -1}, "warmup -1 must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        GradientClipping(**settings)


def test_a_percentile_of_zero_neither_wipes_out_gradients_nor_makes_nan():
    clipping = GradientClipping("percentile", 10, warmup=0)
    clipping._norms = torch.zeros(4)
    for value in (0.0, 1.0):
        parameter = torch.nn.Parameter(torch.zeros(3))
        parameter.grad = torch.full((3,), value)
        clipping._clip([parameter], parameter.grad.norm())
        assert parameter.grad.tolist() == [value] * 3
