"""Batch updates and a person's edits: statuses, refusals, coercion, what moves a stamp."""

from __future__ import annotations

import json

import pytest

from connector.sandbox.hubspot.values import Problem

DEALS = "/crm/objects/2026-03/deals"


def update(client, *inputs, version="2026-03"):
    return client.post(f"/crm/objects/{version}/0-3/batch/update", {"inputs": [{"id": id_, "properties": values} for id_, values in inputs]})


def test_update_200_and_its_shape(client, deal, later):
    made = deal()
    later(30)
    answer = update(client, (made.id, {"kpi_pace": "stuck", "kpi_stage_entered_on": "2026-10-20"}))
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "COMPLETE"
    assert "errors" not in body
    (result,) = body["results"]
    assert result["properties"] == {
        "createdate": "2026-11-02T14:00:00.120Z", "hs_lastmodifieddate": "2026-11-02T14:00:30.120Z", "hs_object_id": made.id,
        "kpi_pace": "stuck", "kpi_stage_entered_on": "2026-10-20",
    }  # fmt: skip
    assert made.history["kpi_pace"][0].wire() == {
        "value": "stuck", "timestamp": "2026-11-02T14:00:30.120Z", "sourceType": "API", "sourceId": "8425001", "sourceLabel": "KPI Connector",
    }  # fmt: skip


def test_every_write_takes_a_second(client, deal):
    made = deal()
    update(client, (made.id, {"amount": "1"}))
    answer = update(client, (made.id, {"amount": "2"}))
    assert answer.json()["results"][0]["updatedAt"] == "2026-11-02T14:00:01.120Z"
    assert answer.headers["Date"] == "Mon, 02 Nov 2026 14:00:02 GMT"


def test_equal_values_move_nothing(client, deal, later):
    made = deal(amount="5000.00", kpi_pace="slow")
    later(60)
    answer = update(client, (made.id, {"amount": "5000", "kpi_pace": "slow", "kpi_data_gaps": ""}))
    assert answer.status_code == 200
    assert answer.json()["results"][0]["updatedAt"] == "2026-11-02T14:00:00.120Z"
    assert len(made.history["amount"]) == 1


def test_empty_text_clears(client, deal):
    made = deal(kpi_pace="slow")
    assert update(client, (made.id, {"kpi_pace": ""})).json()["results"][0]["properties"]["kpi_pace"] == ""
    assert client.get(f"{DEALS}/{made.id}", properties="kpi_pace").json()["properties"]["kpi_pace"] == ""


def test_missing_records_make_a_207(client, deal, portal):
    made, gone = deal(), deal()
    portal.archive(gone)
    answer = update(client, (made.id, {"kpi_pace": "slow"}), ("30000000999", {"kpi_pace": "slow"}), (gone.id, {"kpi_pace": "slow"}))
    assert answer.status_code == 207
    body = answer.json()
    assert [record["id"] for record in body["results"]] == [made.id]
    assert (body["numErrors"], body["errors"][0]["category"], body["errors"][0]["context"]) == (
        1, "OBJECT_NOT_FOUND", {"ids": ["30000000999", gone.id]})  # fmt: skip
    assert "kpi_pace" not in gone.values


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("kpi_pase", "slow", "PROPERTY_DOESNT_EXIST"),
        ("hs_projected_amount", "1", "READ_ONLY_VALUE"),
        ("hs_lastmodifieddate", "1", "READ_ONLY_VALUE"),
        ("kpi_pace", "sluggish", "INVALID_OPTION"),
        ("baa_flag", "maybe", "INVALID_OPTION"),
        ("amount", "a lot", "INVALID_LONG"),
        ("amount", "NaN", "INVALID_LONG"),
        ("kpi_stage_entered_on", "20 October", "INVALID_LONG"),
        ("kpi_stage_entered_on", "1795153800000", "INVALID_DATE"),
        ("kpi_updated_at", "soon", "INVALID_LONG"),
        ("dealstage", "172000101", "INVALID_OPTION"),
        ("dealstage", "168402199", "INVALID_OPTION"),
        ("hubspot_owner_id", "1000002", "INVALID_OPTION"),
    ],
)
def test_one_bad_value_refuses_the_whole_batch(client, deal, name, value, code):
    good, bad = deal(), deal()
    answer = update(client, (good.id, {"kpi_pace": "slow"}), (bad.id, {name: value}))
    assert answer.status_code == 400
    body = answer.json()
    assert (body["status"], body["category"]) == ("error", "VALIDATION_ERROR")
    opening, _, inner = body["message"].partition(": ")
    assert opening == "Property values were not valid"
    (problem,) = json.loads(inner)
    assert (problem["isValid"], problem["error"], problem["name"]) == (False, code, name)
    assert body["errors"][0]["code"] == code
    assert body["errors"][0]["context"] == {"propertyName": [name]}
    assert "kpi_pace" not in good.values


def test_repeated_problems_stand_once_in_errors_and_each_time_in_the_message(client, deal):
    bad = {"kpi_pase": "slow"}
    body = update(client, (deal().id, bad), (deal().id, bad)).json()
    assert len(json.loads(body["message"].partition(": ")[2])) == 2
    assert len(body["errors"]) == 1


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("kpi_stage_entered_on", "1792454400000", "2026-10-20"),
        ("kpi_updated_at", "1795153800000", "2026-11-20T05:50:00Z"),
        ("kpi_updated_at", "2026-11-20T05:50:00.250Z", "2026-11-20T05:50:00.250Z"),
        ("amount", 12.5, "12.5"),
        ("baa_flag", True, "true"),
    ],
)
def test_values_are_kept_as_text(client, deal, name, given, kept):
    made = deal()
    assert update(client, (made.id, {name: given})).json()["results"][0]["properties"][name] == kept


def test_duplicate_ids(client, deal):
    made = deal()
    answer = update(client, (made.id, {"kpi_pace": "slow"}), (made.id, {"kpi_pace": "stuck"}))
    assert answer.status_code == 400
    body = answer.json()
    assert body["message"] == f"Duplicate IDs found in batch input: [{made.id}]. IDs must be unique"
    assert (body["category"], body["context"]) == ("VALIDATION_ERROR", {"ids": [made.id]})


def test_two_ids_of_one_merged_record_become_one(client, deal, portal):
    one, two = deal(), deal()
    heir = portal.merge(one, two)
    answer = update(client, (one.id, {"kpi_pace": "slow"}), (two.id, {"kpi_stale_reason": "old"}))
    assert answer.status_code == 200
    assert [record["id"] for record in answer.json()["results"]] == [heir.id]
    assert (heir.values["kpi_pace"], heir.values["kpi_stale_reason"]) == ("slow", "old")


def test_hundred_inputs_at_most(client, deal):
    made = [deal().id for _ in range(101)]
    assert update(client, *((id_, {"kpi_pace": "slow"}) for id_ in made)).status_code == 400
    assert len(update(client, *((id_, {"kpi_pace": "slow"}) for id_ in made[:100])).json()["results"]) == 100
    assert client.post(f"{DEALS}/batch/update", {"inputs": [{"id": made[0]}]}).status_code == 400
    assert client.post(f"{DEALS}/batch/update", {}).status_code == 400


def test_a_rule_of_the_admin_refuses(client, deal, portal):
    good, bad = deal(), deal(dealname="Locked")
    rule = Problem("closedate", "REQUIRED_PROPERTY", "closedate is required")
    portal.rules.append(lambda record, wanted: rule if record.values["dealname"] == "Locked" else None)
    answer = update(client, (good.id, {"kpi_pace": "slow"}), (bad.id, {"kpi_pace": "slow"}))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "REQUIRED_PROPERTY"
    assert update(client, (good.id, {"kpi_pace": "slow"})).status_code == 200


def test_conditional_rules_bind_under_2026_09_only(client, deal, portal):
    made = deal()
    rule = Problem("closedate", "REQUIRED_PROPERTY", "closedate is required")
    portal.rules_2026_09.append(lambda record, wanted: None if record.values.get("closedate") else rule)
    assert update(client, (made.id, {"kpi_pace": "slow"})).status_code == 200
    assert update(client, (made.id, {"kpi_pace": "stuck"}), version="2026-09").status_code == 400


def test_a_write_that_did_nothing(client, deal, portal):
    made, other = deal(kpi_pace="slow"), deal()
    portal.lost_effects.append(lambda record, wanted: record.id == made.id)
    answer = update(client, (made.id, {"kpi_pace": "stuck"}), (other.id, {"kpi_pace": "stuck"}))
    assert answer.status_code == 200
    assert [record["properties"]["kpi_pace"] for record in answer.json()["results"]] == ["slow", "stuck"]
    assert made.values["kpi_pace"] == "slow"


def test_a_workflow_runs_after_our_write(client, deal, portal):
    made = deal()
    portal.workflows.append(lambda record, changed: portal.update(record, {"hs_next_step": "look"}) if "kpi_pace" in changed else None)
    update(client, (made.id, {"kpi_pace": "stuck"}))
    assert made.values["hs_next_step"] == "look"


def test_patch_is_a_persons_edit(client, deal, later):
    made = deal(amount="100")
    later(60)
    answer = client.call("PATCH", f"{DEALS}/{made.id}", json={"properties": {"dealstage": "closedlost"}})
    assert answer.status_code == 200
    shown = answer.json()["properties"]
    assert (shown["dealstage"], shown["hs_is_closed_lost"], shown["closedate"]) == ("closedlost", "true", "2026-11-02T14:01:00.120Z")
    assert "dealname" not in shown
    entry = client.get(f"{DEALS}/{made.id}", propertiesWithHistory="dealstage").json()["propertiesWithHistory"]["dealstage"][0]
    assert (entry["sourceType"], entry["updatedByUserId"]) == ("CRM_UI", 1000001)


def test_patch_refusals(client, deal, portal):
    made = deal()
    assert client.call("PATCH", f"{DEALS}/1", json={"properties": {"amount": "1"}}).status_code == 404
    assert client.call("PATCH", f"{DEALS}/{made.id}", json={"properties": {"amount": "x"}}).status_code == 400
    assert client.call("PATCH", f"{DEALS}/{made.id}", json={}).status_code == 400
    portal.denied_scopes = {"crm.objects.deals.write"}
    assert client.call("PATCH", f"{DEALS}/{made.id}", json={"properties": {"amount": "1"}}).status_code == 403
    assert update(client, (made.id, {"amount": "1"})).json()["context"]["requiredGranularScopes"] == ["crm.objects.deals.write"]
