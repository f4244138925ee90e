"""Each device runs one process at a time, and a signal stops all of them."""

import os
import signal
import sys
import threading

import pytest
import torch

from studies.execution import locked
from studies.processes import Processes, available_devices


def run(processes: Processes, code: str, device: str | None, log) -> int | None:
    return processes.run([sys.executable, "-c", code], device, log, signal.SIGTERM)


@pytest.mark.parametrize(
    ("count", "visible", "expected"),
    [(0, None, [None]), (2, None, ["0", "1"]), (2, "3,5", ["3", "5"]), (1, "GPU-a1", ["GPU-a1"]), (0, "", [None])],
)
def test_devices_are_those_that_cuda_shows(monkeypatch, count, visible, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert available_devices() == expected


def test_a_process_sees_its_device_alone_and_its_output_is_kept(tmp_path):
    log = tmp_path / "log"
    code = run(Processes(["7"]), "import os; print(os.environ['CUDA_VISIBLE_DEVICES']); raise SystemExit(3)", "7", log)
    assert (code, log.read_text()) == (3, "7\n")


def test_jobs_share_the_devices_one_each():
    together, busy, seen = threading.Barrier(2, timeout=30), {"a": 0, "b": 0}, []

    def job(device):
        busy[device] += 1
        seen.append((device, busy[device]))
        together.wait()  # two at a time, or it would never be passed
        busy[device] -= 1

    Processes(["a", "b"]).run_all([job] * 6)
    assert len(seen) == 6
    assert all(count == 1 for _, count in seen)


def test_an_error_in_a_job_is_raised_when_the_others_have_ended():
    done = []

    def fails(device):
        raise ValueError("of the first job")

    with pytest.raises(ValueError, match="of the first job"):
        Processes([None]).run_all([fails, done.append])
    assert done == [None]


WAITS = "import signal, os, sys; os.write(int(sys.argv[1]), b'x'); signal.pause()"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_running_processes_and_starts_no_more(tmp_path, number):
    reads, writes = os.pipe()
    processes, codes = Processes([None], inherited=[writes]), []

    def job(device):
        command = [sys.executable, "-c", WAITS, str(writes)]
        codes.append(processes.run(command, device, tmp_path / "log", signal.SIGTERM))

    def next_job(device):
        codes.append(run(processes, "print('started')", device, tmp_path / "log"))

    def stop_when_running():
        os.read(reads, 1)
        os.kill(os.getpid(), number)

    threading.Thread(target=stop_when_running).start()
    with processes.stopped_by_signals():
        processes.run_all([job, next_job])
    os.close(reads), os.close(writes)
    assert codes == [None, None]
    assert processes.stopping == number
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_ends_well_in_spite_of_a_signal_counts_as_done(tmp_path):
    reads, writes = os.pipe()
    processes, codes = Processes([None], inherited=[writes]), []
    code = "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); " + WAITS

    def job(device):
        command = [sys.executable, "-c", code, str(writes)]
        codes.append(processes.run(command, device, tmp_path / "log", signal.SIGTERM))

    def stop_when_running():
        os.read(reads, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_when_running).start()
    with processes.stopped_by_signals():
        processes.run_all([job])
    os.close(reads), os.close(writes)
    assert codes == [0]


def test_a_run_that_is_left_behind_keeps_the_study_locked(tmp_path):
    reads, writes = os.pipe()
    with locked(tmp_path) as lock:
        processes = Processes([None], inherited=[lock, writes])
        command = [sys.executable, "-c", WAITS, str(writes)]
        thread = threading.Thread(target=processes.run, args=(command, None, tmp_path / "log", signal.SIGTERM))
        thread.start()
        os.read(reads, 1)
    with pytest.raises(ValueError, match="left behind"), locked(tmp_path):
        pass
    (process,) = processes._running
    process.kill()
    thread.join()
    os.close(reads), os.close(writes)
    with locked(tmp_path):  # free again
        pass


def test_a_device_named_twice_takes_two_processes_at_a_time():
    processes = Processes(["0", "1", "0"])
    assert [processes.at_a_time(name) for name in ("0", "1")] == [2, 1]
