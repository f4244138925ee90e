"""Memory and time of the adaptations on mT5's published sizes, from benchmarks/adaptation_cost.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reports.card_tables import table
from reports.section import Section

TITLE = "With random weights: memory and time only"
_MIB_A_GIB = 1024


def read_architectures(path: Path) -> dict[str, Any]:
    """Reads a result.

    Raises:
        ValueError: If the file is missing, or holds no cell.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        {(row["architecture"], row["adaptation"]) for row in found["rows"]}
        found["device"], found["batch_size"], found["articles"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no result of benchmarks/adaptation_cost.py: {error!r}.") from error
    if not found["rows"]:
        raise ValueError(f"{path} has no cell: the benchmark was cut off before its first. The same command goes on.")
    return found


def architectures_section(found: dict[str, Any]) -> Section:
    """A table of all cells, and how they were measured."""
    head, *rows = architecture_rows(found)
    return Section(TITLE, f"{architectures_note(found)}\n\n{table(head, rows)}")


def architectures_note(found: dict[str, Any]) -> str:
    """How the cells were measured."""
    settings = f" Settings: {', '.join(found['settings'])}." if found.get("settings") else ""
    return (
        "The weights are random, so no quality is told, and none is needed: memory and time do not depend on their "
        f"values. One run each on {found['device']}, batches of {found['batch_size']}, sources of "
        f"{found['source_tokens']} tokens, {found['lengths'].split(';')[0]}; medians of the steps. An epoch is "
        f"{found['articles']:,} articles. Summaries: greedy, {found['new_tokens']} tokens, batches of "
        f"{found['summaries']}. Weights: what an export takes, adapters in fp32, a whole model in bf16.{settings}"
    )


def architecture_rows(found: dict[str, Any]) -> list[list[str]]:
    """A head and a row for each cell; the peak is left out where no GPU was there."""
    on_gpu = any("peak_allocated_mib" in row for row in found["rows"])
    head = ["architecture", "method", "trained parameters", "share", *["peak GiB"] * on_gpu]
    head += ["articles/s", "s an epoch", "summaries/s", "weights MiB"]
    return [head, *(_row(row, len(head), on_gpu) for row in found["rows"])]


def _row(row: dict[str, Any], width: int, on_gpu: bool) -> list[str]:
    names = [row["architecture"], row["adaptation"]]
    if row.get("out_of_memory"):
        return [*names, "out of memory", *["–"] * (width - 3)]
    summaries = row.get("summaries_per_s")
    return [
        *names,
        f"{row['trained']:,}",
        f"{100 * row['trained'] / row['total']:.2f}%",
        *[f"{row['peak_allocated_mib'] / _MIB_A_GIB:.2f}" if "peak_allocated_mib" in row else "–"] * on_gpu,
        f"{row['articles_per_s']:,.1f}",
        f"{row['epoch_seconds']:,.1f}",
        "–" if summaries is None else f"{summaries:,.1f}",
        f"{row['weights_mib']:,.1f}",
    ]
