"""However often a run is interrupted, and wherever, it leaves what the uninterrupted run leaves."""

import tempfile
from pathlib import Path

import lightning as L
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interrupted_runs import Numbers, NumbersData, Schedule, fit, outcome
from lightning.pytorch.callbacks import ModelCheckpoint

from callbacks.last_checkpoint import LastCheckpoint
from callbacks.random_state import RandomState


@st.composite
def schedules(draw):
    batches = draw(st.integers(1, 7))
    limit = draw(st.none() | st.integers(1, batches))
    length = limit or batches
    by_epoch = draw(st.booleans())
    every_batches = draw(st.none() | st.integers(1, length if by_epoch else 2 * length))
    return Schedule(
        epochs=draw(st.integers(1, 4)),
        batches=batches,
        accumulated=draw(st.integers(1, 3)),
        validate_every_batches=every_batches,
        validate_every_epochs=draw(st.integers(1, 3)) if by_epoch or every_batches is None else None,
        save_every_steps=draw(st.sampled_from([1, 2, 3, 500])),
        train_limit=limit,
        max_steps=draw(st.sampled_from([-1, -1, 1, 5, 9])),
        log_every_steps=draw(st.sampled_from([1, 2, 10])),
        stops_at=draw(st.none() | st.integers(1, 9)),
    )


KINDS = ["kill", "signal"]
interruptions = st.lists(st.tuples(st.integers(0, 60) | st.integers(0, 200), st.sampled_from(KINDS)), max_size=5)


def assert_equal_outcome(root, schedule, interrupted):
    whole, cut = Path(root) / "whole", Path(root) / "cut"
    assert fit(whole, schedule)
    for event, kind in interrupted:
        fit(cut, schedule, event, kind)
    assert fit(cut, schedule)
    assert outcome(cut) == outcome(whole)


def check(schedule, interrupted):
    with tempfile.TemporaryDirectory() as root:
        assert_equal_outcome(root, schedule, interrupted)


@settings(max_examples=25)
@given(schedules(), interruptions)
def test_interrupted_runs_equal_uninterrupted_ones(schedule, interrupted):
    check(schedule, interrupted)


@pytest.mark.slow
@settings(max_examples=2000, derandomize=False, print_blob=True)
@given(schedules(), interruptions)
def test_interrupted_runs_equal_uninterrupted_ones_at_length(schedule, interrupted):
    check(schedule, interrupted)


@pytest.mark.slow
@settings(max_examples=30)
@given(schedules(), interruptions)
def test_workers_do_not_matter(schedule, interrupted):
    check(Schedule(**{**vars(schedule), "workers": 2, "epochs": min(schedule.epochs, 2)}), interrupted)


@pytest.mark.parametrize("kind", KINDS)
def test_one_interruption_at_every_event(kind, tmp_path):
    schedule = Schedule(epochs=2, batches=2, accumulated=2, save_every_steps=1)
    fit(tmp_path / "whole", schedule)
    expected, event = outcome(tmp_path / "whole"), 0
    while not fit(tmp_path / str(event), schedule, event, kind):
        assert fit(tmp_path / str(event), schedule)
        assert outcome(tmp_path / str(event)) == expected
        event += 1
    assert event > 30  # that many events are in such a run


def steps(folder):
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return checkpoint["global_step"], checkpoint["epoch"]


@pytest.mark.parametrize(
    ("schedule", "stops"),
    [
        pytest.param(Schedule(9, 12, validate_every_epochs=3, save_every_steps=12), (12, 24), id="quickstart"),
        pytest.param(
            Schedule(9, 12, validate_every_epochs=3, save_every_steps=12), (12, 24, 36, 48), id="four epoch ends"
        ),
        pytest.param(Schedule(3, 11, save_every_steps=1), (11, 20, 24), id="an epoch's end, then inside epochs"),
        pytest.param(Schedule(3, 11, save_every_steps=1), (11, 20), id="an epoch's end, then inside one"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_stops_at_the_ends_of_epochs_add_no_steps(schedule, stops, kind, tmp_path):
    fit(tmp_path / "whole", schedule)
    for stop in stops:
        assert not fit(tmp_path / "cut", schedule, step=stop, kind=kind)
        assert steps(tmp_path / "cut")[0] == stop
    assert fit(tmp_path / "cut", schedule)
    assert steps(tmp_path / "cut")[0] == schedule.epochs * schedule.batches
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def test_a_finished_run_is_not_trained_again(tmp_path):
    fit(tmp_path, Schedule())
    before = outcome(tmp_path)
    assert fit(tmp_path, Schedule())
    assert outcome(tmp_path) == before


@pytest.mark.parametrize("longer", [{"epochs": 4}, {"max_steps": 11}])
def test_a_run_with_another_limit_goes_on_as_if_it_had_had_it_from_the_start(longer, tmp_path):
    short = {"epochs": 2} if "epochs" in longer else {"max_steps": 6}
    common = {"batches": 4, "epochs": 4, "save_every_steps": 3}
    fit(tmp_path / "whole", Schedule(**common | longer))
    fit(tmp_path / "cut", Schedule(**common | short))
    fit(tmp_path / "cut", Schedule(**common | longer))
    assert outcome(tmp_path / "cut")["records"] == outcome(tmp_path / "whole")["records"]


def test_a_checkpoint_of_lightnings_own_loops_is_taken_up(tmp_path):
    schedule = Schedule(epochs=2, batches=4)
    fit(tmp_path / "whole", schedule)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        default_root_dir=tmp_path / "cut",
        callbacks=[RandomState(), ModelCheckpoint(tmp_path / "cut" / "checkpoints", "last", save_top_k=-1)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    torch.manual_seed(0)
    trainer.fit(Numbers(), NumbersData(schedule))
    fit(tmp_path / "cut", schedule)
    assert steps(tmp_path / "cut") == steps(tmp_path / "whole")


def test_a_checkpoint_inside_an_optimizer_step_takes_its_batches_again(tmp_path):
    schedule = Schedule(epochs=1, batches=5, accumulated=2, validate_every_batches=3)
    fit(tmp_path, schedule)
    (tmp_path / "checkpoints" / "best-step=1.ckpt").rename(tmp_path / "checkpoints" / "last.ckpt")
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["ready"] == 3
    assert saved["NumbersData"]["batch"] == 2
    with pytest.warns(UserWarning, match="batches 3 to 3 of the epoch are taken again"):
        fit(tmp_path, schedule)
    assert steps(tmp_path)[0] == 3


def test_callbacks_that_need_our_loops_refuse_others(tmp_path):
    trainer = L.Trainer(accelerator="cpu", logger=False, callbacks=[LastCheckpoint()], default_root_dir=tmp_path)
    with pytest.raises(TypeError, match="needs ozet's training loops"):
        trainer.fit(Numbers(), NumbersData(Schedule()))
