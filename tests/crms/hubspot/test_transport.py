"""HTTP as it really comes: refusals without headers, HTML, cut bodies, connections that break."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from connector.clock import FixedClock
from connector.crms.base import Meter, StreamSpec, Window
from connector.crms.hubspot import HubSpotCrm, HubSpotSettings
from connector.crms.hubspot.transport import Transport
from connector.errors import AuthenticationError, BudgetReached, CrmConfigError, MissingScope, SettingsError, TooLarge, Transient
from tests.crms.scripted import Answer, Asked, Server, serving

BEGIN = datetime(2026, 11, 20, 18, tzinfo=UTC)
PATH = "/crm/objects/2026-03/deals"
EMPTY = Answer({"results": []})


@contextmanager
def transport_to(*answers: Answer, **settings: object) -> Iterator[tuple[Transport, Server, FixedClock]]:
    """A transport whose server gives these answers in turn, the last one for ever."""
    told = list(answers)
    clock = FixedClock(BEGIN)

    def answer(asked: Asked) -> Answer:
        return told.pop(0) if len(told) > 1 else told[0]

    with serving(answer) as server:
        made = Transport(HubSpotSettings(**({"token": "key", "base_url": server.url} | settings)), clock, Meter())  # type: ignore[arg-type]
        try:
            yield made, server, clock
        finally:
            made.close()


def slept(clock: FixedClock) -> float:
    return (clock.now() - BEGIN).total_seconds()


def too_many(message: str, **headers: str) -> Answer:
    return Answer({"status": "error", "message": message, "category": "RATE_LIMITS"}, 429, headers)


def test_429_on_post_is_retried_without_any_header() -> None:
    with transport_to(too_many("You have reached your secondly limit."), Answer({"total": 0, "results": []})) as (transport, server, clock):
        assert transport.post(f"{PATH}/search", {"limit": 1}).body["total"] == 0
    assert len(server.asked) == 2
    assert 1 <= slept(clock) <= 3
    assert transport.meter.calls == 2


def test_429_without_retry_after_waits_the_window() -> None:
    with transport_to(too_many("You have reached your ten_secondly_rolling limit."), EMPTY) as (transport, server, clock):
        transport.get(PATH)
    assert len(server.asked) == 2
    assert 10 <= slept(clock) <= 12


def test_429_with_retry_after_waits_what_is_asked() -> None:
    with transport_to(too_many("Slow down.", **{"Retry-After": "7"}), EMPTY) as (transport, _, clock):
        transport.get(PATH)
    assert 7 <= slept(clock) <= 9


def test_daily_429_pauses_at_once() -> None:
    body = {"status": "error", "message": "You have reached your daily limit.", "errorType": "RATE_LIMIT", "policyName": "DAILY"}
    with transport_to(Answer(body, 429)) as (transport, server, _), pytest.raises(BudgetReached):
        transport.get(PATH)
    assert len(server.asked) == 1


def test_two_502_pages_are_waited_out() -> None:
    bad = Answer("<html>502 Bad Gateway</html>", 502, {"Content-Type": "text/html"})
    with transport_to(bad, bad, EMPTY) as (transport, server, clock):
        assert transport.get(PATH).status == 200
    assert len(server.asked) == 3
    assert slept(clock) >= 1


@pytest.mark.parametrize(
    "broken",
    [
        Answer({"results": [{"id": "1"}] * 50}, fault="cut"),
        Answer(fault="reset"),
        Answer("<html>maintenance</html>", 200, {"Content-Type": "text/html"}),
        Answer("[1, 2]"),
        Answer({"message": "locked"}, 423),
        Answer({"message": "migrating"}, 477, {"Retry-After": "3"}),
        Answer("", 521),
    ],
    ids=["cut", "reset", "html-200", "array", "locked", "migration", "521-empty"],
)
def test_a_passing_fault_is_tried_again(broken: Answer) -> None:
    with transport_to(broken, EMPTY) as (transport, server, _):
        assert transport.get(PATH).body == {"results": []}
    assert len(server.asked) == 2


def test_it_gives_up_after_five_attempts() -> None:
    with transport_to(Answer({"message": "down"}, 503)) as (transport, server, _), pytest.raises(Transient) as caught:
        transport.get(PATH)
    assert len(server.asked) == 5
    assert caught.value.code == "SC-E070"


def test_an_unreachable_host_says_so() -> None:
    with serving(lambda asked: EMPTY) as server:
        gone = server.url
    transport = Transport(HubSpotSettings(token="key", base_url=gone), FixedClock(BEGIN), Meter())
    with pytest.raises(Transient) as caught:
        transport.get(PATH)
    transport.close()
    assert caught.value.code == "SC-E050"


def test_a_slow_answer_times_out_and_is_tried_again() -> None:
    with transport_to(Answer({"results": []}, fault="slow"), EMPTY, read_timeout=0.2) as (transport, server, _):
        transport.get(PATH)
    assert len(server.asked) == 2


def test_html_404_in_latin_1_is_a_path_that_is_not_served() -> None:
    page = Answer("<h2>HTTP ERROR 404 \xe9</h2>", 404, {"Content-Type": "text/html;charset=iso-8859-1"})
    with transport_to(page) as (transport, _, _), pytest.raises(CrmConfigError) as caught:
        transport.get(PATH)
    assert caught.value.code == "SC-E055"


def test_an_unknown_object_is_no_retry() -> None:
    body = {"status": "error", "message": "Unable to infer object type from: butterflies", "correlationId": "c-1"}
    with transport_to(Answer(body, 400)) as (transport, server, _), pytest.raises(CrmConfigError, match=r"butterflies.*c-1"):
        transport.get("/crm/objects/2026-03/butterflies")
    assert len(server.asked) == 1


def test_missing_scope_fails_the_stream_and_names_the_scope() -> None:
    body = {
        "status": "error", "message": "One or more of the following scopes are required.", "category": "MISSING_SCOPES",
        "context": {"requiredGranularScopes": ["crm.objects.deals.read"]},
    }  # fmt: skip
    with serving(lambda asked: Answer(body, 403)) as server:
        crm = HubSpotCrm(HubSpotSettings(token="key", base_url=server.url), FixedClock(BEGIN), {})
        with pytest.raises(MissingScope, match=r"crm\.objects\.deals\.read"):
            list(crm.read(StreamSpec("opportunities", "deals", ("dealname",)), Window(None, BEGIN)))
        crm.close()


def test_a_refused_key_is_latched() -> None:
    body = {"status": "error", "message": "Authentication credentials not found.", "category": "INVALID_AUTHENTICATION"}
    with transport_to(Answer(body, 401)) as (transport, server, _):
        for _ in range(3):
            with pytest.raises(AuthenticationError):
                transport.get(PATH)
    assert len(server.asked) == 1


@pytest.mark.parametrize(("status", "inputs"), [(414, 0), (413, 5), (504, 50)])
def test_what_is_too_large_is_not_repeated_as_it_is(status: int, inputs: int) -> None:
    with transport_to(Answer("", status)) as (transport, server, _), pytest.raises(TooLarge):
        transport.post(f"{PATH}/batch/read", {"inputs": [{"id": str(i)} for i in range(inputs)]})
    assert len(server.asked) == 1


def test_plain_http_is_for_loopback_only() -> None:
    with pytest.raises(SettingsError) as caught:
        HubSpotSettings(token="key", base_url="http://api.example.com")
    assert caught.value.code == "SC-E014"
    assert HubSpotSettings(token="key", base_url="http://[::1]:8425").base_url


def test_settings_show_no_secret() -> None:
    shown = repr(HubSpotSettings(token="key-1", client_secret="key-2", refresh_token="key-3"))
    assert "key-" not in shown
    with pytest.raises(SettingsError) as caught:
        HubSpotSettings()
    assert caught.value.code == "SC-E011"


def test_opening_a_connection_leaves_the_log_levels_alone() -> None:
    logging.getLogger("urllib3").setLevel(logging.INFO)
    try:
        with transport_to(EMPTY):
            assert logging.getLogger("urllib3").level == logging.INFO
    finally:
        logging.getLogger("urllib3").setLevel(logging.NOTSET)


def test_headers_in_any_case_feed_the_gauge_and_the_bucket() -> None:
    headers = {"x-hubspot-ratelimit-daily": "650000", "X-Hubspot-RateLimit-Daily-Remaining": "649000", "x-hubspot-ratelimit-max": "190"}
    with transport_to(Answer({"results": []}, headers=headers)) as (transport, server, clock):
        begun = time.monotonic()
        for _ in range(120):
            transport.get(PATH)
        # 30 at once before Max was known, then 114 in ten seconds; the smallest allowance would have taken 15 seconds.
        assert 7.5 < slept(clock) + time.monotonic() - begun < 9
    assert (transport.meter.allocation_used, transport.meter.allocation_max) == (1000, 650_000)
    assert server.asked[0].headers["accept-encoding"] == "gzip"
    assert server.asked[0].headers["authorization"] == "Bearer key"


def test_search_has_a_bucket_of_its_own() -> None:
    with transport_to(Answer({"total": 0, "results": []})) as (transport, _, clock):
        begun = time.monotonic()
        for _ in range(13):
            transport.post(f"{PATH}/search", {"limit": 1})
        assert 2.9 <= slept(clock) + time.monotonic() - begun <= 3.5  # four a second
        before = slept(clock)
        transport.get(PATH)
        assert slept(clock) == before


def test_daily_cap_stops_before_the_call() -> None:
    with transport_to(EMPTY, daily_calls=2) as (transport, server, _):
        transport.get(PATH)
        transport.get(PATH)
        with pytest.raises(BudgetReached):
            transport.get(PATH)
    assert len(server.asked) == 2


class Tokens:
    """An OAuth server that rotates refresh tokens, and a portal that takes its tokens while they live."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.granted: dict[str, datetime] = {}
        self.refresh = "r0"

    def answer(self, asked: Asked) -> Answer:
        if asked.path.startswith("/oauth/"):
            given = dict(pair.split("=") for pair in asked.body.decode().split("&"))
            if given["refresh_token"] != self.refresh:
                return Answer({"status": "BAD_REFRESH_TOKEN", "message": "missing or unknown refresh token"}, 400)
            token = f"a{len(self.granted) + 1}"
            self.refresh = f"r{len(self.granted) + 1}"
            self.granted[token] = self.clock.now() + timedelta(seconds=1800)
            return Answer({"access_token": token, "refresh_token": self.refresh, "expires_in": 1800})
        token = asked.headers["authorization"].removeprefix("Bearer ")
        if self.granted.get(token, BEGIN) <= self.clock.now():
            return Answer({"status": "error", "message": "expired", "category": "EXPIRED_AUTHENTICATION"}, 401)
        return EMPTY


def oauth(url: str, saved: list[str], refresh: str = "r0") -> HubSpotSettings:
    return HubSpotSettings(base_url=url, client_id="app", client_secret="s", refresh_token=refresh, save_refresh_token=saved.append)


def test_hubspot_token_refreshed_by_clock() -> None:
    clock = FixedClock(BEGIN)
    tokens, saved = Tokens(clock), list[str]()
    with serving(tokens.answer) as server:
        transport = Transport(oauth(server.url, saved), clock, Meter())
        transport.get(PATH)
        clock.sleep(1490)  # still more than five minutes to live
        transport.get(PATH)
        clock.sleep(20)
        transport.get(PATH)
        transport.close()
    assert [asked.path for asked in server.asked].count("/oauth/2026-03/token") == 2
    assert saved == ["r1", "r2"]


def test_a_token_found_expired_is_renewed_once() -> None:
    clock = FixedClock(BEGIN)
    tokens, saved = Tokens(clock), list[str]()
    with serving(tokens.answer) as server:
        transport = Transport(oauth(server.url, saved), clock, Meter())
        transport.get(PATH)
        tokens.granted["a1"] = BEGIN  # the portal let it expire early
        assert transport.get(PATH).body == {"results": []}
        transport.close()
    assert saved == ["r1", "r2"]


def test_a_token_refused_again_is_latched() -> None:
    clock = FixedClock(BEGIN)
    tokens = Tokens(clock)

    def answer(asked: Asked) -> Answer:
        return tokens.answer(asked) if asked.path.startswith("/oauth/") else Answer({"category": "EXPIRED_AUTHENTICATION"}, 401)

    with serving(answer) as server:
        transport = Transport(oauth(server.url, []), clock, Meter())
        for _ in range(3):
            with pytest.raises(AuthenticationError):
                transport.get(PATH)
        transport.close()
    assert [asked.path.startswith("/oauth/") for asked in server.asked] == [True, False, True, False]


def test_dead_refresh_token_is_latched() -> None:
    clock = FixedClock(BEGIN)
    with serving(Tokens(clock).answer) as server:
        transport = Transport(oauth(server.url, [], "dead"), clock, Meter())
        for _ in range(5):
            with pytest.raises(AuthenticationError):
                transport.get(PATH)
        transport.close()
    assert len(server.asked) == 1
