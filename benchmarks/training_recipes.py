"""The seed's recipe and ozet's, each through its own trainer, over the same rows and under the same observer."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import datasets
import lightning as L
import numpy as np
import torch
from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch.loggers import CSVLogger
from seed_recipe import make_trainer, training_arguments
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import Seq2SeqTrainer, TrainerCallback

from callbacks.gradient_clipping import GradientClipping
from callbacks.nan_monitor import NanMonitor
from callbacks.progress_bar import TrainingProgressBar
from callbacks.throughput import Throughput
from datamodules.collate import Padding, SummarizationCollator
from datamodules.loading import EncodedRows, build_loader, label_counts
from datamodules.sampling import Share
from datamodules.tokenizer import load_tokenizer
from lightning_modules.seq2seq import Seq2SeqModule


class Observer(Protocol):
    """What a recipe reports to.

    Attributes:
        steps: Greatest number of steps.
        waits: Seconds in which the loop waited for each batch.
    """

    steps: int
    waits: list[float]

    def start(self, model: torch.nn.Module, optimizer: Any) -> None:
        """Training begins."""

    def before_loss(self) -> None:
        """The forward pass has come to the loss; where that cannot be seen, it is over."""

    def step(self) -> bool:
        """A step is over; whether that was the last."""


def train_seed(base: str, rows: datasets.Dataset, batch_size: int, observer: Observer) -> Any:
    """Trains with the seed's recipe, one optimizer step a batch, `rows` in order; returns the model's configuration."""

    class ObservedTrainer(Seq2SeqTrainer):
        def get_batch_samples(self, epoch_iterator: Any, *arguments: Any) -> Any:
            return super().get_batch_samples(_timed(epoch_iterator, observer.waits), *arguments)

        def _get_train_sampler(self, *_: Any) -> Sampler:
            return SequentialSampler(self.train_dataset)

    class Watch(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **known: Any) -> None:
            head = known["model"].get_output_embeddings()
            head.register_forward_pre_hook(lambda *_: observer.before_loss())
            observer.start(known["model"], known["optimizer"])

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = observer.step()

    with tempfile.TemporaryDirectory() as folder:
        arguments = training_arguments(
            folder,
            max_steps=observer.steps,
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=1,
        )
        trainer = make_trainer(base, rows, arguments, ObservedTrainer, [Watch()])
        trainer.train()
        return trainer.model.config


class RowsDataModule(L.LightningDataModule):
    """Rows in their order, collated by worker processes as in `BilingualDataModule`.

    Args:
        padding: Shapes of the batches.
        num_workers: Processes that collate.
    """

    tokenizer_fingerprint, kept_pieces = "none", None
    languages = ("tr", "en")

    def __init__(self, padding: Padding = Padding(), num_workers: int = 2) -> None:
        super().__init__()
        self.padding, self.num_workers = padding, num_workers

    def bind(self, base: str, rows: datasets.Dataset, batch_size: int, waits: list[float]) -> RowsDataModule:
        """Sets what is the same for every variant."""
        self.tokenizer, self.rows, self.batch_size, self.waits = load_tokenizer(base), rows, batch_size, waits
        return self

    def train_dataloader(self) -> TimedLoader:
        """Batches whose fetching is timed."""
        pad_id, eos_id = self.tokenizer.pad_token_id, self.tokenizer.eos_token_id
        collator = SummarizationCollator(pad_id, eos_id, self.languages, self.batch_size, self.padding)  # type: ignore[arg-type]
        shares = InOrder(label_counts(self.rows), self.batch_size)
        return TimedLoader(
            build_loader(EncodedRows(self.rows, texts=False), shares, collator, self.num_workers, seed=0), self.waits
        )

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """As in `BilingualDataModule`; counts as waiting."""
        started = time.perf_counter()
        moved = batch.to(device)
        self.waits[-1] += time.perf_counter() - started
        return moved


class InOrder(Sampler[Share]):
    """Whole batches of rows as they come.

    Args:
        label_tokens: (rows,) labels of each row.
        batch_size: Rows of a batch.
    """

    def __init__(self, label_tokens: np.ndarray, batch_size: int) -> None:
        self.label_tokens, self.batch_size = label_tokens, batch_size

    def __len__(self) -> int:
        return len(self.label_tokens) // self.batch_size

    def __iter__(self) -> Iterator[Share]:
        for first in range(0, len(self) * self.batch_size, self.batch_size):
            rows = slice(first, first + self.batch_size)
            yield Share(list(range(rows.start, rows.stop)), float(self.label_tokens[rows].sum()))


class TimedLoader:
    """Appends the seconds that each fetch took to a list.

    Args:
        loader: Gives the batches.
        waits: The list.
    """

    def __init__(self, loader: DataLoader, waits: list[float]) -> None:
        self.loader, self.waits = loader, waits

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator:
        return _timed(iter(self.loader), self.waits)


class _Watch(L.Callback):
    def __init__(self, observer: Observer) -> None:
        self.observer = observer

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.observer.start(pl_module.model, trainer.optimizers[0])

    def on_before_backward(self, *_: Any) -> None:
        self.observer.before_loss()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        trainer.should_stop = self.observer.step()


def parse_variant(settings: Sequence[str]) -> Namespace:
    """Builds module and data module from settings as train.py takes them, such as `model.lora.targets=[q,v]`.

    Args:
        settings: Of `model`, `data` (see `RowsDataModule`), and `trainer.enable_progress_bar`.

    Raises:
        SystemExit: If there is no such setting.
    """
    parser = ArgumentParser(exit_on_error=True)
    parser.add_class_arguments(Seq2SeqModule, "model", fail_untyped=False)
    parser.add_class_arguments(RowsDataModule, "data")
    parser.add_argument("--trainer.enable_progress_bar", type=bool, default=True)
    return parser.instantiate_classes(parser.parse_args([f"--{setting}" for setting in settings]))


def train_ozet(base: str, rows: datasets.Dataset, batch_size: int, observer: Observer, settings: Sequence[str]) -> Any:
    """Trains with Lightning and the callbacks of configs/default.yaml that watch every step; returns as `train_seed`.

    Args:
        base: Folder with weights and tokenizer.
        rows: From `synthetic_rows`.
        batch_size: Rows of a batch.
        observer: Sees each step.
        settings: See `parse_variant`.
    """
    variant = parse_variant([f"model.base={base}", *settings])
    on_gpu, bar = torch.cuda.is_available(), variant.trainer.enable_progress_bar
    watchers = [NanMonitor(), GradientClipping(), _Watch(observer), Throughput()]
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            accelerator="cuda" if on_gpu else "cpu",
            devices=1,
            precision="bf16-mixed" if on_gpu else "32-true",
            max_steps=observer.steps,
            callbacks=[*watchers, TrainingProgressBar()] if bar else watchers,
            logger=CSVLogger(folder),
            log_every_n_steps=10,
            enable_checkpointing=False,
            enable_progress_bar=bar,
            enable_model_summary=False,
            limit_val_batches=0,
            default_root_dir=Path(folder),
        )
        trainer.fit(variant.model, variant.data.bind(base, rows, batch_size, observer.waits))
    return variant.model.model.config


def _timed(batches: Iterator, waits: list[float]) -> Iterator:
    while True:
        started = time.perf_counter()
        try:
            batch = next(batches)
        except StopIteration:
            return
        waits.append(time.perf_counter() - started)
        yield batch
