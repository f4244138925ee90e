"""Failures that a user can mend are one sentence in every command; with `OZET_DEBUG=1` the traceback is shown."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from commands.failures import answer, failure_message

ROOT = Path(__file__).parents[2]
TINY = ("fit", "--config", "tests/conf/tiny.yaml")


def command(*args: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *args], cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment}
    )


def refuse() -> None:
    Path(__file__).joinpath("below a file").mkdir()


def test_debugging_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("OZET_DEBUG", "1")
    with pytest.raises(NotADirectoryError):
        answer(refuse)
    monkeypatch.setenv("OZET_DEBUG", "0")
    with pytest.raises(SystemExit, match=r"^error: Not a directory: "):
        answer(refuse)


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (SystemExit(3), 3)])
def test_signals_and_codes_are_kept(error, code):
    def raises() -> None:
        raise error

    with pytest.raises(SystemExit) as stop:
        answer(raises)
    assert stop.value.code == code


def test_memory_of_the_gpu_is_named():
    class OutOfMemoryError(RuntimeError):
        pass

    assert "lower --batch-size" in failure_message(OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert failure_message(OutOfMemoryError("Out of memory at step 3.")) == "Out of memory at step 3."


@pytest.mark.slow
@pytest.mark.parametrize("debug", ["0", "1"])
@pytest.mark.parametrize("flag", ["--trainer.max_step=3", "--data.batch_size=0"])
def test_train_answers_in_one_line_unless_it_is_debugged(flag, debug):
    done = command("train.py", *TINY, flag, OZET_DEBUG=debug)
    assert done.returncode in (1, 2)
    assert ("Traceback" in done.stderr) == (debug == "1")
    assert done.stderr.strip().splitlines()[-1].startswith("error: ") or debug == "1"


@pytest.mark.slow
@pytest.mark.parametrize(
    "args",
    [
        ("train.py", *TINY, "--trainer.default_root_dir={file}/runs"),
        ("train.py", "prepare", *TINY[1:], "--trainer.default_root_dir={file}/runs"),
        ("train.py", *TINY, "--trainer.default_root_dir={folder}/runs"),
        ("summarize.py", "tests/random-mt5", "README.md", "--output={file}/out.jsonl"),
        ("export.py", "{folder}", "--output={file}/out"),
        ("compare.py", "run", "configs/studies/adaptation.yaml", "--output={file}/study"),
        ("compare.py", "report", "{folder}", "--output={file}/report"),
        ("record_attention.py", "tests/random-mt5", "--examples={folder}", "--output={file}/out"),
        ("-m", "reports.speed", "{file}", "--output={file}/out"),
    ],
    ids=lambda args: " ".join(args[:2]),
)
def test_no_home_and_no_place_to_write_are_one_sentence(args, tmp_path):
    (tmp_path / "file").write_text("")
    home = str(tmp_path / "file" / "home")
    args = [one.format(file=tmp_path / "file", folder=tmp_path) for one in args]
    unset = dict.fromkeys(("HF_HOME", "HF_DATASETS_CACHE", "XDG_CACHE_HOME", "MPLCONFIGDIR"), "")
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {"HOME": home}
    done = subprocess.run([sys.executable, *args], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode in (1, 2), done.stdout
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
