"""BERTScore in a process of its own: JSON lines in on stdin, JSON lines out on stdout.

    python -m metrics.bertscore_worker '{"encoders": {"tr": {"model": "DIR"}}, "rescale": false, "batch_size": 32}'

A request: `{"id": 1, "language": "tr", "predictions": [...], "references": [...]}`. Its reply: `{"id": 1, "scores":
{"bertscore": [...]}, "remarks": []}`, or `{"id": 1, "error": "..."}`. The process ends when its stdin is closed, even
in the middle of a request, so that it never outlives who asks.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from metrics.bertscore import BertScorer

NICENESS = 10


class Scorers:
    """A scorer for each language, loaded when first asked for.

    Args:
        encoders: Settings of `Encoder` by language; a language without gets the default.
        rescale: See `BertScorer`.
        batch_size: See `BertScorer`.
    """

    def __init__(self, encoders: dict[str, dict[str, Any]], rescale: bool, batch_size: int) -> None:
        self.encoders, self.rescale, self.batch_size = encoders, rescale, batch_size
        self._loaded: dict[str, BertScorer | str] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to a request; whatever fails becomes its text."""
        try:
            scorer = self._scorer(request["language"])
            if isinstance(scorer, str):
                return {"id": request["id"], "error": scorer}
            scores = scorer.score(request["predictions"], request["references"])
        except Exception as error:  # noqa: BLE001 - one bad request must not end the others
            return {"id": request["id"], "error": _text(error)}
        remarks, scorer.remarks = scorer.remarks, []
        return {"id": request["id"], "scores": scores, "remarks": remarks}

    def _scorer(self, language: str) -> BertScorer | str:
        """The language's scorer, or why there is none: asking the hub again would take minutes each time."""
        if language not in self._loaded:
            try:
                self._loaded[language] = self._load(language)
            except Exception as error:  # noqa: BLE001 - libraries raise anything here
                self._loaded[language] = _text(error)
        return self._loaded[language]

    def _load(self, language: str) -> BertScorer:
        # These seconds are spent only when stdout is redirected and stdin is watched.
        from metrics.bertscore import BertScorer, Encoder

        return BertScorer(language, Encoder(**self.encoders.get(language, {})), self.rescale, self.batch_size)


def main() -> None:
    """Answers until stdin is closed."""
    os.nice(NICENESS)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not stand between the replies
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, requests), daemon=True).start()
    scorers = Scorers(**json.loads(sys.argv[1]))
    while True:
        print(json.dumps(scorers.answer(requests.get())), file=replies, flush=True)


def _read(stream: TextIO, requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in stream:
        requests.put(json.loads(line))
    os._exit(0)  # from a thread, nothing else ends a process that is in the middle of a request


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


if __name__ == "__main__":
    main()
