"""The tables and the picture of docs/memory.md, from the estimate alone.

python benchmarks/memory_by_component.py --output docs/images/memory.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from lightning_modules.adaptation import Lora  # noqa: E402
from lightning_modules.architecture import MT5_BASE, MT5_LARGE, MT5_SMALL, MT5_XL  # noqa: E402
from lightning_modules.memory import (  # noqa: E402
    MemoryEstimate,
    MemorySettings,
    estimate,
    generation_bytes,
    largest_batch,
)
from lightning_modules.memory_settings import planned_settings  # noqa: E402
from reports.memory import draw_memory  # noqa: E402

GIB, MIB = 2**30, 2**20
MODELS = {"small": MT5_SMALL, "base": MT5_BASE, "large": MT5_LARGE, "xl": MT5_XL}
TOKENS = (512, 128)
CARD_GIB, FREE_GIB = 6, 5.0  # what a desktop, the CUDA context and the allocator's gaps leave of it
SEED_MEASURED_MIB = 3932
SEED_WEIGHTS_MIB, SEED_TARGET_TOKENS = 1027, 110  # peft makes fp32 what is not 4-bit; the longest summary of a batch

Row = dict[str, str]


def ours(model: str, adaptation: str = "qlora", **changes: object) -> MemorySettings:
    """ozet's defaults on a GPU."""
    return planned_settings(MODELS[model], adaptation, compiled=True, **changes)  # type: ignore[arg-type]


def seed() -> MemorySettings:
    """Seed A: gradient checkpointing, eager attention, all logits, fp32 for everything that is not 4-bit."""
    settings = planned_settings(
        MT5_SMALL,
        "qlora",
        Lora(targets=["q", "v"]),
        fp32_embeddings=True,
        gradient_checkpointing=True,
        attention="eager",
        chunk_tokens=None,
    )
    return replace(settings, weight_bytes=SEED_WEIGHTS_MIB * MIB)


def weights_table() -> list[Row]:
    """MiB of weights by model and number format."""
    return [
        {
            "model": name,
            "parameters (M)": f"{one.weights / 1e6:,.0f}",
            "of it embeddings and head": f"{2 * one.vocabulary * one.d_model / one.weights:.0%}",
            "fp32": _mib(4 * one.weights),
            "bf16": _mib(2 * one.weights),
            "4-bit layers, rest bf16": _mib(ours(name).weight_bytes - 4 * ours(name).trainable),
        }
        for name, one in MODELS.items()
    ]


def recipes() -> dict[str, MemoryEstimate]:
    """Peaks of training at batch 8."""
    plans = {f"{name}, QLoRA": ours(name) for name in ("small", "base", "large")}
    plans |= {f"{name}, QLoRA, checkpointing": _checkpointed(ours(name)) for name in ("small", "base", "large", "xl")}
    plans |= {"small, all parameters": ours("small", "full")}
    found = {"small, seed's recipe": estimate(seed(), 8, TOKENS[0], SEED_TARGET_TOKENS)}
    return found | {name: estimate(plan, 8, *TOKENS) for name, plan in plans.items()}


def recipes_table() -> list[Row]:
    """GiB by component."""
    parts = {name: {part: _gib(size) for part, size in _parts(one).items()} for name, one in recipes().items()}
    return [{"recipe": name, **parts[name], "peak": _gib(one.total)} for name, one in recipes().items()]


def changes_table() -> list[Row]:
    """What one setting changes for mT5-base with QLoRA at batch 8."""
    plain = ours("base")
    variants: list[tuple[str, Callable[[], MemoryEstimate]]] = [
        ("as above", lambda: estimate(plain, 8, *TOKENS)),
        ("`data.batch_size: 4`, `accumulate_grad_batches: 2`", lambda: estimate(plain, 4, *TOKENS)),
        ("`model.gradient_checkpointing: true`", lambda: estimate(_checkpointed(plain), 8, *TOKENS)),
        ("`data.max_source_tokens: 256`", lambda: estimate(plain, 8, 256, TOKENS[1])),
        ("`data.max_target_tokens: 64`", lambda: estimate(plain, 8, TOKENS[0], 64)),
        ("`model.adaptation: lora` (bf16 instead of 4 bits)", lambda: estimate(ours("base", "lora"), 8, *TOKENS)),
        ("`model.lora.targets: [q, v]`", lambda: estimate(_only_q_and_v("base"), 8, *TOKENS)),
        ("`model.lora.dropout: 0`", lambda: estimate(_without_dropout("base"), 8, *TOKENS)),
        ("`model.acceleration.loss_chunk: null`", lambda: estimate(replace(plain, chunk_tokens=None), 8, *TOKENS)),
        ("`model.acceleration.compile: false`", lambda: estimate(replace(plain, compiled=False), 8, *TOKENS)),
    ]
    base = estimate(plain, 8, *TOKENS).total
    return [
        {"change": name, "peak": _gib(make().total), "difference": f"{(make().total - base) / GIB:+.2f}"}
        for name, make in variants
    ]


def batches_table() -> list[Row]:
    """Rows that fit into `FREE_GIB`."""
    return [
        {
            "model": name,
            "QLoRA": _rows(ours(name)),
            "QLoRA, checkpointing": _rows(_checkpointed(ours(name))),
            "all parameters": _rows(ours(name, "full")),
            "all parameters, checkpointing, 8-bit Adam": _rows(_checkpointed(ours(name, "full", optimizer_bytes=2.1))),
        }
        for name in MODELS
    ]


def generation_table() -> list[Row]:
    """MiB while summaries of 128 tokens are generated for a batch of 32 articles."""

    def size(model: str, beams: int) -> str:
        return _mib(generation_bytes(MODELS[model], 32, beams, *TOKENS))

    return [{"model": name, "greedy": size(name, 1), "4 beams": size(name, 4)} for name in MODELS]


def markdown(rows: Sequence[Row]) -> str:
    """A table as it stands in docs/memory.md."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def draw(output: Path) -> None:
    """The picture."""
    bars = {name: {part: size / GIB for part, size in _parts(one).items()} for name, one in recipes().items()}
    measured = {"small, seed's recipe": SEED_MEASURED_MIB * MIB / GIB}
    draw_memory(bars, output, "Training of mT5 on batches of 8 x 512/128 tokens, estimated", measured, CARD_GIB)


def _parts(one: MemoryEstimate) -> dict[str, int]:
    """What is there at the peak: the logits or a block that is computed again, whichever is more."""
    parts = {name: getattr(one, name) for name in ("weights", "gradients", "optimizer", "activations")}
    at_loss = one.logits >= one.recomputed
    return parts | {"recomputed": 0 if at_loss else one.recomputed, "logits": one.logits if at_loss else 0}


def _checkpointed(settings: MemorySettings) -> MemorySettings:
    return replace(settings, gradient_checkpointing=True)


def _only_q_and_v(model: str) -> MemorySettings:
    return planned_settings(MODELS[model], "qlora", Lora(targets=["q", "v"]), compiled=True)


def _without_dropout(model: str) -> MemorySettings:
    return planned_settings(MODELS[model], "qlora", Lora(dropout=0.0), compiled=True)


def _rows(settings: MemorySettings) -> str:
    return str(largest_batch(settings, FREE_GIB * GIB, *TOKENS))


def _gib(size: float) -> str:
    return f"{size / GIB:.2f}"


def _mib(size: float) -> str:
    return f"{size / MIB:,.0f}"


TABLES = (weights_table, recipes_table, changes_table, batches_table, generation_table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables and draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="the picture")
    options = parser.parse_args(arguments)
    for table in TABLES:
        print(markdown(table()), end="\n\n")
    if options.output:
        draw(options.output)


if __name__ == "__main__":
    main()
