"""Runs commands, one at a time on each device, and stops all of them together."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch


def available_devices() -> list[str | None]:
    """CUDA devices as `CUDA_VISIBLE_DEVICES` names them; None alone where there are none."""
    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = named.split(",") if named else [str(index) for index in range(count)]
    return [*names[:count]] or [None]


class Processes:
    """Processes on devices.

    Args:
        devices: From `available_devices`; each runs one process at a time, and as many as it is named times.
        inherited: File descriptors that every process keeps open, such as that of a lock.

    Attributes:
        stopping: The signal that was received, None if none was; then nothing new is started.
        count: How many run at a time.
    """

    def __init__(self, devices: Sequence[str | None], inherited: Sequence[int] = ()) -> None:
        self.stopping: int | None = None
        self._inherited = tuple(inherited)
        self.count = len(devices)
        self._slots = Counter(devices)
        self._free: SimpleQueue[str | None] = SimpleQueue()
        for device in devices:
            self._free.put(device)
        self._running: dict[subprocess.Popen[bytes], int] = {}
        self._lock = threading.RLock()

    def at_a_time(self, device: str | None) -> int:
        """How many processes a device takes at once."""
        return self._slots[device]

    def run_all(self, jobs: Sequence[Callable[[str | None], None]]) -> None:
        """Runs jobs, each with a device of its own; an error in one is raised when all have ended."""
        with ThreadPoolExecutor(self.count) as pool:
            waiting = [pool.submit(self._with_device, job) for job in jobs]
        for future in waiting:
            future.result()

    def run(self, command: Sequence[str], device: str | None, log: Path, stop: int) -> int | None:
        """Runs a command to its end; what it prints is appended to a file.

        Args:
            command: Program and arguments.
            device: The only one that it sees.
            log: File.
            stop: Signal that makes it stop.

        Returns:
            Its exit code; None if a stop was asked for before it ended by itself.
        """
        environment = os.environ | ({} if device is None else {"CUDA_VISIBLE_DEVICES": device})
        settings: dict[str, Any] = {"env": environment, "pass_fds": self._inherited, "stdin": subprocess.DEVNULL}
        with log.open("ab") as file:
            with self._lock:  # else a signal might come between the question and the start
                if self.stopping is not None:
                    return None
                # In a session of its own, so that Ctrl-C reaches it once, from here.
                process = subprocess.Popen(
                    command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True, **settings
                )
                self._running[process] = stop
            code = process.wait()
        with self._lock:
            del self._running[process]
        return None if self.stopping is not None and code != 0 else code

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """While it lasts, SIGTERM and Ctrl-C stop the processes; a second Ctrl-C kills them."""
        previous = {number: signal.signal(number, self._receive) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _with_device(self, job: Callable[[str | None], None]) -> None:
        device = self._free.get()
        try:
            job(device)
        finally:
            self._free.put(device)

    def _receive(self, number: int, frame: Any) -> None:
        again, self.stopping = self.stopping is not None, number
        with self._lock:
            for process, stop in self._running.items():
                process.send_signal(signal.SIGKILL if again and number == signal.SIGINT else stop)
        print("\nStopping: running processes save and end (Ctrl-C once more kills them).", flush=True)
