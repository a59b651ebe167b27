"""What a sandbox's CRM answers, overheard and, where a test says so, spelt as recorded answers are spelt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.sandbox.faults.records import replay
from connector.sandbox.faults.wire import collected


@dataclass
class Answer:
    """One answer with the request that it is for. ``headers``: names in lower case. A change of status, headers or content is what is sent."""

    method: str
    path: str
    asked: bytes
    status: int
    headers: dict[str, str]
    content: bytes

    def of(self, glob: str, method: str = "*") -> bool:
        return fnmatch(self.path, glob) and fnmatch(self.method, method)

    @property
    def json(self) -> Any:
        return orjson.loads(self.content)

    @json.setter
    def json(self, body: Any) -> None:
        self.content = orjson.dumps(body)


@contextmanager
def overheard(
    rig: Any, change: Callable[[Answer], None] = lambda answer: None, *, before: Callable[[str, str], None] = lambda method, path: None
) -> Iterator[list[Answer]]:
    """Inside, every answer is noted as it is sent. ``change`` may alter it; ``before`` is told of each request before the CRM sees it."""
    desk, noted = rig.world.faults, []
    plain = desk.serve

    async def serve(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += bytes(message.get("body", b""))
            if not message.get("more_body"):
                break
        before(scope["method"], scope["path"])

        async def behind(inner: Scope, receive: Receive, send: Send) -> None:
            await plain(app, inner, receive, send)

        found = await collected(behind, scope, replay(body))
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in found.start["headers"]}
        answer = Answer(scope["method"], scope["path"], body, found.start["status"], headers, found.text())
        change(answer)
        noted.append(answer)
        kept = {name: value for name, value in answer.headers.items() if name not in ("content-encoding", "content-length")}
        if answer.status != 204:
            kept["content-length"] = str(len(answer.content))
        sent = [(name.encode(), value.encode("latin-1")) for name, value in kept.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": sent})
        await send({"type": "http.response.body", "body": b"" if answer.status == 204 else answer.content})

    desk.serve = serve
    try:
        yield noted
    finally:
        del desk.serve
