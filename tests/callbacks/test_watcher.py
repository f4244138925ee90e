"""A watcher or logger that fails is switched off with one warning, and the run goes on as if it were not there."""

import errno
import shutil
import warnings
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger

from callbacks.bertscore import BertScore
from callbacks.closing_summary import ClosingSummary
from callbacks.collapse_monitor import CollapseError, CollapseMonitor
from callbacks.compilations import Compilations
from callbacks.progress_bar import TrainingProgressBar
from callbacks.summary_table import SummaryTable
from callbacks.throughput import Throughput
from callbacks.wandb_logger import ResumableWandbLogger
from callbacks.watcher import Watcher, guard_logger

WATCHERS = (BertScore, ClosingSummary, CollapseMonitor, Compilations, SummaryTable, Throughput, TrainingProgressBar)
OFF = r"{} failed and is off for the rest of this run, which goes on: {}\.$"


class Fragile(Watcher):
    """Fails in one hook, and notes which ones are called."""

    def __init__(self, hook: str = "", error: BaseException | None = None) -> None:
        self.hook, self.error = hook, error
        self.called: list[str] = []
        self.released = 0

    def release(self, error):
        self.released += 1

    def _note(self, hook):
        self.called.append(hook)
        if hook == self.hook:
            raise self.error

    def on_train_batch_end(self, *_):
        self._note("on_train_batch_end")

    def on_validation_end(self, *_):
        self._note("on_validation_end")

    def teardown(self, *_, **__):
        self._note("teardown")

    def state_dict(self):
        self._note("state_dict")
        return {"a": 1}

    def load_state_dict(self, state_dict):
        self._note("load_state_dict")


class Module(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch).pow(2).mean()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.layer(batch).pow(2).mean())


def fit(
    folder: Path,
    callbacks: list[L.Callback],
    logger: Logger | bool = False,
    steps: int = 4,
    enable_progress_bar: bool = False,
    **options,
) -> L.Trainer:
    torch.manual_seed(0)
    loader = torch.utils.data.DataLoader([torch.ones(2)] * steps, batch_size=1)
    trainer = L.Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        max_epochs=1,
        callbacks=callbacks,
        logger=logger,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_progress_bar=enable_progress_bar,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(Module(), loader, loader, **options)
    return trainer


@pytest.mark.parametrize("watcher", WATCHERS)
def test_every_callback_of_ours_that_only_looks_on_is_one(watcher):
    assert issubclass(watcher, Watcher)


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_validation_end", "teardown"])
def test_failure_in_a_hook_is_one_warning_and_the_run_goes_on(tmp_path, hook):
    watcher = Fragile(hook, RuntimeError("no luck."))
    with pytest.warns(UserWarning, match=OFF.format("Fragile", "RuntimeError: no luck")) as caught:
        trainer = fit(tmp_path, [watcher])
    assert sum("is off for the rest" in str(one.message) for one in caught) == 1
    assert trainer.global_step == 4
    assert watcher.called[-1] == hook
    assert watcher.called.count(hook) == 1
    assert watcher.released == 1


def test_failing_state_leaves_checkpoint_and_resume_whole(tmp_path):
    with pytest.warns(UserWarning, match="Fragile failed"):
        fit(tmp_path, [Fragile("state_dict", ValueError("x"))]).save_checkpoint(tmp_path / "without.ckpt")
    fit(tmp_path, [Fragile()]).save_checkpoint(tmp_path / "with.ckpt")
    for name, called in (("without", 0), ("with", 1)):
        watcher = Fragile("load_state_dict", KeyError("in_a_row"))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trainer = fit(tmp_path, [watcher], ckpt_path=tmp_path / f"{name}.ckpt", weights_only=True)
        assert sum("KeyError: 'in_a_row'" in str(one.message) for one in caught) == called
        assert trainer.global_step == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit(3)])
def test_what_is_meant_to_end_the_run_ends_it(tmp_path, error):
    with pytest.raises(BaseException) as caught:
        fit(tmp_path, [Fragile("on_train_batch_end", error)])
    assert isinstance(caught.value, KeyboardInterrupt | SystemExit)


def test_collapse_that_shall_stop_the_run_still_does():
    monitor = CollapseMonitor(action="stop")
    monitor._fatal = [type("Fatal", (), {"step": 1, "in_a_row": 2, "text": "empty"})()]
    with pytest.raises(CollapseError, match="CollapseMonitor stopped the run"):
        monitor.on_train_batch_start(None, None, None, 0)


def test_configuration_is_still_refused_in_setup(tmp_path):
    class Refusing(Watcher):
        def setup(self, trainer, pl_module, stage):
            raise ValueError("Refusing.limit 0 must be at least 1.")

    with pytest.raises(ValueError, match="must be at least 1"):
        fit(tmp_path, [Refusing()])


def test_hooks_that_a_watcher_inherits_are_guarded_too(tmp_path, monkeypatch):
    class Gone:
        encoding = "utf-8"

        def write(self, text):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

        def flush(self):
            self.write("")

    monkeypatch.setattr("sys.stdout", Gone())
    with pytest.warns(UserWarning, match=OFF.format("TrainingProgressBar", "BrokenPipeError: .*Broken pipe")):
        trainer = fit(tmp_path, [TrainingProgressBar(refresh_rate=1)], enable_progress_bar=True)
    assert trainer.global_step == 4


# -- loggers -----------------------------------------------------------------------------------------------------------


class DeadService:
    """What W&B's run is when its service process has died."""

    id, offline = "abc", True

    def __init__(self) -> None:
        self.rows: list[dict] = []
        self.alive = 3

    def log(self, row, **_):
        if not self.alive:
            raise ConnectionResetError("Connection lost")
        self.alive -= 1
        self.rows.append(row)

    def define_metric(self, *_, **__):
        pass


def test_run_outlives_a_logger_whose_service_dies(tmp_path, monkeypatch):
    monkeypatch.setattr("wandb.teardown", lambda: None)
    wandb, csv = ResumableWandbLogger(save_dir=str(tmp_path), offline=True), CSVLogger(tmp_path, name="metrics")
    wandb._experiment = service = DeadService()
    for logger in (wandb, csv):
        guard_logger(logger)
    trainer = L.Trainer(accelerator="cpu", logger=[wandb, csv])
    with pytest.warns(UserWarning, match=OFF.format("ResumableWandbLogger", "ConnectionResetError: .*")) as caught:
        for step in range(10):
            trainer._logger_connector.log_metrics({"train/loss": 1.0}, step)
    assert sum("is off for the rest" in str(one.message) for one in caught) == 1
    assert len(service.rows) == 3
    csv.finalize("success")
    lines = (tmp_path / "metrics" / "version_0" / "metrics.csv").read_text().splitlines()
    assert len(lines) == 1 + 10
    wandb.log_table("val/summaries", columns=["a"], data=[["b"]])
    wandb.experiment.log({"a": 1})
    wandb.finalize("success")


def test_logger_that_cannot_start_is_off_from_the_beginning(tmp_path, monkeypatch):
    def refuse(**_):
        raise RuntimeError("could not start the service")

    monkeypatch.setattr("wandb.init", refuse)
    wandb = ResumableWandbLogger(save_dir=str(tmp_path), offline=True)
    guard_logger(wandb)
    with pytest.warns(
        UserWarning, match=OFF.format("ResumableWandbLogger", "RuntimeError: could not start the service")
    ):
        trainer = fit(tmp_path, [], wandb)
    assert trainer.global_step == 4


class RemoveFolder(L.Callback):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx == 1:
            shutil.rmtree(self.folder)
            self.folder.write_text("in the way")


# TensorBoard writes in a thread of its own, which prints what ends it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("logger_class", [CSVLogger, TensorBoardLogger])
def test_removed_folder_of_a_logger_does_not_end_the_run(tmp_path, logger_class):
    logger = logger_class(tmp_path / "logs", name="metrics")
    guard_logger(logger)
    with pytest.warns(UserWarning, match=OFF.format(logger_class.__name__, ".*")) as caught:
        trainer = fit(tmp_path, [RemoveFolder(tmp_path / "logs")], logger, steps=200)
    assert trainer.global_step == 200
    assert sum("is off for the rest" in str(one.message) for one in caught) == 1


def test_full_disk_under_the_log_does_not_end_the_run(tmp_path, monkeypatch):
    logger = CSVLogger(tmp_path, name="metrics")
    guard_logger(logger)

    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(logger.experiment, "save", full)
    with pytest.warns(UserWarning, match="CSVLogger failed .*No space left on device"):
        trainer = fit(tmp_path, [], logger)
    assert trainer.global_step == 4


@pytest.mark.parametrize("logger_class", [CSVLogger, TensorBoardLogger])
def test_guarded_logger_is_what_it_was(tmp_path, logger_class):
    guarded, plain = logger_class(tmp_path / "a", name="metrics"), logger_class(tmp_path / "b", name="metrics")
    guard_logger(guarded)
    assert isinstance(guarded, logger_class)
    assert type(guarded).__name__ == logger_class.__name__
    for folder, logger in (("a", guarded), ("b", plain)):
        trainer = fit(tmp_path, [], logger)
        assert trainer.log_dir == str(tmp_path / folder / "metrics" / "version_0")
    if logger_class is CSVLogger:
        written = [(tmp_path / folder / "metrics" / "version_0" / "metrics.csv").read_text() for folder in "ab"]
        assert written[0] == written[1]
    assert not isinstance(guarded, WandbLogger)
