import io
import math
import re
from collections.abc import Callable
from typing import Any

import bitsandbytes as bnb
import pytest
import torch
import transformers
from jsonargparse import ArgumentParser
from lightning.pytorch.cli import OptimizerCallable
from torch.optim.lr_scheduler import LambdaLR

from lightning_modules.adaptation import Lora
from lightning_modules.optimization import Schedule, apply_current_settings, build_scheduler, require_same_groups

PEAK = 0.01


def make(schedule: Schedule, steps: float, **settings: Any) -> tuple[torch.optim.AdamW, LambdaLR]:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))], **{"lr": PEAK, **settings})
    return optimizer, build_scheduler(schedule, optimizer, steps)


def rates(schedule: Schedule, steps: float, count: int) -> list[float]:
    """Learning rates of the first `count` optimizer steps, as shares of the peak."""
    optimizer, scheduler = make(schedule, steps)
    values = []
    for _ in range(count):
        values.append(optimizer.param_groups[0]["lr"] / PEAK)
        optimizer.step()
        scheduler.step()
    return values


@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
def test_warmup_rises_from_zero_to_the_peak(name: Any) -> None:
    assert rates(Schedule(name, warmup_steps=4), 20, 5) == pytest.approx([0, 0.25, 0.5, 0.75, 1])


@pytest.mark.parametrize("step", [10, 35, 60, 99, 100])
@pytest.mark.parametrize(
    ("name", "closed_form"),
    [
        ("linear", lambda share: 1 - share),
        ("cosine", lambda share: (1 + math.cos(math.pi * share)) / 2),
        ("constant", lambda share: 1.0),
    ],
)
def test_rate_after_warmup_has_its_closed_form(name: Any, closed_form: Callable[[float], float], step: int) -> None:
    rate = rates(Schedule(name, warmup_steps=10), 100, step + 1)[step]
    assert rate == pytest.approx(closed_form((step - 10) / 90), abs=1e-12)


def test_without_warmup_the_first_step_is_the_peak() -> None:
    assert rates(Schedule("linear", warmup_steps=0), 10, 3) == pytest.approx([1, 0.9, 0.8])


def test_ratio_is_a_share_of_all_steps_and_steps_win_over_it() -> None:
    by_ratio = rates(Schedule("cosine", warmup_ratio=0.1), 50, 50)
    assert by_ratio == rates(Schedule("cosine", warmup_steps=5), 50, 50)
    assert by_ratio.index(max(by_ratio)) == 5
    assert rates(Schedule("cosine", warmup_steps=2, warmup_ratio=0.5), 50, 3)[2] == 1


@pytest.mark.parametrize("schedule", [Schedule("linear", warmup_steps=1), Schedule("cosine"), Schedule("constant")])
def test_an_endless_run_is_refused_where_the_end_matters(schedule: Schedule) -> None:
    with pytest.raises(ValueError, match=r"set trainer\.max_epochs or trainer\.max_steps"):
        make(schedule, math.inf)


def test_an_endless_run_may_be_constant_with_known_warmup() -> None:
    assert rates(Schedule("constant", warmup_steps=2), math.inf, 5) == [0, 0.5, 1, 1, 1]


@pytest.mark.parametrize("setting", [{"warmup_steps": -1}, {"warmup_ratio": 1.0}, {"warmup_ratio": -0.1}])
def test_warmup_out_of_range_is_named(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"schedule\.{next(iter(setting))}"):
        Schedule(**setting)


def test_warmup_longer_than_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match=r"schedule\.warmup_steps 11 exceeds the 10 steps"):
        make(Schedule(warmup_steps=11), 10)


def resume(steps_done: int, **settings: Any) -> tuple[torch.optim.AdamW, LambdaLR]:
    """Optimizer and scheduler with today's settings, after loading a checkpoint of a run with lr `PEAK`."""
    old, old_scheduler = make(Schedule(warmup_steps=0), 20, weight_decay=0.1, betas=(0.9, 0.999))
    for _ in range(steps_done):
        old.step()
        old_scheduler.step()
    buffer = io.BytesIO()
    torch.save((old.state_dict(), old_scheduler.state_dict()), buffer)
    buffer.seek(0)
    state, scheduler_state = torch.load(buffer, weights_only=True)
    new, scheduler = make(Schedule(warmup_steps=0), 20, **{"weight_decay": 0.1, **settings})
    new.load_state_dict(state)
    scheduler.load_state_dict(scheduler_state)
    return new, scheduler


def test_equal_settings_change_nothing_on_resume() -> None:
    optimizer, scheduler = resume(5)
    before = {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}
    assert apply_current_settings(optimizer, scheduler) == {}
    assert {name: value for name, value in optimizer.param_groups[0].items() if name != "params"} == before
    assert optimizer.param_groups[0]["lr"] == pytest.approx(PEAK * 15 / 20)


def test_a_new_learning_rate_goes_on_at_the_same_point_of_its_schedule() -> None:
    optimizer, scheduler = resume(5, lr=0.04)
    assert apply_current_settings(optimizer, scheduler) == {"lr": (PEAK, 0.04)}
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.04 * 15 / 20)
    for done in range(6, 21):
        optimizer.step()
        scheduler.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.04 * (20 - done) / 20)


def test_a_state_for_other_groups_of_parameters_is_refused_with_both() -> None:
    optimizer, _ = resume(5)
    saved = optimizer.state_dict()["param_groups"]
    require_same_groups(saved, optimizer)
    for other in ([*saved, {"params": [1, 2]}], [{"params": [0, 1, 2]}]):
        sizes = [len(group["params"]) for group in other]
        with pytest.raises(
            ValueError, match=rf"has groups of {re.escape(str(sizes))} parameters, and .* AdamW of \[1\]"
        ):
            require_same_groups(other, optimizer)


def test_new_weight_decay_and_betas_win_over_the_checkpoint() -> None:
    optimizer, scheduler = resume(5, weight_decay=0.3, betas=(0.8, 0.95))
    changed = apply_current_settings(optimizer, scheduler)
    assert changed == {"weight_decay": (0.1, 0.3), "betas": ((0.9, 0.999), (0.8, 0.95))}
    assert optimizer.param_groups[0]["weight_decay"] == 0.3
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.95)


OPTIMIZERS = [
    ("torch.optim.AdamW", {}),
    ("torch.optim.Adafactor", {}),
    # Smaller tensors than 4,096 numbers stay in 32 bits unless told otherwise.
    ("bitsandbytes.optim.AdamW8bit", {"min_8bit_size": 1}),
    ("bitsandbytes.optim.PagedAdamW8bit", {"min_8bit_size": 1}),
    ("bitsandbytes.optim.PagedAdamW32bit", {}),
    ("transformers.Adafactor", {"relative_step": False, "scale_parameter": False}),
]


def build(class_path: str, settings: dict[str, Any]) -> OptimizerCallable:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--optimizer", type=OptimizerCallable)
    config = parser.parse_object({"optimizer": {"class_path": class_path, "init_args": {"lr": 0.01, **settings}}})
    return parser.instantiate(config).optimizer


@pytest.mark.parametrize(("class_path", "settings"), OPTIMIZERS)
def test_optimizers_of_the_configuration_learn_and_resume_bit_for_bit(
    adapted: Callable[..., Any], class_path: str, settings: dict[str, Any]
) -> None:
    def train(steps: int, state: bytes | None = None) -> tuple[dict[str, torch.Tensor], list[float], bytes]:
        torch.manual_seed(0)
        model = adapted("lora", Lora(rank=4, dropout=0.0)).eval()
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        optimizer = build(class_path, settings)(trained.items())
        scheduler = build_scheduler(Schedule(warmup_steps=0), optimizer, 8)
        if state:
            restored = torch.load(io.BytesIO(state), weights_only=True)
            optimizer.load_state_dict(restored["optimizer"])
            scheduler.load_state_dict(restored["scheduler"])
            with torch.no_grad():
                for name, parameter in trained.items():
                    parameter.copy_(restored["weights"][name])
            assert apply_current_settings(optimizer, scheduler) == {}
        losses = []
        for _ in range(steps):
            loss = model(input_ids=torch.arange(300, 310)[None], labels=torch.arange(400, 406)[None]).loss
            loss.backward()
            losses.append(loss.item())
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        buffer = io.BytesIO()
        weights = {name: p.detach().clone() for name, p in trained.items()}
        torch.save(
            {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(), "weights": weights}, buffer
        )
        return weights, losses, buffer.getvalue()

    whole, losses, _ = train(4)
    resumed, _, _ = train(2, train(2)[2])
    assert losses[-1] < losses[0] - 0.01
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_eight_bit_optimizers_hold_their_moments_in_bytes() -> None:
    parameter = torch.nn.Parameter(torch.ones(4096))
    optimizer = build("bitsandbytes.optim.AdamW8bit", {})([parameter])
    assert isinstance(optimizer, bnb.optim.AdamW8bit)
    parameter.sum().backward()
    optimizer.step()
    assert optimizer.state[parameter]["state1"].dtype is torch.uint8


def test_transformers_adafactor_needs_relative_step_off() -> None:
    with pytest.raises(ValueError, match="relative_step"):
        transformers.Adafactor([torch.nn.Parameter(torch.ones(1))], lr=0.01)
