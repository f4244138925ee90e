"""Finds NaN, infinity and what would become them before they reach the weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from safetensors import SafetensorError
from torch import nn

from callbacks.nan_diagnosis import (
    NonFinite,
    Record,
    describe,
    examine,
    innermost_layers,
    replay_command,
    watch_outputs,
)
from callbacks.nan_window import CAUSES, Microbatch, Verdict
from callbacks.random_state import capture_torch, restore_torch

log = logging.getLogger(__name__)
# So that a run that skips often does not fill the disk.
_RECORDS_OF_SKIPPED_STEPS = 3
_REMEDIES = (
    "The step did not touch the weights. Try a lower model.optimizer.init_args.lr, a longer warm-up or a lower "
    "threshold of GradientClipping, and look at these rows; then go on from the run's last checkpoint, by its "
    "folder as `--ckpt_path`; where val/loss or train/gradient_norm was out of bounds before, its weights are finite "
    "but spoilt: take an older one."
)


class NonFiniteError(ValueError):
    """A step whose loss, activations, gradients or their squares are not finite."""


class NanMonitor(L.Callback):
    """Stops or skips a step whose loss, gradients or activations hold NaN or infinity, before the optimizer sees them.

    So it does where a gradient exceeds 1.8e19 before clipping: the squares that optimizers keep would be infinite, and
    its parameter NaN, or frozen for good.

    Names the microbatch in which that began, its rows, and the first layer or parameter concerned, and records
    everything that `python train.py replay` needs under `nan/` in the run's folder. Steps count from 0, as on the
    dashboard. All devices decide alike. The host waits for the device once a step: for the verdict before the optimizer
    step, or, where a fused optimizer on a GPU leaves out a bad step by itself, for that verdict while the device is
    busy with the next forward pass, after which the run stops.

    A skipped step changes neither weights nor the optimizer's state, but counts as a step for the schedule.

    Args:
        action: `stop` raises `NonFiniteError`; `skip` leaves the step out, logs how many there were as
            `train/skipped_steps`, and records the first 3.
        max_consecutive_skips: `skip` stops, too, after so many in a row; at least 1.
        activations: Look at the output of every layer, by its sum; else only the loss and the gradients are looked at,
            and a layer is searched for when the loss is bad.

    Raises:
        ValueError: If `max_consecutive_skips` is below 1.
        NonFiniteError: In training, see `action`.
    """

    def __init__(
        self, action: Literal["stop", "skip"] = "stop", max_consecutive_skips: int = 10, activations: bool = False
    ) -> None:
        if max_consecutive_skips < 1:
            raise ValueError(f"NanMonitor.max_consecutive_skips {max_consecutive_skips} must be at least 1.")
        self.action, self.max_consecutive_skips, self.activations = action, max_consecutive_skips, activations
        self.skipped_steps = self.consecutive_skips = 0
        self._window: list[Microbatch] = []
        self._pending: Verdict | None = None
        self._outputs: list[tuple[str, torch.Tensor]] | None = None
        self._handles: list[Any] = []

    # -- watching ----------------------------------------------------------------------------------------------------

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begins to watch."""
        self._window, self._pending, self._outputs = [], None, None
        self._parameters = list(pl_module.named_parameters())  # listing them takes milliseconds, so once
        # On the device, since logging a plain number makes it wait.
        self._logged_skips = torch.tensor(float(self.skipped_steps), device=pl_module.device)
        for name, layer in innermost_layers(pl_module) if self.activations else ():
            self._handles.append(layer.register_forward_hook(partial(self._see_output, name)))

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keeps the batch and the random states until the step is taken."""
        self._window.append(Microbatch(batch, capture_torch()))
        self._outputs = []

    def _see_output(self, name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        if self._outputs is not None and isinstance(output, torch.Tensor) and output.is_floating_point():
            # One kernel; under autocast, a norm would copy the output.
            self._outputs.append((name, output.detach().sum(dtype=torch.float32)))

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: torch.Tensor) -> None:
        """Sees the loss, and no more outputs: gradient checkpointing runs layers a second time."""
        seen = self._window[-1].seen
        seen["loss"] = (["loss"], loss.detach().reshape(1))
        if self._outputs:
            names, sums = zip(*self._outputs, strict=True)
            seen["activation"] = (list(names), torch.stack(sums))
        self._outputs = None

    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Sees the gradients, as no callback has clipped them yet."""
        gradients = {name: p.grad for name, p in self._parameters if p.grad is not None}
        if gradients:
            # Greatest magnitudes: the sum of squares in a Euclidean norm may be infinite where each square is finite.
            norms = torch._foreach_norm(list(gradients.values()), float("inf"))
            self._window[-1].seen["gradient"] = (list(gradients), torch.stack(norms))

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        """Decides together with all devices, or lets the optimizer do so."""
        seen = torch.cat([values for microbatch in self._window for values in microbatch.judged().values()])
        bad: Any = seen.isfinite().logical_not().any()
        if trainer.world_size > 1:
            bad = trainer.strategy.reduce(bad.float(), reduce_op="sum")
        self._pending = Verdict(trainer.global_step, self._window, bad)
        self._window = []
        if self._decides_at_once(pl_module) or not self._pending.defer_to(optimizer):
            self._settle(trainer, pl_module)
        if self.action == "skip":
            pl_module.log("train/skipped_steps", self._logged_skips, batch_size=1)

    def on_before_zero_grad(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        """Learns what became of the last step: its gradients are still there, and the device has work meanwhile."""
        self._settle(trainer, pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Learns what became of the last step."""
        self._settle(trainer, pl_module)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Learns what became of the last step."""
        self._settle(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Learns what became of the last step."""
        self._settle(trainer, pl_module)

    @staticmethod
    def _decides_at_once(pl_module: L.LightningModule) -> bool:
        """Where nothing is computed behind the host's back, there is nothing to gain by deciding later."""
        return pl_module.device.type == "cpu"

    def _settle(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        verdict, self._pending = self._pending, None
        if verdict is not None and verdict.is_bad():
            self._handle_bad_step(trainer, pl_module, verdict)
        elif verdict is not None:
            self.consecutive_skips = 0

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lets go of layers and batches."""
        for handle in self._handles:
            handle.remove()
        self._window, self._pending, self._outputs, self._handles, self._parameters = [], None, None, [], []

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Lets go of layers and batches."""
        self.on_train_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """How many steps were skipped."""
        return {"skipped_steps": self.skipped_steps, "consecutive_skips": self.consecutive_skips}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting."""
        self.skipped_steps, self.consecutive_skips = state_dict["skipped_steps"], state_dict["consecutive_skips"]

    # -- a bad step --------------------------------------------------------------------------------------------------

    def _handle_bad_step(self, trainer: L.Trainer, pl_module: L.LightningModule, verdict: Verdict) -> None:
        self.consecutive_skips += 1
        too_many = self.action == "skip" and self.consecutive_skips > self.max_consecutive_skips
        stopping = self.action == "stop" or too_many
        explanation = self._diagnose(trainer, pl_module, verdict, always_record=stopping)
        if stopping:
            limit = f" More than max_consecutive_skips {self.max_consecutive_skips} in a row." if too_many else ""
            raise NonFiniteError(f"{explanation}{limit}\n{_REMEDIES}")
        for _, parameter in self._parameters:
            parameter.grad = None
        self.skipped_steps += 1
        self._logged_skips += 1
        if trainer.is_global_zero:
            log.warning("Skipped: %s", explanation)

    def _diagnose(self, trainer: L.Trainer, pl_module: L.LightningModule, verdict: Verdict, always_record: bool) -> str:
        """Finds and records the fault, and puts it into words."""
        found = self._find(trainer, pl_module, verdict)
        reports: list[Any] = [None if found is None else found[1]]
        if trainer.world_size > 1:
            reports = [None] * trainer.world_size
            torch.distributed.all_gather_object(reports, None if found is None else found[1])
        first = min((report for report in reports if report is not None), key=_order)
        # The last microbatch's gradients are those of all devices together: then each records its own microbatch.
        alike = [report for report in reports if report is not None and _order(report)[:2] == _order(first)[:2]]
        problem = ""
        if found is not None and found[1] in alike:
            problem = _record(trainer, pl_module, *found, always=always_record)
        trainer.strategy.barrier()
        if problem:
            return f"{describe(first)} {problem}"
        folders = [_folder(trainer, report["step"], report["rank"]) for report in alike]
        shared = (
            " The gradients of all devices were summed already: it may be the rows of another." if alike[1:] else ""
        )
        places = " and ".join(str(folder) for folder in folders)
        return f"{describe(first)}{shared} Recorded in {places}; repeat it with\n    {replay_command(folders[0])}"

    def _find(
        self, trainer: L.Trainer, pl_module: L.LightningModule, verdict: Verdict
    ) -> tuple[Microbatch, dict[str, Any]] | None:
        """The first microbatch of this device that was bad, and the report of it."""
        for index, microbatch in enumerate(verdict.microbatches):
            cause = microbatch.first_cause()
            if cause is None:
                continue
            batch = microbatch.batch if isinstance(microbatch.batch, Mapping) else {}
            return microbatch, {
                "step": verdict.step,
                "rank": trainer.global_rank,
                "microbatch": index,
                "microbatches": len(verdict.microbatches),
                "ids": list(batch.get("ids", [])),
                "languages": list(batch.get("languages", [])),
                "kind": cause[0],
                "first": asdict(self._first(trainer, pl_module, microbatch, *cause)),
            }
        return None

    def _first(
        self, trainer: L.Trainer, pl_module: L.LightningModule, microbatch: Microbatch, cause: str, names: list[str]
    ) -> NonFinite:
        """The first thing that went bad: in the forward pass by running it again, else by the recorded norms."""
        if cause == "gradient":
            name, parameter = [(name, p) for name, p in self._parameters if name in names][-1]
            found = None if parameter.grad is None else examine(name, parameter.grad, squared=True)
            magnitude = float(dict(zip(*microbatch.seen[cause], strict=True))[name])  # clipping may have shortened it
            return found or NonFinite(name, magnitude=magnitude if isfinite(magnitude) else None)
        outputs = _run_again(trainer, pl_module, microbatch)
        if outputs:
            return outputs[0]
        found = examine("loss", microbatch.seen["loss"][1])
        return found if cause == "loss" and found else NonFinite(names[0])


def _run_again(trainer: L.Trainer, pl_module: L.LightningModule, microbatch: Microbatch) -> list[NonFinite]:
    """Outputs of layers that are not finite in the same forward pass."""
    device = pl_module.device
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        torch.no_grad(),
        trainer.precision_plugin.train_step_context(),
        watch_outputs(pl_module) as found,
    ):
        restore_torch(microbatch.random_states)
        pl_module(microbatch.batch)
    return found


def _record(
    trainer: L.Trainer, pl_module: L.LightningModule, microbatch: Microbatch, report: dict[str, Any], always: bool
) -> str:
    """Writes the record, and says why not if it did not."""
    folder = _folder(trainer, report["step"], trainer.global_rank)
    rank = folder.name.partition("-rank")[2]
    earlier = [path for path in folder.parent.glob("step-*") if path.name.partition("-rank")[2] == rank]
    if not always and len(earlier) >= _RECORDS_OF_SKIPPED_STEPS:
        return f"Not recorded, as {folder.parent} holds {len(earlier)} already."
    try:
        Record(report, microbatch.batch, microbatch.random_states, pl_module.state_dict()).save(folder)
    except (OSError, RuntimeError, SafetensorError) as error:
        return f"It could not be recorded in {folder}: {error}"
    return ""


def _order(report: Mapping[str, Any]) -> tuple[int, int, int]:
    return report["microbatch"], CAUSES.index(report["kind"]), report["rank"]


def _folder(trainer: L.Trainer, step: int, rank: int) -> Path:
    suffix = f"-rank{rank}" if trainer.world_size > 1 else ""
    return Path(trainer.default_root_dir) / "nan" / f"step-{step:06d}{suffix}"
