"""Optimizer and learning-rate schedule, also across a resume."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_scheduler

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """Course of the learning rate over the optimizer steps of the whole run.

    Args:
        name: After the warm-up, `linear` falls to 0, `cosine` falls to 0 along a half cosine, `constant` stays.
        warmup_steps: Steps in which the rate rises from 0; wins over `warmup_ratio`.
        warmup_ratio: The same as a share of all steps, in [0, 1).

    Raises:
        ValueError: If a value is out of range.
    """

    name: Literal["linear", "cosine", "constant"] = "linear"
    warmup_steps: int | None = None
    warmup_ratio: float = 0.05

    def __post_init__(self) -> None:
        if self.warmup_steps is not None and self.warmup_steps < 0:
            raise ValueError(f"schedule.warmup_steps {self.warmup_steps} must be at least 0.")
        if not 0 <= self.warmup_ratio < 1:
            raise ValueError(f"schedule.warmup_ratio {self.warmup_ratio} must be in [0, 1).")


def build_scheduler(schedule: Schedule, optimizer: Optimizer, total_steps: float) -> LambdaLR:
    """Makes the scheduler, to be stepped once each optimizer step.

    Args:
        schedule: The course.
        optimizer: Its learning rates are the peak.
        total_steps: Optimizer steps of the whole run; infinity only for `constant` with `warmup_steps`.

    Raises:
        ValueError: If the course needs to know the number of steps and it is infinite or too small.
    """
    endless = total_steps == float("inf")
    if endless and (schedule.name != "constant" or schedule.warmup_steps is None):
        raise ValueError(
            "The schedule needs the number of steps: set trainer.max_epochs or trainer.max_steps, or use "
            "schedule.name constant with schedule.warmup_steps."
        )
    warmup = schedule.warmup_steps
    if warmup is None:
        warmup = round(schedule.warmup_ratio * total_steps)
    if warmup > total_steps:
        raise ValueError(f"schedule.warmup_steps {warmup} exceeds the {int(total_steps)} steps of the run.")
    name = "constant_with_warmup" if schedule.name == "constant" else schedule.name
    return get_scheduler(name, optimizer, warmup, None if endless else int(total_steps))


def require_same_groups(saved: Sequence[Mapping[str, Any]], optimizer: Optimizer) -> None:
    """Refuses a saved state of which an optimizer's groups of parameters are not those of today.

    Args:
        saved: `param_groups` of the saved state.
        optimizer: Built from the configuration.

    Raises:
        ValueError: If there are more or fewer groups, or of other sizes.
    """
    before = [len(group["params"]) for group in saved]
    now = [len(group["params"]) for group in optimizer.param_groups]
    if before != now:
        raise ValueError(
            f"The checkpoint's optimizer has groups of {before} parameters, and the configured "
            f"{type(optimizer).__name__} of {now}. Set model.optimizer to the optimizer of the run."
        )


def apply_current_settings(optimizer: Optimizer, scheduler: LambdaLR) -> dict[str, tuple[Any, Any]]:
    """Lets today's configuration win over what a checkpoint restored into the optimizer.

    Args:
        optimizer: Built from the configuration, then loaded from a checkpoint. Where its groups have different
            settings, it names them as `group_defaults`, see `muon.MuonWithAdamW`.
        scheduler: Likewise.

    Returns:
        By setting, the checkpoint's value and the value now in force; empty if they agree.
    """
    changed: dict[str, tuple[Any, Any]] = {}
    settings = getattr(optimizer, "group_defaults", [optimizer.defaults] * len(optimizer.param_groups))
    for index, (group, configured) in enumerate(zip(optimizer.param_groups, settings, strict=True)):
        for name, now in configured.items():
            saved_name = "initial_lr" if name == "lr" else name
            before = group.get(saved_name, now)
            if before == now or (isinstance(now, (list, tuple)) and list(before) == list(now)):
                continue
            changed[name] = (before, now)
            group[saved_name] = now
            if name == "lr":
                scheduler.base_lrs[index] = now
                group["lr"] = now * scheduler.lr_lambdas[index](scheduler.last_epoch)
    return changed
