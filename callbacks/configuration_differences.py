"""What differs between the configuration of a run and today's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The trainer's other settings say where, how long and watched by what.
_EXPERIMENT = ("model.", "data.", "seed_everything", "trainer.precision", "trainer.accumulate_grad_batches")
_PROCESSES = ("data.init_args.num_workers", "data.init_args.num_proc")


def differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """By the dotted name of a setting its two values; None where there is none.

    Args:
        saved: Configuration of the run, resolved.
        now: Today's.
    """
    before, today = flatten(saved), flatten(now)
    names = sorted(before.keys() | today.keys())
    return {name: (before.get(name), today.get(name)) for name in names if before.get(name) != today.get(name)}


def of_the_experiment(found: Mapping[str, tuple[Any, Any]]) -> dict[str, tuple[Any, Any]]:
    """Those differences that make another experiment: of model, data, seed, precision and accumulation."""
    return {name: pair for name, pair in found.items() if name.startswith(_EXPERIMENT) and name not in _PROCESSES}


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Settings by dotted name, the items of a list by number where they have settings of their own."""
    if isinstance(value, dict) and value:
        children = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        children = ((str(index), item) for index, item in enumerate(value))  # type: ignore[assignment]
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, child in children:
        flat |= flatten(child, f"{prefix}.{key}" if prefix else str(key))
    return flat
