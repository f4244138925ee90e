"""The output of `summarize.py`: one JSON object a line, which a later start goes on writing."""

from __future__ import annotations

import fcntl
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class SummaryFile:
    """Appends results line by line and knows those that are there already.

    Args:
        path: The file; made if it does not exist, and locked until it is closed or the process ends, however it ends.
            Whatever a killed start left of its last line is removed.
        settings: Names everything that summaries depend on beside the article.

    Raises:
        ValueError: If the file holds anything but results of the same settings, or another process writes it.
    """

    def __init__(self, path: Path, settings: str) -> None:
        self.path, self.settings = path, settings
        self._written: Counter[tuple[str, str]] = Counter()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        try:
            if path.is_file():  # not /dev/null
                self._lock()
                self._file.truncate(self._read())
        except BaseException:
            self._file.close()
            raise
        self.resumed = self._written.total()

    def __enter__(self) -> SummaryFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def holds(self, identifier: str, article_hash: str) -> bool:
        """Whether an earlier start has written this row; a row that comes twice must have been written twice."""
        key = (identifier, article_hash)
        self._written[key] -= 1
        return self._written[key] >= 0

    def write(self, result: Mapping[str, Any]) -> None:
        """Appends a result as one whole line, at once."""
        line = json.dumps({"settings": self.settings, **result}, ensure_ascii=False)
        self._file.write(line.encode() + b"\n")
        self._file.flush()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"{str(self.path)!r} is being written by {_holder(self.path)}; wait for its end, or name another "
                "--output."
            ) from error
        except OSError:  # some network file systems have no locks
            return

    def _read(self) -> int:
        """Counts the results that are there; returns where the last whole line ends."""
        end, begin = 0, json.dumps({"settings": self.settings})[:-1].encode()
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n") and (line.startswith(begin) or begin.startswith(line)):
                    break
                result = self._parse(line)
                self._written[result["id"], result["article_hash"]] += 1
                end += len(line)
        return end

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            result = json.loads(line)
            settings, _ = result["settings"], (result["id"], result["article_hash"])
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{str(self.path)!r} exists and is no output of summarize.py; name another --output."
            ) from None
        if settings != self.settings:
            raise ValueError(
                f"{str(self.path)!r} holds summaries of another model or of other settings ({settings}, now "
                f"{self.settings}); name another --output, or remove it."
            )
        return result


def _holder(path: Path) -> str:
    """Who has locked a file; Linux lists each lock's process and inode."""
    locks, inode = Path("/proc/locks"), f":{path.stat().st_ino}"
    rows = [line.split() for line in locks.read_text().splitlines()] if locks.is_file() else []
    holders = [row[4] for row in rows if row[1] == "FLOCK" and row[5].endswith(inode)]
    return f"process {holders[0]}" if holders else "another process"
