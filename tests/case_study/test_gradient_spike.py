"""One step's gradients are multiplied before anything looks at them, and a watcher is taken out."""

import pytest
import torch
from tiny_module import TinyModule, fit

from callbacks.gradient_clipping import GradientClipping
from case_study.gradient_spike import GradientSpike, Without


class Norms(GradientClipping):
    """Remembers the norms before clipping."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.requires_grad]
        self.seen.append(float(torch.nn.utils.get_total_norm(gradients)))
        super().on_before_optimizer_step(trainer, pl_module, optimizer)


def test_only_the_steps_named_have_great_gradients(tmp_path):
    plain, spoilt = Norms(), Norms()
    fit(tmp_path, plain, steps=3)
    fit(tmp_path, spoilt, GradientSpike([1], 1000.0), steps=3)
    assert spoilt.seen[0] == pytest.approx(plain.seen[0])
    assert spoilt.seen[1] == pytest.approx(1000 * plain.seen[1], rel=1e-4)
    assert spoilt.seen[2] < 100 * plain.seen[2]


def test_without_its_watcher_nothing_is_clipped(tmp_path):
    watched, unwatched = (GradientClipping(threshold=1e-6) for _ in range(2))
    assert watched is not unwatched
    clipped = fit(tmp_path, watched, steps=2)
    free = fit(tmp_path, unwatched, Without("GradientClipping"), steps=2)
    alone = fit(tmp_path, steps=2)
    assert free.first.weight.equal(alone.first.weight)
    assert not clipped.first.weight.equal(alone.first.weight)


def test_a_watcher_that_is_not_there_is_named_with_those_that_are(tmp_path):
    with pytest.raises(ValueError, match=r"'NoMonitor' is not in this run; it has .*GradientClipping"):
        fit(tmp_path, GradientClipping(), Without("NoMonitor"))


def test_a_spike_of_no_size_is_refused():
    with pytest.raises(ValueError, match=r"factor 0 must be above 0"):
        GradientSpike([1], 0)


def test_the_module_is_left_without_hooks(tmp_path):
    module: TinyModule = fit(tmp_path, GradientSpike([0], 10.0), steps=1)
    assert not any(parameter._backward_hooks for parameter in module.parameters())
