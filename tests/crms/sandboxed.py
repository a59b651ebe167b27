"""Both sandbox CRMs on loopback, with a copy of everything that is asked of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

import uvicorn
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DATE = "Fri, 20 Nov 2026 19:00:00 GMT"


@dataclass
class Recorder:
    """An ASGI application in front of another one. ``asked``: "METHOD address body" of every request, addresses unquoted.

    ``intercept`` sees "METHOD address" first and may answer in the application's place: (status, JSON), or None to let it through.
    """

    app: ASGIApp
    asked: list[str] = field(default_factory=list)
    intercept: Callable[[str], tuple[int, object] | None] = lambda _: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = scope["path"] + "?" + unquote_plus(scope.get("query_string", b"").decode())
        place = len(self.asked)
        self.asked.append(f"{scope['method']} {address} ")
        instead = self.intercept(self.asked[place])
        if instead is not None:
            await JSONResponse(instead[1], instead[0], {"Date": DATE})(scope, receive, send)
            return

        async def listen() -> Message:
            message = await receive()
            self.asked[place] += message.get("body", b"").decode("utf-8", "replace")
            return message

        await self.app(scope, listen, send)

    def text(self) -> str:
        return "\n".join(self.asked)


@dataclass
class Served:
    url: str
    recorder: Recorder

    @property
    def asked(self) -> list[str]:
        return self.recorder.asked


@contextmanager
def served(routes: Sequence[BaseRoute]) -> Iterator[Served]:
    """Serve the routes of one CRM until the block ends."""
    recorder = Recorder(Router(routes))
    config = uvicorn.Config(recorder, port=0, log_level="error", access_log=False, lifespan="off", ws="none", server_header=False, date_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            thread.join(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Served(f"http://127.0.0.1:{port}", recorder)
    finally:
        server.should_exit = True
        thread.join(10)
