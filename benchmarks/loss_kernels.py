"""The loss over a large vocabulary: plain, PyTorch's own `linear_cross_entropy`, and ozet's, at several chunks.

    python benchmarks/loss_kernels.py --tokens 1024 --chunks 128 512 --output result.json

Forward and backward pass with a frozen head, as when adapters are trained; PyTorch has such a loss since 2.13. Each row
is a process of its own. Memory is what a row needs beyond head and hidden states: of the GPU if there is one, else of
the process. `torch, by token` also gives the loss of each token, as ozet's always does. `relative_error` is that of the
gradient of the hidden states against the plain loss in fp32.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from main_job import current_commit, device_name, write  # noqa: E402

from lightning_modules.losses import linear_cross_entropy, plain_cross_entropy, softmax_gradient_  # noqa: E402

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def losses(kind: str, chunk: int) -> Loss:
    """A loss of hidden states (N, H), head (V, H) and labels (N,)."""
    if kind == "plain":
        return lambda hidden, head, labels: plain_cross_entropy(hidden, head, labels)[0]
    if kind.startswith("torch"):
        options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=chunk)
        if kind == "torch":
            return lambda hidden, head, labels: F.linear_cross_entropy(hidden, head, labels, options=options)
        return lambda hidden, head, labels: F.linear_cross_entropy(
            hidden, head, labels, reduction="none", options=options
        ).mean()
    kernel = torch.compile(softmax_gradient_) if kind == "ozet, compiled" else softmax_gradient_
    return lambda hidden, head, labels: linear_cross_entropy(
        hidden, head, labels, chunk=chunk, softmax_gradient=kernel
    )[0]


def measure(options: argparse.Namespace, kind: str, chunk: int, dtype: str) -> dict[str, Any]:
    """One row, in milliseconds and MiB."""
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    torch.manual_seed(0)
    hidden = torch.randn(options.tokens, options.hidden, device=device, dtype=getattr(torch, dtype), requires_grad=True)
    head = torch.empty(options.vocabulary, options.hidden, device=device, dtype=hidden.dtype)
    head.normal_(std=options.hidden**-0.5)
    labels = torch.randint(0, options.vocabulary, (options.tokens,), device=device)
    loss, seconds, before = losses(kind, chunk), [], _peak(cuda)
    for _ in range(options.repetitions + 1):
        hidden.grad = None
        _wait(cuda)
        started = time.perf_counter()
        loss(hidden, head, labels).backward()
        _wait(cuda)
        seconds.append(time.perf_counter() - started)
    assert hidden.grad is not None
    row = {"kind": kind, "chunk": chunk, "dtype": dtype, "ms": 1000 * median(seconds[1:]), "mib": _peak(cuda) - before}
    row |= {"ms_least": 1000 * min(seconds[1:]), "ms_greatest": 1000 * max(seconds[1:])}
    exact = hidden.detach().float().requires_grad_()
    plain_cross_entropy(exact, head.float(), labels)[0].backward()
    assert exact.grad is not None
    return row | {"relative_error": ((hidden.grad - exact.grad).norm() / exact.grad.norm()).item()}


def _wait(cuda: bool) -> None:
    if cuda:
        torch.cuda.synchronize()


def _peak(cuda: bool) -> float:
    if cuda:
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main() -> None:
    """Measures each row, prints it, and writes JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--vocabulary", type=int, default=250_112)
    parser.add_argument("--chunks", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--commit", default=current_commit(), help="of the code, where the repository is absent")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--row", nargs=3, metavar=("KIND", "CHUNK", "DTYPE"), help="measure this alone, print JSON")
    options = parser.parse_args()
    if options.row:
        kind, chunk, dtype = options.row
        print("\n" + json.dumps(measure(options, kind, int(chunk), dtype)))
        return
    chunked = ["ozet"] + (["torch", "torch, by token"] if hasattr(F, "linear_cross_entropy") else [])
    chunked += ["ozet, compiled"] if torch.cuda.is_available() else []
    result: dict[str, Any] = {"commit": options.commit, "device": device_name(), "torch": torch.__version__, "rows": []}
    result |= {key: getattr(options, key) for key in ("tokens", "hidden", "vocabulary", "repetitions")}
    for dtype in options.dtypes:
        for kind, chunk in [("plain", options.tokens), *[(kind, c) for kind in chunked for c in options.chunks]]:
            command = [sys.executable, __file__, *sys.argv[1:], "--row", kind, str(chunk), dtype]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            result["rows"].append(json.loads(done.stdout.splitlines()[-1]))
            write(options.output, result)
            print(result["rows"][-1], flush=True)


if __name__ == "__main__":
    main()
