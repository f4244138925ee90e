"""Stands in for metrics/bertscore_worker.py in tests: answers at once, or misbehaves as its first argument says."""

import json
import os
import signal
import sys
from pathlib import Path


def answer(request: dict) -> dict:
    """The length of each prediction."""
    scores = {"bertscore": [float(len(prediction)) for prediction in request["predictions"]]}
    return {"id": request["id"], "scores": scores, "remarks": []}


def main(behaviour: str, place: str = "", *settings: str) -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if behaviour == "dies":
            with Path(place).open("a") as file:
                print("started", file=file)
            sys.exit("nothing works\nout of luck")
        if behaviour == "is killed once" and not Path(place).exists():
            Path(place).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if behaviour == "hangs":
            signal.pause()
        if behaviour == "waits for a sign" and request["id"] == 1:
            Path(place).read_text()
        reply = answer(request)
        if behaviour == "fails at some Turkish" and request["language"] == "tr" and request["id"] % 2:
            reply = {"id": request["id"], "error": "OSError: no encoder 'x'"}
        if behaviour == "shows its environment":
            reply["environment"] = dict(os.environ)
        print(json.dumps(reply), flush=True)


main(*sys.argv[1:])
