"""HTTP as it really comes: refusals without headers, HTML, cut bodies, connections that break."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from connector.clock import FixedClock
from connector.crms.base import Meter, StreamSpec, Window
from connector.crms.hubspot import HubSpotCrm, HubSpotSettings
from connector.crms.hubspot.parallel import in_order
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
        Answer({"hello": "world"}),
        Answer({"results": "none"}),
        Answer({"results": ["1"]}),
        Answer(None),
        Answer({"message": "locked"}, 423),
        Answer({"message": "migrating"}, 477, {"Retry-After": "3"}),
        Answer("", 521),
    ],
    ids=["cut", "reset", "html-200", "array", "other-keys", "text-results", "bare-ids", "empty-200", "locked", "migration", "521-empty"],
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
        # 18 at once before Max was known, then 137 in ten seconds; the smallest allowance would have taken 14 seconds.
        assert slept(clock) + time.monotonic() - begun > 7
        assert slept(clock) < 9
    assert (transport.meter.allocation_used, transport.meter.allocation_max) == (1000, 650_000)
    assert server.asked[0].headers["accept-encoding"] == "gzip"
    assert server.asked[0].headers["authorization"] == "Bearer key"


def test_search_has_a_bucket_of_its_own() -> None:
    with transport_to(Answer({"total": 0, "results": []})) as (transport, _, clock):
        begun = time.monotonic()
        for _ in range(13):
            transport.post(f"{PATH}/search", {"limit": 1})
        assert slept(clock) + time.monotonic() - begun >= 2.9  # four a second
        assert slept(clock) <= 3.5
        before = slept(clock)
        transport.get(PATH)
        assert slept(clock) == before


def test_the_cap_holds_for_calls_side_by_side() -> None:
    with transport_to(EMPTY, daily_calls=7, stop_at_share=1.0) as (transport, server, _):
        with pytest.raises(BudgetReached):
            in_order(range(40), lambda _: transport.get(PATH), 6)
        assert transport.meter.calls == 7
    assert len(server.asked) == 7


def test_what_never_got_there_costs_nothing() -> None:
    with serving(lambda asked: EMPTY) as server:
        gone = server.url
    transport = Transport(HubSpotSettings(token="key", base_url=gone), FixedClock(BEGIN), Meter())
    with pytest.raises(Transient):
        transport.get(PATH)
    transport.close()
    assert transport.meter.calls == 0


def test_headers_that_cannot_be_read_say_nothing() -> None:
    odd = {"Date": "yesterday", "X-HubSpot-RateLimit-Max": "many", "X-HubSpot-RateLimit-Daily": "-1", "Retry-After": "soon"}
    with transport_to(Answer("", 503, odd), Answer({"results": []}, 200, odd)) as (transport, _, _):
        assert transport.get(PATH).status == 200
        assert transport.heard is None
        assert transport.meter.allocation_max is None


def test_daily_cap_stops_before_the_call() -> None:
    with transport_to(EMPTY, daily_calls=2, stop_at_share=1.0) as (transport, server, _):
        transport.get(PATH)
        transport.get(PATH)
        with pytest.raises(BudgetReached):
            transport.get(PATH)
    assert len(server.asked) == 2


def test_the_clock_is_asked_again_where_an_answer_has_no_date() -> None:
    silent, told = Answer({"portalId": 1}, headers={"Date": ""}), Answer({"portalId": 1}, headers={"Date": "Fri, 20 Nov 2026 18:00:05 GMT"})
    with transport_to(told, silent, told) as (transport, server, _):
        transport.get("/account-info/2026-03/details")  # what an older answer said does not count as the time now
        assert transport.now() == datetime(2026, 11, 20, 18, 0, 5, tzinfo=UTC)
    assert len(server.asked) == 3


def test_answers_that_never_carry_a_date_are_given_up_on() -> None:
    with transport_to(Answer({"portalId": 1}, headers={"Date": ""})) as (transport, server, _), pytest.raises(Transient, match="no Date"):
        transport.now()
    assert len(server.asked) == 5


def test_a_success_without_a_body_is_asked_again() -> None:
    with transport_to(Answer(), Answer({"portalId": 12345678})) as (transport, server, _):
        assert transport.get("/account-info/2026-03/details").body == {"portalId": 12345678}
    assert len(server.asked) == 2
