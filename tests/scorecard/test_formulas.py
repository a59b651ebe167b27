"""The formulas that Salesforce computes: against the page that defines them, and for companies that lack what some of them need."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connector.model.kpi_settings import KpiSettings, Money, Thresholds
from connector.model.ladder import Gate, Ladder, Rung
from connector.model.scorecard_fields import ANCHORS
from connector.scorecard.fields import MANIFEST
from connector.scorecard.formulas import FORMULAS, Terms, compiled, fields_of, normal, quoted

LADDER = Ladder(
    ladder=(
        Rung(key="demo", label="Demo", kind="sequential"),
        Rung(key="clinical_validation", label="Clinical validation", kind="sequential"),
        Rung(key="pilot", label="Pilot", kind="sequential"),
        Rung(key="security_review", label="Security review", kind="gate"),
        Rung(key="compliance_legal", label="Compliance and legal", kind="gate"),
        Rung(key="vac", label="VAC review", kind="gate"),
        Rung(key="closed_won", label="Closed won", kind="won"),
        Rung(key="on_hold", label="On hold", kind="parked"),
    ),
    gates=(Gate(key="security", label="Security"),),
)
LIMITS = {"clinical_validation": 60, "pilot": 90, "security_review": 45, "compliance_legal": 60, "vac": 60, "closed_won": 5}
SETTINGS = KpiSettings(thresholds=Thresholds(stale_after_days={"default": 180, "clinic": 90}, stage_limit_days=LIMITS))
OWN = {
    "pilot_started_on": "Evaluation_Start__c", "pilot_ended_on": "Evaluation_End__c", "secq_received_on": "Security_Questionnaire_Received__c",
    "secq_returned_on": "Security_Questionnaire_Returned__c", "loi_signed_on": "LOI_Signed_On__c", "cleared_on": "Clearance_Date__c",
    "first_order_on": "First_Order_On__c", "arr": "Recurring_ARR__c", "capital_amount": "Capital_Portion__c",
}  # fmt: skip
OURS = {key: field.salesforce for key, field in MANIFEST.items() if key not in ANCHORS}
TERMS = Terms(LADDER, SETTINGS, OWN, OURS)
NAMES = {
    "days_in_stage": "KPI_Days_In_Stage__c", "days_in_crm_stage": "KPI_Days_In_CRM_Stage__c", "stalled": "KPI_Stalled__c",
    "deal_age": "KPI_Deal_Age__c", "pilot_days": "KPI_Pilot_Days__c", "pilot_overrun": "KPI_Pilot_Overrun__c", "secq_days": "KPI_SecQ_Days__c",
    "loi_to_secq_days": "KPI_LOI_To_SecQ_Days__c", "clearance_to_order_days": "KPI_Clearance_To_Order_Days__c",
    "blended_arr": "KPI_Blended_ARR__c", "weighted_amount": "KPI_Weighted_Amount__c", "days_since_buyer": "KPI_Days_Since_Buyer__c",
}  # fmt: skip


def documented(page: str) -> dict[str, str]:
    """Name of the field → its formula, from the page's block of formulas."""
    block = page.split("## 4. Salesforce formulas")[1].split("```")[1]
    found = re.findall(r"^(KPI_\w+__c).*\n((?:  .*\n)+)", block, re.M)
    return dict(found)


def test_every_formula_is_the_documented_one(shared: Path) -> None:
    page = documented((shared / "writeback.md").read_text(encoding="utf-8"))
    made, lacking = compiled(TERMS)
    assert not lacking
    assert set(NAMES) == set(FORMULAS) == set(made)
    assert {name: normal(page[name]) for name in NAMES.values()} == {NAMES[key]: normal(formula) for key, formula in made.items()}


def test_a_changed_threshold_changes_exactly_the_formulas_that_contain_it() -> None:
    before, _ = compiled(TERMS)
    limits = SETTINGS.thresholds.model_copy(update={"stage_limit_days": {**LIMITS, "pilot": 75}})
    after, _ = compiled(Terms(LADDER, SETTINGS.model_copy(update={"thresholds": limits}), OWN, OURS))
    assert {key for key in before if before[key] != after[key]} == {"stalled"}
    after, _ = compiled(Terms(LADDER, SETTINGS.model_copy(update={"money": Money(capital_normalisation_years=7)}), OWN, OURS))
    assert {key for key in before if before[key] != after[key]} == {"blended_arr"}


@pytest.mark.parametrize(
    ("without", "gone"),
    [
        ("secq_returned_on", {"loi_to_secq_days"}),
        ("loi_signed_on", {"loi_to_secq_days"}),
        ("cleared_on", {"clearance_to_order_days"}),
        ("first_order_on", {"clearance_to_order_days"}),
        ("capital_amount", {"blended_arr"}),
        ("pilot_started_on", {"pilot_days"}),
        ("pilot_ended_on", {"pilot_days"}),
    ],
)
def test_a_formula_whose_field_the_org_lacks_is_left_out_and_says_why(without: str, gone: set[str]) -> None:
    made, lacking = compiled(Terms(LADDER, SETTINGS, {key: name for key, name in OWN.items() if key != without}, OURS))
    assert set(lacking) == gone == set(FORMULAS) - set(made)
    assert all(without in why for why in lacking.values())


def test_our_anchors_stand_in_where_the_org_has_no_fields() -> None:
    anchors = {"pilot_started_on": "KPI_Pilot_Started_On__c", "pilot_ended_on": "KPI_Pilot_Ended_On__c"}
    made, _ = compiled(Terms(LADDER, SETTINGS, {}, {**OURS, **anchors}))
    assert fields_of(made["pilot_days"]) == frozenset(anchors.values())
    made, _ = compiled(Terms(LADDER, SETTINGS, OWN, {**OURS, **anchors}))
    assert fields_of(made["pilot_days"]) == {"Evaluation_Start__c", "Evaluation_End__c"}


def test_without_a_field_for_the_answer_the_questionnaire_counts_while_its_gate_is_open() -> None:
    made, _ = compiled(Terms(LADDER, SETTINGS, {}, OURS))
    assert fields_of(made["secq_days"]) == {"KPI_SecQ_Received_On__c", "KPI_Open_Gates__c"}
    assert '"Security since "' in made["secq_days"]
    _, lacking = compiled(Terms(LADDER, SETTINGS, {}, {key: name for key, name in OURS.items() if key != "open_gates"}))
    assert lacking["secq_days"] == "open_gates is switched off"


def test_a_field_that_is_switched_off_takes_its_formulas_along() -> None:
    _, lacking = compiled(Terms(LADDER, SETTINGS, OWN, {key: name for key, name in OURS.items() if key != "stage_entered_on"}))
    assert set(lacking) == {"days_in_stage", "stalled"}


def test_formulas_of_a_companion_read_the_deal_through_the_lookup() -> None:
    made, _ = compiled(Terms(LADDER, SETTINGS, OWN, OURS, "KPI_Opportunity__r."))
    assert normal(made["days_in_stage"]).startswith("if(or(kpi_opportunity__r.isclosed,isblank(kpi_stage_entered_on__c))")
    assert "KPI_Opportunity__r.Evaluation_Start__c" in fields_of(made["pilot_days"])


def test_an_instant_is_counted_by_its_day() -> None:
    made, _ = compiled(Terms(LADDER, SETTINGS, OWN, OURS, instants=frozenset({"loi_signed_on"})))
    assert "Security_Questionnaire_Returned__c - DATEVALUE(LOI_Signed_On__c)" in made["loi_to_secq_days"]


def test_labels_with_quotes_stay_inside_their_quotes() -> None:
    rung = Rung(key="pilot", label='The "90" \\ day', kind="sequential")
    made, _ = compiled(Terms(Ladder(ladder=(rung,)), SETTINGS, OWN, OURS))
    assert 'CASE( KPI_Stage__c, "The \\"90\\" \\\\ day", 90, 180 )' in made["stalled"]
    assert normal(quoted("A  B")) == '"A  B"'
