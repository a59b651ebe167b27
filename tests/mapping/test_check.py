from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connector.crms.base import Field, Option, Pipeline, Stage
from connector.errors import Finding
from connector.mapping.check import check_live, objects
from connector.mapping.load import MappingSet, load
from connector.mapping.schema import CrmMapping
from connector.mapping.stages import StageMap
from connector.model.ladder import Ladder

CONNECTIONS = {"sf-prod": "salesforce", "hs-prod": "hubspot"}
Edit = Callable[[str, str, str], None]
LiveSchema = Callable[[CrmMapping], dict[str, dict[str, Field]]]
LivePipelines = Callable[[CrmMapping, Ladder], tuple[Pipeline, ...]]


@pytest.mark.parametrize("connection", ["sf-prod", "hs-prod"])
def test_a_mapping_that_agrees_with_the_crm_has_no_findings(
    worked: MappingSet, live_schema: LiveSchema, live_pipelines: LivePipelines, connection: str
) -> None:
    mapping = worked.by_connection[connection]
    assert check_live(mapping, worked.ladder, live_schema(mapping), live_pipelines(mapping, worked.ladder)) == []


@pytest.mark.parametrize("connection", ["salesforce", "hubspot"])
def test_own_mappings_too(own: MappingSet, live_schema: LiveSchema, live_pipelines: LivePipelines, connection: str) -> None:
    mapping = own.by_connection[connection]
    assert check_live(mapping, own.ladder, live_schema(mapping), live_pipelines(mapping, own.ladder)) == []


def test_objects_to_describe(own: MappingSet) -> None:
    assert set(objects(own.by_connection["salesforce"])) == {"Opportunity", "Account", "Contact", "Task", "Event"}
    assert set(objects(own.by_connection["hubspot"])) == {"deals", "companies", "contacts", "calls", "emails", "meetings"}


LIVE = [
    ("salesforce.yaml", "{from: Recurring_ARR__c,", "{from: Recuring_ARR__c,", "Recuring_ARR__c",
     ["SC-E021  opportunities.fields.arr.from  no field Recuring_ARR__c on Opportunity; did you mean Recurring_ARR__c? (97 %)"]),
    ("salesforce.yaml", '"VAC Submitted":         vac', '"VAC Submited":          vac', '"VAC Submited"',
     ['SC-E023  stages.capital.live  "VAC Submited" is not a stage of Capital_Equipment; did you mean VAC Submitted? (96 %)',
      'SC-E024  stages.capital.live  stage "VAC Submitted" is live in pipeline capital (148 open deals) and not mapped']),
    ("salesforce.yaml", "VAC_Decision_On__c", "VAC_Decison_On__c", "VAC_Decison_On__c",
     ["SC-E021  gates.vac.decided_on.from  no field VAC_Decison_On__c on Opportunity; did you mean VAC_Decision_On__c? (97 %)"]),
    ("salesforce.yaml", "Capital_Equipment: capital", "Capital_Equipmen: capital", "Capital_Equipmen",
     ['SC-E023  opportunities.pipelines.Capital_Equipmen  "Capital_Equipmen" is no pipeline of the CRM; did you mean Capital_Equipment? (97 %)',
      "SC-E024  opportunities.pipelines  pipeline Capital_Equipment is live (148 open deals) and not mapped"]),
    ("salesforce.yaml", "{Approved: approved,", "{Aproved: approved,", "Aproved",
     ['SC-E023  gates.vac.result.values  "Aproved" is not a value of VAC_Status__c; did you mean Approved? (93 %)']),
    ("salesforce.yaml", "KPI_Stale_Reason__c", "KPI_Stale_Reson__c", "KPI_Stale_Reson__c",
     ["SC-E154  scorecard.opportunity.stale_reason  no field KPI_Stale_Reson__c on Opportunity; did you mean KPI_Stale_Reason__c? (97 %)"]),
    ("salesforce.yaml", "Clinical_Champion__c:", "Clincal_Champion__c:", "Clincal_Champion__c",
     ["SC-E021  personas.lookups  no field Clincal_Champion__c on Opportunity; did you mean Clinical_Champion__c? (97 %)"]),
    ("salesforce.yaml", "Account.Customer_Type__c", "Account.Custmer_Type__c", "Account.Custmer",
     ["SC-E021  opportunities.fields.segment.from  no field Custmer_Type__c on Account; did you mean Account.Customer_Type__c? (97 %)"]),
    ("salesforce.yaml", "[Case Booked, First Case]", "[Case Boked, First Case]", "Case Boked",
     ['SC-E023  activities.rules[0].when.Type  "Case Boked" is not a value of Type; did you mean Case Booked? (95 %)']),
    ("salesforce.yaml", ", refresh: daily} #", "} #", "{from: Recurring_ARR__c",
     ["SC-W034  opportunities.fields.arr.from  Recurring_ARR__c is calculated and moves without a stamp"]),
    ("hubspot.yaml", "{from: capital_amount, type", "{from: capital_amont, type", "capital_amont",
     ["SC-E021  opportunities.fields.capital_amount.from  no field capital_amont on deals; did you mean capital_amount? (96 %)"]),
    ("hubspot.yaml", "{hs_activity_type: [First meeting]}", "{hs_activty_type: [First meeting]}", "hs_activty_type",
     ["SC-E021  activities.rules[0].when  no field hs_activty_type on meetings; did you mean hs_activity_type? (97 %)"]),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "token", "said"), LIVE, ids=[row[2] for row in LIVE])
def test_a_slip_seen_only_by_the_crm(
    worked: MappingSet, live_schema: LiveSchema, live_pipelines: LivePipelines, copy: Path, edit: Edit,
    file: str, old: str, new: str, token: str, said: list[str],
) -> None:  # fmt: skip
    connection = "sf-prod" if file.startswith("sales") else "hs-prod"
    right = worked.by_connection[connection]
    edit(file, old, new)
    spoilt = load(copy, CONNECTIONS)
    counts = {("Capital_Equipment", "VAC Submitted"): 148}
    found = check_live(spoilt.by_connection[connection], spoilt.ladder, live_schema(right), live_pipelines(right, worked.ladder), counts)
    texts = [f.text().split("\n")[0].partition("  ")[2] for f in found]
    assert sorted(texts) == sorted(said)
    lines = (copy / file).read_text().split("\n")
    first = next((n, line.index(token) + 1) for n, line in enumerate(lines, 1) if token in line and not line.lstrip().startswith("#"))
    if said[0].startswith("SC-W034"):
        first = (first[0], lines[first[0] - 1].index("{from") + 1)
    assert first in {(f.line, f.column) for f in found}


def _with(schema: dict[str, dict[str, Field]], object: str, field: Field) -> dict[str, dict[str, Field]]:
    return {**schema, object: {**schema[object], field.name: field}}


def _codes(found: list[Finding]) -> list[tuple[str, str, str]]:
    return [(f.code, f.severity, f.message) for f in found]


def test_types_rights_and_sensitive_fields(worked: MappingSet, live_schema: LiveSchema, live_pipelines: LivePipelines) -> None:
    mapping = worked.by_connection["hs-prod"]
    schema, pipelines = live_schema(mapping), live_pipelines(mapping, worked.ladder)

    def check(field: Field, object: str = "deals") -> list[tuple[str, str, str]]:
        return _codes(check_live(mapping, worked.ladder, _with(schema, object, field), pipelines))

    assert check(Field("loi_signed", "LOI", "text", True)) == [("SC-E020", "error", "loi_signed is text; loi_signed_on needs date or datetime")]
    assert check(Field("kpi_pace", "Pace", "picklist", False)) == [("SC-E153", "error", "kpi_pace may not be edited by this user")]
    assert check(Field("kpi_stage_entered_on", "Since", "text", True)) == [
        ("SC-E154", "error", "kpi_stage_entered_on is text; stage_entered_on needs date")
    ]  # fmt: skip
    assert check(Field("lead", "x", "text", True)) == []
    sensitive = Field("primary_product", "Product", "picklist", True, sensitive=True)
    assert check(sensitive) == [("SC-E190", "error", "primary_product of deals holds sensitive data")]
    labelled = Field("primary_product", "Patient group", "text", True)
    assert check(labelled) == [("SC-W191", "warning", 'primary_product ("Patient group") looks like protected data ("patient")')]
    status = Field("vac_status", "VAC", "picklist", True, options=(Option("approved", "Approved"), Option("denied", "Denied")))
    assert check(status) == [("SC-E023", "error", '"tabled" is not a value of vac_status')]


def test_missing_objects_and_formulas(worked: MappingSet, live_schema: LiveSchema, live_pipelines: LivePipelines) -> None:
    mapping = worked.by_connection["sf-prod"]
    schema, pipelines = live_schema(mapping), live_pipelines(mapping, worked.ladder)
    without = {name: fields for name, fields in schema.items() if name != "Event"}
    found = check_live(mapping, worked.ladder, without, pipelines)
    assert {(f.code, f.message) for f in found} == {("SC-E021", "no object Event")}
    opportunity = {name: field for name, field in schema["Opportunity"].items() if name != "KPI_Days_In_Stage__c"}
    found = check_live(mapping, worked.ladder, {**schema, "Opportunity": opportunity}, pipelines)
    assert [(f.code, f.severity) for f in found] == [("SC-E154", "warning")]


def _pipeline(*stages: Stage, id: str = "Disposables") -> Pipeline:
    return Pipeline(id, id, stages)


def test_stage_map_by_identity_inside_a_pipeline(own: MappingSet) -> None:
    sf = StageMap(own.by_connection["salesforce"], own.ladder)
    assert sf.canonical("Capital_Equipment", "30-Day Pilot") == "pilot"
    assert sf.canonical("Capital_Equipment", "Trial") == "pilot"
    assert sf.canonical("Software", "Trial") is None
    assert sf.canonical("Renewals", "Renewal Out") == "contracting"
    assert sf.canonical("Capital_Equipment", "Internal Transfer") is None
    assert sf.ignored("Capital_Equipment", "Internal Transfer")
    assert not sf.ignored("Renewals", "Internal Transfer")
    assert sf.canonical("Capital_Equipment", None) is None
    assert sf.canonical("Nowhere", "Prospect") is None
    assert sf.canonical(None, "Prospect") is None
    hs = StageMap(own.by_connection["hubspot"], own.ladder)
    assert hs.canonical("default", "presentationscheduled") == "pilot"
    assert hs.canonical("default", "168402199") == "pilot"
    assert hs.canonical("88213305", "presentationscheduled") is None
    assert hs.pipeline("88213305") == "software"
    assert hs.canonical(None, None) is None


def test_an_org_without_record_types_is_master() -> None:
    fields = {name: {"from": name} for name in ("owner", "created_at", "closes_on", "amount")}
    mapping = CrmMapping.model_validate({
        "version": 1, "crm": "salesforce", "opportunities": {"object": "Opportunity", "pipelines": {"Master": "all"}, "fields": fields},
        "stages": {"all": {"live": {"Won": "closed_won"}}},
    }, strict=False)  # fmt: skip
    ladder = Ladder.model_validate({"ladder": [{"key": "closed_won", "label": "Won", "kind": "won"}]})
    assert StageMap(mapping, ladder).canonical(None, "Won") == "closed_won"


def test_unmapped_stages_and_pipelines_name_their_open_deals(own: MappingSet) -> None:
    stage_map = StageMap(own.by_connection["hubspot"], own.ladder)
    live = (
        Pipeline("77120044", "Disposables", (Stage("172000101", "Prospect"), Stage("999", "Tender"), Stage("998", "Old", active=False))),
        Pipeline("555", "Partners", (Stage("1", "New"),)),
        Pipeline("556", "Closed down", (Stage("2", "New"),), active=False),
    )
    found = stage_map.unmapped(live, {("77120044", "999"): 1, ("555", "1"): 1200})
    assert [(f.code, f.message) for f in found] == [
        ("SC-E024", 'stage "999" ("Tender") is live in pipeline disposables (1 open deal) and not mapped'),
        ("SC-E024", 'pipeline 555 ("Partners") is live (1,200 open deals) and not mapped'),
    ]
    assert found[0].file == "mappings/hubspot.yaml"
    assert found[0].next == "add it under stages.disposables.live, or to ignore with a reason"


def test_a_live_stage_that_stands_under_retired_is_unmapped(own: MappingSet) -> None:
    stage_map = StageMap(own.by_connection["salesforce"], own.ladder)
    found = stage_map.unmapped([Pipeline("Software", "Software", (Stage("InfoSec", "InfoSec"),))])
    assert [f.code for f in found] == ["SC-E024"]


def test_a_stage_that_went_inactive_belongs_under_retired(own: MappingSet) -> None:
    stage_map = StageMap(own.by_connection["salesforce"], own.ladder)
    gone = replace(Stage("Pricing", "Pricing"), active=False)
    found = [f for f in stage_map.absent([_pipeline(gone)]) if "Pricing" in f.message]
    assert [(f.code, f.message, f.next) for f in found] == [
        ("SC-E023", '"Pricing" is no longer a stage of Disposables', "move it under retired")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (Stage("Closed Won", "", True, True, True, 1.0), None),
        (Stage("Closed Won", "", True, True, True, 0.0), "mapped to closed_won, but its probability is 0 %"),
        (Stage("Closed Won", "", True, True, False, 0.0), "mapped to closed_won, but the CRM does not count it as won"),
        (Stage("Closed Lost", "", True, True, False, 0.0), None),
        (Stage("Closed Lost", "", True, True, False, 0.1), "mapped to closed_lost, but its probability is 10 %"),
        (Stage("Closed Lost", "", True, True, True, 0.0), "mapped to closed_lost, but the CRM counts it as won"),
        (Stage("Closed Lost", "", True, False, False, 0.0), "mapped to closed_lost, but the CRM counts it as open"),
        (Stage("Evaluation", "", True, False, False, 1.0), "mapped to pilot, but its probability is 100 %"),
        (Stage("Evaluation", "", True, True, False, 0.0), "mapped to pilot, but the CRM counts it as closed"),
        (Stage("Evaluation", "", True, False, False, 0.45), None),
        (Stage("First Case", "", True, False, False, 0.5), "mapped to go_live, but the CRM does not count it as won"),
    ],
)  # fmt: skip
def test_contradictions_with_the_crms_own_flags(own: MappingSet, stage: Stage, said: str | None) -> None:
    found = StageMap(own.by_connection["salesforce"], own.ladder).contradictions([_pipeline(stage)])
    assert [f.message for f in found] == ([f'"{stage.id}" is {said}'] if said else [])
    assert {(f.code, f.severity) for f in found} <= {("SC-E026", "warning")}


def test_a_stopped_deal_is_no_contradiction(own: MappingSet) -> None:
    stopped = Stage("Stopped - No Decision", "", True, True, False, 0.0)
    stage_map = StageMap(own.by_connection["salesforce"], own.ladder)
    assert stage_map.contradictions([_pipeline(stopped, id="Capital_Equipment")]) == []
    parked = Stage("Deferred", "", True, False, False, 0.0)
    assert stage_map.contradictions([_pipeline(parked, id="Capital_Equipment")]) == []
