import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from faults import PlantFault
from safetensors.torch import load_file
from tiny_module import TinyModule, fit
from torch.utils._python_dispatch import TorchDispatchMode

from callbacks.gradient_clipping import GradientClipping
from callbacks.nan_monitor import NanMonitor, NonFiniteError


def report(root: Path, name: str) -> dict[str, Any]:
    return json.loads((root / "nan" / name / "report.json").read_text(encoding="utf-8"))


class Weights(L.Callback):
    """Keeps the weights and the optimizer's moments after each step, and the ids of each batch."""

    def __init__(self) -> None:
        self.after: list[dict[str, torch.Tensor]] = []
        self.ids: list[list[str]] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.ids.append(batch["ids"])
        moments = enumerate(trainer.optimizers[0].state.values())
        state = {f"{index}": state["exp_avg"].clone() for index, state in moments}
        self.after.append({name: p.detach().clone() for name, p in pl_module.named_parameters()} | state)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("place", "name"), [("loss", ""), ("gradient", "second.weight"), ("activation", "first")])
def test_skipped_step_changes_neither_weights_nor_moments_and_training_goes_on(tmp_path, caplog, place, name):
    kept = Weights()
    with caplog.at_level(logging.WARNING):
        fit(tmp_path, PlantFault(place, name, steps=[1]), NanMonitor("skip"), kept, steps=4)
    before, skipped, later, last = kept.after
    assert same(before, skipped)
    assert not same(skipped, later)
    assert not same(later, last)
    assert all(value.isfinite().all() for value in last.values())
    assert len([one for one in caplog.records if one.getMessage().startswith("Skipped: Step 1 ")]) == 1


def test_stopped_step_leaves_the_weights_and_records_those(tmp_path):
    kept, module = Weights(), []
    remember = L.pytorch.callbacks.LambdaCallback(
        on_exception=lambda trainer, pl_module, error: module.append(pl_module)
    )
    with pytest.raises(NonFiniteError):
        fit(tmp_path, PlantFault("gradient", "first.bias", steps=[2]), NanMonitor(), kept, remember)
    now = dict(module[0].named_parameters())
    assert all(torch.equal(now[name], kept.after[1][name]) for name in now)
    recorded = load_file(tmp_path / "nan" / "step-000002" / "weights.safetensors")
    assert all(torch.equal(recorded[name], now[name]) for name in now)


@pytest.mark.parametrize("place", ["loss", "gradient", "activation"])
@pytest.mark.parametrize("microbatch", [0, 1])
def test_faulty_microbatch_of_an_accumulated_step_is_named(tmp_path, place, microbatch):
    planted = PlantFault(place, {"gradient": "first.weight", "activation": "first"}.get(place, ""), [1], microbatch)
    kept = Weights()
    fit(tmp_path, planted, NanMonitor("skip", activations=True), kept, steps=2, accumulate=2)
    found = report(tmp_path, "step-000001")
    assert (found["microbatch"], found["microbatches"], found["kind"]) == (microbatch, 2, place)
    assert found["ids"] == kept.ids[2 + microbatch]
    assert same(kept.after[1], kept.after[3])


def test_of_several_bad_gradients_the_one_nearest_to_the_output_is_named(tmp_path):
    planted = [PlantFault("gradient", name, steps=[0]) for name in ("first.weight", "second.weight", "first.bias")]
    with pytest.raises(NonFiniteError):
        fit(tmp_path, planted[0], *(_Other(one) for one in planted[1:]), NanMonitor())
    assert report(tmp_path, "step-000000")["first"]["name"] == "second.weight"


class _Other(L.Callback):
    """Another callback of the same class: Lightning takes only one with hooks of a class that has a state."""

    def __init__(self, callback: PlantFault) -> None:
        self.on_fit_start, self.on_train_batch_start = callback.on_fit_start, callback.on_train_batch_start


@pytest.mark.parametrize("clip_first", [True, False])
@pytest.mark.parametrize(("mode", "value"), [("norm", "nan"), ("percentile", "inf"), ("value", "nan")])
def test_clipping_before_or_after_hides_nothing(tmp_path, clip_first, mode, value):
    watchers = [NanMonitor("skip"), GradientClipping(mode, 2.0, warmup=0)]
    planted = PlantFault("gradient", "second.bias", steps=[1], value=value)
    kept = Weights()
    fit(tmp_path, planted, *(reversed(watchers) if clip_first else watchers), kept)
    first = report(tmp_path, "step-000001")["first"]
    assert (first["name"], first["nan"] + first["infinite"]) == ("second.bias", 1)
    assert same(kept.after[0], kept.after[1])
    assert not same(kept.after[1], kept.after[2])


def test_search_for_a_layer_draws_no_random_numbers(tmp_path):
    fit(tmp_path, steps=2, accumulate=2)
    expected = torch.get_rng_state()
    fit(tmp_path, PlantFault("loss", steps=[1]), NanMonitor("skip"), steps=2, accumulate=2)
    assert torch.equal(torch.get_rng_state(), expected)


@pytest.mark.parametrize("value", ["1e10", "-1.8e19"])
def test_large_gradients_whose_squares_are_finite_are_healthy(tmp_path, value):
    planted = PlantFault("gradient", "first.weight", steps=[1], value=value)
    kept = Weights()
    fit(tmp_path, planted, NanMonitor(), kept)
    assert not (tmp_path / "nan").exists()
    assert not same(kept.after[0], kept.after[1])  # the step was taken


@pytest.mark.parametrize("value", ["-1.9e19", "1e30"])
@pytest.mark.parametrize("clipping", ["none", "before", "after"])
def test_gradients_that_an_optimizer_cannot_square_are_not_healthy(tmp_path, monkeypatch, value, clipping):
    """Also where the gradient has been clipped when the verdict is known, as on a GPU."""
    monkeypatch.setattr(NanMonitor, "_decides_at_once", staticmethod(lambda pl_module: clipping == "none"))
    planted, kept = PlantFault("gradient", "first.weight", steps=[1], value=value), Weights()
    watchers = {
        "none": [NanMonitor("skip")],
        "before": [GradientClipping(), NanMonitor("skip")],
        "after": [NanMonitor("skip"), GradientClipping()],
    }
    fit(tmp_path, planted, *watchers[clipping], kept, fused=True)
    assert same(kept.after[0], kept.after[1])
    assert not same(kept.after[1], kept.after[2])
    first = report(tmp_path, "step-000001")["first"]
    assert (first["name"], first["magnitude"]) == ("first.weight", pytest.approx(abs(float(value))))


def test_gradient_too_large_to_square_is_described_as_such(tmp_path):
    planted = PlantFault("gradient", "first.weight", steps=[1], value="-1e30")
    with pytest.raises(NonFiniteError) as stop:
        fit(tmp_path, planted, NanMonitor())
    said = str(stop.value)
    assert "Step 1 cannot be taken: values that are finite, but above 1.8e+19 and too large to square" in said
    assert "first.weight (magnitudes up to 1e+30; float32, 0 NaN and 0 infinite of 32 values)" in said
    assert "NaN or infinity" not in said


def test_consecutive_skips_are_counted_anew_after_a_healthy_step_and_few_are_recorded(tmp_path):
    watcher = NanMonitor("skip", max_consecutive_skips=2)
    fit(tmp_path, PlantFault("loss", steps=[0, 1, 3, 4, 6]), watcher, steps=8)
    assert (watcher.skipped_steps, watcher.consecutive_skips) == (5, 0)
    assert len(list((tmp_path / "nan").iterdir())) == 3
    with pytest.raises(NonFiniteError, match=r"step-000002"):
        fit(tmp_path, PlantFault("loss", steps=[0, 1, 2]), NanMonitor("skip", max_consecutive_skips=2))


def test_a_folder_that_cannot_be_written_hides_nothing(tmp_path):
    (tmp_path / "nan").write_text("a file in its place")
    with pytest.raises(NonFiniteError, match=r"Step 1 is not finite.*It could not be recorded"):
        fit(tmp_path, PlantFault("loss", steps=[1]), NanMonitor())


def test_watching_changes_nothing(tmp_path):
    plain, watched = Weights(), Weights()
    fit(tmp_path, plain)
    module = fit(tmp_path, NanMonitor("skip", activations=True), watched)
    assert all(same(one, other) for one, other in zip(plain.after, watched.after, strict=True))
    assert not module.first._forward_hooks


@pytest.mark.parametrize("fault_on", ["loss", "gradient"])
def test_all_devices_skip_what_one_finds(tmp_path, fault_on):
    """The loss that is spoilt on the second device alone leaves the gradients as they are: the first sees nothing."""
    torch.set_num_threads(1)
    devices = {"devices": 2, "strategy": "ddp_fork", "use_distributed_sampler": False}
    planted = _OnSecondDevice(fault_on, "second.weight" if fault_on == "gradient" else "", steps=[2])
    skipped = fit(tmp_path, planted, NanMonitor("skip"), steps=3, **devices)
    expected = fit(tmp_path, steps=2, **devices)
    assert same(skipped.state_dict(), expected.state_dict())
    names = sorted(path.name for path in (tmp_path / "nan").iterdir())
    assert names == ["step-000002-rank0", "step-000002-rank1"][fault_on == "loss" :]
    assert report(tmp_path, "step-000002-rank1")["kind"] == fault_on


class _OnSecondDevice(PlantFault):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self.due = self.due and trainer.global_rank == 1


class _CountsWaits(TorchDispatchMode):
    """Counts the operations that make a program wait for its device, such as those under `.item()` and `if tensor`."""

    WAITING = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "_to_copy", "equal")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name, moves = func.overloadpacket.__name__, "device" in (kwargs or {})  # another dtype alone makes nobody wait
        self.count += name in self.WAITING and (name != "_to_copy" or moves)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("activations", [False, True])
@pytest.mark.parametrize("action", ["stop", "skip"])
def test_healthy_step_waits_for_the_device_once(monkeypatch, action, activations):
    module: Any = TinyModule()
    monkeypatch.setattr(module, "log", lambda *args, **settings: None)
    trainer: Any = SimpleNamespace(world_size=1, global_step=0, log_every_n_steps=1)
    watcher, optimizer = NanMonitor(action, activations=activations), module.configure_optimizers()
    clipping = GradientClipping("percentile", 10)
    watcher.on_train_start(trainer, module)
    monkeypatch.setattr(torch.Tensor, "tolist", lambda self: pytest.fail("waits"))
    batch = {"x": torch.ones(2, 4), "scale": 1.0}
    with _CountsWaits() as waits:
        for index in range(2):
            watcher.on_train_batch_start(trainer, module, batch, index)
            loss = module.training_step(batch, index)
            watcher.on_before_backward(trainer, module, loss)
            loss.backward()
            watcher.on_after_backward(trainer, module)
        watcher.on_before_optimizer_step(trainer, module, optimizer)
        clipping.on_before_optimizer_step(trainer, module, optimizer)
    assert waits.count == 1


def test_number_of_skips_must_be_positive():
    with pytest.raises(ValueError, match="max_consecutive_skips 0 must be at least 1"):
        NanMonitor("skip", max_consecutive_skips=0)


@pytest.mark.parametrize("action", ["stop", "skip"])
def test_fused_optimizer_leaves_out_a_bad_step_by_itself_and_the_run_learns_of_it_later(tmp_path, monkeypatch, action):
    """As on a GPU, where the host would have to wait to decide."""
    monkeypatch.setattr(NanMonitor, "_decides_at_once", staticmethod(lambda pl_module: False))
    planted, weights = PlantFault("gradient", "second.weight", steps=[2]), Weights()
    if action == "stop":
        with pytest.raises(NonFiniteError, match="Step 2 "):
            fit(tmp_path, planted, NanMonitor(), weights, steps=5, fused=True)
        assert len(weights.after) == 3  # the third without effect, and none after it
    else:
        monitor = NanMonitor("skip")
        fit(tmp_path, planted, monitor, weights, steps=5, fused=True)
        assert (monitor.skipped_steps, monitor.consecutive_skips) == (1, 0)
    assert same(weights.after[2], weights.after[1])
    assert not same(weights.after[1], weights.after[0])
    assert report(tmp_path, "step-000002")["first"]["name"] == "second.weight"


def test_a_bad_last_step_is_found_too(tmp_path, monkeypatch):
    monkeypatch.setattr(NanMonitor, "_decides_at_once", staticmethod(lambda pl_module: False))
    with pytest.raises(NonFiniteError, match="Step 4 "):
        fit(tmp_path, PlantFault("gradient", "second.weight", steps=[4]), NanMonitor(), steps=5, fused=True)
