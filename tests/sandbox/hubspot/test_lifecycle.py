"""Records come, go, come back, merge; through the API and by hand."""

from __future__ import annotations

import pytest

DEALS = "/crm/objects/2026-03/deals"
CONTACTS = "/crm/objects/2026-03/contacts"


def test_create_answers_201_with_a_location_and_what_hubspot_adds(client, portal, deal):
    first = deal()
    links = [{"to": {"id": first.id}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 4}]}]
    made = client.post(CONTACTS, {"properties": {"email": "a@example.com", "lastname": "A"}, "associations": links})
    assert made.status_code == 201
    body = made.json()
    assert made.headers["Location"] == f"https://api.hubapi.com/crm/objects/2026-03/contacts/{body['id']}"
    assert (body["properties"]["hs_email_domain"], body["properties"]["hs_object_source"]) == ("example.com", "INTEGRATION")
    assert list(portal.linked("contacts", int(body["id"]), "deals")) == [first.number]
    assert client.get(f"{CONTACTS}/A@example.com", idProperty="email").json()["id"] == body["id"]
    assert client.get(f"{CONTACTS}/A", idProperty="lastname").status_code == 400
    taken = client.post(CONTACTS, {"properties": {"email": "A@Example.com"}})
    assert (taken.status_code, taken.json()["message"], taken.json()["category"]) == (409, "Contact already exists", "CONFLICT")
    assert client.post(CONTACTS, {"properties": {"email": "nobody"}}).status_code == 400
    gone = [links[0] | {"to": {"id": "7"}}]
    assert client.post(CONTACTS, {"properties": {}, "associations": gone}).json()["message"] == "DEAL=7 is not valid"
    assert len(portal.live["contacts"]) == 1


def test_batch_create(client, portal):
    portal.create("contacts", {"email": "a@example.com"})
    inputs = [{"objectWriteTraceId": n, "properties": {"email": email}} for n, email in enumerate(("a@example.com", "b@example.com"))]
    body = client.post(f"{CONTACTS}/batch/create", {"inputs": inputs})
    assert (body.status_code, body.json()["numErrors"]) == (207, 1)
    assert body.json()["errors"][0]["context"] == {"objectWriteTraceId": ["0"], "existingId": ["20000000001"]}
    many = client.post(f"{DEALS}/batch/create", {"inputs": [{"properties": {"dealname": f"{n}"}} for n in range(20)]})
    assert many.status_code == 201
    names = [row["properties"]["dealname"] for row in many.json()["results"]]
    assert sorted(names, key=int) == [str(n) for n in range(20)]
    assert names != sorted(names, key=int)  # never count on the order
    bad = client.post(f"{DEALS}/batch/create", {"inputs": [{"properties": {"dealname": "x"}}, {"properties": {"nonsense": "x"}}]})
    assert (bad.status_code, len(portal.live["deals"])) == (400, 20)


def test_upsert(client, portal):
    one = portal.create("contacts", {"email": "a@example.com"})
    inputs = [{"id": email, "idProperty": "email", "properties": {"lastname": "New"}} for email in ("A@example.com", "b@example.com")]
    body = client.post(f"{CONTACTS}/batch/upsert", {"inputs": inputs})
    assert (body.status_code, [(row["id"] == one.id, row["new"]) for row in body.json()["results"]]) == (200, [(True, False), (False, True)])
    assert one.values["lastname"] == "New"
    assert client.post(f"{CONTACTS}/batch/upsert", {"inputs": [{"id": "1", "properties": {}}]}).status_code == 400


def test_archiving_answers_204_whether_there_or_not(client, portal, deal):
    one, two = deal(), deal()
    for answer in (
        client.call("DELETE", f"{DEALS}/{one.id}"),
        client.call("DELETE", f"{DEALS}/1"),
        client.post(f"{DEALS}/batch/archive", {"inputs": [{"id": two.id}, {"id": "1"}]}),
    ):
        assert (answer.status_code, answer.content) == (204, b"")
        assert "Content-Type" not in answer.headers
    assert [row["id"] for row in client.get(DEALS, archived="true").json()["results"]] == [one.id, two.id]


def test_after_ninety_days_there_is_nothing_to_restore(client, portal, deal, later):
    gone = deal()
    portal.archive(gone)
    later(90 * 86_400 - 1)
    assert len(client.get(DEALS, archived="true").json()["results"]) == 1
    later(1)
    assert client.get(DEALS, archived="true").json()["results"] == []
    assert client.get(f"{DEALS}/{gone.id}", archived="true").status_code == 404
    with pytest.raises(KeyError):
        portal.restore(gone)


def test_gdpr_delete_leaves_nothing(client, portal):
    gone = portal.create("contacts", {"email": "a@example.com"})
    assert client.post(f"{CONTACTS}/gdpr-delete", {"objectId": "a@example.com", "idProperty": "email"}).status_code == 204
    for archived in ("true", "false"):
        assert client.get(CONTACTS, archived=archived).json()["results"] == []
    assert client.post(f"{CONTACTS}/batch/read", {"inputs": [{"id": gone.id}]}).json()["numErrors"] == 1
    other = portal.create("contacts", {})
    portal.gdpr_delete(other)
    assert portal.live["contacts"] == []


def test_merges_through_the_api_chain(client, portal, deal):
    a, b, c = deal(), deal(), deal()
    first = client.post(f"{DEALS}/merge", {"primaryObjectId": a.id, "objectIdToMerge": b.id}).json()
    last = client.post(f"{DEALS}/merge", {"primaryObjectId": c.id, "objectIdToMerge": first["id"]}).json()
    assert len({a.id, b.id, c.id, first["id"], last["id"]}) == 5
    assert set(last["properties"]["hs_merged_object_ids"].split(";")) == {a.id, b.id, c.id, first["id"]}
    for asked in (a.id, b.id, c.id, first["id"]):
        assert client.get(f"{DEALS}/{asked}").json()["id"] == last["id"]
    assert client.post(f"{DEALS}/merge", {"primaryObjectId": a.id, "objectIdToMerge": b.id}).status_code == 400  # one and the same by now


def test_somebody_edits_in_between_and_a_workflow_afterwards(client, portal, deal):
    made = deal(kpi_pace="slow", hs_next_step="call")
    portal.before_write.append(lambda house: house.update(made, {"kpi_pace": "stuck"}))
    portal.workflows.append(lambda record, names: portal.update(record, {"hs_next_step": f"after {','.join(sorted(names))}"}))
    body = client.post(f"{DEALS}/batch/update", {"inputs": [{"id": made.id, "properties": {"kpi_pace": "on_pace"}}]}).json()
    assert body["results"][0]["properties"]["kpi_pace"] == "on_pace"
    assert [version.value for version in made.history["kpi_pace"]] == ["slow", "stuck", "on_pace"]
    assert made.values["hs_next_step"] == "after kpi_pace"
    assert portal.before_write == []  # once


def test_a_calculated_value_moves_without_the_stamp(portal, deal, later):
    made = deal()
    before = made.stamp
    later(60)
    portal.recalculate(made, {"hs_forecast_amount": "12"})
    assert (made.stamp, made.history["hs_forecast_amount"][-1].at) == (before, portal.now)
