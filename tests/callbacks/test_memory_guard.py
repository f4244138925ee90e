from dataclasses import replace
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from command_line import configured, run
from torch.utils.data import DataLoader

import callbacks.memory_guard as memory_guard
from callbacks.memory_guard import MemoryGuard
from lightning_modules.acceleration import BatchLoss
from lightning_modules.architecture import MT5_SMALL
from lightning_modules.memory import MemorySettings, estimate
from lightning_modules.memory_remedies import Step, remedies

GIB = 2**30
SMALL = MemorySettings(MT5_SMALL, GIB // 2, 3_000_000, chunk_tokens=None)
STEP = Step(SMALL, 64, 512, 128)
GUARD = (configured("callbacks.memory_guard.MemoryGuard"),)


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"refuse_above": 1.0}, "refuse_above 1.0"), ({"warn_above": 0.0}, "warn_above 0.0")],
)
def test_numbers_out_of_range_are_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        MemoryGuard(**settings)


@pytest.mark.parametrize(
    ("share", "outcome"), [(0.5, "printed"), (0.95, "warning"), (1.25, "warning"), (1.35, "refused")]
)
def test_what_does_not_fit_is_refused_and_what_hardly_fits_is_warned_of(share, outcome, caplog, recwarn):
    available, happened = round(STEP.total / share), "printed"
    caplog.set_level("INFO")
    try:
        MemoryGuard().judge(STEP, 0, available)
    except ValueError as error:
        happened, said = "refused", str(error)
    else:
        said = caplog.text or str(recwarn[0].message)
        happened = "printed" if caplog.text else "warning"
    assert happened == outcome
    assert f"about {STEP.total / GIB:.1f} GiB" in said and f"{available / GIB:.1f} GiB are there" in said
    assert "64 x 512/128 tokens" in said and "weights 0.50" in said and "logits 22.9" in said
    assert ("data.batch_size: 32" in said) == (outcome != "printed")


def test_it_never_refuses_when_told_so():
    with pytest.warns(match="That is close"):
        MemoryGuard(refuse_above=None).judge(STEP, 0, STEP.total // 10)


def test_generation_may_be_the_peak(caplog):
    caplog.set_level("INFO")
    MemoryGuard().judge(STEP, 100 * GIB, 200 * GIB)
    assert "generation 100.0" in caplog.text and f"about {100.5:.1f}" in caplog.text


def test_each_remedy_saves_what_it_says_and_the_greatest_comes_first():
    found = remedies(STEP, count=9)
    changed = {
        "data.batch_size: 32": replace(STEP, rows=32),
        "model.gradient_checkpointing": replace(STEP, settings=replace(SMALL, gradient_checkpointing=True)),
        "data.max_source_tokens: 256": replace(STEP, source_tokens=256),
        "model.acceleration.loss_chunk: 128": replace(STEP, settings=replace(SMALL, chunk_tokens=128)),
    }
    assert len(found) == len(changed)
    for start, step in changed.items():
        (saved,) = [size for change, size in found if change.startswith(start)]
        assert saved == STEP.total - estimate(step.settings, step.rows, step.source_tokens, 128).total > 0
    assert [size for _, size in found] == sorted((size for _, size in found), reverse=True)
    assert remedies(STEP) == found[:3]


def test_what_is_on_already_is_no_remedy():
    tight = replace(SMALL, gradient_checkpointing=True, chunk_tokens=128)
    changes = [change for change, _ in remedies(Step(tight, 1, 512, 128), count=9)]
    assert not any("batch_size" in change or "checkpointing" in change or "chunk" in change for change in changes)


def test_the_effective_batch_stays():
    (change,) = [change for change, _ in remedies(replace(STEP, rows=7), count=9) if "batch_size" in change]
    assert change.startswith("data.batch_size: 3 with trainer.accumulate_grad_batches times 3")


@pytest.fixture
def memory(monkeypatch):
    """Gives the CPU so many bytes."""

    def give(size):
        monkeypatch.setattr(memory_guard, "available_bytes", lambda device: size)

    return give


def test_a_run_prints_its_longest_batch_before_its_first_step(tmp_path, caplog, memory):
    memory(GIB)
    caplog.set_level("INFO")
    run("fit", tmp_path, "--trainer.max_steps=2", "--trainer.limit_val_batches=0", callbacks=GUARD)
    (line,) = [record.message for record in caplog.records if record.message.startswith("Memory:")]
    assert "4 x 64/16 tokens" in line and "1.00 GiB are there" in line


def test_a_run_that_cannot_fit_ends_before_its_first_step(tmp_path, memory, monkeypatch):
    monkeypatch.setattr(BatchLoss, "__call__", lambda *_: pytest.fail("a step was taken"))
    memory(2**20)
    with pytest.raises(ValueError, match=r"0\.00 GiB are there; largest batch that fits: 0\..*What helps"):
        run("fit", tmp_path, "--trainer.limit_val_batches=0", callbacks=GUARD)


CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 5.80 GiB of which"


def fail_in_step(monkeypatch, training, number):
    real, calls = BatchLoss.__call__, []

    def call(self, batch):
        calls.append(self.model.training)
        if calls.count(training) == number and calls[-1] == training:
            raise torch.OutOfMemoryError(CUDA)
        return real(self, batch)

    monkeypatch.setattr(BatchLoss, "__call__", call)


def test_running_out_in_training_names_three_settings_and_what_each_saves(tmp_path, memory, monkeypatch):
    memory(GIB)
    fail_in_step(monkeypatch, training=True, number=3)
    with pytest.raises(torch.OutOfMemoryError) as raised:
        run("fit", tmp_path, "--trainer.limit_val_batches=0", callbacks=GUARD)
    said = str(raised.value)
    assert said.startswith("Out of memory at step 2 (training on batches of 4 x 64/16 tokens). What helps: ")
    assert said.count(" saves about ") == 3 and "data.batch_size: 2 with trainer.accumulate_grad_batches" in said
    assert said.endswith("PyTorch said: CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_running_out_in_validation_names_the_settings_of_validation(tmp_path, memory, monkeypatch):
    memory(GIB)
    fail_in_step(monkeypatch, training=False, number=1)
    with pytest.raises(torch.OutOfMemoryError, match=r"while generating summaries.*eval_batch_size.*num_beams"):
        run("fit", tmp_path, callbacks=GUARD)


class Validated(L.LightningModule):
    def validation_step(self, batch, batch_idx):
        pass


class Greedy(L.Callback):
    """Runs out of memory once a validation has generated its summaries."""

    def on_validation_epoch_end(self, trainer, pl_module):
        raise torch.OutOfMemoryError(CUDA)


def test_running_out_in_a_callback_names_the_callback(tmp_path):
    trainer = L.Trainer(callbacks=[Greedy(), MemoryGuard()], accelerator="cpu", logger=False, default_root_dir=tmp_path)
    with pytest.raises(torch.OutOfMemoryError) as raised:
        trainer.validate(Validated(), DataLoader(torch.zeros(1, 1)))
    said = str(raised.value)
    assert said.startswith("Out of memory in the callback Greedy (on_validation_epoch_end). Let it hold less")
    assert "eval_batch_size" not in said
    assert said.endswith("PyTorch said: CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize("error", [RuntimeError("shapes"), torch.OutOfMemoryError(CUDA)], ids=["other", "on a CPU"])
def test_what_it_knows_nothing_about_stays_as_it_is(error):
    guard, arguments = MemoryGuard(), error.args
    trainer = SimpleNamespace(training=True, validating=False, sanity_checking=False, testing=False, predicting=False)
    guard.on_train_start(trainer, SimpleNamespace(device=torch.device("cpu")))
    guard.on_exception(trainer, None, error)
    assert error.args == arguments
