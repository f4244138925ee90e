"""`summarize.py` killed in the very write of a result, again and again, in processes of their own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from random_model import write_random_model

ROOT = Path(__file__).parents[1]
# Writes a part of the line of a row, then dies as if the machine had killed it.
KILLED = """
import json, os, signal, sys
from datamodules.summary_file import SummaryFile
from summarize import main

row, part, *arguments = sys.argv[1:]
whole = SummaryFile.write
written = []

def write(self, result):
    written.append(result)
    if len(written) <= int(row):
        return whole(self, result)
    line = json.dumps({"settings": self.settings, **result}, ensure_ascii=False).encode() + b"\\n"
    self._file.write(line[: int(float(part) * len(line))])
    self._file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

SummaryFile.write = write
main(arguments)
"""


@pytest.fixture(scope="module")
def command(tmp_path_factory, random_mt5, quickstart) -> list[str]:
    model = write_random_model(random_mt5, tmp_path_factory.mktemp("model"))
    (model / "generation_config.json").write_text('{"max_new_tokens": 6}')
    return [str(model), str(quickstart / "tr.jsonl"), "--id-column=id", "--batch-size=2", "--device=cpu"]


def start(*arguments: str) -> int:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, cwd=ROOT).returncode


@pytest.mark.slow
def test_output_killed_eight_times_equals_an_uninterrupted_one(command, tmp_path):
    assert start("summarize.py", *command, f"--output={tmp_path / 'whole'}") == 0
    for row, part in [(0, 0), (1, 0.01), (0, 0.05), (2, 0.3), (1, 0.5), (0, 0.9), (3, 0.99), (2, 1)]:
        killed = start("-c", KILLED, str(row), str(part), *command, f"--output={tmp_path / 'out'}")
        assert killed == -signal.SIGKILL
        assert (tmp_path / "whole").read_bytes().startswith((tmp_path / "out").read_bytes())
    assert start("summarize.py", *command, f"--output={tmp_path / 'out'}") == 0
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()
