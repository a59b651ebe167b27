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


@pytest.mark.parametrize(
    ("tier", "packs", "burst", "daily"),
    [("free", 0, 100, 250_000), ("professional", 0, 190, 650_000), ("enterprise", 0, 190, 1_000_000), ("enterprise", 2, 250, 3_000_000)],
)
def test_tiers(client, portal, tier, packs, burst, daily):
    portal.limits.tier(tier, packs)
    shown = limit_headers(client.get("/account-info/2026-03/details"))
    assert (shown["max"], shown["secondly"], shown["daily"]) == (str(burst), str(burst // 10), str(daily))
    with pytest.raises(ValueError, match="packs"):
        portal.limits.tier(tier, 3)


def test_each_app_has_a_burst_of_its_own_and_an_oauth_app_no_day(client, portal):
    portal.limits.burst, portal.limits.daily = 2, 4
    ask = lambda token: client.call("GET", "/crm/owners/2026-03", headers={"Authorization": f"Bearer {token}"})  # noqa: E731
    assert [ask("sandbox-a").status_code for _ in range(3)] == [200, 200, 429]
    assert ask("sandbox-b").status_code == 200
    token, _, _ = portal.tokens.refresh("c", "s", "r", portal.now, set())
    assert [ask(token).status_code for _ in range(5)] == [200] * 5
    assert portal.limits.used_today == 3
    assert ask("sandbox-b").status_code == 200
    assert ask("sandbox-c").json()["policyName"] == "DAILY"
    assert ask(token).status_code == 200


def test_search_is_limited_for_all_apps_together(client, portal):
    portal.limits.monotonic = lambda: 100.0
    token, _, _ = portal.tokens.refresh("c", "s", "r", portal.now, set())
    path = "/crm/objects/2026-03/deals/search"
    answers = [client.call("POST", path, json={}, headers={"Authorization": f"Bearer {key}"}) for key in ("sandbox-a", token, "sandbox-b") * 2]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]


def test_retry_after_and_the_older_body_by_switch(client, portal):
    portal.limits.retry_after = portal.limits.gateway = True
    portal.limits.monotonic = lambda: 100.0
    refused = [client.search("deals") for _ in range(6)][-1]
    assert refused.headers["Retry-After"] == "1"
    body = refused.json()
    assert (body["errorType"], body["policyName"], "category" in body, "groupName" in body) == ("RATE_LIMIT", "SECONDLY", False, False)
    portal.limits.burst = 1
    refused = [client.get("/crm/owners/2026-03") for _ in range(2)][-1]
    assert (refused.headers["Retry-After"], refused.json()["policyName"]) == ("10", "TEN_SECONDLY_ROLLING")
    portal.limits.daily = portal.limits.used_today
    refused = client.get("/crm/owners/2026-03")
    assert refused.headers["Retry-After"] == str(15 * 3600)  # from 09:00 to midnight in New York
    assert client.search("deals").json()["policyName"] == "DAILY"
