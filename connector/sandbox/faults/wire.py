"""What happens below the answer: resets, bodies that are cut or wrong, and slowness; and the server's protocol that lets it happen."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from asyncio import BaseTransport, Transport
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from connector.sandbox.faults.rules import Fault

_LINGER_NOT = struct.pack("ii", 1, 0)  # a close that throws away what is unsent and answers with RST
_PARTS = 10
_NOISE = bytes(range(127, 256))


class Protocol(H11Protocol):
    """HTTP that hands the connection's transport to the application, in ``scope["transport"]``."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        inner: Any = self.app

        async def with_transport(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            scope["transport"] = transport
            await inner(scope, receive, send)

        self.app = with_transport


@dataclass
class Answer:
    """A whole answer of the application behind."""

    start: Message = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.start["headers"] if key.lower() == name), None)

    def with_headers(self, **changed: bytes | None) -> Message:
        """The start of the answer with some headers (underscores for dashes) replaced; None takes one away."""
        names = {key.replace("_", "-").encode(): value for key, value in changed.items()}
        kept = [(key, value) for key, value in self.start["headers"] if key.lower() not in names]
        return {**self.start, "headers": [*kept, *((key, value) for key, value in names.items() if value is not None)]}

    def text(self) -> bytes:
        """The body, unpacked."""
        return gzip.decompress(self.body) if self.header(b"content-encoding") == b"gzip" else self.body


async def collected(app: ASGIApp, scope: Scope, receive: Receive) -> Answer:
    """Let the application answer, and keep the answer back."""
    found = Answer()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            found.start = message
        else:
            found.body += message.get("body", b"")

    await app(scope, receive, keep)
    return found


async def strike(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Do what a ``wire`` fault does to one request."""
    if fault.kind == "reset":
        await _reset(scope, receive)
        return
    if fault.kind == "slow-answer":
        await asyncio.sleep(fault.seconds or 0)
        await app(scope, receive, send)
        return
    answer = await collected(app, scope, receive)
    bodiless = answer.start["status"] in (204, 304)  # HTTP allows no body there: what happens to one can only happen to the connection
    if fault.kind == "lost-answer" or (bodiless and fault.kind in ("cut-body", "short-body")):
        await _reset(scope, receive)
    elif bodiless:
        await send(answer.start)
        await send({"type": "http.response.body", "body": b""})
    elif fault.kind in ("cut-body", "short-body"):
        await _part(fault, answer, scope, receive, send)
    elif fault.kind == "slow-body":
        await _slowly(answer, fault.seconds or 0, send)
    else:
        await _other(fault, answer, send)


async def _reset(scope: Scope, receive: Receive) -> None:
    """RST, and wait until the server knows that nobody listens any more: it would send a 500 otherwise."""
    transport: Transport = scope["transport"]
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _part(fault: Fault, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Headers that promise the whole body, a part of it, and the end of the connection: orderly, or by RST."""
    body = answer.body or b"[]"
    await send(answer.with_headers(content_length=str(len(body)).encode()))
    await send({"type": "http.response.body", "body": body[: _cut(fault, body)], "more_body": True})
    if fault.kind == "cut-body":
        await asyncio.sleep(0.005)  # so that the part is read before the reset overtakes it
        await _reset(scope, receive)
        return
    transport: Transport = scope["transport"]
    transport.close()
    await _gone(receive)


def _cut(fault: Fault, body: bytes) -> int:
    share = float(fault.parameters.get("share", "0.5"))
    return min(int(len(body) * share), max(len(body) - 1, 0))


async def _slowly(answer: Answer, seconds: float, send: Send) -> None:
    await send(answer.start)
    size = max(1, -(-len(answer.body) // _PARTS))
    for start in range(0, max(len(answer.body), 1), size):
        await asyncio.sleep(seconds / _PARTS)
        more = start + size < len(answer.body)
        await send({"type": "http.response.body", "body": answer.body[start : start + size], "more_body": more})


async def _other(fault: Fault, answer: Answer, send: Send) -> None:
    """The same status with another body, in order as far as HTTP goes."""
    text = answer.text()
    if fault.kind == "empty-body":
        body = b""
    elif fault.kind == "garbage-body":
        body = (_NOISE * (len(text) // len(_NOISE) + 1))[: max(len(text), 16)]
    else:
        body = text[: _cut(fault, text)]
        if fault.parameters.get("lines") == "true":
            body = body[: body.rfind(b"\n") + 1]
    await whole(answer, body, send)


async def whole(answer: Answer, body: bytes, send: Send) -> None:
    """An answer with this body in place of its own, not packed."""
    await send(answer.with_headers(content_encoding=None, content_length=str(len(body)).encode()))
    await send({"type": "http.response.body", "body": body})
