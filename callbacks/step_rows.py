"""Files of rows that belong to steps: what validations leave beside the curves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reports.atomic_write import write_text


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows written so far."""
    if not path.is_file():
        return []
    # Not `splitlines`, which also cuts at marks that articles hold, such as U+2028.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def add_rows(path: Path, step: int, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the rows of a step in place of those from this step on: a resumed run repeats what its checkpoint lacks.

    Args:
        path: A JSONL file, made if there is none and there are rows.
        step: Number of optimizer steps taken; `step` in each row.
        rows: Plain data.

    Returns:
        All rows of the file.
    """
    before = read_rows(path)
    after = [row for row in before if row["step"] < step] + rows
    if after != before:
        write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in after))
    return after
