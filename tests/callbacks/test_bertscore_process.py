import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_encoders import save_bert

import callbacks.bertscore_process
from callbacks.bertscore_process import ScorerProcess
from metrics.bertscore import BertScorer, Encoder

ROOT = Path(__file__).parent.parent.parent
FAKE = ROOT / "tests" / "fake_scorer.py"
SETTINGS = {"encoders": {}, "rescale": False, "batch_size": 2}
SECONDS = 60.0  # only a failing test waits so long


@pytest.fixture
def start(monkeypatch):
    """Starts the stand-in of tests/fake_scorer.py."""
    started = []

    def begin(behaviour: str, *place: str) -> ScorerProcess:
        monkeypatch.setattr(callbacks.bertscore_process, "_COMMAND", (sys.executable, str(FAKE), behaviour, *place))
        started.append(ScorerProcess(SETTINGS, threads=3))
        return started[-1]

    yield begin
    for process in started:
        process.close()


def test_replies_carry_the_number_of_their_request(start):
    process = start("answers")
    numbers = [process.ask("tr", ["a" * length], ["b"]) for length in (3, 1)]
    replies = [process.reply(SECONDS), process.reply(SECONDS)]
    assert [(one["id"], one["scores"]["bertscore"]) for one in replies] == [(numbers[0], [3.0]), (numbers[1], [1.0])]
    assert process.reply() is None


def test_asking_never_waits_for_a_scorer_that_does_not_read(start):
    process = start("hangs")
    for _ in range(20):
        process.ask("tr", ["a" * 100_000], ["b"])  # pipes hold 64 KiB
    assert process.reply(0.01) is None
    process.close()
    assert process._process.returncode == -signal.SIGKILL
    assert not any(thread.is_alive() for thread in process._threads)


def test_it_sees_no_gpu_and_keeps_to_its_threads(start, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    process = start("shows its environment")
    process.ask("tr", ["a"], ["b"])
    environment = process.reply(SECONDS)["environment"]
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "3"
    assert environment["PYTHONPATH"] == f"{ROOT}:elsewhere"


def test_a_process_that_dies_is_started_again_once_with_all_open_requests(start, tmp_path, caplog):
    process = start("is killed once", str(tmp_path / "died"))
    numbers = [process.ask("tr", ["a"], ["b"]), process.ask("en", ["aa"], ["b"])]
    assert process.reply(SECONDS) is None
    assert [process.reply(SECONDS)["id"], process.reply(SECONDS)["id"]] == numbers
    (record,) = caplog.records
    assert "killed by SIGKILL, saying: nothing" in record.getMessage()


def test_a_process_that_dies_again_is_given_up_with_exit_code_and_last_words(start, tmp_path):
    process = start("dies", str(tmp_path / "starts"))
    process.ask("tr", ["a"], ["b"])
    assert process.reply(SECONDS) is None
    with pytest.raises(ChildProcessError, match=r"twice, with exit code 1, saying: nothing works \| out of luck"):
        process.reply(SECONDS)
    assert (tmp_path / "starts").read_text() == "started\n" * 2


def test_the_real_process_scores_anywhere_at_low_priority_and_does_not_outlive_a_killed_parent(tmp_path):
    """Started where a folder of the user's has the name of one of ours."""
    encoder = save_bert(tmp_path / "bert", ["Kar yağdı.", "Kar dindi."])
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "__init__.py").write_text("raise ImportError('not ours')")
    settings = SETTINGS | {"encoders": {"tr": {"model": "bert"}}}
    parent = f"""
import json, sys
sys.path = [path for path in sys.path if path] + [{str(ROOT)!r}]
from callbacks.bertscore_process import ScorerProcess
process = ScorerProcess({settings!r}, threads=1)
process.ask("tr", ["Kar yağdı."], ["Kar dindi."])
print(json.dumps([process.pid, process.reply({SECONDS})]), flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", parent]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        pid, reply = json.loads(owner.stdout.readline())
        scorer = os.pidfd_open(pid)
        niceness = os.getpriority(os.PRIO_PROCESS, pid) - os.getpriority(os.PRIO_PROCESS, 0)
        owner.kill()
    ended, _, _ = select.select([scorer], [], [], SECONDS)
    os.close(scorer)
    assert ended
    assert niceness == 10
    assert reply["scores"] == BertScorer("tr", Encoder(encoder)).score(["Kar yağdı."], ["Kar dindi."])
