"""What programs other than a browser get from the page of `summarize.py --serve`: needs the extra `web`."""

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from random_model import write_random_model

from lightning_modules.exported_folder import ExportRecord

gradio = pytest.importorskip("gradio")
pytestmark = pytest.mark.slow
GOOD = ["Vapur seferleri durdu.", "identify", "truncate", 5, 1]


class Page(NamedTuple):
    address: str
    console: Path

    def ask(self, path: str, body: dict | None = None, **headers: str) -> tuple[int, str]:
        content = None if body is None else json.dumps(body).encode()
        headers |= {"Content-Type": "application/json"}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.address + path, content, headers)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def press_button(self, session: str, data: list) -> dict:
        """What the page in the browser does, and what it is told in the end."""
        body = {"data": data, "fn_index": 0, "session_hash": session}
        assert self.ask("/gradio_api/queue/join", body)[0] == 200
        _, stream = self.ask(f"/gradio_api/queue/data?session_hash={session}")
        messages = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line]
        return next(message["output"] for message in messages if message["msg"] == "process_completed")


@pytest.fixture(scope="module")
def page(tmp_path_factory, random_mt5) -> Iterator[Page]:
    folder = write_random_model(random_mt5, tmp_path_factory.mktemp("model"))
    (folder / "generation_config.json").write_text('{"max_new_tokens": 16}')
    ExportRecord(max_source_tokens=128, languages=["tr", "en"]).write(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    console = folder / "console.txt"
    command = [sys.executable, "summarize.py", str(folder), "--device=cpu", "--serve", f"--port={port}"]
    with (
        console.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as server,
    ):
        try:
            assert f"http://127.0.0.1:{port} shows the page" in server.stdout.readline()
            yield Page(f"http://127.0.0.1:{port}", console)
        finally:
            server.terminate()


def test_page_answers_its_own_button(page):
    summary, notes, _ = page.press_button("good", GOOD)["data"]
    assert summary
    assert "Language: tr." in notes


def test_other_names_of_the_machine_are_refused(page):
    assert page.ask("/config")[0] == 200
    assert page.ask("/config", Host="evil.example")[0] == 421
    assert page.ask("/gradio_api/queue/join", {"data": GOOD}, Origin="http://evil.example")[0] == 403


@pytest.mark.parametrize("path", ["call/answer", "call/v2/answer", "run/answer", "api/answer", "upload"])
def test_private_route_is_closed(page, path):
    assert page.ask(f"/gradio_api/{path}", {"data": GOOD, "fn_index": 0, "session_hash": "x"})[0] == 404


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["", *GOOD[1:]], "Not summarised: the article is missing or blank."),
        (["kar\0", *GOOD[1:]], "Not summarised: holds NUL or bytes that are no UTF-8 text"),
        ([*GOOD[:3], 99_999, 1], "Value 99999 is greater than maximum value 256."),
        ([*GOOD[:2], "nonsense", 5, 1], "is not in the list of choices"),
        (GOOD[:1], None),
    ],
)
def test_bad_input_gets_one_sentence_and_the_console_no_traceback(page, data, message):
    error = page.press_button(f"bad-{len(str(data))}", data)["error"]
    assert message in error if message else error is None
    assert page.ask("/gradio_api/queue/join", {"data": data, "fn_index": 99, "session_hash": "x"})[0] == 400
    console = page.console.read_text()
    assert "page: KeyError: 99" in console
    assert "Traceback" not in console
