"""A portal of our own over real HTTP, and what a state would remember of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp

from connector.clock import FixedClock
from connector.crms.base import Bookmark, Page, Record, StreamSpec, Window
from connector.crms.hubspot import HubSpotCrm, HubSpotSettings
from connector.sandbox.clock import VirtualClock
from connector.sandbox.hubspot.api import routes
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.records import Record as PortalRecord

BEGIN = datetime(2026, 11, 2, 9, 0, 0, 250_000, tzinfo=UTC)
MANIFEST = {"deals": frozenset({"kpi_pace", "kpi_stage_entered_on", "kpi_stage", "kpi_win_chance", "kpi_definition", "kpi_next_gate"})}
DEALS = StreamSpec("opportunities", "deals", ("dealname", "dealstage", "pipeline", "amount"), history=("dealstage", "pipeline", "amount"))


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


class House:
    """One server for all tests of a session: starting one takes longer than most tests. ``enter`` moves a portal in.

    ``log``: the requests it has answered (``POST /crm/…``), ``asked`` the same with bodies, ``statuses`` of the answers.
    ``too_long``: which requests the edge in front of the portal refuses with 414.
    """

    def __init__(self) -> None:
        self.url = ""
        self.enter(new_portal())

    def enter(self, portal: Portal) -> None:
        self.portal = portal
        self.log: list[str] = []
        self.asked: list[str] = []
        self.statuses: list[int] = []
        self.too_long: Callable[[str], bool] = lambda asked: False
        self._app: ASGIApp = Starlette(routes=routes(portal))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = f"?{unquote_plus(scope['query_string'].decode())}" if scope["query_string"] else ""
        self.log.append(f"{scope['method']} {scope['path']}{query}")
        self.asked.append(self.log[-1])
        place = len(self.asked) - 1  # answers are made side by side
        asked = self.asked

        async def heard() -> Any:
            message = await receive()
            asked[place] += message.get("body", b"").decode("utf-8", "replace")
            return message

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])
            await send(message)

        app = self._app
        if self.too_long(self.log[-1]):
            await heard()  # the body is noted, too
            app = HTMLResponse("<h1>URI Too Long</h1>", 414)
        await app(scope, heard, noted)


@contextmanager
def housing() -> Iterator[House]:
    house = House()
    # With the protocol named, asyncio switches Nagle's algorithm off on its connections: 40 ms an answer otherwise.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    house.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = _Server(uvicorn.Config(house, log_level="warning", lifespan="off", ws="none", server_header=False, date_header=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert server.up.wait(10)
    try:
        yield house
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@dataclass
class World:
    """A portal, its address, a connection, and what a state would hold of one stream."""

    house: House
    portal: Portal
    crm: HubSpotCrm
    held: dict[str, Record] = field(default_factory=dict)
    bookmark: Bookmark | None = None
    open_ids: Sequence[str] = ()
    closed_ids: Sequence[str] = ()

    def wait(self, **span: float) -> None:
        self.portal.clock.advance_to(self.portal.clock.now + timedelta(**span))

    def deal(self, name: str = "Deal", **values: str) -> PortalRecord:
        given = {"dealname": name, "pipeline": "default", "dealstage": "appointmentscheduled", "amount": "1000"} | values
        return self.portal.create("deals", given)

    def window(self) -> Window:
        def versions(ids: Sequence[str]) -> dict[str, str]:
            return {id_: str(self.held[id_].version) for id_ in ids if id_ in self.held}

        def linked(deals: Sequence[str]) -> dict[str, set[str]]:
            return {deal: {id_ for id_, record in self.held.items() if deal in {link.id for link in record.links.get("deals", ())}} for deal in deals}

        return Window(
            self.bookmark, self.portal.clock.now, open_ids=lambda: self.open_ids, deal_ids=lambda: [*self.open_ids, *self.closed_ids],
            linked=linked, known_versions=versions,
        )  # fmt: skip

    def pull(self, spec: StreamSpec = DEALS, *, pages: int | None = None) -> list[Record]:
        """Read as a run does: each page is stored with its bookmark. ``pages``: killed after so many."""
        records: list[Record] = []
        for number, page in enumerate(self.crm.read(spec, self.window()), 1):
            records += page.records
            self.store(page)
            if number == pages:
                break
        return records

    def store(self, page: Page) -> None:
        for record in page.records:
            if record.deleted:
                self.held.pop(record.id, None)
            else:
                self.held[record.id] = record
        self.bookmark = page.bookmark

    def calls(self) -> list[str]:
        """Requests since the last time this was asked."""
        new = list(self.house.log)
        self.house.log.clear()
        return new


@contextmanager
def world_of(house: House, portal: Portal, **settings: Any) -> Iterator[World]:
    if house.portal is not portal:
        house.enter(portal)
    crm = HubSpotCrm(HubSpotSettings(**{"token": "sandbox-key", "base_url": house.url} | settings), FixedClock(BEGIN), MANIFEST)
    try:
        yield World(house, portal, crm)
    finally:
        crm.close()


def new_portal() -> Portal:
    """An empty portal without limits: they run on real time, which a fixed clock does not pass."""
    made = Portal(VirtualClock(BEGIN))
    made.limits_on = False
    return made
