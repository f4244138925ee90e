"""What full fine-tuning, LoRA, DoRA and QLoRA cost on mT5's published sizes, with random weights: memory and time only.

    python benchmarks/adaptation_cost.py --architectures mt5-small mt5-base --output result.json
    python compare.py report DIR --architectures result.json

Each cell trains some steps as train.py would, on rows whose sources are full, then summarises a batch greedily. The
weights are made on the device; nothing is downloaded. The result is written after every cell, and the same command goes
on where it was stopped. QLoRA's layers stay in 4 bits, whatever the card. Further settings are those of train.py, such
as `--settings model.acceleration.compile=false`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from generation_speed import measure, settings  # noqa: E402
from largest_model import configuration, random_base  # noqa: E402
from main_job import current_commit, device_name, write  # noqa: E402
from recipe_rows import clean_memory, is_out_of_memory  # noqa: E402
from step_clock import StepClock  # noqa: E402
from synthetic_rows import TARGET_LENGTHS, synthetic_rows  # noqa: E402
from training_recipes import train_ozet  # noqa: E402

from lightning_modules import seq2seq  # noqa: E402
from lightning_modules.adaptation import count_parameters  # noqa: E402
from lightning_modules.summarizer import Summarizer  # noqa: E402

ADAPTATIONS = ("full", "lora", "dora", "qlora")
ARCHITECTURES = {f"mt5-{size}": size for size in ("tiny", "small", "base", "large", "xl")}
MIB = 2**20
# Of a cell; results of other ones are not continued.
_CONDITIONS = ("device", "commit", "batch_size", "source_tokens", "new_tokens", "summaries", "articles", "settings")


class CostClock(StepClock):
    """Times training steps, and then one batch of summaries with the model that was trained.

    Args:
        options: Of the benchmark.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options.warmup, options.steps, options.cell_seconds)
        self._options = options
        self.generation: dict[str, Any] = {}

    def start(self, model: torch.nn.Module, optimizer: Any) -> None:
        """Begins; see `StepClock.start`."""
        super().start(model, optimizer)
        self._model, self.parameters = model, count_parameters(model)

    def step(self) -> bool:
        """Ends a step; after the last one generates."""
        done = super().step()
        if done:
            self._model.eval()
            summarizer = Summarizer(self._model, settings(self._options, beams=1))
            self.generation, _ = measure(summarizer.generate, self._options.summaries, self._options)
            summarizer.release()
            del self._model  # else it would outlive its run
        return done


def cell(options: argparse.Namespace, architecture: str, adaptation: str) -> dict[str, Any]:
    """Measures one adaptation of one architecture; a cell that runs out of memory says so."""
    row: dict[str, Any] = {"architecture": architecture, "adaptation": adaptation, "left_over_mib": clean_memory()}
    config, clock = configuration(ARCHITECTURES[architecture], None), CostClock(options)
    seq2seq.load_base = lambda *given: random_base(  # type: ignore[assignment]
        config,
        given[3] if adaptation == "qlora" else None,
        torch.float32 if adaptation == "full" else given[4],
        given[5],
    )
    distinct = synthetic_rows(options.batches * options.batch_size, options.source_tokens)
    rows = distinct.select([place % len(distinct) for place in range(clock.steps * options.batch_size)])
    chosen = [f"model.adaptation={adaptation}", "trainer.enable_progress_bar=false", *options.settings]
    if adaptation == "qlora":
        # A large card would hold those of a small model in bf16, which is not what a small card does.
        chosen.append("model.quantization.dense=false")
    try:
        train_ozet(str(options.tokenizer), rows, options.batch_size, clock, chosen)
    except (RuntimeError, ValueError) as error:
        if not is_out_of_memory(error):
            raise
        return row | {"out_of_memory": True}
    return row | result(options, clock, adaptation)


def result(options: argparse.Namespace, clock: CostClock, adaptation: str) -> dict[str, Any]:
    """The figures of a cell that ended."""
    timed, count = clock.result(), clock.parameters
    speed = 1000 * options.batch_size / median(timed["ms"])
    weights = 2 * count.total if adaptation == "full" else 4 * count.trainable  # bf16 as a whole, adapters in fp32
    return {
        "trained": count.trainable,
        "total": count.total,
        **timed,
        "articles_per_s": speed,
        "epoch_seconds": options.articles / speed,
        "weights_mib": weights / MIB,
        "summaries_per_s": clock.generation.get("summaries_per_s"),
        "generation_first_batch_s": clock.generation.get("first_batch_s"),
    }


def run(options: argparse.Namespace, show: Callable[[str], None] = print) -> dict[str, Any]:
    """Measures all cells that the result file has not, until the time is over."""
    conditions = {name: getattr(options, name) for name in _CONDITIONS if name != "device"} | {"device": device_name()}
    found = _earlier(options.output, conditions)
    known = {(row["architecture"], row["adaptation"]) for row in found.get("rows", [])}
    outcome: dict[str, Any] = conditions | {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "lengths": TARGET_LENGTHS,
        "rows": found.get("rows", []),
    }
    started = time.perf_counter()
    missing = [(one, two) for one in options.architectures for two in options.adaptations if (one, two) not in known]
    for number, names in enumerate(missing):
        if time.perf_counter() - started > options.seconds:
            show(f"The time is over: {len(missing) - number} cells are missing. The same command goes on.")
            break
        options.deadline = time.perf_counter() + options.cell_seconds
        outcome["rows"].append(cell(options, *names))
        write(options.output, outcome)
        show(line(outcome["rows"][-1]))
    return outcome


def line(row: dict[str, Any]) -> str:
    """One line of the table."""
    name = f"{row['architecture']:<10} {row['adaptation']:<6}"
    if row.get("out_of_memory"):
        return f"{name} out of memory"
    speed = f"{row['articles_per_s']:9.1f} articles/s {row['epoch_seconds']:9.1f} s an epoch"
    memory = f"{row['peak_allocated_mib']:9,.0f} MiB" if "peak_allocated_mib" in row else "        – MiB"
    summaries = f"{row['summaries_per_s'] or float('nan'):8.1f} summaries/s"
    return f"{name}{row['trained']:>14,} trained {memory} {speed} {summaries} {row['weights_mib']:9,.1f} MiB on disk"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", default=["mt5-small", "mt5-base"], choices=list(ARCHITECTURES))
    parser.add_argument("--adaptations", nargs="+", default=list(ADAPTATIONS), choices=ADAPTATIONS)
    parser.add_argument("--settings", nargs="+", default=[], metavar="SETTING", help="of train.py, for every cell")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=4, help="distinct batches")
    parser.add_argument("--warmup", type=int, default=5, help="steps that do not count")
    parser.add_argument("--steps", type=int, default=10, help="steps that do, at least 3")
    parser.add_argument("--source-tokens", type=int, default=512)
    parser.add_argument("--new-tokens", type=int, default=64, help="of each summary")
    parser.add_argument("--summaries", type=int, default=64, help="rows of the batch that is summarised")
    parser.add_argument("--repeats", type=int, default=3, help="batches of summaries after the first")
    parser.add_argument("--articles", type=int, default=10_000, help="rows of the epoch whose time is told")
    parser.add_argument("--cell-seconds", type=float, default=30, help="then a cell ends, if 3 of its steps count")
    parser.add_argument("--seconds", type=float, default=540, help="begin no further cell then")
    parser.add_argument("--tokenizer", type=Path, default=ROOT / "assets" / "tiny-mt5", help="sizes are not its own")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--commit", default=current_commit(), help="of the code, where the repository is absent")
    options = parser.parse_args(arguments)
    if options.warmup < 1 or options.steps < 3:
        parser.error(f"--warmup {options.warmup} must be at least 1 and --steps {options.steps} at least 3.")
    options.no_repeat_ngram_size = 0  # `generation_speed.settings` asks for it
    return options


def _earlier(file: Path, conditions: dict[str, Any]) -> dict[str, Any]:
    """The result so far; empty without one.

    Raises:
        ValueError: If it was made under other conditions.
    """
    if not file.is_file():
        return {}
    found = json.loads(file.read_text(encoding="utf-8"))
    other = [name for name, value in conditions.items() if found.get(name) != value]
    if other:
        raise ValueError(
            f"{file} holds cells of another {', '.join(other)} ({', '.join(str(found.get(name)) for name in other)}); "
            "name another --output."
        )
    return found


if __name__ == "__main__":
    try:
        run(parse())
    except ValueError as problem:
        sys.exit(f"error: {problem}")
