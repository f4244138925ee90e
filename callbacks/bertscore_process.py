"""Talks with the process that scores, and never waits for it unasked."""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parent.parent
# -P: a `metrics` folder of the user's own, where they started train.py, must not be taken for ours.
_COMMAND = (sys.executable, "-P", "-m", "metrics.bertscore_worker")
_LAST_LINES = 3


class ScorerProcess:
    """The process of `metrics.bertscore_worker`: on the CPU, at low priority, started again once if it dies.

    Two threads write and read, since a pipe that is full would block training.

    Args:
        settings: What the process is told at its start; plain data.
        threads: CPU threads that it may use.

    Raises:
        OSError: If it cannot be started.
    """

    def __init__(self, settings: dict[str, Any], threads: int) -> None:
        self.settings, self.threads = settings, threads
        self._unanswered: dict[int, dict[str, Any]] = {}
        self._asked = 0
        self._may_restart = True
        self._start()

    @property
    def pid(self) -> int:
        """The number that the system has given it."""
        return self._process.pid

    def ask(self, language: str, predictions: Sequence[str], references: Sequence[str]) -> int:
        """Hands over pairs of one language; returns the number under which the reply will come."""
        self._asked += 1
        request = {"id": self._asked, "language": language}
        request |= {"predictions": list(predictions), "references": list(references)}
        self._unanswered[self._asked] = request
        self._requests.put(request)
        return self._asked

    def reply(self, seconds: float = 0.0) -> dict[str, Any] | None:
        """The next reply, None if there is none within so many seconds.

        Raises:
            ChildProcessError: If the process has died twice; names exit code and last words.
        """
        try:
            reply = self._replies.get(timeout=seconds) if seconds > 0 else self._replies.get_nowait()
        except queue.Empty:
            return None
        if reply is None:
            self._start_again()
            return None
        del self._unanswered[reply["id"]]
        return reply

    def close(self) -> None:
        """Ends the process and the threads at once."""
        self._process.kill()
        self._process.wait()
        self._requests.put(None)
        for thread in self._threads:
            thread.join()
        self._errors.close()

    def _start(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._process = subprocess.Popen(
            [*_COMMAND, json.dumps(self.settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environment(self.threads),
            start_new_session=True,  # Ctrl-C in the terminal is for training to handle
        )
        self._requests: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=_write, args=(self._requests, self._process.stdin), daemon=True),
            threading.Thread(target=_read, args=(self._process.stdout, self._replies), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _start_again(self) -> None:
        cause = self._last_words()
        self.close()
        if not self._may_restart:
            raise ChildProcessError(f"its process died twice, {cause}")
        log.warning("The process of BERTScore died, %s. It is started once more.", cause)
        self._may_restart = False
        self._start()
        for request in self._unanswered.values():
            self._requests.put(request)

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = [line for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        ended = f"killed by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"{ended}, saying: {' | '.join(lines[-_LAST_LINES:]) or 'nothing'}"


def _environment(threads: int) -> dict[str, str]:
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        # bert-score orders texts by way of a set: without it batches, and the last digits, differ between runs.
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }


def _write(requests: queue.SimpleQueue[dict[str, Any] | None], stream: IO[bytes]) -> None:
    with suppress(BrokenPipeError), stream:  # who reads finds out that it has died
        for request in iter(requests.get, None):
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()


def _read(stream: IO[bytes], replies: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    # A reply that a kill has cut off counts as the end, too.
    with stream, suppress(json.JSONDecodeError):
        for line in stream:
            replies.put(json.loads(line))
    replies.put(None)
