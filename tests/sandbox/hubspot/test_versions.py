"""What 2026-09 does otherwise: the admin's rules hold for API writes, one schema of errors, no list of associations."""

from __future__ import annotations

import pytest


def update(client, version, id_, **values):
    return client.post(f"/crm/objects/{version}/deals/batch/update", {"inputs": [{"id": id_, "properties": values}]})


def test_conditional_required_properties(client, portal, deal):
    portal.require_when("deals", "dealstage", ("closedlost",), ("closed_lost_reason",))
    made = deal(dealstage="closedlost")
    assert update(client, "2026-03", made.id, kpi_pace="slow").status_code == 200
    refused = update(client, "2026-09", made.id, kpi_pace="stuck")  # not even about the property that is governed
    assert (refused.status_code, refused.json()["category"]) == (400, "VALIDATION_ERROR")
    assert refused.json()["errors"] == [{
        "message": 'Property "closed_lost_reason" is required', "code": "REQUIRED_PROPERTY_MISSING",
        "context": {"propertyName": ["closed_lost_reason"]},
    }]  # fmt: skip
    assert made.values["kpi_pace"] == "slow"
    assert update(client, "2026-09", made.id, kpi_pace="stuck", closed_lost_reason="price").status_code == 200
    assert update(client, "2026-09", deal().id, kpi_pace="stuck").status_code == 200


def test_fields_of_the_create_form(client, portal):
    portal.require_on_create("deals", "dealname", "closedate")
    bare = {"properties": {"dealname": "x"}}
    assert client.post("/crm/objects/2026-03/deals", bare).status_code == 201
    refused = client.post("/crm/objects/2026-09/deals", bare)
    assert refused.status_code == 400
    assert '"name":"closedate"' in refused.json()["message"]
    assert client.post("/crm/objects/2026-09/deals", {"properties": bare["properties"] | {"closedate": "2026-12-01"}}).status_code == 201


@pytest.mark.parametrize("version", ["2026-03", "2026-09"])
def test_rules_on_values_hold_in_every_version(client, portal, deal, version):
    portal.add_rule("deals", "kpi_gate_progress", "MAX_NUMBER", "1")
    made = deal()
    assert update(client, version, made.id, kpi_gate_progress="0.5").status_code == 200
    assert update(client, version, made.id, kpi_gate_progress="").status_code == 200
    refused = update(client, version, made.id, kpi_gate_progress="1.5").json()
    assert refused["errors"][0]["code"] == "FAILED_VALIDATION_RULE"
    (row,) = client.get(f"/crm/property-validations/{version}/0-3").json()["results"]
    rule = {"ruleType": "MAX_NUMBER", "ruleArguments": ["1"], "shouldApplyNormalization": False}
    assert row == {"propertyName": "kpi_gate_progress", "propertyValidationRules": [rule]}
    assert client.get(f"/crm/property-validations/{version}/0-3/kpi_gate_progress").json() == {"results": [rule]}


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [(("MIN_NUMBER", "1"), "0", "1"), (("REGEX", "[A-Z]+"), "abc", "ABC"), (("MIN_LENGTH", "3"), "ab", "abc"), (("MAX_LENGTH", "2"), "abc", "ab"),
     (("ALPHANUMERIC", "NUMERIC_ONLY"), "a1", "11")],
)  # fmt: skip
def test_kinds_of_rules(client, portal, deal, rule, bad, good):
    portal.add_rule("deals", "hs_next_step", *rule)
    made = deal()
    assert [update(client, "2026-03", made.id, hs_next_step=value).status_code for value in (bad, good)] == [400, 200]


def test_one_schema_of_errors(client, deal):
    rows = {}
    for version in ("2026-03", "2026-09"):
        (rows[version],) = client.post(f"/crm/objects/{version}/deals/batch/read", {"inputs": [{"id": "1"}]}).json()["errors"]
    assert set(rows["2026-09"]) == {"status", "category", "message", "context", "errors", "links"}
    assert rows["2026-09"] | rows["2026-03"] == rows["2026-09"]


def test_the_list_of_associations_of_one_record_is_gone(client, portal, deal):
    made, contact = deal(), portal.create("contacts", {})
    portal.associate(made, contact)
    path = f"/crm/objects/{{}}/deals/{made.id}/associations/contacts"
    assert [row["toObjectId"] for row in client.get(path.format("2026-03")).json()["results"]] == [contact.id]
    assert client.get(path.format("2026-09")).status_code == 404
