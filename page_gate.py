"""Lets only the page itself, in a browser of this machine, talk to the page's server; works before any of gradio."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_INTERFACE = "/gradio_api/"
# What the page in the browser asks for. The rest serves programs, uploads, recordings and other kinds of pages.
_NEEDED = ("app_id", "cancel", "heartbeat/", "info", "queue/", "reset", "startup-events", "theme.css")


class PageGate:
    """ASGI middleware that answers everything else itself.

    A site elsewhere can make its own name point to 127.0.0.1 (DNS rebinding), but not choose the `Host` header that the
    browser then sends, nor the `Origin`.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Passes a request on, or says why not."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        refusal = refusal_of(scope["path"], scope["headers"])
        if refusal is None:
            return await self._pass(scope, receive, send)
        status, text = refusal
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close"})
        return await _answer(send, status, text)

    async def _pass(self, scope: Message, receive: Receive, send: Send) -> None:
        started = False

        async def note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, note)
        except Exception as error:  # noqa: BLE001 - of a request that no page sends
            print_error(error)
            if started:
                await send({"type": "http.response.body"})
            else:
                await _answer(send, 400, "The page cannot answer this request.")


def refusal_of(path: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, str] | None:
    """Judges a request.

    Args:
        path: What is asked for.
        headers: Lower-case names and values.

    Returns:
        Status and reason of a refusal; None for a request of the page.
    """
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
    if len(hosts) != 1 or not _LOOPBACK.fullmatch(hosts[0]):
        return 421, "This page is for browsers on this machine; open it as http://127.0.0.1 or http://localhost."
    if any(origin.partition("://")[2] != hosts[0] for origin in origins):
        return 403, "This page answers no other page."
    if path.startswith(_INTERFACE) and not path.removeprefix(_INTERFACE).startswith(_NEEDED):
        return 404, "This page has no interface for programs; summarize.py has."
    return None


def print_error(error: BaseException | None) -> None:
    """Prints the kind and the first line of an error, and no traceback."""
    reason = str(error).partition("\n")[0]
    print(f"page: {type(error).__name__}: {reason}", file=sys.stderr, flush=True)


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
