"""How fast summaries are generated: the seed's way, transformers' `generate` on our model, and ours.

    python benchmarks/generation_speed.py --base DIR --adaptation qlora --output result.json

One process on one device, random sources of full length, `</s>` suppressed, so that every summary has all its tokens
(random weights if DIR has none). The clock stops when the device has finished. A row's first batch, with its warm-up
and capture, is not among the repeats. Speeds are summaries a second: median, least and greatest of the repeats.

Whether plain and fast generation agree is counted in two ways: the share of equal summaries in fp32, and in bf16 the
share and, since random weights have many near ties, the mean log-probability of a token of either's summaries.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
import transformers

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from main_job import current_commit, device_name, with_weights, write  # noqa: E402
from seed_recipe import load_model as load_seed  # noqa: E402

from lightning_modules.adaptation import Lora, Quantization, adapt, load_base  # noqa: E402
from lightning_modules.summarizer import Summarizer  # noqa: E402

SEED_BATCH_SIZE, SEED_BEAMS = 16, 4
EQUALITY_ROWS = 8
Generate = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load(base: str, adaptation: Any, dtype: torch.dtype) -> Any:
    """The adapted model as it is evaluated, with adapters that do something."""
    model = adapt(load_base(base, None, adaptation, Quantization(), dtype, DEVICE), adaptation, Lora()).to(DEVICE)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(0.02 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def settings(options: argparse.Namespace, beams: int) -> transformers.GenerationConfig:
    """Greedy or beam search of exactly so many tokens."""
    return transformers.GenerationConfig(
        max_new_tokens=options.new_tokens,
        num_beams=beams,
        no_repeat_ngram_size=options.no_repeat_ngram_size or None,
        suppress_tokens=[1],
        do_sample=False,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )


def sources(rows: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random ids of full length, and their mask."""
    ids = torch.randint(300, 8000, (rows, width), generator=torch.Generator().manual_seed(0)).to(DEVICE)
    return ids, torch.ones_like(ids)


@contextmanager
def mixed_precision() -> Iterator[None]:
    """As Lightning evaluates under `bf16-mixed`."""
    with torch.no_grad(), torch.autocast(DEVICE.type, dtype=torch.bfloat16):
        yield


def clocked(generate: Generate, batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[float, torch.Tensor]:
    """Seconds of one batch, and its summaries."""
    started = time.perf_counter()
    with mixed_precision():
        ids = generate(*batch)
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, ids


def measure(generate: Generate, rows: int, options: argparse.Namespace) -> tuple[dict[str, Any], torch.Tensor | None]:
    """Speed and memory of batches of `rows`, and their summaries; a row that says so where memory ends."""
    batch = sources(rows, options.source_tokens)
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        first, ids = clocked(generate, batch)
        seconds = []
        while len(seconds) < options.repeats and not (seconds and time.perf_counter() > options.deadline):
            seconds.append(clocked(generate, batch)[0])
    except torch.cuda.OutOfMemoryError:
        return {"out_of_memory": True}, None
    speeds = [rows / value for value in seconds]
    result = {
        "summaries_per_s": median(speeds),
        "least": min(speeds),
        "greatest": max(speeds),
        "repeats": len(speeds),
        "first_batch_s": first,
    }
    if DEVICE.type == "cuda":
        result |= {
            "peak_allocated_mib": torch.cuda.max_memory_allocated() / 2**20,
            # The working memory of a captured graph counts in this one only.
            "peak_reserved_mib": torch.cuda.max_memory_reserved() / 2**20,
        }
    return result, ids


def log_probability(model: Any, ids: torch.Tensor, mask: torch.Tensor, summaries: torch.Tensor) -> float:
    """Mean over the tokens of summaries, each read after its own beginning, in nats."""
    total = 0.0
    for rows in torch.arange(len(ids), device=ids.device).split(EQUALITY_ROWS):
        with mixed_precision():
            logits = model(
                input_ids=ids[rows], attention_mask=mask[rows], decoder_input_ids=summaries[rows, :-1]
            ).logits
        total -= F.cross_entropy(logits.float().flatten(0, 1), summaries[rows, 1:].flatten(), reduction="sum").item()
    return total / summaries[:, 1:].numel()


def agreement(model: Any, plain: torch.Tensor, fast: torch.Tensor, width: int) -> dict[str, Any]:
    """How far plain and fast summaries agree in bf16."""
    rows = min(len(plain), 4 * EQUALITY_ROWS)
    ids, mask = sources(len(plain), width)
    return {
        "equal_share": (plain == fast).all(dim=1).float().mean().item(),
        "equal_token_share": (plain == fast)[:, 1:].float().mean().item(),
        "log_probability_plain": log_probability(model, ids[:rows], mask[:rows], plain[:rows]),
        "log_probability_fast": log_probability(model, ids[:rows], mask[:rows], fast[:rows]),
    }


def equal_share_fp32(options: argparse.Namespace, base: str, beams: int) -> dict[str, Any]:
    """The share of summaries that are equal where rounding decides nothing."""
    model, config = load(base, "lora", torch.float32), settings(options, beams)
    ids, mask = sources(EQUALITY_ROWS, options.source_tokens)
    with torch.no_grad():
        plain = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        fast = Summarizer(model, config).generate(ids, mask)
    return {"way": "fp32", "rows": EQUALITY_ROWS, "equal_share": (plain == fast).all(dim=1).float().mean().item()}


def cases(options: argparse.Namespace, base: str) -> Iterator[dict[str, Any]]:
    """Measures one after another."""
    if options.seed:
        model = load_seed(base).eval()
        generate = Summarizer(model, settings(options, SEED_BEAMS), fast=False).generate
        result, _ = measure(generate, SEED_BATCH_SIZE, options)
        yield {"way": "seed", "beams": SEED_BEAMS, "rows": SEED_BATCH_SIZE, **result}
        del model, generate
    for beams in options.beams:
        yield {"beams": beams, **equal_share_fp32(options, base, beams)}
    model = load(base, options.adaptation, torch.bfloat16)
    for beams in options.beams:
        for rows in options.batch_sizes:
            fast = Summarizer(model, settings(options, beams), dequantize=options.dequantize)
            result, ours = measure(fast.generate, rows, options)
            fast.release()
            yield {"way": "fast", "beams": beams, "rows": rows, **result}
            plain = Summarizer(model, settings(options, beams), fast=False)
            result, theirs = measure(plain.generate, rows, options)
            if ours is not None and theirs is not None:
                result |= agreement(model, theirs, ours, options.source_tokens)
            yield {"way": "plain", "beams": beams, "rows": rows, **result}


def parse() -> argparse.Namespace:
    """Options."""

    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--adaptation", default="qlora", choices=["full", "lora", "dora", "qlora"])
    parser.add_argument("--batch-sizes", type=numbers, default=[16, 64, 128, 256])
    parser.add_argument("--beams", type=numbers, default=[1, 4])
    parser.add_argument("--source-tokens", type=int, default=512)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--no-repeat-ngram-size", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", action=argparse.BooleanOptionalAction, default=True, help="measure the seed's way")
    parser.add_argument("--dequantize", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seconds", type=float, default=570, help="begin no further row then, nor a further repeat")
    parser.add_argument("--work", type=Path, default=Path("runs/generation_speed"), help="for random weights")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--commit", default=current_commit(), help="of the code, where the repository is absent")
    return parser.parse_args()


def show(row: dict[str, Any]) -> str:
    """One line of the table."""
    name = f"{row['way']:<6} beams {row['beams']} rows {row['rows']:>3}"
    if row.get("out_of_memory"):
        return f"{name}  out of memory"
    speed = "{summaries_per_s:>9.1f} ({least:.1f}-{greatest:.1f}) summaries/s".format(**row) if "least" in row else ""
    memory = f"{row['peak_reserved_mib']:>9,.0f} MiB" if "peak_reserved_mib" in row else ""
    equal = f"  equal {row['equal_share']:.0%}" if "equal_share" in row else ""
    return f"{name}{speed}{memory}{equal}"


def main() -> None:
    """Measures until all is done or the time is over, and writes after each row."""
    options = parse()
    options.deadline = time.perf_counter() + options.seconds
    names = ("adaptation", "source_tokens", "new_tokens", "no_repeat_ngram_size", "dequantize", "commit")
    result: dict[str, Any] = {
        "device": device_name(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "base": options.base.name,
        **{name: getattr(options, name) for name in names},
        "whole": False,
        "rows": [],
    }
    for row in cases(options, str(with_weights(options.base, options.work))):
        result["rows"].append(row)
        write(options.output, result)
        print(show(row), flush=True)
        if time.perf_counter() > options.deadline:
            return
    result["whole"] = True
    write(options.output, result)


if __name__ == "__main__":
    main()
