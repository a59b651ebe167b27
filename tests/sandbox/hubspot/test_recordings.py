"""The sandbox judged by recorded traffic of real portals: same keys, same header names. Skips where the recordings are not at hand."""

from __future__ import annotations

import json
import re

import pytest


@pytest.fixture(scope="session")
def recorded(shared):
    """``recorded(folder, ending)``: the body of the one file so called; ``recorded(folder)``: all exchanges of a folder."""

    def find(folder, ending=None):
        lines = (shared / "recordings" / folder / "interactions.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        if ending is None:
            return rows
        (row,) = [row for row in rows if row["file"].endswith(ending)]
        return row["body"]

    return find


def limits_named(headers):
    names = dict(headers).keys()
    return {name.lower() for name in names if name.lower().startswith("x-hubspot-ratelimit-")}


def test_secondly_429(client, portal, recorded):
    portal.limits_on = True
    ours = [client.search("deals") for _ in range(6)][-1]
    theirs = [row for row in recorded("grouparoo-hubspot") if row["status"] == 429 and row["path"].endswith("/search")]
    assert len(theirs) > 5
    for row in theirs:
        assert ours.json() | {"correlationId": ""} == row["body"] | {"correlationId": ""}
        assert limits_named(row["headers"]) == limits_named(ours.headers) == set()


def test_headers_by_kind_of_credential(client, portal, recorded):
    portal.limits_on = True
    key = client.get("/crm/objects/2026-03/deals/1")
    theirs = [row for row in recorded("captaincontrat-hubspot") if row["status"] == 404]
    assert theirs
    for row in theirs:
        assert limits_named(row["headers"]) == limits_named(key.headers)
        assert dict(row["headers"])["Content-Type"] == key.headers["Content-Type"]
        assert row["body"].strip() == key.text.strip()
    form = {"grant_type": "refresh_token", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    token = client.session.post(client.base + "/oauth/2026-03/token", data=form, timeout=20).json()["access_token"]
    app = client.call("GET", "/crm/objects/2026-03/deals", headers={"Authorization": f"Bearer {token}"})
    update = next(row for row in recorded("grouparoo-hubspot") if row["path"].endswith("/batch/update") and row["status"] == 200)
    assert limits_named(update["headers"]) == limits_named(app.headers)


def test_unknown_property_400(client, deal, recorded):
    theirs = recorded("amplabs-hubspot", "err-many-invalid-properties.json")
    values = {"id": deal().id, "properties": {"first000name": "x", "last000name": "y"}}
    ours = client.post("/crm/objects/2026-03/deals/batch/update", {"inputs": [values]}).json()
    assert set(ours) == set(theirs)
    for body in (ours, theirs):
        opening, _, inner = body["message"].partition(": ")
        assert (opening, body["category"]) == ("Property values were not valid", "VALIDATION_ERROR")
        assert set(json.loads(inner)[0]) == {"isValid", "message", "error", "name"}
        assert body["errors"][0] == ours["errors"][0]


def test_duplicate_ids_400(client, recorded):
    theirs = recorded("amplabs-hubspot", "update/contacts/err-duplicate-ids.json")
    one = {"id": theirs["context"]["ids"][0], "properties": {}}
    ours = client.post("/crm/objects/2026-03/contacts/batch/update", {"inputs": [one, one]}).json()
    assert ours | {"correlationId": ""} == theirs | {"correlationId": ""}


def test_bad_value_400(client, portal, recorded):
    (theirs,) = [row for row in recorded("captaincontrat-hubspot") if row["status"] == 400]
    meeting = portal.create("meetings", {"hs_meeting_title": "x"})
    path = f"/crm/objects/2026-03/meetings/{meeting.id}"
    ours = client.call("PATCH", path, json={"properties": {"hs_meeting_start_time": "invalid"}}).json()
    assert ours["message"] == theirs["body"]["message"].replace("<PORTAL_ID>", str(portal.portal_id))
    assert set(theirs["body"]) <= set(ours)


def test_unknown_object_400(client, recorded):
    theirs = recorded("amplabs-hubspot", "error-invalid-object.json")
    ours = client.search("butterflies").json()
    assert set(ours) == set(theirs)
    assert ours["message"] == theirs["message"]


def test_missing_scope_403(client, portal, recorded):
    theirs = recorded("amplabs-hubspot", "err-schemas-scope.json")
    portal.denied_scopes = {"crm.objects.deals.read"}
    ours = client.get("/crm/objects/2026-03/deals").json()
    assert set(ours) == set(theirs)
    assert (ours["message"], ours["category"], ours["context"]["links"]) == (theirs["message"], theirs["category"], theirs["context"]["links"])


def test_account_and_schema_keys(client, recorded):
    assert set(client.get("/account-info/2026-03/details").json()) == set(recorded("amplabs-hubspot", "account-info.json"))
    theirs = recorded("amplabs-hubspot", "metadata-deals-external-pipelines.json")["results"][0]
    ours = client.get("/crm/pipelines/2026-03/deals").json()["results"][0]
    assert set(ours) == set(theirs)
    assert set(ours["stages"][0]) == set(theirs["stages"][0])
    assert ours["stages"][0]["metadata"].keys() == theirs["stages"][0]["metadata"].keys()
    known = {row["name"]: row for row in client.get("/crm/properties/2026-03/deals").json()["results"]}
    stage = next(row for row in recorded("amplabs-hubspot", "metadata-deals-properties-sampled.json")["results"] if row["name"] == "pipeline")
    assert set(known["pipeline"]) == set(stage)
    custom = recorded("amplabs-hubspot", "5-response-update-property-age.json")
    assert set(known["kpi_touch_density"]) == set(custom)


def test_association_keys(client, portal, deal, recorded):
    theirs = recorded("amplabs-hubspot", "search/contacts/contacts-to-companies.json")
    linked, alone, company = deal(), deal(), portal.create("companies", {})
    portal.associate(linked, company, "Primary")
    ours = client.post("/crm/associations/2026-03/deals/companies/batch/read", {"inputs": [{"id": linked.id}, {"id": alone.id}]}).json()
    assert set(ours) == set(theirs)
    assert set(ours["results"][0]["to"][0]) == set(theirs["results"][0]["to"][0])
    assert ours["results"][0]["to"][0]["associationTypes"][0].keys() == theirs["results"][0]["to"][0]["associationTypes"][0].keys()
    assert set(ours["errors"][0]) == set(theirs["errors"][0])
    assert set(ours["errors"][0]["context"]) == set(theirs["errors"][0]["context"])
    shape = re.sub(r"\d+", "N", theirs["errors"][0]["message"]).replace("contact ", "deal ")
    assert re.sub(r"\d+", "N", ours["errors"][0]["message"]) == shape


def test_batch_update_keys(client, deal, recorded):
    made = deal()
    good, gone = {"id": made.id, "properties": {"amount": "1"}}, {"id": "7", "properties": {"amount": "1"}}
    theirs = recorded("amplabs-hubspot", "update/contacts/success.json")
    ours = client.post("/crm/objects/2026-03/deals/batch/update", {"inputs": [good]}).json()
    assert set(ours) == set(theirs)
    assert set(theirs["results"][0]) <= set(ours["results"][0])
    partly = client.post("/crm/objects/2026-03/deals/batch/update", {"inputs": [good, gone]}).json()
    assert set(partly) == set(recorded("amplabs-hubspot", "update/contacts/err-partial-success.json"))


def test_history_keys(client, deal, recorded):
    made = deal(amount="1")
    ours = client.get(f"/crm/objects/2026-03/deals/{made.id}", propertiesWithHistory="amount").json()["propertiesWithHistory"]
    entries = [
        entry
        for row in recorded("dlt-hubspot")
        if isinstance(row["body"], dict)
        for record in row["body"]["results"]
        for versions in record.get("propertiesWithHistory", {}).values()
        for entry in versions
    ]
    assert entries
    assert all({"value", "timestamp", "sourceType"} <= set(entry) for entry in [*entries, *ours["amount"]])
    assert {key for entry in ours["amount"] for key in entry} <= {key for entry in entries for key in entry} | {"updatedByUserId", "sourceLabel"}
