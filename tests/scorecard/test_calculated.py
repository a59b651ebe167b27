"""The properties that HubSpot computes: against the page that defines them, and for companies that lack what some of them need."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from connector.crms.hubspot.definitions import body, normal
from connector.scorecard.calculated import FORMULAS, INSTEAD, compiled
from connector.scorecard.fields import MANIFEST
from connector.scorecard.formulas import Terms
from connector.scorecard.rows import LIVE
from tests.crms.hubspot.wanted import OWN, made
from tests.scorecard.test_formulas import LADDER, SETTINGS

OURS = {key: field.hubspot for key, field in MANIFEST.items()}
TERMS = Terms(LADDER, SETTINGS, {**OWN, "cleared_on": "clearance_date"}, OURS)


def test_they_are_those_of_the_page(shared: Path) -> None:
    page = (shared / "kpis" / "scorecard-fields.md").read_text(encoding="utf-8")
    found = {key: formula.split("  ")[0] for key, formula in re.findall(r"^H[12346] kpi_(\w+) +(.+)$", page, re.M)}
    assert set(found) == set(FORMULAS)
    anchored = replace(TERMS, own={k: v for k, v in TERMS.own.items() if not k.startswith("pilot")},
                       ours={**OURS, "pilot_started_on": "kpi_pilot_started_on", "pilot_ended_on": "kpi_pilot_ended_on"})  # fmt: skip
    formulas, _ = compiled(anchored)
    assert {key: normal(formula) for key, formula in formulas.items()} == {key: normal(formula) for key, formula in found.items()}


def test_every_live_field_is_computed_or_said_to_be_elsewhere() -> None:
    assert {row.key for row in LIVE} == set(FORMULAS) | set(INSTEAD) | {"blended_arr"}
    assert "blended_arr" in MANIFEST, "written instead"
    assert not set(FORMULAS) & set(INSTEAD)


@pytest.mark.parametrize(
    ("changes", "key", "why"),
    [
        ({"own": {k: v for k, v in OWN.items() if k != "cleared_on"}}, "clearance_to_order_days", "no field is mapped to cleared_on"),
        ({"own": {k: v for k, v in OWN.items() if k != "secq_returned_on"}}, "secq_days", "no field is mapped to secq_returned_on"),
        ({"instants": frozenset({"loi_signed_on"})}, "loi_to_secq_days", "loi_signed holds an instant: the days would be fractions"),
        ({"own": {**OWN, "cleared_on": "companies.cleared"}}, "clearance_to_order_days", "companies.cleared lies on another object"),
    ],
)
def test_what_cannot_be_computed_is_left_out_with_the_reason(changes, key: str, why: str) -> None:
    wanted = made("record", **changes)
    assert wanted.left_out[key] == why
    deal = wanted.object("opportunity")
    assert deal is not None
    assert deal.field(key) is None


def test_the_anchor_stands_in_for_a_date_that_the_company_does_not_have() -> None:
    deal = made("anchors").object("opportunity")
    assert deal is not None
    pilot = deal.field("pilot_days")
    assert pilot is not None
    assert pilot.formula is not None
    assert "kpi_pilot_ended_on - kpi_pilot_started_on" in pilot.formula
    kept = made("record", own={k: v for k, v in OWN.items() if k != "secq_received_on"}).object("opportunity")
    assert kept is not None
    assert "kpi_secq_received_on" in str(kept.field("secq_days"))


def test_two_fields_and_nothing_else() -> None:
    wanted = made("two_fields")
    assert [spec.name for obj in wanted.objects for spec in obj.fields] == ["kpi_pace", "kpi_stale_reason"]


def test_the_body_of_each_property() -> None:
    bodies = {spec.name: body(spec) for obj in made("everything").objects for spec in obj.fields}
    assert len(bodies) == 21 + 1 + 5 + 13 + 3
    assert not [name for name, held in bodies.items() if "dataSensitivity" in held or "hasUniqueValue" in held or held["formField"]]
    assert bodies["kpi_stage"]["options"][0] == {"label": "Demo", "value": "demo", "displayOrder": 0, "hidden": False}
    assert (bodies["kpi_win_chance"]["type"], bodies["kpi_win_chance"]["numberDisplayHint"]) == ("number", "percentage")
    money = bodies["kpi_open_pipeline"]
    assert (money["label"], money["showCurrencySymbol"]) == ("Open pipeline (company currency)", True)
    assert (bodies["kpi_secq_days"]["fieldType"], "calculationFormula" in bodies["kpi_secq_days"]) == ("calculation_equation", True)
    assert [option["value"] for option in bodies["kpi_health_tier"]["options"]] == ["at_risk", "stable", "expansion_ready"]
