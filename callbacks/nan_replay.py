"""Repeats a step that NanMonitor recorded, with every layer and gradient looked at."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lightning as L
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from callbacks.nan_diagnosis import NonFinite, Record, describe, examine, watch_outputs
from callbacks.random_state import restore_torch
from datamodules.pieces import RECORD, VocabularyTrimming

# One batch on one device, and nothing is written: what a run's configuration says of these does not count.
TRAINER_SETTINGS: dict[str, Any] = {
    "logger": False,
    "callbacks": None,
    "fast_dev_run": True,
    "devices": 1,
    "num_nodes": 1,
    "strategy": "auto",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
}
_ROWS = 10
_WIDTH = 180  # fits the names of adapters; a narrower terminal wraps


def replay(trainer: L.Trainer, model: L.LightningModule, datamodule: Any, folder: Path) -> None:
    """Runs a recorded microbatch forward and backward once, and prints what is not finite, or too large to square.

    Weights, batch and random states are those of the record. No optimizer step is taken.

    Args:
        trainer: With `TRAINER_SETTINGS`.
        model: Of the run's configuration.
        datamodule: Of the run's configuration; only its tokenizer is loaded.
        folder: What NanMonitor wrote.

    Raises:
        ValueError: If the folder holds no record, or its weights do not fit the model.
    """
    watcher = NanReplay(Record.load(folder))
    if (vocabulary := folder.resolve().parent.parent / RECORD).exists():
        datamodule.vocabulary = VocabularyTrimming(file=str(vocabulary))
    trainer.callbacks.append(watcher)  # type: ignore[attr-defined]
    trainer.limit_val_batches = 0
    # The run's own would plan its schedule for a run of one step. None is ever taken with this one.
    model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), lr=0.0)  # type: ignore[method-assign]
    trainer.fit(model, datamodule=RecordedBatch(datamodule, watcher.record.batch))
    watcher.print(Console(highlight=False, width=max(Console().width, _WIDTH)))


class RecordedBatch(L.LightningDataModule):
    """One batch in place of the corpora, which need not be there.

    Args:
        datamodule: Whose tokenizer it is.
        batch: The batch.
    """

    def __init__(self, datamodule: Any, batch: Any) -> None:
        super().__init__()
        datamodule.open_tokenizer()
        self.tokenizer, self.kept_pieces = datamodule.tokenizer, datamodule.kept_pieces
        self.tokenizer_fingerprint = datamodule.tokenizer_fingerprint
        self.batch = batch
        self.languages = datamodule.languages

    def train_dataloader(self) -> DataLoader:
        """The batch."""
        return DataLoader([self.batch], batch_size=None)  # type: ignore[arg-type]

    def val_dataloader(self) -> list[Any]:
        """Nothing."""
        return []


class NanReplay(L.Callback):
    """Looks at one step, and prevents that it is taken.

    Args:
        record: The step.
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        self.outputs: list[NonFinite] = []
        self.losses: list[NonFinite] = []
        self.gradients: list[NonFinite] = []
        self._watching = ExitStack()

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Loads the weights."""
        pl_module.load_state_dict(self.record.weights)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Restores the random states, and begins to look at outputs."""
        restore_torch(self.record.random_states)
        self.outputs = self._watching.enter_context(watch_outputs(pl_module))

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: torch.Tensor) -> None:
        """Looks at the loss, and no more at outputs."""
        self._watching.close()
        self.losses = [found for found in [examine("loss", loss.detach())] if found]

    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Looks at the gradients, from the one nearest to the output, and throws them away."""
        for name, parameter in reversed(list(pl_module.named_parameters())):
            if parameter.grad is not None and (found := examine(name, parameter.grad, squared=True)):
                self.gradients.append(found)
            parameter.grad = None

    def print(self, console: Console) -> None:
        """Says what was recorded, what is not finite now, and whether that is the same."""
        console.print(f"Recorded: {describe(self.record.report)}", markup=False, soft_wrap=True)
        for kind, found in (("Outputs", self.outputs), ("Loss", self.losses), ("Gradients", self.gradients)):
            if found:
                console.print(_table(kind, found))
        recorded = self.record.report["first"]["name"]
        faults = {one.name: one.fault for one in (*self.outputs, *self.losses, *self.gradients)}
        if recorded in faults:
            verdict = f"Reproduced: {recorded} is {faults[recorded]} again."
        elif faults:
            name, fault = next(iter(faults.items()))
            verdict = f"Another fault: {name} is {fault}, but {recorded} is in order."
        else:
            verdict = "Not reproduced: everything is finite. Other microbatches, the device or chance had a part in it."
        console.print(verdict, markup=False, soft_wrap=True)


def _table(kind: str, found: Sequence[NonFinite]) -> Table:
    shown = f", the first {_ROWS}" if len(found) > _ROWS else ""
    fault = "not finite" if any(one.magnitude is None for one in found) else "too large to square"
    table = Table(title=f"{kind} {fault}: {len(found)}{shown}")
    for column in ("name", "dtype", "NaN", "infinite", "values", "least finite", "greatest finite", "input finite"):
        table.add_column(column)
    for one in found[:_ROWS]:
        cells = (one.name, one.dtype, one.nan, one.infinite, one.values, one.smallest, one.largest, one.input_finite)
        table.add_row(*("" if cell is None else str(cell) for cell in cells))
    return table
