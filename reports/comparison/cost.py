"""What each system costs: parameters, memory, time, and space on disk."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.card_tables import table
from reports.comparison.runs import TrainedRun
from reports.comparison.systems import System
from reports.section import Section

_MIB = 2**20
_HEAD = (
    *("system", "trained parameters", "share", "peak GiB, training", "peak GiB, generating", "s an epoch"),
    *("articles/s", "summaries/s", "weights MiB", "checkpoint MiB"),
)


@dataclass(frozen=True)
class Cost:
    """Means over the seeds of a system; None where it was not recorded.

    Attributes:
        trained: Parameters that are trained.
        total: All parameters.
        peak_memory_gib: Greatest memory of tensors in training, of a GPU.
        validation_memory_gib: The same while generating.
        epoch_seconds: Of the training steps of an epoch, without validation: training rows over articles a second.
        articles_per_s: Median of training.
        summaries_per_s: Of a validation: its rows over its time, losses and scoring included.
        weights_mib: What an export takes: adapters in fp32, a whole model in bf16.
        checkpoint_mib: The last checkpoint, with the optimizer's state.
    """

    trained: float | None
    total: float | None
    peak_memory_gib: float | None
    validation_memory_gib: float | None
    epoch_seconds: float | None
    articles_per_s: float | None
    summaries_per_s: float | None
    weights_mib: float | None
    checkpoint_mib: float | None


def cost(system: System) -> Cost:
    """Of one system."""

    def mean(measure: Callable[[TrainedRun], float | None]) -> float | None:
        found = [value for run in system.runs if (value := measure(run)) is not None]
        return statistics.mean(found) if found else None

    return Cost(
        trained=mean(lambda run: run.parameters.get("trainable")),
        total=mean(lambda run: run.parameters.get("total")),
        peak_memory_gib=mean(lambda run: _reduced(run, "perf/peak_memory_gib", max)),
        validation_memory_gib=mean(lambda run: _reduced(run, "perf/validation_peak_memory_gib", max)),
        epoch_seconds=mean(_epoch_seconds),
        articles_per_s=mean(lambda run: _reduced(run, "perf/articles_per_s", statistics.median)),
        summaries_per_s=mean(_summaries_per_s),
        weights_mib=mean(_weights_mib),
        checkpoint_mib=mean(_checkpoint_mib),
    )


def cost_section(systems: Sequence[System], costs: dict[str, Cost]) -> Section:
    """A table of all costs, and on what they were measured."""
    found = machines(systems)
    warning = " **Not all ran on the same kind of machine: times cannot be compared.**" if len(found) > 1 else ""
    note = (
        f"Measured on {'; '.join(found)}.{warning} Memory is what tensors take on a GPU (not recorded on a "
        "CPU). An epoch is its training steps alone; articles/s the median of training; summaries/s those of a "
        "validation, losses and scoring included. Weights: what an export takes, adapters in fp32, a whole model in "
        "bf16. Checkpoint: with the optimizer's state. Means over the seeds."
    )
    head, *rows = cost_rows(systems, costs)
    return Section("Costs", f"{note}\n\n{table(head, rows)}")


def cost_rows(systems: Sequence[System], costs: dict[str, Cost]) -> list[list[str]]:
    """A head and a row for each system; columns that nobody recorded are left out."""
    rows = [list(_HEAD), *([system.name, *_cells(costs[system.name])] for system in systems)]
    columns = [column for column in zip(*rows, strict=True) if set(column[1:]) != {"–"}]
    return [list(row) for row in zip(*columns, strict=True)]


def machines(systems: Sequence[System]) -> list[str]:
    """The devices of all runs, each once."""
    return sorted({_machine(run) for system in systems for run in system.runs})


def _cells(one: Cost) -> list[str]:
    share = None if one.trained is None or not one.total else 100 * one.trained / one.total
    return [
        _number(one.trained, ",.0f"),
        "–" if share is None else f"{share:.2f}%",
        *(_number(value, ".2f") for value in (one.peak_memory_gib, one.validation_memory_gib)),
        *(_number(value, ",.1f") for value in (one.epoch_seconds, one.articles_per_s, one.summaries_per_s)),
        *(_number(value, ",.1f") for value in (one.weights_mib, one.checkpoint_mib)),
    ]


def _number(value: float | None, kind: str) -> str:
    return "–" if value is None else format(value, kind)


def _reduced(run: TrainedRun, key: str, reduce: Callable[[list[float]], float]) -> float | None:
    values = [value for _, value in run.curves.get(key, [])]
    return reduce(values) if values else None


def _epoch_seconds(run: TrainedRun) -> float | None:
    speed, rows = _reduced(run, "perf/articles_per_s", statistics.median), sum(run.rows("train").values())
    return rows / speed if speed and rows else None


def _summaries_per_s(run: TrainedRun) -> float | None:
    # The fastest, since the first may wait for compilation.
    seconds, rows = _reduced(run, "perf/validation_seconds", min), sum(run.rows("validation").values())
    return rows / seconds if seconds and rows else None


def _weights_mib(run: TrainedRun) -> float | None:
    count = run.parameters
    if not count:
        return None
    return (2 * count["total"] if run.adaptation == "full" else 4 * count["trainable"]) / _MIB


def _checkpoint_mib(run: TrainedRun) -> float | None:
    file = Path(run.folder) / "checkpoints" / "last.ckpt"
    return file.stat().st_size / _MIB if file.is_file() else None


def _machine(run: TrainedRun) -> str:
    hardware = run.environment.get("hardware") or {}
    gpus = ", ".join(gpu["name"] for gpu in hardware.get("gpus", []))
    name = gpus or f"CPU {hardware.get('processor', 'unknown')} ({hardware.get('cpus', '?')} cores)"
    at_a_time = run.study.at_a_time if run.study else 1
    return name if at_a_time == 1 else f"{name}, {at_a_time} runs at a time (times are not those of a run alone)"
