"""Tickets and leads with pipelines of their own, notes, and the odd deal."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("word", "kind", "first", "closing", "state"),
    [
        ("0-5", "tickets", "1", "4", ("ticketState", "CLOSED")),
        ("0-136", "leads", "new-stage-id", "unqualified-stage-id", ("leadState", "UNQUALIFIED")),
    ],
)
def test_pipelines_and_timers_of_tickets_and_leads(client, portal, later, word, kind, first, closing, state):
    (pipeline,) = client.get(f"/crm/pipelines/2026-03/{word}").json()["results"]
    last = next(stage for stage in pipeline["stages"] if stage["id"] == closing)
    assert last["metadata"] == {"isClosed": "true", state[0]: state[1]}
    made = portal.create(kind, {"hs_pipeline": pipeline["id"], "hs_pipeline_stage": first})
    later(60)
    body = client.call("PATCH", f"/crm/objects/2026-03/{word}/{made.id}", json={"properties": {"hs_pipeline_stage": closing}}).json()
    assert body["properties"]["hs_is_closed"] == "true"
    assert body["properties"][f"hs_v2_date_entered_{closing}"] == "2026-11-02T14:01:00.120Z"
    assert made.values[f"hs_v2_latest_time_in_{first}"] == "60000"
    refused = client.call("PATCH", f"/crm/objects/2026-03/{word}/{made.id}", json={"properties": {"hs_pipeline_stage": "closedwon"}})
    assert refused.status_code == 400
    found = client.search(kind, filters=[{"propertyName": "hs_is_closed", "operator": "EQ", "value": "true"}]).json()
    assert [row["id"] for row in found["results"]] == [made.id]
    assert "hs_v2_date_entered_4" not in portal.properties["deals"]


def test_tickets_need_their_own_scope(client, portal):
    portal.tokens.grant("key", "crm.objects.contacts.read")
    own = {"Authorization": "Bearer key"}
    refused = client.call("GET", "/crm/objects/2026-03/tickets", headers=own).json()
    assert refused["context"]["requiredGranularScopes"] == ["tickets"]
    refused = client.call("GET", "/crm/objects/2026-03/leads", headers=own).json()
    assert refused["context"]["requiredGranularScopes"] == ["crm.objects.leads.read"]
    assert client.call("GET", "/crm/objects/2026-03/notes", headers=own).status_code == 200


def test_links_of_a_ticket_and_of_a_note(client, portal, deal):
    ticket, note, made = portal.create("tickets", {"subject": "x"}), portal.create("notes", {}), deal()
    portal.associate(ticket, made)
    portal.associate(note, made)
    for kind, record, type_id in (("tickets", ticket, 28), ("notes", note, 214)):
        (row,) = client.post(f"/crm/associations/2026-03/{kind}/deals/batch/read", {"inputs": [{"id": record.id}]}).json()["results"]
        assert row["to"] == [{"toObjectId": made.id, "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": type_id, "label": None}]}]


def test_a_deal_without_stage_and_pipeline_is_legal(client, portal):
    made = portal.create("deals", {"dealname": "bare"})
    shown = client.get(f"/crm/objects/2026-03/deals/{made.id}").json()["properties"]
    assert (shown["dealstage"], shown["pipeline"], shown["closedate"]) == (None, None, None)
    portal.update(made, {"dealstage": "168402300", "pipeline": "default"})
    assert made.values["hs_is_closed"] == "false"
