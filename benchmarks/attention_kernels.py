"""PyTorch's attention kernels side by side: the time of forward and backward pass, and the NaN that they make.

    python benchmarks/attention_kernels.py --output result.json

Shapes are mT5-small's (6 heads of 64), in bf16, with a mask, as training calls them. `nan` is the share of NaN in the
queries' gradient when all scores of a head lie near the given number; scores of mT5, which does not scale them, do
become that negative.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from main_job import current_commit, device_name, write  # noqa: E402

KERNELS = {"cuDNN": SDPBackend.CUDNN_ATTENTION, "memory-efficient": SDPBackend.EFFICIENT_ATTENTION}
HEADS, WIDTH = 6, 64


def inputs(queries: int, keys: int, batch: int, score: float) -> tuple[torch.Tensor, ...]:
    """Query, key, value (batch, HEADS, tokens, WIDTH) and mask (batch, HEADS, queries, keys); scores near `score`."""
    query, key, value = (torch.randn(batch, HEADS, n, WIDTH, device="cuda").bfloat16() for n in (queries, keys, keys))
    query[..., 0] = 1
    key = 0.1 * key
    key[..., 0] = score
    mask = torch.zeros(batch, 1, 1, keys, device="cuda", dtype=torch.bfloat16).expand(batch, HEADS, queries, keys)
    return query.requires_grad_(), key.requires_grad_(), value.requires_grad_(), mask


def backward(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """A forward and backward pass; the gradient of the queries (batch, HEADS, queries, WIDTH)."""
    attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0)
    return torch.autograd.grad(attended, (query, key, value), attended.detach())[0]


def milliseconds(queries: int, keys: int, batch: int, repetitions: int) -> float:
    """Median time of one forward and backward pass."""
    times, given = [], inputs(queries, keys, batch, 0.0)
    for _ in range(repetitions + 3):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        backward(*given)
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return median(times[3:])


def main() -> None:
    """Measures each shape with each kernel, and prints one line for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, nargs="+", default=[64, 128, 192, 256, 320, 384, 448, 512])
    parser.add_argument("--scores", type=float, nargs="+", default=[0.0, -80.0, -100.0, -200.0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--commit", default=current_commit(), help="of the code, where the repository is absent")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    result: dict[str, Any] = {"commit": options.commit, "device": device_name(), "torch": torch.__version__, "rows": []}
    result |= {"cudnn": torch.backends.cudnn.version(), "batch": options.batch, "repetitions": options.repetitions}
    for keys in options.keys:
        for kernel, backend in KERNELS.items():
            with sdpa_kernel(backend):
                nan = {
                    f"{s:g}": backward(*inputs(64, keys, 4, s)).isnan().float().mean().item() for s in options.scores
                }
                row = {"kernel": kernel, "keys": keys, "nan": nan}
                row["ms_self"] = milliseconds(keys, keys, options.batch, options.repetitions)
                row["ms_cross"] = milliseconds(64, keys, options.batch, options.repetitions)
            result["rows"].append(row)
            print(row, flush=True)
            write(options.output, result)


if __name__ == "__main__":
    main()
