"""The desk: the list of faults, and the application that stands in front of both CRMs."""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import unquote_plus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connector.sandbox.clock import VirtualClock
from connector.sandbox.errors import SandboxError
from connector.sandbox.faults import answers, headers, records, switches, wire
from connector.sandbox.faults.kinds import KINDS, SALESFORCE
from connector.sandbox.faults.rules import Fault, Incoming, crm_of, read_fault
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.salesforce.org import Org


class Place(Protocol):
    """What the desk needs of a world."""

    clock: VirtualClock
    org: Org
    portal: Portal


class Desk:
    """The faults of one world, in the order in which they were added; of those that replace an answer the first that strikes wins."""

    def __init__(self, world: Place) -> None:
        self._world = world
        self._faults: dict[int, Fault] = {}
        self._undo: dict[int, switches.Undo] = {}
        self._made = 0

    def add(self, crm: Any, kind: Any, **given: Any) -> Fault:
        """Order a fault: ``method``, ``path``, ``object``, ``body``, ``after``, ``times`` (None: for ever), ``seconds``, ``parameters``
        as :class:`Fault` describes them. Raises SandboxError."""
        fault = read_fault(self._made + 1, {"crm": crm, "kind": kind, **given})
        if KINDS[kind].family == "switch":
            fault.times = None
            self._undo[fault.number] = switches.switch_on(fault, self._world.org, self._world.portal)
        self._made = fault.number
        self._faults[fault.number] = fault
        return fault

    def list(self) -> tuple[Fault, ...]:
        """Every fault that was ordered and not cleared, spent ones included."""
        return tuple(self._faults.values())

    def clear(self, number: int | None = None) -> int:
        """End one fault, or all; how many there were. Raises SandboxError for a number that is not listed."""
        if number is not None and number not in self._faults:
            raise SandboxError(f"no fault has the number {number}", "connector sandbox faults list")
        ended = [number] if number is not None else sorted(self._faults, reverse=True)  # the last first: a switch restores what it found
        for each in ended:
            del self._faults[each]
            undo = self._undo.pop(each, None)
            if undo is not None:
                undo()
        return len(ended)

    # -- in front of the CRMs ------------------------------------------------------------------------------------------

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the CRMs behind, or do to it what was ordered."""
        faults = [fault for fault in tuple(self._faults.values()) if not fault.spent and KINDS[fault.kind].family != "switch"]
        if scope["type"] != "http" or not faults:
            await app(scope, receive, send)
            return
        body = await _read(receive)
        request = self._incoming(scope, body)
        for fault in (f for f in faults if KINDS[f.kind].family == "headers" and f.strikes(request)):
            send = headers.changing(fault, self._world.clock, send)
        struck = next((f for f in faults if KINDS[f.kind].family != "headers" and self._applies(f, request, body) and f.strikes(request)), None)
        again = _again(body, receive)
        if struck is None:
            await app(scope, again, send)
        elif KINDS[struck.kind].family == "wire":
            await wire.strike(struck, app, scope, again, send)
        elif KINDS[struck.kind].family == "records":
            await records.strike(struck, app, scope, body, send, str(next(self._world.portal.correlations)))
        else:
            await self._answer(struck, app, scope, again, send)

    def _applies(self, fault: Fault, request: Incoming, body: bytes) -> bool:
        return KINDS[fault.kind].family != "records" or (fault.matches(request) and records.touches(fault, body, request.path))

    def _incoming(self, scope: Scope, body: bytes) -> Incoming:
        path = scope["path"]
        text = unquote_plus(scope["query_string"].decode("latin-1")) + "\n" + body.decode("utf-8", "replace")
        return Incoming(crm_of(path), scope["method"], path, text + self._about(path))

    def _about(self, path: str) -> str:
        """What a next page is a page of: the query of a bulk job, the object of a cursor. The request itself does not say."""
        parts = [part for part in path.split("/") if part]
        if "query" not in parts[:-1] or not path.startswith("/services/"):
            return ""
        id_, org = parts[parts.index("query") + 1], self._world.org
        if "jobs" in parts:
            job = org.bulk.find("query", id_, org.clock.now)
            return f"\n{job.query}" if job is not None else ""
        ids = org.sessions.opened(id_.partition("-")[0])
        return f"\nFROM {org.prefixes.get(ids[0][:3], 'nothing')}" if ids else ""

    async def _answer(self, fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        world = self._world
        if fault.kind == "session-ended":
            if fault.crm == SALESFORCE:  # it ends, and the org itself says so
                given = next((value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"authorization"), "")
                world.org.sessions.user_of(given.partition(" ")[2].strip())  # an open token that was never seen is alive from now on
                world.org.expire_sessions()
                await app(scope, receive, send)
                return
            world.portal.tokens.expire(world.portal.now)
        found = answers.canned(fault, world.clock.now, world.portal)
        sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in found.headers.items()]
        sent.append((b"content-length", str(len(found.body)).encode()))
        await send({"type": "http.response.start", "status": found.status, "headers": sent})
        await send({"type": "http.response.body", "body": found.body})


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever comes on the connection."""
    first = True

    async def replayed() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replayed
