"""The output of `summarize.py`: one JSON object a line, which a later start goes on writing."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_START = b'{"settings": '


class SummaryFile:
    """Appends results line by line and knows those that are there already.

    Args:
        path: The file; made if it does not exist. An unfinished last line, of a start that was killed, is removed.
        settings: Names everything that summaries depend on beside the article.

    Raises:
        ValueError: If the file holds anything but results of the same settings.
    """

    def __init__(self, path: Path, settings: str) -> None:
        self.path, self.settings = path, settings
        self._written: Counter[tuple[str, str]] = Counter()
        self.resumed = self._read() if path.exists() else 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")

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

    def _read(self) -> int:
        end = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n") and line.startswith(_START):
                    break
                result = self._parse(line)
                self._written[result["id"], result["article_hash"]] += 1
                end += len(line)
        if end < self.path.stat().st_size:
            os.truncate(self.path, end)
        return self._written.total()

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
