"""Where the data report of a command lies."""

from __future__ import annotations

from pathlib import Path

import lightning as L


def report_file(trainer: L.Trainer) -> Path:
    """Return `data_report.json` in the run's folder for `fit`, else in a folder called as the command.

    Other commands may read other rows: the training's report stays its own.
    """
    folder, command = Path(trainer.default_root_dir), trainer.state.fn
    name = command.value if command is not None else "prepare"
    return (folder if name == "fit" else folder / name) / "data_report.json"
