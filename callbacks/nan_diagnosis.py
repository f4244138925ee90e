"""What is not finite in a step, in which layer it began, and how that is recorded, so that it can be replayed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.apply_func import move_data_to_device
from safetensors.torch import load_file, save_file
from torch import nn

from callbacks.random_state import TorchStates

# Optimizers keep the squares of gradients.
_GREATEST_SQUARED = torch.finfo(torch.float32).max ** 0.5
# They add no fault of their own, and are a quarter of an adapted model's layers.
_UNWATCHED = (nn.Dropout, nn.Identity)


@dataclass(frozen=True)
class NonFinite:
    """A tensor with values that are not finite, or whose squares are not.

    Attributes:
        name: Of the parameter or layer, or `loss`.
        dtype: Its number format; None if the tensor is gone.
        nan: Number of NaN; likewise.
        infinite: Number of infinities; likewise.
        values: Number of all values; likewise.
        smallest: Least finite value; None if there is none.
        largest: Greatest finite value; likewise.
        input_finite: Whether a layer's inputs were finite, so that the fault is its own; None for others.
        magnitude: Greatest magnitude, where all values are finite but not their squares; None for others.
    """

    name: str
    dtype: str | None = None
    nan: int | None = None
    infinite: int | None = None
    values: int | None = None
    smallest: float | None = None
    largest: float | None = None
    input_finite: bool | None = None
    magnitude: float | None = None

    @property
    def fault(self) -> str:
        """What it is."""
        return "not finite" if self.magnitude is None else "too large to square"

    def __str__(self) -> str:
        magnitude = "" if self.magnitude is None else f"magnitudes up to {self.magnitude:.3g}; "
        if self.values is None:
            return f"{self.name} ({magnitude}its values are no longer at hand)"
        inputs = {
            True: "; its input is finite",
            False: "; its input is not finite either, so the fault lies before it",
            None: "",
        }[self.input_finite]
        return (
            f"{self.name} ({magnitude}{self.dtype}, {self.nan} NaN and {self.infinite} infinite of {self.values:,} "
            f"values{inputs})"
        )


def examine(
    name: str, tensor: torch.Tensor, input_finite: bool | None = None, squared: bool = False
) -> NonFinite | None:
    """Looks for values that are not finite.

    Args:
        name: Of what the tensor is.
        tensor: Floating point, any shape.
        input_finite: Handed on.
        squared: Look for values whose squares are not finite, too: for gradients.

    Returns:
        What was found, None if all is well.
    """
    if (tensor.square() if squared else tensor).isfinite().all():
        return None
    finite = tensor[tensor.isfinite()]
    return NonFinite(
        name=name,
        dtype=str(tensor.dtype).removeprefix("torch."),
        nan=int(tensor.isnan().sum()),
        infinite=int(tensor.isinf().sum()),
        values=tensor.numel(),
        smallest=float(finite.min()) if len(finite) else None,
        largest=float(finite.max()) if len(finite) else None,
        input_finite=input_finite,
        magnitude=float(tensor.abs().max()) if len(finite) == tensor.numel() else None,
    )


def innermost_layers(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers that have no layers of their own, by name."""
    return [
        (name, layer)
        for name, layer in module.named_modules()
        if not any(layer.children()) and not isinstance(layer, _UNWATCHED)
    ]


@contextmanager
def watch_outputs(module: nn.Module) -> Iterator[list[NonFinite]]:
    """Collects the outputs that are not finite, in the order in which they are ready: the innermost layer's first.

    Layers around others are looked at, too, if they return a tensor: an adapter adds to the layer that it adapts.
    """
    found: list[NonFinite] = []

    def look(name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.is_floating_point():
            floating = [one for one in inputs if isinstance(one, torch.Tensor) and one.is_floating_point()]
            input_finite = all(bool(one.isfinite().all()) for one in floating)
            found.extend(one for one in [examine(name, output.detach(), input_finite)] if one)

    handles = [layer.register_forward_hook(partial(look, name)) for name, layer in module.named_modules() if name]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class Record:
    """A step that was not finite, as it lies in a folder.

    Attributes:
        report: What was found, as JSON.
        batch: The microbatch in which it was found first.
        random_states: As they were before it.
        weights: The trained parameters before the step.
    """

    report: dict[str, Any]
    batch: Any
    random_states: TorchStates
    weights: dict[str, torch.Tensor]

    def save(self, folder: Path) -> None:
        """Writes `report.json`, `batch.pt` (batch and random states) and `weights.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        batch = move_data_to_device(self.batch, "cpu")
        torch.save({"batch": batch, "random_states": self.random_states}, folder / "batch.pt")
        save_file(
            {name: weight.detach().contiguous() for name, weight in self.weights.items()},
            folder / "weights.safetensors",
        )
        (folder / "report.json").write_text(json.dumps(self.report, indent=1, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Record:
        """Reads it back.

        Raises:
            ValueError: If a file is missing.
        """
        missing = [name for name in ("report.json", "batch.pt", "weights.safetensors") if not (folder / name).is_file()]
        if missing:
            raise ValueError(
                f"folder {str(folder)!r} has no {' or '.join(missing)}; give one that NanMonitor wrote, such as "
                "runs/<name>/<run>/nan/step-000123."
            )
        batch = torch.load(folder / "batch.pt", weights_only=True)
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return cls(report=report, weights=load_file(folder / "weights.safetensors"), **batch)


def describe(report: Mapping[str, Any]) -> str:
    """What was found, in a sentence or two."""
    first = NonFinite(**report["first"])
    where = {
        "loss": "seen first in",
        "activation": "seen first in",
        "gradient": "the one nearest to the output, where the backward pass begins",
    }[report["kind"]]
    fault = (
        "is not finite: NaN or infinity"
        if first.magnitude is None
        else f"cannot be taken: values that are finite, but above {_GREATEST_SQUARED:.2g} and too large to square, as "
        "optimizers do,"
    )
    rows = ", ".join(f"{row} ({language})" for row, language in zip(report["ids"], report["languages"], strict=True))
    return (
        f"Step {report['step']} {fault} in the {report['kind']} of microbatch "
        f"{report['microbatch'] + 1} of {report['microbatches']} on device {report['rank']}; {where}: {first}. "
        f"Rows: {rows or 'without ids'}."
    )


def replay_command(folder: Path) -> str:
    """The command that repeats the step in a folder with the newest configuration of its run."""
    run = folder.parent.parent
    config = max(run.glob("config*.yaml"), key=lambda path: path.stat().st_mtime, default=run / "config.yaml")
    return f"python train.py replay --config {shlex.quote(str(config))} --folder {shlex.quote(str(folder))}"
