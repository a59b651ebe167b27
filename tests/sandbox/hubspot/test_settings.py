"""The account's own endpoints, and what every call passes: credential, version, scopes, encoding, clock."""

from __future__ import annotations

import pytest


def test_account(client):
    answer = client.get("/account-info/2026-03/details")
    assert answer.status_code == 200
    assert answer.json() == {
        "portalId": 24680135, "accountType": "STANDARD", "timeZone": "US/Eastern", "companyCurrency": "USD", "additionalCurrencies": ["EUR"],
        "utcOffset": "-05:00", "utcOffsetMilliseconds": -18000000, "uiDomain": "app.hubspot.com", "dataHostingLocation": "na1",
    }  # fmt: skip


def test_the_date_header_is_the_virtual_now(client, later):
    assert client.get("/account-info/2026-03/details").headers["Date"] == "Mon, 02 Nov 2026 14:00:00 GMT"
    later(3600)
    assert client.get("/account-info/2026-03/details").headers["Date"] == "Mon, 02 Nov 2026 15:00:00 GMT"


def test_daily_usage_counts_and_resets_at_midnight_of_the_portal(client, portal):
    portal.limits_on = True
    client.get("/account-info/2026-03/details")
    rows = {row["name"]: row for row in client.get("/account-info/2026-03/api-usage/daily/private-apps").json()["results"]}
    row = rows["private-apps-api-calls-daily"]
    assert (row["usageLimit"], row["currentUsage"], row["fetchStatus"], row["resetsAt"]) == (650000, 2, "SUCCESS", "2026-11-03T05:00:00Z")


def test_refresh_token_gives_a_token_that_works_and_expires(client, later):
    form = {"grant_type": "refresh_token", "client_id": "c", "client_secret": "s", "refresh_token": "r-1"}
    answer = client.session.post(client.base + "/oauth/2026-03/token", data=form, timeout=20)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["hub_id"], body["refresh_token"]) == ("bearer", 1800, 24680135, "r-1")
    own = {"Authorization": f"Bearer {body['access_token']}"}
    assert client.call("GET", "/account-info/2026-03/details", headers=own).status_code == 200
    later(1801)
    expired = client.call("GET", "/account-info/2026-03/details", headers=own)
    assert expired.status_code == 401
    assert expired.json()["category"] == "EXPIRED_AUTHENTICATION"
    assert expired.json()["context"] == {"expire time": ["2026-11-02T14:30:00.120Z"]}


@pytest.mark.parametrize("lacking", ["client_id", "client_secret", "refresh_token"])
def test_token_needs_every_part(client, lacking):
    form = {"grant_type": "refresh_token", "client_id": "c", "client_secret": "s", "refresh_token": "r"} | {lacking: ""}
    assert client.session.post(client.base + "/oauth/2026-03/token", data=form, timeout=20).status_code == 400


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer nonsense", "Basic sandbox-key"])
def test_unknown_credentials(client, given):
    answer = client.call("GET", "/account-info/2026-03/details", headers={"Authorization": given})
    assert answer.status_code == 401
    body = answer.json()
    assert (body["status"], body["category"]) == ("error", "INVALID_AUTHENTICATION")
    assert body["correlationId"] == answer.headers["X-HubSpot-Correlation-Id"]
    assert answer.headers["X-HubSpot-Auth-Failure"] == "401 Unauthorized"


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ("crm.objects.deals.read", "/crm/objects/2026-03/deals"),
        ("crm.objects.contacts.read", "/crm/objects/2026-03/meetings"),
        ("crm.schemas.deals.read", "/crm/pipelines/2026-03/deals"),
        ("crm.schemas.deals.read", "/crm/properties/2026-03/deals"),
        ("crm.objects.owners.read", "/crm/owners/2026-03"),
    ],
)
def test_a_denied_scope_is_named(client, portal, scope, path):
    assert client.get(path).status_code == 200
    portal.denied_scopes = {scope}
    answer = client.get(path)
    assert answer.status_code == 403
    body = answer.json()
    assert (body["category"], body["context"]["requiredGranularScopes"]) == ("MISSING_SCOPES", [scope])


def test_versions(client):
    assert client.get("/account-info/2026-09/details").status_code == 200
    retired = client.get("/crm/objects/2025-03/deals")
    assert retired.status_code == 404
    assert retired.headers["Content-Type"].startswith("text/html")


def test_gzip_only_when_asked_for(client):
    plain = client.call("GET", "/crm/properties/2026-03/deals", headers={"Accept-Encoding": "identity"})
    packed = client.call("GET", "/crm/properties/2026-03/deals", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.json() == plain.json()
    assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 3


def test_properties_and_the_calculated_trap(client):
    rows = {row["name"]: row for row in client.get("/crm/properties/2026-03/DEAL").json()["results"]}
    pace = rows["kpi_pace"]
    assert (pace["type"], pace["fieldType"], pace["groupName"]) == ("enumeration", "select", "kpi_scorecard")
    assert pace["options"][0] == {"label": "On pace", "value": "on_pace", "displayOrder": 0, "hidden": False}
    assert pace["modificationMetadata"] == {"archivable": True, "readOnlyDefinition": False, "readOnlyValue": False}
    assert pace["archived"] is False
    assert "hubspotDefined" not in pace
    assert rows["dealstage"]["externalOptions"] is True
    assert rows["dealstage"]["options"] == []
    assert "archived" not in rows["dealstage"]
    timers = [row for name, row in rows.items() if name.startswith("hs_v2_date_entered_")]
    assert len(timers) == 37  # one for each live stage, and the current one
    assert {(row["fieldType"], row["calculated"], row["modificationMetadata"]["readOnlyValue"]) for row in timers} == {
        ("calculation_read_time", False, True)
    }
    assert rows["num_associated_contacts"]["fieldType"] == "calculation_rollup"
    assert (
        len([name for name in rows if name.startswith("kpi_")]) == 22
    )  # the 21 written on both CRMs, and the blended ARR that HubSpot cannot compute
    assert len(client.get("/crm/properties/2026-03/0-1").json()["results"]) < 40
    assert client.get("/crm/properties/2026-03/deals", archived="true").json() == {"results": []}


def test_pipelines(client, portal):
    found = client.get("/crm/pipelines/2026-03/deals").json()["results"]
    assert [(row["id"], row["label"]) for row in found] == [
        ("default", "Devices"), ("77120044", "Disposables"), ("88213305", "Software"), ("90417722", "Renewals"),
    ]  # fmt: skip
    devices = found[0]
    assert devices["createdAt"] == "1970-01-01T00:00:00Z"
    stages = {stage["id"]: stage for stage in devices["stages"]}
    assert stages["closedwon"]["metadata"] == {"isClosed": "true", "probability": "1.0"}
    assert stages["168402340"]["metadata"] == {"isClosed": "true", "probability": "0.0"}
    assert (stages["presentationscheduled"]["label"], stages["presentationscheduled"]["createdAt"]) == ("30-day evaluation", "1970-01-01T00:00:00Z")
    assert stages["168402311"]["createdAt"] != "1970-01-01T00:00:00Z"
    assert "168402199" not in stages
    portal.rename_stage("168402311", "Value analysis")
    portal.delete_stage("168402315")
    stages = {stage["id"]: stage for stage in client.get("/crm/pipelines/2026-03/deals").json()["results"][0]["stages"]}
    assert (stages["168402311"]["label"], stages["168402311"]["updatedAt"]) == ("Value analysis", "2026-11-02T14:00:00.120Z")
    assert "168402315" not in stages


def test_association_labels(client):
    rows = client.get("/crm/associations/2026-03/deals/contacts/labels").json()["results"]
    assert rows[0] == {"category": "HUBSPOT_DEFINED", "typeId": 3, "label": None}
    assert {"category": "USER_DEFINED", "typeId": 17, "label": "VAC chair"} in rows
    companies = client.get("/crm/associations/2026-03/0-3/COMPANY/labels").json()["results"]
    assert [(row["typeId"], row["label"]) for row in companies] == [(341, None), (5, "Primary")]


def test_owners_active_and_archived(client, portal):
    for n in range(3):
        portal.add_owner("Bo", str(n), f"bo{n}@example.com", active=n < 2)
    first = client.get("/crm/owners/2026-03", limit=2).json()
    rest = client.get("/crm/owners/2026-03", limit=2, after=first["paging"]["next"]["after"]).json()
    assert "paging" not in rest
    people = first["results"] + rest["results"]
    assert [row["id"] for row in people] == ["51000001", "51000002", "51000003"]
    assert all(row["userId"] == row["userIdIncludingInactive"] and str(row["userId"]) != row["id"] for row in people)
    (gone,) = client.get("/crm/owners/2026-03", archived="true").json()["results"]
    assert (gone["id"], gone["archived"], gone["userId"], gone["userIdIncludingInactive"]) == ("51000004", True, None, 1000005)
    assert client.get("/crm/owners/2026-03", limit=101).status_code == 400
    assert client.get("/crm/owners/2026-03/51000001").json()["firstName"] == "Ada"
    assert client.get("/crm/owners/2026-03/1").status_code == 404


def test_limits_and_money(client):
    calculated = client.get("/crm/limits/2026-03/calculated-properties").json()
    assert (calculated["overallLimit"], calculated["overallUsage"], calculated["byObjectType"]) == (25, 0, [])
    custom = {row["objectTypeId"]: row for row in client.get("/crm/limits/2026-03/custom-properties").json()["byObjectType"]}
    assert custom["0-3"]["pluralLabel"] == "Deals"
    assert custom["0-3"]["limit"] == 1000
    assert 40 < custom["0-3"]["usage"] < 60
    assert client.get("/settings/currencies/2026-03/company-currency").json()["id"] == "USD"
    (rate,) = client.get("/settings/currencies/2026-03/exchange-rates/current").json()["results"]
    assert (rate["fromCurrencyCode"], rate["toCurrencyCode"], rate["conversionRate"]) == ("EUR", "USD", 1.1)


def test_header_names_come_in_lower_or_in_mixed_case(client, portal):
    portal.limits_on = True
    assert "x-hubspot-ratelimit-max" in list(client.get("/account-info/2026-03/details").headers)
    portal.mixed_case_headers = True
    names = list(client.get("/account-info/2026-03/details").headers)
    assert {"X-HubSpot-RateLimit-Max", "X-HubSpot-Correlation-Id", "Content-Type", "Date"} <= set(names)
