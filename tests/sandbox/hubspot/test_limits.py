"""Rate limits in real time, and the headers that tell of them or do not."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from connector.sandbox.hubspot.limits import Exceeded, Limits

PREFIX = "x-hubspot-ratelimit-"


def limit_headers(answer):
    return {name.lower().removeprefix(PREFIX): value for name, value in answer.headers.items() if name.lower().startswith(PREFIX)}


@pytest.fixture(autouse=True)
def limited(portal):
    portal.limits_on = True


def test_search_has_five_a_second_and_no_burst_headers(client):
    answers = [client.search("deals") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert set(limit_headers(answers[0])) == {"daily", "daily-remaining"}
    refused = answers[-1]
    assert limit_headers(refused) == {}
    assert "Retry-After" not in refused.headers
    correlation = refused.headers["X-HubSpot-Correlation-Id"]
    assert refused.json() == {
        "status": "error", "message": "You have reached your secondly limit.", "correlationId": correlation, "category": "RATE_LIMITS",
    }  # fmt: skip
    assert client.get("/crm/objects/2026-03/deals").status_code == 200  # the neighbours still have room
    time.sleep(1.05)
    assert client.search("deals").status_code == 200


def test_ten_second_bucket(client, portal):
    portal.limits.burst = 20
    answers = [client.get("/account-info/2026-03/details") for _ in range(21)]
    assert [answer.status_code for answer in answers] == [200] * 20 + [429]
    shown = [limit_headers(answer) for answer in answers[:20]]
    assert [int(row["remaining"]) for row in shown] == list(range(19, -1, -1))
    assert {(row["max"], row["interval-milliseconds"]) for row in shown} == {("20", "10000")}
    assert shown[0]["daily-remaining"] == "649999"
    refused = answers[-1].json()
    assert (refused["errorType"], refused["policyName"]) == ("RATE_LIMIT", "TEN_SECONDLY_ROLLING")


def test_the_default_bucket_is_190(client):
    shown = limit_headers(client.get("/crm/objects/2026-03/deals/1"))
    assert (shown["max"], shown["remaining"], shown["secondly"], shown["secondly-remaining"]) == ("190", "189", "19", "18")


def test_an_oauth_app_sees_other_headers(client):
    form = {"grant_type": "refresh_token", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    token = client.session.post(client.base + "/oauth/2026-03/token", data=form, timeout=20).json()["access_token"]
    own = {"Authorization": f"Bearer {token}"}
    shown = limit_headers(client.call("GET", "/account-info/2026-03/details", headers=own))
    assert (shown["max"], "daily" in shown) == ("110", False)
    assert limit_headers(client.call("POST", "/crm/objects/2026-03/deals/search", headers=own, json={})) == {}


def test_daily_limit_until_midnight_of_the_portal(client, portal):
    portal.limits.daily = 2
    assert [client.get("/crm/owners/2026-03").status_code for _ in range(3)] == [200, 200, 429]
    refused = client.get("/crm/owners/2026-03").json()
    assert (refused["message"], refused["policyName"]) == ("You have reached your daily limit.", "DAILY")
    portal.clock.advance_to(portal.clock.now.replace(hour=4, minute=59) + timedelta(days=1))
    assert client.get("/crm/owners/2026-03").status_code == 429
    portal.clock.advance_to(portal.clock.now + timedelta(minutes=1))
    assert client.get("/crm/owners/2026-03").status_code == 200


def test_limits_can_be_switched_off(client, portal):
    portal.limits_on = False
    answers = [client.search("deals") for _ in range(8)]
    assert {answer.status_code for answer in answers} == {200}


def test_windows_roll(portal):
    at = [100.0]
    limits = Limits("US/Eastern", monotonic=lambda: at[0])
    take = lambda search: limits.take(search=search, oauth=False, now=portal.clock.now)  # noqa: E731
    for _ in range(5):
        assert take(True) is None
        at[0] += 0.1
    assert take(True) == Exceeded("SECONDLY")
    at[0] = 101.01
    assert take(True) is None
    assert take(True) == Exceeded("SECONDLY")
    for _ in range(190):
        assert take(False) is None
    assert take(False) == Exceeded("TEN_SECONDLY_ROLLING")
    at[0] += 10.0
    assert take(False) is None
    assert limits.used_today == 5 + 1 + 190 + 1
