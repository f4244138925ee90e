"""What the page's gate lets through, on the application that it guards being any one."""

import asyncio

import pytest

from page_gate import PageGate, refusal_of

HOST = "127.0.0.1:7860"


def ask(path="/", *, kind="http", app=None, **headers: str) -> tuple[int, str]:
    """Status and text of the answer; 200 and "page" where the request came through."""
    sent = []

    async def page(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"page"})

    async def send(message):
        sent.append(message)

    lines = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    asyncio.run(PageGate(app or page)({"type": kind, "path": path, "headers": lines}, None, send))
    text = b"".join(message.get("body", b"") for message in sent).decode()
    return sent[0].get("status", sent[0]["type"]), text


@pytest.mark.parametrize("host", [HOST, "127.0.0.1", "localhost", "LocalHost:80", "[::1]:7860", "[::1]"])
def test_browser_of_this_machine_is_answered(host):
    assert ask(host=host) == (200, "page")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7860",
        "127.0.0.1.evil.example",
        "localhost.evil.example:7860",
        "evil.example@127.0.0.1",
        "127.0.0.1@evil.example",
        "127.0.0.1:7860:1",
        "localhost:x",
        "localhost\n",
        "0.0.0.0",
        "192.168.0.7",
        "::1",
        "",
    ],
)
def test_name_that_another_site_points_here_is_refused(host):
    status, text = ask(host=host)
    assert status == 421
    assert text == "This page is for browsers on this machine; open it as http://127.0.0.1 or http://localhost."


def test_request_that_names_no_host_or_two_is_refused():
    assert ask()[0] == 421
    assert refusal_of("/", [(b"host", b"localhost"), (b"host", b"evil.example")])[0] == 421


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (f"http://{HOST}", 200),
        ("http://evil.example", 403),
        ("http://localhost:3000", 403),
        (f"http://{HOST}.evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_only_the_page_itself_sends_requests_from_a_browser(origin, status):
    assert ask("/gradio_api/queue/join", host=HOST, origin=origin)[0] == status


@pytest.mark.parametrize(
    "path", ["call/answer", "call/v2/answer", "run/predict", "api/predict", "upload", "file=/etc/passwd", "runs", ""]
)
def test_interface_for_programs_is_closed(path):
    status, text = ask(f"/gradio_api/{path}", host=HOST)
    assert (status, text) == (404, "This page has no interface for programs; summarize.py has.")


@pytest.mark.parametrize("path", ["/", "/config", "/assets/a.js", "/gradio_api/queue/data", "/gradio_api/heartbeat/1"])
def test_what_the_page_needs_is_open(path):
    assert ask(path, host=HOST) == (200, "page")


def test_websockets_are_judged_alike_and_the_start_of_the_server_is_not():
    assert ask(kind="websocket", host="evil.example") == ("websocket.close", "")
    assert ask(kind="lifespan") == (200, "page")


@pytest.mark.parametrize("begun", [False, True])
def test_request_that_breaks_something_is_one_line_on_the_console(capsys, begun):
    async def breaks(scope, receive, send):
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise KeyError("first\nsecond")

    expected = (200, "") if begun else (400, "The page cannot answer this request.")
    assert ask(host=HOST, app=breaks) == expected
    assert capsys.readouterr().err == "page: KeyError: 'first\\nsecond'\n"
