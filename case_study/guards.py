"""What the guards say that refuse a fault before a run begins, captured by running into them.

python -m case_study.guards FILE
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

import export
import train
from datamodules.collate import SummarizationCollator
from reports.atomic_write import write_text

_GOOD = "--config=configs/case_study/good.yaml"


def write_messages(file: Path) -> None:
    """Writes the messages by failure, each with the command or call that met it."""
    guards = {
        "fp16-overflow": ("python train.py fit --trainer.precision 16-mixed", _half_precision),
        "labels-without-end": ("a training row whose labels lost `</s>`", _unended_labels),
        "nf4-merge": ("python export.py RUN --output FOLDER --dtype nf4", _four_bit_export),
    }
    found = {name: {"met_by": met_by, "message": message(meet)} for name, (met_by, meet) in guards.items()}
    write_text(file, json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def message(meet: Callable[[], None]) -> str:
    """What a guard says.

    Raises:
        RuntimeError: If it says nothing: then it is no guard.
    """
    try:
        meet()
    except (ValueError, SystemExit) as refusal:
        return str(refusal).removeprefix("error: ")
    raise RuntimeError(f"{meet.__name__} met no guard: the fault passed.")


def _half_precision() -> None:
    train.main(["fit", _GOOD, "--trainer.precision=16-mixed"], train.ReadingCLI)


def _four_bit_export() -> None:
    with tempfile.TemporaryDirectory() as folder:
        export.main(["RUN", f"--output={folder}/exported", "--dtype=nf4"])


def _unended_labels() -> None:
    ids = pa.list_(pa.int32())
    row = {"id": ["story-1"], "language": ["tr"]}
    row |= {"input_ids": pa.array([[7, 8, 1]], ids), "labels": pa.array([[9, 10, 11]], ids)}
    SummarizationCollator(pad_id=0, eos_id=1, languages=["tr"])((pa.table(row), None))


if __name__ == "__main__":
    write_messages(Path(sys.argv.pop()))  # else Lightning's command line would warn of arguments that are not its own
