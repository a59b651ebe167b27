"""A server on loopback that answers as a test tells it, faults on the wire included, and remembers what it was asked."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

DATE = "Fri, 20 Nov 2026 18:00:00 GMT"


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def q(self) -> str:
        return self.query.get("q", "")

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """``fault``: reset (the connection is torn down), cut (half of the body), slow (the answer comes late)."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    fault: str | None = None

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@dataclass
class Server:
    url: str
    asked: list[Asked] = field(default_factory=list)

    def count(self, part: str) -> int:
        return sum(part in asked.path for asked in self.asked)


@contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[Server]:
    """Serve ``answer`` until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and body are two writes: 40 ms an answer otherwise

        def log_message(self, *_: object) -> None:
            pass

        def handle_any(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
            asked = Asked(self.command, url.path, query, {k.lower(): v for k, v in self.headers.items()}, body)
            server.asked.append(asked)
            self.reply(answer(asked))

        def reply(self, found: Answer) -> None:
            if found.fault == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            if found.fault == "slow":
                time.sleep(0.6)
            content = found.content
            self.send_response_only(found.status)
            for name, value in {"Date": DATE, "Content-Type": "application/json", **found.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if found.fault == "cut":
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
                return
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the names that the library looks for

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A connection that a test tears down is no error."""

    listening = Quiet(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{listening.server_port}")
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
