"""Small corpora for these tests."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

from torch.utils.data import DataLoader

from datamodules.preparation import Encoding
from datamodules.sources import Columns, Splits

SPLIT_SIZES = {"train": 26, "validation": 7, "test": 5}
BY_COLUMN = Columns(id="id", split="split")
TRAIN_ONLY = Splits(validation=None, test=None)


def pair(number: int, split: str = "train") -> dict[str, str]:
    return {
        "id": f"row-{number}",
        "split": split,
        "article": f"Article {number}: the ferry left the harbour late, and nobody knew why.",
        "summary": f"Ferry {number} was late.",
    }


def write_jsonl(path: Path, rows: Iterable[dict | str]) -> str:
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def write_table(path: Path, rows: list[dict[str, str]], delimiter: str = ",") -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def make_encoding(**changes) -> Encoding:
    defaults = {
        "max_source_tokens": 64,
        "max_target_tokens": 32,
        "truncate_targets": "sentence",
        "prefixes": {},
        "train_caps": {},
    }
    return Encoding(**(defaults | changes))


def names_of(loader: DataLoader) -> list[list[str]]:
    return [batch["ids"] for batch in loader]
