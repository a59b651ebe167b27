"""Both CRMs and a control plane as one ASGI application, served on loopback only."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connector.sandbox.errors import SandboxError
from connector.sandbox.faults.headers import NO_DATE
from connector.sandbox.faults.wire import Protocol
from connector.sandbox.hubspot import api as hubspot_api
from connector.sandbox.process import DEFAULT_PORT
from connector.sandbox.salesforce import api as salesforce_api
from connector.sandbox.world import Asked, World

_START_SECONDS = 10.0

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>CRM sandbox</title></head>
<body>
<h1>CRM sandbox</h1>
<p>A made-up company's Salesforce org and HubSpot portal, for trying the connector. Nothing here is real, nothing leaves this machine.</p>
<ul>
<li>Salesforce: <code>/services/oauth2/token</code>, <code>/services/data/…</code></li>
<li>HubSpot: <code>/oauth/…</code>, <code>/crm/…</code>, <code>/account-info/…</code>, <code>/settings/…</code></li>
<li>As people see it: <a href="/sandbox/salesforce/deals?as=rep">a rep's deals</a> (<a href="/sandbox/hubspot/deals">in HubSpot</a>),
<a href="/sandbox/salesforce/logins">who can log in</a> (<code>POST /sandbox/salesforce/token</code>)</li>
<li>Control: <a href="/sandbox/health"><code>/sandbox/health</code></a>,
<code>POST /sandbox/seed</code>, <code>/sandbox/tick</code>, <code>/sandbox/reset</code>, <code>/sandbox/faults</code> (GET, POST, DELETE)</li>
</ul>
</body></html>
"""


def create_app(world: World, latency_ms: int = 0) -> Starlette:
    """The application. ``latency_ms``: every answer of a CRM waits that long first, as over the real net."""
    control = _Control(world)
    app = Starlette(
        routes=[
            Route("/", control.page, methods=["GET"]),
            Route("/sandbox/health", control.health, methods=["GET"]),
            Route("/sandbox/seed", control.seed, methods=["POST"]),
            Route("/sandbox/tick", control.tick, methods=["POST"]),
            Route("/sandbox/reset", control.reset, methods=["POST"]),
            Route("/sandbox/faults", control.faults, methods=["GET", "POST", "DELETE"]),
            Mount("/", app=_Crms(world, latency_ms / 1000)),
        ],
        exception_handlers={SandboxError: _refused},
    )
    app.add_middleware(_VirtualDate, world=world)
    return app


def loopback(host: str) -> str:
    """The host if it is loopback. Raises SandboxError for anything else: the sandbox takes any credential, so nobody else may reach it."""
    try:
        fine = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        fine = False
    if not fine:
        raise SandboxError(f"the sandbox binds to loopback only, not to {host}", "leave the host out, or use 127.0.0.1")
    return host


def serve(host: str = "127.0.0.1", port: int = DEFAULT_PORT, *, latency_ms: int = 0, seed: int = 1, bare: bool = False) -> None:
    """Seed a world and serve it until the process is told to stop. Raises SandboxError if the host or port will not do."""
    with _listen(loopback(host), port) as listener:
        world = World(seed, bare=bare)
        world.seed()
        with suppress(KeyboardInterrupt):
            _server(create_app(world, latency_ms)).run(sockets=[listener])


@contextmanager
def serving(world: World | None = None, port: int = 0, latency_ms: int = 0) -> Iterator[str]:
    """Serve a world (default: a freshly seeded one) from a thread of this process; yields the base URL. ``port`` 0: any free one."""
    if world is None:
        world = World()
        world.seed()
    with _listen("127.0.0.1", port) as listener:
        server = _server(create_app(world, latency_ms))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True)
        thread.start()
        try:
            if not server.up.wait(_START_SECONDS):
                raise SandboxError("the sandbox did not start", "look at the messages above")
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_START_SECONDS)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


def _server(app: ASGIApp) -> _Server:
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", ws="none", server_header=False, date_header=False,
        timeout_graceful_shutdown=2, http=Protocol,
    )  # fmt: skip
    return _Server(config)


def _listen(host: str, port: int) -> socket.socket:
    # With the protocol named, asyncio switches Nagle's algorithm off: an answer would take 40 ms longer otherwise.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SandboxError(f"port {port} cannot be used: {error.strerror}", "stop what uses it, or choose another --port") from error
    return listener


class _Crms:
    """The routes of the world's present org and portal: made anew once the world has been emptied."""

    def __init__(self, world: World, latency: float) -> None:
        self._world = world
        self._latency = latency
        self._routed: tuple[object, object] | None = None
        self._router = Router()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        present = (self._world.org, self._world.portal)
        if self._routed is None or any(a is not b for a, b in zip(self._routed, present, strict=True)):
            self._router = Router([*salesforce_api.routes(present[0]), *hubspot_api.routes(present[1])])
            self._routed = present
        if scope["type"] == "http" and scope["path"].startswith("/sandbox/"):  # pages for people are no CRM's: no fault strikes them
            await self._router(scope, receive, send)
            return
        if self._latency:
            await asyncio.sleep(self._latency)
        await self._world.faults.serve(self._router, scope, self._noted(scope, receive), send)

    def _noted(self, scope: Scope, receive: Receive) -> Receive:
        """The request goes into the world's journal: what a caller asked for can be looked at afterwards."""
        if scope["type"] != "http":
            return receive
        request = Asked(scope["method"], scope["path"], scope["query_string"].decode("latin-1"))
        self._world.journal.append(request)

        async def note() -> Message:
            message = await receive()
            request.body += message.get("body", b"")
            return message

        return note


class _VirtualDate:
    """Gives every answer that has none a Date of the virtual clock."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                headers = [pair for pair in message["headers"] if pair[0] != NO_DATE]
                if not names & {b"date", NO_DATE}:
                    headers.append((b"date", format_datetime(self._world.clock.now, usegmt=True).encode()))
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, dated if scope["type"] == "http" else send)


class _Control:
    """The control plane. Answers are JSON; a refusal is 400 with ``error``, ``next`` and ``details``."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def page(self, request: Request) -> Response:
        return HTMLResponse(_PAGE)

    async def health(self, request: Request) -> Response:
        return JSONResponse(self._state())

    async def seed(self, request: Request) -> Response:
        """``{"from": directory or null, "bare": true, false or null}``; null leaves it as it was."""
        body = await _body(request)
        source, bare = body.get("from"), body.get("bare")
        if not (source is None or isinstance(source, str)):
            raise SandboxError("from must be a directory or null")
        if not (bare is None or isinstance(bare, bool)):
            raise SandboxError("bare must be true, false or null")
        self._world.bare = self._world.bare if bare is None else bare
        done: dict[str, Any] = {"events": self._world.seed()} if source is None else {"loaded": self._world.load_csv(Path(source))}
        return JSONResponse(done | self._state())

    async def tick(self, request: Request) -> Response:
        """``{"days": n}``, default 1"""
        days = (await _body(request)).get("days", 1)
        if not isinstance(days, int) or isinstance(days, bool):
            raise SandboxError("days must be a whole number")
        return JSONResponse({"events": self._world.tick(days)} | self._state())

    async def reset(self, request: Request) -> Response:
        return JSONResponse({"events": self._world.reset()} | self._state())

    async def faults(self, request: Request) -> Response:
        """GET lists; POST adds: ``{"crm", "kind"}`` and what else :class:`connector.sandbox.faults.rules.Fault` has; DELETE clears all, or
        ``?number=n``."""
        desk = self._world.faults
        if request.method == "POST":
            given = await _body(request)
            crm, kind = given.pop("crm", None), given.pop("kind", None)
            return JSONResponse({"ok": True, "fault": desk.add(crm, kind, **given).as_dict()}, 201)
        if request.method == "DELETE":
            number = request.query_params.get("number", "")
            if number and not number.isdigit():
                raise SandboxError(f"{number} is no number of a fault", "connector sandbox faults list")
            return JSONResponse({"ok": True, "cleared": desk.clear(int(number) if number else None)})
        return JSONResponse({"ok": True, "faults": [fault.as_dict() for fault in desk.list()]})

    def _state(self) -> dict[str, Any]:
        now = self._world.clock.now.isoformat().replace("+00:00", "Z")
        return {"ok": True, "pid": os.getpid(), "now": now, "source": self._world.source, "bare": self._world.bare, **self._world.counts()}


async def _body(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(await request.body() or b"{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SandboxError("the body must be a JSON object")
    return found


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, SandboxError)
    return JSONResponse({"ok": False, "error": error.message, "next": error.next_step, "details": list(error.details)}, status_code=400)
