"""What an admin changes while the business goes on: properties, stages, labels, owners, rates; and what the API tells of it."""

from __future__ import annotations

from decimal import Decimal

import pytest

DEALS = "/crm/objects/2026-03/deals"
PROPERTIES = "/crm/properties/2026-03/deals"


def definitions(client, **params):
    return {row["name"]: row for row in client.get(PROPERTIES, **params).json()["results"]}


def test_a_property_is_made_retyped_hidden_removed_and_returned(client, portal, deal, later):
    portal.define_property("deals", "region", "enumeration", options=("east", "west"))
    made = deal(region="east")
    assert definitions(client)["region"]["options"][1] == {"label": "west", "value": "west", "displayOrder": 1, "hidden": False}
    later(60)
    portal.retype_property("deals", "region", "string")
    portal.hide_property("deals", "region")
    row = definitions(client)["region"]
    assert (row["type"], row["fieldType"], row["hidden"], row["updatedAt"]) == ("string", "text", True, "2026-11-02T14:01:00.120Z")
    assert client.get(f"{DEALS}/{made.id}", properties="region").json()["properties"]["region"] == "east"
    portal.remove_property("deals", "region")
    assert "region" not in definitions(client)
    assert "region" in definitions(client, archived="true")
    assert "region" not in client.get(f"{DEALS}/{made.id}", properties="region").json()["properties"]
    history = client.get(f"{DEALS}/{made.id}", propertiesWithHistory="region,dealstage").json()["propertiesWithHistory"]
    assert set(history) == {"dealstage"}
    portal.return_property("deals", "region")
    assert client.get(f"{DEALS}/{made.id}", properties="region").json()["properties"]["region"] == "east"


def test_sensitive_properties_need_a_scope_of_their_own(client, portal, deal):
    portal.define_property("deals", "diagnosis", "string", sensitivity="sensitive")
    made = deal(diagnosis="x")
    assert "diagnosis" not in definitions(client)
    assert definitions(client, dataSensitivity="sensitive")["diagnosis"]["dataSensitivity"] == "sensitive"
    assert "diagnosis" not in client.get(f"{DEALS}/{made.id}", properties="diagnosis").json()["properties"]
    portal.tokens.grant("key", "crm.schemas.deals.read")
    refused = client.call("GET", f"{PROPERTIES}?dataSensitivity=sensitive", headers={"Authorization": "Bearer key"})
    assert refused.json()["context"]["requiredGranularScopes"] == ["crm.schemas.deals.sensitive.read.v2"]


def test_properties_made_through_the_api(client):
    group = client.post(f"{PROPERTIES}/groups", {"name": "kpi_more", "label": "More", "displayOrder": -1})
    assert (group.status_code, group.json()["archived"]) == (201, False)
    assert client.post(f"{PROPERTIES}/groups", {"name": "kpi_more", "label": "More"}).status_code == 409
    assert {"kpi_more", "kpi_scorecard"} <= {row["name"] for row in client.get(f"{PROPERTIES}/groups").json()["results"]}
    pace = {"groupName": "kpi_more", "name": "pace_2", "label": "Pace", "type": "enumeration", "fieldType": "select",
            "options": [{"label": "Slow", "value": "slow", "displayOrder": 0, "hidden": True}]}  # fmt: skip
    formula = {"groupName": "kpi_more", "name": "days_2", "label": "Days", "type": "number", "fieldType": "calculation_equation",
               "calculationFormula": "sec_q_done - sec_q_sent"}  # fmt: skip
    made = client.post(f"{PROPERTIES}/batch/create", {"inputs": [pace, formula]})
    assert (made.status_code, [row["name"] for row in made.json()["results"]]) == (201, ["pace_2", "days_2"])
    rows = definitions(client)
    assert rows["pace_2"]["options"][0]["hidden"] is True
    assert (rows["days_2"]["calculated"], rows["days_2"]["modificationMetadata"]["readOnlyValue"]) == (True, True)
    again = client.post(f"{PROPERTIES}/batch/create", {"inputs": [pace, pace | {"name": "pace_3"}]})
    assert (again.status_code, again.json()["numErrors"], len(again.json()["results"])) == (207, 1, 1)
    patched = client.call("PATCH", f"{PROPERTIES}/pace_2", json={"label": "Tempo"})
    assert (patched.status_code, patched.json()["label"], patched.json()["type"]) == (200, "Tempo", "enumeration")
    assert client.call("PATCH", f"{PROPERTIES}/dealname", json={"label": "x"}).status_code == 400
    single = client.post(PROPERTIES, pace | {"name": "pace_4"})
    assert (single.status_code, single.headers["Location"]) == (201, "https://api.hubapi.com/crm/properties/2026-03/deals/pace_4")
    assert client.post(PROPERTIES, pace | {"name": "pace_4"}).status_code == 409
    assert client.call("DELETE", f"{PROPERTIES}/pace_4").status_code == 204
    assert client.get(f"{PROPERTIES}/pace_4").status_code == 404
    assert client.call("DELETE", f"{PROPERTIES}/amount").status_code == 400


@pytest.mark.parametrize(
    "wrong",
    [{"name": "Big"}, {"name": ""}, {"type": "date"}, {"type": "rocket"}, {"groupName": "nowhere"}, {"options": [{"label": "x"}]}],
)
def test_properties_that_will_not_do(client, wrong):
    fine = {"groupName": "kpi_scorecard", "name": "fine", "label": "Fine", "type": "number", "fieldType": "number"}
    assert client.post(PROPERTIES, fine | wrong).status_code == 400


def test_stages_come_change_and_go_and_the_audit_tells(client, portal, deal, later):
    stage = portal.add_stage("default", "168409999", "Tender", 0.7)
    assert portal.stage("168409999") == (portal.pipelines[0], stage)
    made = deal()
    later(60)
    portal.update(made, {"dealstage": "168409999"})
    entered = next(name for name in definitions(client) if name.startswith("hs_v2_date_entered_168409999"))
    assert made.values[entered] == "2026-11-02T14:01:00.120Z"
    portal.rename_stage("168409999", "Public tender")
    portal.delete_stage("168409999")
    assert entered not in definitions(client)
    audit = client.get("/crm/pipelines/2026-03/deals/default/stages/168409999/audit").json()["results"]
    assert [row["action"] for row in audit] == ["DELETE", "UPDATE", "CREATE"]
    assert set(audit[0]) == {"portalId", "identifier", "action", "timestamp", "message", "fromUserId", "rawObject"}
    portal.rename_pipeline("default", "Capital")
    assert client.get("/crm/pipelines/2026-03/deals/default").json()["label"] == "Capital"
    assert [row["message"] for row in client.get("/crm/pipelines/2026-03/deals/default/audit").json()["results"]] == [
        "Pipeline label changed to Capital"
    ]
    assert "168409999" not in [row["id"] for row in client.get("/crm/pipelines/2026-03/deals/default/stages").json()["results"]]
    assert client.get("/crm/pipelines/2026-03/deals/nowhere").status_code == 404
    new = portal.add_pipeline("99", "Rentals")
    portal.add_stage("99", "991", "Asked")
    assert client.get("/crm/pipelines/2026-03/deals").json()["results"][-1]["stages"][0]["label"] == "Asked"
    assert new.stages[0].id == "991"


def test_labels_of_the_admin(client, portal, deal):
    made, contact = deal(), portal.create("contacts", {})
    portal.add_label("deals", "contacts", "Nurse lead")
    portal.associate(made, contact, "Nurse lead")
    portal.rename_label("deals", "contacts", "Nurse lead", "Head nurse")
    offered = client.get("/crm/associations/2026-03/deals/contacts/labels").json()["results"]
    own = next(row for row in offered if row["label"] == "Head nurse")
    assert (own["category"], [row["typeId"] for row in offered].count(own["typeId"])) == ("USER_DEFINED", 1)
    types = portal.linked("deals", made.number, "contacts")[contact.number]
    assert own in types
    portal.dissociate(made, contact, "Head nurse")
    assert [row["label"] for row in portal.linked("deals", made.number, "contacts")[contact.number]] == [None]


def test_owners_leave_and_return(client, portal):
    queue = portal.add_owner("Desk", "", "desk@example.com", type_="QUEUE")
    assert client.get(f"/crm/owners/2026-03/{queue.id}").json()["type"] == "QUEUE"
    portal.archive_owner(queue.id)
    assert client.get(f"/crm/owners/2026-03/{queue.id}").status_code == 404
    portal.return_owner(queue.id)
    assert client.get(f"/crm/owners/2026-03/{queue.id}").json()["userId"] == queue.user_id


def test_limits_and_rates(client, portal, deal, later):
    deal()
    pipelines = {row["objectTypeId"]: row for row in client.get("/crm/limits/2026-03/pipelines").json()["hubspotDefinedObjectTypes"]}
    assert (pipelines["0-3"]["usage"], pipelines["0-5"]["usage"], pipelines["0-136"]["usage"]) == (4, 1, 1)
    records = {row["objectTypeId"]: row for row in client.get("/crm/limits/2026-03/records").json()["hubspotDefinedObjectTypes"]}
    assert records["0-3"]["usage"] == 1
    labels = client.get("/crm/limits/2026-03/associations/labels").json()["results"]
    assert {"Blocker", "VAC chair"} <= set(next(row for row in labels if row["fromObjectType"]["objectTypeId"] == "0-3")["allLabels"])
    portal.define_property("deals", "sum", "number", calculated=True, read_only=True, formula="amount * 2")
    assert client.get("/crm/limits/2026-03/calculated-properties").json()["overallUsage"] == 1
    later(60)
    portal.set_rate("EUR", Decimal("1.2"))
    (now,) = client.get("/settings/currencies/2026-03/exchange-rates/current").json()["results"]
    assert (now["conversionRate"], now["effectiveAt"]) == (1.2, "2026-11-02T14:01:00.120Z")
    assert {row["currencyCode"] for row in client.get("/settings/currencies/2026-03/codes").json()["results"]} >= {"USD", "EUR"}
    assert len(client.get("/settings/currencies/2026-03/exchange-rates").json()["results"]) == 1
