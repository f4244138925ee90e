"""How many articles a second the training loader delivers by itself, and how long a training step waits for it.

    python benchmarks/data_loading.py --output result.json

No model: the loader of `BilingualDataModule` over synthetic encoded rows in an Arrow file, sources of 512 tokens. The
first figure is that of a consumer that takes batches as fast as they come, to the GPU if there is one; the second that
of one which is busy for `--step-ms` after each, as a step on a GPU is: the wait for the next batch, as a share of it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import datasets
import torch
from torch.utils.data import DataLoader

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from main_job import current_commit, device_name, write  # noqa: E402
from synthetic_rows import TARGET_LENGTHS, synthetic_rows  # noqa: E402

from datamodules.collate import SummarizationCollator  # noqa: E402
from datamodules.loading import EncodedRows, build_loader, label_counts  # noqa: E402
from datamodules.sampling import TrainingSampler  # noqa: E402

LANGUAGES = ["tr", "en"]


def make_rows(count: int, source_tokens: int, folder: str) -> datasets.Dataset:
    """Rows in a file, as the data module reads them from the cache."""
    synthetic_rows(count, source_tokens).save_to_disk(folder)
    return datasets.load_from_disk(folder)


def make_loader(rows: datasets.Dataset, batch_size: int, num_workers: int) -> DataLoader:
    """The training loader."""
    lengths = rows.with_format("numpy")["language"][:] == "tr"  # any will do: all sources are equally long
    sampler = TrainingSampler(lengths.astype(int), lengths, label_counts(rows), batch_size)
    collator = SummarizationCollator(pad_id=0, eos_id=1, languages=LANGUAGES, rows=batch_size)
    return build_loader(EncodedRows(rows, texts=False), sampler, collator, num_workers, seed=0)


def measure(loader: DataLoader, device: torch.device, batches: int, step_seconds: float) -> dict[str, float]:
    """Seconds of waiting for a batch on the device (median and mean), the first ones left out."""
    iterator, waits = iter(loader), []
    for _ in range(min(batches, len(loader))):
        asked = time.perf_counter()
        next(iterator).to(device)
        waits.append(time.perf_counter() - asked)
        time.sleep(step_seconds)
    counted = waits[len(waits) // 10 :]  # workers start in the first
    return {"median": median(counted), "mean": sum(counted) / len(counted)}


def measure_row(rows: datasets.Dataset, batch_size: int, workers: int, options: argparse.Namespace) -> dict[str, Any]:
    """Throughput and waiting with one setting."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loader = make_loader(rows, batch_size, workers)
    alone = measure(loader, device, options.batches, 0.0)
    beside = measure(loader, device, options.batches // 4, options.step_ms / 1000)
    return {
        "batch_size": batch_size,
        "workers": workers,
        "articles_per_s": batch_size / alone["mean"],
        "batch_ms": 1000 * alone["mean"],
        "wait_ms": 1000 * beside["median"],
        "wait_share": 1000 * beside["mean"] / options.step_ms,
    }


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=8_000)
    parser.add_argument("--source-tokens", type=int, default=512)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--batches", type=int, default=400, help="batches of a measurement, at most an epoch's")
    parser.add_argument("--step-ms", type=float, default=20.0)
    parser.add_argument("--commit", default=current_commit(), help="of the code, where the repository is absent")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = make_rows(options.rows, options.source_tokens, folder)
        settings = [(size, workers) for size in options.batch_sizes for workers in options.workers]
        table = [measure_row(rows, size, workers, options) for size, workers in settings]
    result = {
        "what": f"training loader alone; {TARGET_LENGTHS}; wait: beside a step of {options.step_ms} ms",
        "commit": options.commit,
        "device": device_name(),
        "cpus": os.cpu_count(),
        "versions": {"torch": torch.__version__, "datasets": datasets.__version__},
        "rows": table,
    }
    write(options.output, result)
    for row in table:
        print({name: round(value, 4) for name, value in row.items()})


if __name__ == "__main__":
    main()
