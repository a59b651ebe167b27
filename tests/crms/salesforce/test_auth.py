"""Signing in: refresh tokens that rotate, one refresher at a time, refusals that name what to change and are not repeated."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import pytest

from connector.clock import FixedClock
from connector.crms.base import Meter
from connector.crms.salesforce.settings import SalesforceSettings
from connector.crms.salesforce.transport import Client
from connector.errors import AuthenticationError, LeaseHeld, SettingsError, StateError, Transient
from tests.crms.salesforce.bench import START, SalesforceBench
from tests.crms.scripted import Answer, Asked, serving

TOKEN = "/services/oauth2/token"


@dataclass
class Kept:
    """A place for refresh tokens, as the state is one; ``log`` tells what happened in which order."""

    token: str | None = None
    log: list[str] = field(default_factory=list)
    held_by_others: int = 0  # so many turns are somebody else's
    full: bool = False
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        if self.held_by_others:
            self.held_by_others -= 1
            raise LeaseHeld("another process refreshes")
        with self._turn:
            yield

    def load(self) -> str | None:
        return self.token

    def save(self, token: str) -> None:
        if self.full:
            raise StateError("the disk is full")
        self.log.append("saved")
        self.token = token


def client_of(url: str, kept: Kept | None, first: str, **more: object) -> Client:
    settings = SalesforceSettings(url, flow="refresh-token", client_id="key", refresh_token=first, refresh_tokens=kept, **more)  # type: ignore[arg-type]
    return Client(settings, FixedClock(START), Meter())


def tokens_asked(bench: SalesforceBench) -> list[str]:
    return [line for line in bench.server.asked if TOKEN in line]


@pytest.fixture
def first(bench: SalesforceBench) -> str:
    """The refresh token of the consent, in an org that rotates."""
    bench.org.sessions.rotate = True
    return bench.org.sessions.issue_refresh(bench.org.api_user)


# -- rotation ------------------------------------------------------------------------------------------------------


def test_a_rotated_refresh_token_is_saved_before_the_access_token_is_used(bench: SalesforceBench, first: str) -> None:
    kept = Kept()
    bench.server.recorder.intercept = lambda line: kept.log.append("token" if TOKEN in line else "call")  # type: ignore[func-returns-value]
    client = client_of(bench.server.url, kept, first)
    assert client.get("limits")["DailyApiRequests"]["Max"] == 100_000
    assert kept.log == ["token", "saved", "call"]
    assert kept.token not in (None, first)
    client.close()


def test_the_next_process_goes_on_with_the_newest_token(bench: SalesforceBench, first: str) -> None:
    kept = Kept()
    for _ in range(3):
        client = client_of(bench.server.url, kept, first)
        client.get("limits")
        client.close()
    used = [parse_qs(line.rpartition(" ")[2])["refresh_token"][0] for line in tokens_asked(bench)]
    assert used[0] == first
    assert len(set(used)) == 3


def test_a_process_that_dies_after_saving_leaves_a_token_that_works(bench: SalesforceBench, first: str) -> None:
    kept = Kept()
    bench.server.recorder.intercept = lambda line: (503, []) if TOKEN not in line else None
    client = client_of(bench.server.url, kept, first)
    with pytest.raises(Transient):
        client.get("limits")
    client.close()
    bench.server.recorder.intercept = lambda _: None
    client = client_of(bench.server.url, kept, first)
    assert client.get("limits")
    client.close()


def test_a_token_that_cannot_be_kept_is_not_used(bench: SalesforceBench, first: str) -> None:
    client = client_of(bench.server.url, Kept(full=True), first)
    with pytest.raises(StateError):
        client.get("limits")
    assert bench.paths() == ["POST token"]
    client.close()


def test_rotation_without_a_place_for_the_token_is_refused(bench: SalesforceBench, first: str) -> None:
    client = client_of(bench.server.url, None, first)
    with pytest.raises(SettingsError, match="rotates"):
        client.get("limits")
    client.close()


def test_an_org_that_does_not_rotate_needs_no_place(bench: SalesforceBench) -> None:
    first = bench.org.sessions.issue_refresh(bench.org.api_user)
    client = client_of(bench.server.url, None, first, client_secret="hush")
    assert client.get("limits")
    assert "client_secret=hush" in tokens_asked(bench)[0]
    assert "hush" not in repr(client.settings)
    assert first not in repr(client.settings)
    client.close()


def test_one_refresher_at_a_time_and_each_with_the_newest_token(bench: SalesforceBench, first: str) -> None:
    """Several processes whose sessions end each other's: every one of them gets through, no token is used twice."""
    kept = Kept()
    clients = [client_of(bench.server.url, kept, first) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        signed = list(pool.map(lambda client: client._signed_in()[1], clients))
    assert signed == [1, 1, 1, 1]
    used = [parse_qs(line.rpartition(" ")[2])["refresh_token"][0] for line in tokens_asked(bench)]
    assert len(set(used)) == len(used) == 4
    for client in clients:
        client.close()


def test_a_session_that_ended_is_renewed_with_the_newest_token_and_the_call_replayed(bench: SalesforceBench, first: str) -> None:
    kept = Kept()
    client = client_of(bench.server.url, kept, first)
    client.get("limits")
    bench.org.expire_sessions()
    assert client.get("limits")
    assert bench.paths() == ["POST token", "GET limits", "GET limits", "POST token", "GET limits"]
    client.close()


def test_a_refresh_that_somebody_else_is_at_is_waited_for(bench: SalesforceBench, first: str) -> None:
    client = client_of(bench.server.url, Kept(held_by_others=2), first)
    assert client.get("limits")
    assert len(tokens_asked(bench)) == 1
    client.close()


def test_sessions_that_another_process_ends_are_no_refusal(bench: SalesforceBench, first: str) -> None:
    """Each refresh ends the session before it: two processes end each other's, even between a sign-in and its first call."""
    kept, ended = Kept(), 0

    def interfere(line: str) -> None:
        nonlocal ended
        if TOKEN not in line and ended < 3:
            ended += 1
            kept.token = bench.org.sessions.retire_refresh(str(kept.token))  # the other process refreshes and keeps its token

    bench.server.recorder.intercept = interfere
    client = client_of(bench.server.url, kept, first)
    assert client.get("limits")
    assert ended == 3
    assert len(tokens_asked(bench)) == 3
    client.close()


# -- refusals ------------------------------------------------------------------------------------------------------


def test_a_dead_refresh_token_is_latched_after_one_call(bench: SalesforceBench, first: str) -> None:
    bench.org.sessions.retire_refresh(first)
    client = client_of(bench.server.url, Kept(), first)
    for _ in range(4):
        with pytest.raises(AuthenticationError) as caught:
            client.get("limits")
    assert caught.value.code == "SC-E051"
    assert "refresh_token" in (caught.value.next_step or "")
    assert bench.paths() == ["POST token"]
    client.close()


def test_a_token_that_dies_between_two_sign_ins_costs_two_token_calls_at_most(bench: SalesforceBench, first: str) -> None:
    kept = Kept()
    client = client_of(bench.server.url, kept, first)
    client.get("limits")
    bench.org.sessions.retire_refresh(str(kept.token))
    for _ in range(4):
        with pytest.raises(AuthenticationError):
            client.get("limits")
    assert len(tokens_asked(bench)) == 2
    client.close()


GRANTS = [
    ("invalid_grant", "user hasn't approved this consumer", "External Client App"),
    ("invalid_grant", "invalid assertion", "private_key"),
    ("invalid_grant", "audience is invalid", "audience"),
    ("invalid_grant", "user does not exist or is inactive", "username"),
    ("invalid_grant", "request not supported on this domain", "base_url"),
    ("invalid_grant", "expired access/refresh token", "refresh_token"),
    ("invalid_client_id", "client identifier invalid", "client_id"),
    ("invalid_client", "invalid client credentials", "client_secret"),
    ("unsupported_grant_type", "grant type not supported", "flow"),
    ("invalid_grant", "authentication failure", "client_id"),
]


@pytest.mark.parametrize(("error", "said", "setting"), GRANTS, ids=[said for _, said, _ in GRANTS])
@pytest.mark.parametrize("flow", ["client-credentials", "refresh-token"])
def test_a_refused_grant_names_the_setting_to_change(error: str, said: str, setting: str, flow: str) -> None:
    def refuse(asked: Asked) -> Answer:
        return Answer({"error": error, "error_description": said}, 401 if error == "invalid_client" else 400)

    with serving(refuse) as server:
        settings = SalesforceSettings(server.url, flow=flow, client_id="key", client_secret="secret", refresh_token="5Aep")  # type: ignore[arg-type]
        client = Client(settings, FixedClock(START), Meter())
        for _ in range(2):
            with pytest.raises(AuthenticationError) as caught:
                client.get("limits")
        client.close()
    assert caught.value.code == "SC-E051"
    assert setting in (caught.value.next_step or "")
    assert len(server.asked) == 1
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "stumble",
    [
        Answer("<html>maintenance</html>", 503),
        Answer([{"errorCode": "SERVER_UNAVAILABLE", "message": "busy"}], 503),
        Answer({"error": "server_error"}, 500),
        Answer({"token_type": "Bearer"}),
        Answer("", 502),
        Answer({"access_token": "t"}),
    ],
    ids=["html", "array", "server_error", "no token", "empty", "no host"],
)
def test_a_refresh_that_stumbles_is_tried_again_and_not_latched(stumble: Answer) -> None:
    left = [stumble, stumble]

    def answer(asked: Asked) -> Answer:
        if asked.path != TOKEN:
            return Answer({"ok": True})
        return left.pop() if left else Answer({"access_token": "t", "instance_url": f"https://{asked.headers['host']}"})

    with serving(answer) as server:
        client = client_of(server.url, Kept(), "5Aep")
        assert client.get("limits") == {"ok": True}
        assert server.count(TOKEN) == 3
        client.close()


def test_a_refresh_token_flow_needs_its_parts() -> None:
    with pytest.raises(SettingsError, match="refresh_token") as caught:
        SalesforceSettings("https://example.my.salesforce.com", flow="refresh-token", client_id="key")
    assert caught.value.code == "SC-E011"
