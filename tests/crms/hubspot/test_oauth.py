"""OAuth: renewed by the clock, kept before use, one refresher at a time, latched when refused for good."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from connector.clock import FixedClock
from connector.crms.base import Meter
from connector.crms.hubspot import HubSpotSettings
from connector.crms.hubspot.parallel import in_order
from connector.crms.hubspot.transport import Transport
from connector.errors import AuthenticationError, LeaseHeld, StateError, Transient
from tests.crms.scripted import Answer, Asked, Server, serving

BEGIN = datetime(2026, 11, 20, 18, tzinfo=UTC)
PATH = "/crm/objects/2026-03/deals"
EMPTY = Answer({"results": []})


class Authority:
    """HubSpot's token endpoint, which changes the refresh token with each use, and a portal that takes its tokens while they live."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.lives: dict[str, datetime] = {}
        self.refresh = "r0"
        self.used: list[str] = []
        self.lock = threading.Lock()
        self.down = 0  # answers 503 before the next grant

    def answer(self, asked: Asked) -> Answer:
        with self.lock:
            return self._token(asked) if asked.path.startswith("/oauth/") else self._portal(asked)

    def _token(self, asked: Asked) -> Answer:
        if self.down:
            self.down -= 1
            return Answer({"status": "error", "message": "unavailable"}, 503)
        given = dict(pair.split("=") for pair in asked.body.decode().split("&"))
        self.used.append(given["refresh_token"])
        if given["refresh_token"] != self.refresh:
            return Answer({"status": "BAD_REFRESH_TOKEN", "message": "missing or unknown refresh token"}, 400)
        token = f"a{len(self.lives) + 1}"
        self.refresh = f"r{len(self.lives) + 1}"
        self.lives[token] = self.clock.now() + timedelta(seconds=1800)
        return Answer({"access_token": token, "refresh_token": self.refresh, "expires_in": 1800, "token_type": "bearer", "hub_id": 1})

    def _portal(self, asked: Asked) -> Answer:
        token = asked.headers["authorization"].removeprefix("Bearer ")
        if self.lives.get(token, BEGIN) <= self.clock.now():
            return Answer({"status": "error", "message": "expired", "category": "EXPIRED_AUTHENTICATION"}, 401)
        return EMPTY


class Kept:
    """Where the tokens of a connection are kept: shared by all who refresh it. ``log``: what happened, in order."""

    def __init__(self) -> None:
        self.token: str | None = None
        self.log: list[str] = []
        self.lock = threading.Lock()
        self.busy = 0  # turns that somebody else still has
        self.full = False

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        if self.busy:
            self.busy -= 1
            raise LeaseHeld("the refresh token is held by another process")
        assert self.lock.acquire(timeout=5)
        try:
            yield
        finally:
            self.lock.release()

    def load(self) -> str | None:
        assert self.lock.locked()
        return self.token

    def save(self, token: str) -> None:
        assert self.lock.locked()
        if self.full:
            raise StateError("the disk is full")
        self.token = token
        self.log.append(f"saved {token}")


class Bench:
    def __init__(self) -> None:
        self.clock = FixedClock(BEGIN)
        self.authority = Authority(self.clock)
        self.kept = Kept()
        self.opened: list[Transport] = []
        self.server: Server

    def answer(self, asked: Asked) -> Answer:
        if not asked.path.startswith("/oauth/"):
            self.kept.log.append(f"used {asked.headers['authorization'].removeprefix('Bearer ')}")
        return self.authority.answer(asked)

    def open(self, refresh: str = "r0", *, keeps: bool = True) -> Transport:
        settings = HubSpotSettings(
            base_url=self.server.url, client_id="app", client_secret="s", refresh_token=refresh, refresh_tokens=self.kept if keeps else None
        )
        self.opened.append(Transport(settings, self.clock, Meter()))
        return self.opened[-1]

    def grants(self) -> int:
        return self.server.count("/oauth/")


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    with serving(made.answer) as server:
        made.server = server
        yield made
        for transport in made.opened:
            transport.close()


def test_hubspot_token_refreshed_by_clock(bench: Bench) -> None:
    transport = bench.open()
    transport.get(PATH)
    bench.clock.sleep(1490)  # still more than five minutes to live
    transport.get(PATH)
    assert bench.grants() == 1
    bench.clock.sleep(20)
    transport.get(PATH)
    assert bench.grants() == 2
    assert [asked.path for asked in bench.server.asked].count("/oauth/2026-03/token") == 2


def test_rotated_refresh_token_saved_before_use(bench: Bench) -> None:
    bench.open().get(PATH)
    assert bench.kept.log == ["saved r1", "used a1"]


def test_a_token_that_cannot_be_kept_is_not_used(bench: Bench) -> None:
    bench.kept.full = True
    with pytest.raises(StateError):
        bench.open().get(PATH)
    assert bench.kept.log == []


def test_the_kept_token_counts_more_than_the_environment(bench: Bench) -> None:
    bench.open().get(PATH)
    bench.open("r0").get(PATH)  # a new process, whose environment still holds the first one
    assert bench.authority.used == ["r0", "r1"]
    assert bench.kept.token == "r2"


def test_two_connections_never_trade_in_the_same_token(bench: Bench) -> None:
    first, second = bench.open(), bench.open()
    for _ in range(3):
        in_order([first, second], lambda transport: transport.get(PATH), 2)
        bench.clock.sleep(1_700)
    assert bench.authority.used == [f"r{n}" for n in range(6)]


def test_threads_of_one_connection_renew_once(bench: Bench) -> None:
    transport = bench.open()
    assert in_order(range(24), lambda _: transport.get(PATH).status, 6) == [200] * 24
    assert bench.grants() == 1


def test_threads_that_find_a_token_expired_renew_once_and_nobody_is_refused(bench: Bench) -> None:
    transport = bench.open()
    transport.get(PATH)
    bench.authority.lives["a1"] = BEGIN  # the portal let it expire early
    assert in_order(range(6), lambda _: transport.get(PATH).status, 6) == [200] * 6
    assert bench.grants() == 2


def test_a_token_found_expired_is_renewed_once(bench: Bench) -> None:
    transport = bench.open()
    transport.get(PATH)
    bench.authority.lives["a1"] = BEGIN
    assert transport.get(PATH).body == {"results": []}
    bench.authority.lives["a2"] = BEGIN  # and once more, after a success in between
    assert transport.get(PATH).body == {"results": []}
    assert bench.grants() == 3


def test_a_token_refused_again_is_latched(bench: Bench) -> None:
    transport = bench.open()
    bench.authority.lives = dict.fromkeys(["x"], BEGIN)

    def expired(asked: Asked) -> Answer:
        return Answer({"category": "EXPIRED_AUTHENTICATION"}, 401)

    bench.authority._portal = expired  # type: ignore[method-assign]
    for _ in range(3):
        with pytest.raises(AuthenticationError):
            transport.get(PATH)
    assert [asked.path.startswith("/oauth/") for asked in bench.server.asked] == [True, False, True, False]


@pytest.mark.parametrize("keeps", [True, False])
def test_dead_refresh_token_is_latched(bench: Bench, keeps: bool) -> None:
    transport = bench.open("dead", keeps=keeps)
    for _ in range(5):
        with pytest.raises(AuthenticationError) as caught:
            transport.get(PATH)
    assert (caught.value.code, caught.value.exit_code) == ("SC-E051", 5)
    assert "unknown refresh token" in caught.value.message
    assert "dead" not in caught.value.message
    assert len(bench.server.asked) == 1


def test_an_outage_of_the_token_endpoint_is_waited_out(bench: Bench) -> None:
    bench.authority.down = 2
    assert bench.open().get(PATH).status == 200
    assert bench.authority.used == ["r0"]


def test_somebody_elses_turn_is_waited_for(bench: Bench) -> None:
    bench.kept.busy = 2
    assert bench.open().get(PATH).status == 200
    bench.kept.busy = 99
    with pytest.raises(Transient) as caught:
        bench.open().get(PATH)
    assert caught.value.code == "SC-E181"


def test_a_service_key_is_never_renewed(bench: Bench) -> None:
    transport = Transport(HubSpotSettings(token="key", base_url=bench.server.url), bench.clock, Meter())
    bench.opened.append(transport)
    for _ in range(2):
        with pytest.raises(AuthenticationError):
            transport.get(PATH)
    assert len(bench.server.asked) == 1
