"""Callbacks for tests that plant NaN or infinity at a known place and step."""

from collections.abc import Sequence

import lightning as L
import torch


def named(named_things, part: str):
    """The one whose name ends so."""
    ((name, thing),) = [(name, thing) for name, thing in named_things if name.endswith(part)]
    return name, thing


class PlantFault(L.Callback):
    """Puts `value` where it is told to in microbatch `microbatch` of optimizer step `step` (both from 0).

    Args:
        place: `loss`, `gradient` (of the parameter `name`), `activation` (of the layer `name`) or `weight` (of the
            parameter `name`, which is left so: a fault that can be replayed).
        name: How the name of the parameter or layer ends.
        steps: Optimizer steps, counted from 0.
        microbatch: Within the step, counted from 0.
        value: What is planted, such as `nan` or `inf`.
    """

    def __init__(
        self, place: str, name: str = "", steps: Sequence[int] = (), microbatch: int = 0, value: str = "nan"
    ) -> None:
        self.place, self.name, self.steps, self.microbatch, self.value = place, name, steps, microbatch, float(value)
        self.due = False

    def on_fit_start(self, trainer, pl_module) -> None:
        if self.place == "gradient":
            named(pl_module.named_parameters(), self.name)[1].register_hook(self._spoil)
        if self.place == "activation":
            layer = named(pl_module.named_modules(), self.name)[1]
            layer.register_forward_hook(lambda layer, inputs, output: self._spoil(output))

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        position = batch_idx % trainer.accumulate_grad_batches
        self.due = trainer.global_step in self.steps and position == self.microbatch
        if self.due and self.place == "weight":
            with torch.no_grad():
                named(pl_module.named_parameters(), self.name)[1].fill_(self.value)

    def on_before_backward(self, trainer, pl_module, loss) -> None:
        if self.due and self.place == "loss":
            loss.data.fill_(self.value)

    def _spoil(self, tensor):
        if not self.due:
            return tensor
        spoilt = tensor.clone()
        spoilt.view(-1)[0] = self.value
        return spoilt
