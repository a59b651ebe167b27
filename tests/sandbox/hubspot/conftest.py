"""A portal behind a real server on an ephemeral port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import requests
import uvicorn
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from connector.sandbox.clock import VirtualClock
from connector.sandbox.hubspot.api import routes
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.records import Record

START = datetime(2026, 11, 2, 14, 0, 0, 120_000, UTC)


class Switch:
    """Hands each request to the portal of the running test."""

    app: Starlette

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@dataclass
class Client:
    """A session against the server. ``call`` sends the sandbox's token unless told otherwise."""

    base: str
    session: requests.Session

    def call(self, method: str, path: str, **kwargs: object) -> requests.Response:
        headers = {"Authorization": "Bearer sandbox-key"} | dict(kwargs.pop("headers", {}))  # type: ignore[call-overload]
        return self.session.request(method, self.base + path, headers=headers, timeout=20, **kwargs)  # type: ignore[arg-type]

    def get(self, path: str, **params: object) -> requests.Response:
        return self.call("GET", path, params=params)

    def post(self, path: str, body: object) -> requests.Response:
        return self.call("POST", path, json=body)

    def search(self, kind: str, **body: object) -> requests.Response:
        return self.post(f"/crm/objects/2026-03/{kind}/search", body)


@pytest.fixture(scope="session")
def served() -> Iterator[tuple[Switch, str]]:
    switch = Switch()
    # With the protocol named, asyncio switches Nagle's algorithm off on its connections: 40 ms an answer otherwise.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    config = uvicorn.Config(switch, log_level="warning", date_header=False, server_header=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    give_up = time.monotonic() + 10
    while not server.started and time.monotonic() < give_up:
        time.sleep(0.01)
    assert server.started
    yield switch, f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listener.close()
    assert not thread.is_alive()


@pytest.fixture
def portal() -> Portal:
    """An empty portal with one owner; its limits are off, the tests of the limits switch them on."""
    made = Portal(VirtualClock(START))
    made.limits_on = False
    made.add_owner("Ada", "Berg", "ada@example.com")
    return made


@pytest.fixture
def client(served: tuple[Switch, str], portal: Portal) -> Iterator[Client]:
    switch, base = served
    switch.app = Starlette(routes=list(routes(portal)))
    with requests.Session() as session:
        yield Client(base, session)


@pytest.fixture
def later(portal: Portal) -> Callable[[float], None]:
    """Let virtual seconds pass."""
    return lambda seconds: portal.clock.advance_to(portal.clock.now + timedelta(seconds=seconds))


@pytest.fixture
def deal(portal: Portal) -> Callable[..., Record]:
    """A deal in the devices pipeline, with whatever values are given."""

    def make(**values: str) -> Record:
        return portal.create("deals", {"dealname": "Hospital A", "pipeline": "default", "dealstage": "168402300"} | values)

    return make
