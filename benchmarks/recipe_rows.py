"""One recipe at several batch sizes, in a process that does nothing else."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
import transformers
from main_job import device_name
from step_clock import MIB, StepClock
from step_flops import matrix_rate, step_flops
from step_profile import StepProfile
from synthetic_rows import synthetic_rows
from training_recipes import Observer, parse_variant, train_ozet, train_seed

SEED = "seed"


def measure_recipe(options: argparse.Namespace, report: Callable[[dict[str, Any]], None]) -> None:
    """Measures one recipe at all batch sizes; reports the machine, then each row."""
    if options.memory_cap_gib:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(options.memory_cap_gib * 2**30 / total)
    rate = matrix_rate(options.matrix_size)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    report({"machine": {"device": device_name(), "versions": versions}, "matrix_tflops": rate / 1e12})
    measure = profile_row if options.profile else measure_row
    for batch_size in options.batch_sizes:
        row = {"recipe": options.only, "batch_size": batch_size, "left_over_mib": clean_memory()}
        try:
            row |= measure(options, batch_size, rate)
        except (RuntimeError, ValueError) as error:
            if not is_out_of_memory(error):
                raise
            row |= {"out_of_memory": True}
        report({"row": row})


def measure_row(options: argparse.Namespace, batch_size: int, rate: float) -> dict[str, Any]:
    """Times one recipe at one batch size."""
    clock = StepClock(options.warmup, options.steps, options.row_seconds)
    lengths, config = run_recipe(options, batch_size, clock)
    row = clock.result()
    adapters = _adapters(options)
    if adapters is not None:
        sources = [options.source_tokens] * len(lengths)
        flops = step_flops(config, sources, lengths, *adapters) * batch_size / len(lengths)
        row |= {"step_tflop": flops / 1e12, "matrix_share": flops / (median(row["ms"]) / 1000) / rate}
    return row


def profile_row(options: argparse.Namespace, batch_size: int, rate: float) -> dict[str, Any]:
    """Profiles one recipe at one batch size."""
    profile = StepProfile(options.warmup, 5)
    run_recipe(options, batch_size, profile)
    return {**profile.result(), "table": profile.table()}


def run_recipe(options: argparse.Namespace, batch_size: int, observer: Observer) -> tuple[list[int], Any]:
    """Trains; returns the label tokens of each distinct row, and the model's configuration."""
    rows = synthetic_rows(options.batches * batch_size, options.source_tokens)
    lengths = [len(labels) for labels in rows["labels"]]
    # So many that no epoch ends, as the start of one costs time that is not a step's.
    rows = rows.select([place % len(rows) for place in range(observer.steps * batch_size)])
    base = str(options.base)
    if options.only == SEED:
        return lengths, train_seed(base, rows, batch_size, observer)
    return lengths, train_ozet(base, rows, batch_size, observer, options.variants[options.only])


def _adapters(options: argparse.Namespace) -> tuple[Any, int] | None:
    """Layers with adapters and their rank; None where all parameters are trained."""
    if options.only == SEED:
        return ("q", "v"), 16
    module = parse_variant(["model.base=.", *options.variants[options.only]]).model
    return None if module.adaptation == "full" else (module.lora.targets, module.lora.rank)


def clean_memory() -> float:
    """Forgets the row before; returns the MiB on the GPU that it left behind."""
    torch.compiler.reset()
    gc.collect()
    if not torch.cuda.is_available():
        return 0.0
    torch.cuda.empty_cache()
    return torch.cuda.memory_allocated() / MIB


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an exception, or one that it was raised for, says so."""
    if error is None:
        return False
    said = isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()
    return said or is_out_of_memory(error.__cause__ or error.__context__)
