"""A run that is interrupted and resumed equals one that is not, bit for bit."""

import os
import pty
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from command_line import (
    SAVE_AFTER_VALIDATION,
    SAVE_EVERY_STEP,
    TINY,
    configured,
    last_checkpoint,
    records,
    run,
    run_folder,
)
from interruptions import Crash


def assert_same_outcome(resumed: Path, uninterrupted: Path) -> None:
    own, expected = records(resumed), records(uninterrupted)
    for key in ("train/loss", "train/loss/tr", "train/learning_rate", "val/loss", "val/rougeL/en"):
        assert own[key] == expected[key], key
    checkpoint, other = last_checkpoint(resumed), last_checkpoint(uninterrupted)
    assert checkpoint["global_step"] == other["global_step"] == 12
    for name, value in other["state_dict"].items():
        assert torch.equal(checkpoint["state_dict"][name], value), name
    for index, state in other["optimizer_states"][0]["state"].items():
        for key in ("exp_avg", "exp_avg_sq"):
            assert torch.equal(checkpoint["optimizer_states"][0]["state"][index][key], state[key])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("uninterrupted")
    run("fit", root)
    return root


@pytest.mark.parametrize(
    ("step", "saving", "workers"),
    [
        pytest.param(2, SAVE_EVERY_STEP, 0, id="mid-epoch"),
        pytest.param(3, SAVE_EVERY_STEP, 2, id="when validation is due, with workers", marks=pytest.mark.slow),
        pytest.param(
            5, SAVE_AFTER_VALIDATION, 0, id="two steps after the checkpoint of a validation", marks=pytest.mark.slow
        ),
        pytest.param(6, SAVE_EVERY_STEP, 2, id="at an epoch's end, with workers", marks=pytest.mark.slow),
        pytest.param(9, SAVE_AFTER_VALIDATION, 2, id="in the second epoch, with workers", marks=pytest.mark.slow),
    ],
)
def test_crashed_run_resumes_exactly(uninterrupted, tmp_path, step, saving, workers):
    crash = configured("interruptions.CrashAt", step=step)
    with pytest.raises(Crash):
        run("fit", tmp_path, f"--data.num_workers={workers}", callbacks=(*saving, crash))
    run("fit", tmp_path, "--ckpt_path=last", f"--data.num_workers={workers}", callbacks=saving)
    assert_same_outcome(tmp_path, uninterrupted)


@pytest.fixture
def answered() -> Iterator[None]:
    """Signals that the shell of a background job ignores have Python's own handlers."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("answered")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, 138, marks=pytest.mark.slow),
    ],
)
def test_signal_saves_at_the_end_of_the_step_and_resumes_exactly(uninterrupted, tmp_path, number, code, capsys):
    before = signal.getsignal(number)
    interrupt = configured("interruptions.SignalAt", step=4, number=int(number))
    with pytest.raises(SystemExit) as stop:
        run("fit", tmp_path, callbacks=(*SAVE_AFTER_VALIDATION, interrupt))
    assert stop.value.code == code
    assert f"{number.name}: saved step 5" in capsys.readouterr().out
    assert last_checkpoint(tmp_path)["global_step"] == 5
    assert signal.getsignal(number) == before
    run("fit", tmp_path, "--ckpt_path=last")
    assert_same_outcome(tmp_path, uninterrupted)


@pytest.mark.parametrize("command", ["fit", pytest.param("validate", marks=pytest.mark.slow)])
def test_signal_before_training_and_in_validate_ends_at_once_with_its_code(command, tmp_path):
    sanity = ("--trainer.num_sanity_val_steps=1",) if command == "fit" else ()
    with pytest.raises(SystemExit) as stop:
        run(
            command,
            tmp_path,
            *sanity,
            callbacks=(configured("interruptions.SignalInSanityCheck", number=int(signal.SIGTERM)),),
        )
    assert stop.value.code == 143
    assert not list(tmp_path.glob("*/checkpoints/*"))


def test_exit_code_is_the_signals_even_if_cleaning_up_fails(tmp_path):
    signal_and_failure = ("SignalInSanityCheck", {"number": int(signal.SIGTERM)}), ("FailAtTheEnd", {})
    callbacks = tuple(configured(f"interruptions.{name}", **init_args) for name, init_args in signal_and_failure)
    with pytest.raises(SystemExit) as stop:
        run("fit", tmp_path, "--trainer.num_sanity_val_steps=1", callbacks=callbacks)
    assert stop.value.code == 143


@pytest.mark.slow
def test_a_closed_terminal_is_answered_like_sigterm(tmp_path):
    process, terminal = pty.fork()
    if process == 0:
        flags = ("--trainer.enable_progress_bar=true", "--trainer.max_epochs=1000")
        command = [sys.executable, "train.py", "fit", f"--config={TINY}", f"--trainer.default_root_dir={tmp_path}"]
        os.chdir(Path(__file__).parent.parent)
        os.execv(sys.executable, [*command, *flags])
    while not list(tmp_path.glob("*/checkpoints/last.ckpt")):
        if select.select([terminal], [], [], 0.05)[0]:
            os.read(terminal, 65536)
    os.close(terminal)
    status = os.waitpid(process, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 129
    assert last_checkpoint(tmp_path)["loops"]["fit_loop"]["epoch_loop.state_dict"]["outstanding"]


@pytest.mark.slow
def test_accumulated_run_stops_at_a_step_and_resumes_exactly(tmp_path):
    accumulate = "--trainer.accumulate_grad_batches=2"
    interrupt = configured("interruptions.SignalAt", step=1, number=int(signal.SIGTERM))
    run("fit", tmp_path / "whole", accumulate)
    with pytest.raises(SystemExit):
        run("fit", tmp_path / "cut", accumulate, callbacks=(*SAVE_AFTER_VALIDATION, interrupt))
    assert last_checkpoint(tmp_path / "cut")["global_step"] == 2
    run("fit", tmp_path / "cut", accumulate, "--ckpt_path=last")
    assert records(tmp_path / "cut")["train/loss"] == records(tmp_path / "whole")["train/loss"]


@pytest.mark.slow
def test_command_line_wins_over_the_checkpoint_and_says_so(tmp_path, capsys):
    with pytest.raises(Crash):
        crash = configured("interruptions.CrashAt", step=3)
        run("fit", tmp_path, callbacks=(*SAVE_EVERY_STEP, crash))
    before = records(tmp_path)["train/learning_rate"]
    with pytest.raises(ValueError, match=r"another experiment \(.*lr was 0\.001, is 0\.002\)"):
        run("fit", tmp_path, "--ckpt_path=last", "--model.optimizer.init_args.lr=0.002")
    run("fit", tmp_path, f"--ckpt_path={run_folder(tmp_path)}", "--model.optimizer.init_args.lr=0.002")
    after = records(tmp_path)["train/learning_rate"]
    assert after[2] == before[2]
    # Linear from 0.002 after 2 of 12 warm-up steps: the new peak, at the fraction that the schedule has reached.
    assert after[3] == pytest.approx(0.002 * (12 - 3) / (12 - 2))
    said = capsys.readouterr().out
    assert "model.init_args.optimizer.init_args.lr: the checkpoint has 0.001, 0.002 is used" in said


def test_changed_batch_size_is_refused_in_the_middle_of_an_epoch(tmp_path):
    with pytest.raises(Crash):
        run("fit", tmp_path, callbacks=(*SAVE_EVERY_STEP, configured("interruptions.CrashAt", step=2)))
    with pytest.raises(ValueError, match="batch_size was 4, is 2"):
        run("fit", tmp_path, f"--ckpt_path={run_folder(tmp_path)}", "--data.batch_size=2")
