"""Test-only fault: adapters merged into 4-bit weights, and how much of each update survives that."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn

from lightning_modules.dense_weights import dequantized, frozen_linear
from lightning_modules.quantization import Quantization, linear_4bit

Form = Literal["untuned", "nf4", "bf16"]
# What bitsandbytes holds in 4 bits in an mT5, by the last part of the name; `wo` and the head stay as they are.
FOUR_BIT = ("q", "k", "v", "o", "wi_0", "wi_1")


@dataclass(frozen=True)
class MergedLayer:
    """What became of one layer's update.

    Attributes:
        layer: Name in the model.
        relative_size: Frobenius norm of the update over that of the weights, at least 0.
        survived: Share of the update that the merged weights hold, measured along it: 1 all, 0 nothing.
        cosine: Between the update and what the weights changed by, in [-1, 1]; 0 if nothing changed.
        changed: Share of the weights that changed, in [0, 1]; of 4-bit weights, of their codes: a block's scale changes
            by a little in almost every merge.
    """

    layer: str
    relative_size: float
    survived: float
    cosine: float
    changed: float


class MergeAdapters(L.Callback):
    """Merges the adapters when a model is tested, in a form that the project's export refuses or rounds to.

    Args:
        form: `nf4` quantises the sum of weights and update again, as merging into a loaded 4-bit model does; `bf16`
            adds the update to what the 4-bit codes stand for; `untuned` leaves it out.
        record: File to write the `MergedLayer`s into, null writes none.
    """

    def __init__(self, form: Form, record: str | None = None) -> None:
        self.form, self.record = form, record

    def on_test_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Merges, when the checkpoint has been loaded."""
        pl_module.model, layers = merge(pl_module.model, self.form, pl_module.quantization)
        if self.record is not None:
            text = json.dumps([asdict(layer) for layer in layers], indent=1) + "\n"
            Path(self.record).parent.mkdir(parents=True, exist_ok=True)
            Path(self.record).write_text(text, encoding="utf-8")


@torch.no_grad()
def merge(model: PeftModel, form: Form, quantization: Quantization) -> tuple[nn.Module, list[MergedLayer]]:
    """Puts one plain or 4-bit layer in the place of each adapted one.

    Args:
        model: LoRA on 4-bit layers, or on the numbers that they stand for; changed in place.
        form: See `MergeAdapters`.
        quantization: The 4-bit format that it was trained on.

    Returns:
        The base with merged layers, and what became of each update, in the model's order.

    Raises:
        ValueError: If the model has no LoRA adapters.
    """
    if not isinstance(model, PeftModel):
        raise ValueError("There is no adapter to merge: all parameters were trained. Set model.adaptation to qlora.")
    base, found = model.get_base_model(), []
    adapted = [(name, layer) for name, layer in base.named_modules() if isinstance(layer, LoraLayer)]
    for name, layer in adapted:
        merged, report = _merged(name, layer, form, quantization)
        parent, _, last = name.rpartition(".")
        setattr(base.get_submodule(parent), last, merged.train(layer.training))
        found.append(report)
    return base, found


def _merged(name: str, layer: LoraLayer, form: Form, quantization: Quantization) -> tuple[nn.Linear, MergedLayer]:
    weight = _weight(layer.get_base_layer())
    update = layer.get_delta_weight(layer.active_adapters[0]).float() * (form != "untuned")
    wanted = weight.float() + update
    if form == "nf4" and name.rpartition(".")[2] in FOUR_BIT:
        four_bit, before = (linear_4bit(frozen_linear(one.to(weight.dtype)), quantization) for one in (wanted, weight))
        changed = (_codes(four_bit) != _codes(before)).float().mean()
        return four_bit, _survival(name, weight.float(), update, dequantized(four_bit).float(), float(changed))
    plain = frozen_linear(wanted.to(torch.bfloat16).to(weight.dtype))
    changed = (plain.weight != weight).float().mean()
    return plain, _survival(name, weight.float(), update, plain.weight.float(), float(changed))


def _weight(layer: Any) -> torch.Tensor:
    """(out, in) numbers that a 4-bit or plain layer computes with."""
    return dequantized(layer) if getattr(layer.weight, "quant_state", None) is not None else layer.weight.detach()


def _codes(layer: nn.Linear) -> torch.Tensor:
    """The 4-bit codes, of which each stored byte holds two."""
    packed = layer.weight.detach().view(torch.uint8)
    return torch.stack([packed >> 4, packed & 15])


def _survival(
    name: str, before: torch.Tensor, update: torch.Tensor, after: torch.Tensor, changed: float
) -> MergedLayer:
    change, size = after - before, update.norm()
    along = float((change * update).sum())
    return MergedLayer(
        layer=name,
        relative_size=float(size / before.norm()),
        survived=along / max(float(size) ** 2, 1e-30),
        cosine=along / max(float(size * change.norm()), 1e-30),
        changed=changed,
    )
