"""Calculated properties: the language, what is refused, how HubSpot keeps the text, and values that follow the record."""

from __future__ import annotations

import pytest

from connector.sandbox.hubspot import formulas, schema
from connector.sandbox.hubspot.formulas import FormulaError, compiled, rewritten

KNOWN = schema.properties()["deals"]
PROPERTIES = "/crm/properties/2026-03/deals"
DEALS = "/crm/objects/2026-03/deals"
DAYS = "if is_present(sec_q_done) and is_present(sec_q_sent) then (sec_q_done - sec_q_sent) / 86400000 endif"


def calculated(name, formula, **more):
    return {"groupName": "dealinformation", "name": name, "label": name, "type": "number", "fieldType": "calculation_equation",
            "calculationFormula": formula} | more  # fmt: skip


@pytest.mark.parametrize(
    ("formula", "values", "expected"),
    [
        (DAYS, {"sec_q_done": "2026-11-19", "sec_q_sent": "2026-11-09"}, "10"),
        (DAYS, {"sec_q_done": "2026-11-09", "sec_q_sent": "2026-11-19"}, "-10"),
        (DAYS, {"sec_q_done": "2026-11-19"}, ""),
        ("sec_q_done - sec_q_sent", {"sec_q_done": "2026-11-19", "sec_q_sent": "2026-11-18"}, "86400000"),  # milliseconds
        ("(closedate - createdate) / 86400000", {"closedate": "2026-11-19T12:00:00Z", "createdate": "2026-11-18T00:00:00.000Z"}, "1.5"),
        # A null term blanks the result, even one of a branch that is not taken; one only asked about does not.
        ("if amount > 0 then amount else hs_arr endif", {"amount": "5"}, ""),
        ("if amount > 0 then amount else hs_arr endif", {"amount": "5", "hs_arr": "2"}, "5"),
        ("if is_present(hs_arr) then 1 else 0 endif", {}, "0"),
        ("if is_present(amount) then amount * 2 else 0 endif", {}, ""),
        ("if kpi_pace = 'slow' then 1 elseif kpi_pace equals \"stuck\" then 2 endif", {"kpi_pace": "stuck"}, "2"),
        ("if kpi_pace == 'slow' then 1 endif", {"kpi_pace": "on_pace"}, ""),
        ("max(amount, hs_arr, 3) + min(amount, 2) * -1", {"amount": "5", "hs_arr": "2"}, "3"),
        ("amount / hs_arr", {"amount": "5", "hs_arr": "0"}, ""),
        ("amount / 3", {"amount": "1"}, "0.333333333333333333"),
        ("1 + 2 * 3 - 4 / 2", {}, "5"),
        ("concatenate(dealname, ' ', number_to_string(amount))", {"dealname": "A", "amount": "7"}, "A 7"),
        ("string_to_number(string(kpi_definition)) + 1", {"kpi_definition": "41"}, "42"),
        ("string_to_number(dealname)", {"dealname": "forty"}, ""),
        ("contains(dealname, 'ospi') and not bool(baa_flag) or false", {"dealname": "Hospital", "baa_flag": "false"}, "true"),
        ("amount != 3 and amount >= 2 and amount <= 2", {"amount": "2"}, "true"),
    ],
)
def test_values(formula, values, expected):
    assert compiled(formula, KNOWN).value(values) == expected
    assert compiled(rewritten(formula), KNOWN).value(values) == expected


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("today() - sec_q_sent", "Function today is not supported"),
        ("amount / / 2", "expecting a valid function or value expression but found / instead"),
        ("(amount", "found the end of the formula"),
        ("amount ? 2", "found ? instead"),
        ("nothing + 1", "Property nothing does not exist"),
        ("kpi_pace + 1", "+ expects a number and not a string"),
        ("if amount then 1 endif", "if expects a bool"),
        ("if amount > 1 then 'x' else 2 endif", "Branches return number and string"),
        ("max(1)", "max takes 2 arguments, not 1"),
        ("is_present(amount, hs_arr)", "is_present takes 1 arguments, not 2"),
        ("amount > dealname", "cannot be compared"),
        ("kpi_pace < 'x'", "< compares numbers"),
        ("not amount", "not expects a bool"),
        ("-dealname", "- expects a number"),
        ("string(1)", "string takes a property"),
        (" ", "It is empty"),
        ("1 + " * 2000 + "1", "longer than"),
    ],
)
def test_what_is_refused(formula, said):
    with pytest.raises(FormulaError) as refused:
        compiled(formula, KNOWN)
    assert said in str(refused.value)


def test_the_text_is_kept_in_hubspots_way():
    given = "IF kpi_pace = 'slow'\n  and not is_present( amount ) then max(1,2) elseif amount>2 then (3+4)*2 else 0 endif"
    kept = 'if kpi_pace equals "slow" and not is_present(amount) then max(1, 2) elseif amount > 2 then (3 + 4) * 2 else 0 endif'
    assert rewritten(given) == kept == rewritten(kept)


def test_a_value_follows_the_record_and_is_nobodys_to_write(client, portal, deal, later):
    old = deal(sec_q_sent="2026-10-01", sec_q_done="2026-10-11")
    stamp = old.stamp
    later(60)
    made = client.post(PROPERTIES, calculated("days", DAYS))
    assert (made.status_code, made.json()["calculated"], made.json()["modificationMetadata"]["readOnlyValue"]) == (201, True, True)
    read = client.get(f"{DEALS}/{old.id}", properties="days", propertiesWithHistory="days").json()
    assert (read["properties"]["days"], read["propertiesWithHistory"]["days"][0]["sourceType"]) == ("10", "CALCULATED")
    assert old.stamp == stamp  # working a value out is no change of the record
    client.call("PATCH", f"{DEALS}/{old.id}", json={"properties": {"sec_q_done": "2026-10-21"}})
    assert client.get(f"{DEALS}/{old.id}", properties="days").json()["properties"]["days"] == "20"
    client.call("PATCH", f"{DEALS}/{old.id}", json={"properties": {"sec_q_done": ""}})
    assert client.get(f"{DEALS}/{old.id}", properties="days").json()["properties"]["days"] == ""
    new = client.post(DEALS, {"properties": {"dealname": "B", "dealstage": "168402300", "sec_q_sent": "2026-10-01", "sec_q_done": "2026-10-03"}})
    assert client.get(f"{DEALS}/{new.json()['id']}", properties="days").json()["properties"]["days"] == "2"
    refused = client.call("PATCH", f"{DEALS}/{old.id}", json={"properties": {"days": "1"}})
    assert (refused.status_code, "READ_ONLY_VALUE" in refused.text) == (400, True)


def test_a_formula_may_read_another_and_changes_reach_it(client, portal, deal):
    assert client.post(PROPERTIES, calculated("days", DAYS)).status_code == 201
    assert client.post(PROPERTIES, calculated("weeks", "days / 7")).status_code == 201
    made = deal(sec_q_sent="2026-10-01", sec_q_done="2026-10-15")
    assert (made.values["days"], made.values["weeks"]) == ("14", "2")
    changed = client.call("PATCH", f"{PROPERTIES}/days", json={"calculationFormula": "(sec_q_done - sec_q_sent) / 43200000"})
    assert changed.status_code == 200
    assert (made.values["days"], made.values["weeks"]) == ("28", "4")
    portal.update(made, {"sec_q_done": "2026-10-08"})
    assert (made.values["days"], made.values["weeks"]) == ("14", "2")


def test_a_merged_deal_is_worked_out_anew(portal, deal):
    portal.define_property("deals", "days", "number", field_type="calculation_equation", calculated=True, read_only=True, formula=DAYS)
    heir = portal.merge(deal(sec_q_sent="2026-10-01"), deal(sec_q_done="2026-10-05"))
    assert heir.values["days"] == "4"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"calculationFormula": "today()"}, "today"),
        ({"calculationFormula": "kpi_pace"}, "returns a string"),
        ({"type": "bool"}, "returns a number"),
        ({"calculationFormula": None}, "go together"),
        ({"fieldType": "number"}, "go together"),
        ({"calculationFormula": "days + 1"}, "Property days does not exist"),
        ({"numberDisplayHint": "roman"}, "numberDisplayHint"),
    ],
)
def test_a_wrong_definition_makes_nothing(client, wrong, said):
    fine = calculated("fine", "amount * 2")
    for answer in (
        client.post(PROPERTIES, calculated("days", DAYS) | wrong),
        client.post(f"{PROPERTIES}/batch/create", {"inputs": [fine, calculated("days", DAYS) | wrong]}),
    ):
        assert (answer.status_code, answer.json()["category"], said in answer.json()["message"]) == (400, "VALIDATION_ERROR", True), answer.text
    assert client.get(f"{PROPERTIES}/fine").status_code == 404


def test_the_quota_is_the_portals_and_told(client, portal):
    portal.calculated_max = 2
    limits = "/crm/limits/2026-03/calculated-properties"
    assert client.get(limits).json() == {"overallLimit": 2, "overallUsage": 0, "overallPercentage": 0.0, "byObjectType": []}
    assert client.post(f"{PROPERTIES}/batch/create", {"inputs": [calculated(n, "amount") for n in ("a", "b", "c")]}).status_code == 400
    assert client.post(f"{PROPERTIES}/batch/create", {"inputs": [calculated(n, "amount") for n in ("a", "b")]}).status_code == 201
    told = client.get(limits).json()
    assert (told["overallUsage"], told["overallPercentage"], told["byObjectType"][0]["usage"]) == (2, 100.0, 2)
    assert client.post(PROPERTIES, calculated("c", "amount")).json()["errors"][0]["code"] == "PROPERTY_LIMIT_REACHED"


@pytest.mark.parametrize("plan", ["free", "starter"])
def test_a_plan_without_calculated_properties(client, portal, plan):
    portal.plan = plan
    assert client.get("/crm/limits/2026-03/calculated-properties").json()["overallLimit"] == 0
    assert client.post(PROPERTIES, calculated("a", "amount")).status_code == 403
    plain = {"groupName": "dealinformation", "name": "plain", "label": "Plain", "type": "number", "fieldType": "number"}
    assert client.post(PROPERTIES, plain).status_code == 201


def test_custom_properties_have_a_limit_too(client, portal):
    told = client.get("/crm/limits/2026-03/custom-properties").json()["byObjectType"]
    used = next(row["usage"] for row in told if row["objectTypeId"] == "0-3")
    portal.custom_max = used + 1
    plain = {"groupName": "dealinformation", "label": "Plain", "type": "number", "fieldType": "number"}
    assert client.post(f"{PROPERTIES}/batch/create", {"inputs": [plain | {"name": "a"}, plain | {"name": "b"}]}).status_code == 400
    assert client.post(PROPERTIES, plain | {"name": "a"}).status_code == 201
    assert client.post(PROPERTIES, plain | {"name": "b"}).status_code == 400


def test_what_is_used_elsewhere_cannot_be_archived(client, portal):
    portal.in_workflows.add(("deals", "kpi_pace"))
    portal.define_property("deals", "two", "number", field_type="calculation_equation", calculated=True, read_only=True, formula="capital_amount * 2")
    for name in ("kpi_pace", "capital_amount"):
        refused = client.call("DELETE", f"{PROPERTIES}/{name}")
        assert (refused.status_code, "CANNOT_DELETE_PROPERTY_IN_USE" in refused.text) == (400, True)
    portal.in_workflows.clear()
    assert client.call("DELETE", f"{PROPERTIES}/kpi_pace").status_code == 204


def test_an_archived_name_blocks_a_new_property(client):
    assert client.call("DELETE", f"{PROPERTIES}/kpi_pace").status_code == 204
    again = {"groupName": "dealinformation", "name": "kpi_pace", "label": "Pace", "type": "number", "fieldType": "number"}
    assert client.post(PROPERTIES, again).status_code == 409
    batch = client.post(f"{PROPERTIES}/batch/create", {"inputs": [again]})
    assert (batch.status_code, batch.json()["errors"][0]["context"]) == (207, {"name": ["kpi_pace"]})


def test_a_hundred_and_no_more(client):
    plain = {"groupName": "dealinformation", "label": "Plain", "type": "number", "fieldType": "number"}
    rows = [plain | {"name": f"n{n}"} for n in range(101)]
    assert client.post(f"{PROPERTIES}/batch/create", {"inputs": rows}).status_code == 400
    assert client.post(f"{PROPERTIES}/batch/create", {"inputs": rows[:100]}).status_code == 201


def test_the_syncs_key_may_write_values_and_no_definition(client, deal):
    made, key = deal(), {"Authorization": "Bearer sandbox-token"}
    assert client.call("PATCH", f"{DEALS}/{made.id}", headers=key, json={"properties": {"kpi_pace": "slow"}}).status_code == 200
    for method, path in (("POST", f"{PROPERTIES}/groups"), ("POST", f"{PROPERTIES}/batch/create"), ("PATCH", f"{PROPERTIES}/kpi_pace")):
        refused = client.call(method, path, headers=key, json={"name": "x", "label": "X", "inputs": []})
        assert (refused.status_code, refused.json()["context"]["requiredGranularScopes"]) == (403, ["crm.schemas.deals.write"])


def test_one_group_by_name(client):
    assert client.get(f"{PROPERTIES}/groups/kpi_scorecard").json()["label"] == "KPI Scorecard"
    assert client.get(f"{PROPERTIES}/groups/none").status_code == 404


def test_every_function_of_the_language_is_there():
    assert set(formulas.FUNCTIONS) == {
        "max", "min", "is_present", "contains", "concatenate", "number_to_string", "string_to_number", "string", "bool",
    }  # fmt: skip
