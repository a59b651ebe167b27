"""The sandbox without a network: requests of both client libraries go straight into its application, one after another.

Ten times as cheap as a socket, the same bytes up to the headers; and a place to stand between the connector and its CRM: ``before`` and
``after`` see every call and may raise (the process dies there) or do something (a person acts in the middle of a pull).
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from requests import sessions
from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.connectionpool import HTTPConnectionPool

from connector.sandbox.server import create_app
from connector.sandbox.world import World

ADDRESS = "http://127.0.0.1:1"
"""Nobody listens there: a request that took another way would fail."""
Hook = Callable[[int, str, str], None]


class Taps:
    """``calls``: requests so far. Hooks get the number of the call (from 0), method and path with query."""

    def __init__(self) -> None:
        self._one = threading.Lock()
        self.calls = 0
        self.before: Hook = _nothing
        self.after: Hook = _nothing

    def calm(self) -> None:
        """No hooks, the count at 0."""
        self.calls, self.before, self.after = 0, _nothing, _nothing


class Wire(Taps):
    """The sandbox's application, called."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._app = create_app(world)
        self._loop = asyncio.new_event_loop()

    def answer(self, method: str, url: str, body: Any, headers: Any, *, preload: bool, decode: bool) -> HTTPResponse:
        """What urllib3 would have got."""
        with self._one:
            number, self.calls = self.calls, self.calls + 1
            self.before(number, method, url)
            status, answered, content = self._loop.run_until_complete(self._ask(method, url, body, headers))
            self.after(number, method, url)
        return HTTPResponse(
            io.BytesIO(content), HTTPHeaderDict(answered), status, preload_content=preload, decode_content=decode, request_method=method,
            request_url=url,
        )  # fmt: skip

    async def _ask(self, method: str, url: str, body: Any, headers: Any) -> tuple[int, list[tuple[str, str]], bytes]:
        path, _, query = url.partition("?")
        sent = body.encode() if isinstance(body, str) else bytes(body or b"")
        listed = [(name.lower().encode("latin-1"), _bytes(value)) for name, value in (headers or {}).items()]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http", "path": unquote(path),
            "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1),
            "headers": [*listed, (b"host", b"127.0.0.1:1"), (b"content-length", str(len(sent)).encode())],
        }  # fmt: skip
        told: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": sent, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            told.append(message)

        await self._app(scope, receive, send)  # type: ignore[arg-type]
        begun = next(message for message in told if message["type"] == "http.response.start")
        answered = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in begun["headers"]]
        return begun["status"], answered, b"".join(message.get("body", b"") for message in told)

    def close(self) -> None:
        self._loop.close()


@contextmanager
def direct(world: World) -> Iterator[Wire]:
    """Inside, every urllib3 pool leads to the world. No proxy is looked for: that costs as much as a call."""
    wire = Wire(world)
    plain, proxies = HTTPConnectionPool.urlopen, sessions.get_environ_proxies

    def urlopen(
        pool: HTTPConnectionPool, method: str, url: str, body: Any = None, headers: Any = None, *_: Any,
        preload_content: bool = True, decode_content: bool = True, **__: Any,
    ) -> HTTPResponse:  # fmt: skip
        return wire.answer(method, url, body, headers, preload=preload_content, decode=decode_content)

    HTTPConnectionPool.urlopen = urlopen  # type: ignore[method-assign,assignment]
    sessions.get_environ_proxies = lambda url, no_proxy=None: {}
    try:
        yield wire
    finally:
        HTTPConnectionPool.urlopen = plain  # type: ignore[method-assign]
        sessions.get_environ_proxies = proxies
        wire.close()


@contextmanager
def tapped() -> Iterator[Taps]:
    """Inside, every request goes over its socket as ever, one after another, past the hooks."""
    taps, plain = Taps(), HTTPConnectionPool.urlopen

    def urlopen(pool: HTTPConnectionPool, method: str, url: str, *words: Any, **more: Any) -> Any:
        with taps._one:
            number, taps.calls = taps.calls, taps.calls + 1
            taps.before(number, method, url)
            answer = plain(pool, method, url, *words, **more)
            try:
                taps.after(number, method, url)
            except BaseException:
                answer.close()  # nobody will read it
                raise
        return answer

    HTTPConnectionPool.urlopen = urlopen  # type: ignore[method-assign,assignment]
    try:
        yield taps
    finally:
        HTTPConnectionPool.urlopen = plain  # type: ignore[method-assign]


def _nothing(number: int, method: str, url: str) -> None:
    """Lets the call pass."""


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("latin-1")
