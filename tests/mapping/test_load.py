from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from connector.errors import Finding, MappingError
from connector.kpis import parts
from connector.kpis.book import populations
from connector.mapping import names
from connector.mapping.load import MappingSet, load
from connector.mapping.schema import json_schemas
from connector.mapping.streams import streams
from connector.model.records import PERSONAS, STANCES, columns
from connector.model.scorecard_fields import ANCHORS, CALCULATED, TWO_FIELDS
from connector.provision import switched
from connector.scorecard.fields import MANIFEST
from connector.scorecard.wanted import written_field, written_fields

ROOT = Path(__file__).parents[2]
CONNECTIONS = {"sf-prod": "salesforce", "hs-prod": "hubspot"}
Edit = Callable[[str, str, str], None]
FindingsOf = Callable[[Path], tuple[Finding, ...]]


def test_own_mappings_validate_without_a_word(own: MappingSet) -> None:
    assert sorted(own.by_connection) == ["hubspot", "salesforce"]
    assert own.findings == ()
    assert re.fullmatch(r"[0-9a-f]{12}", own.version)
    assert own.kpis.calendar.time_zone == "America/New_York"


def test_own_mappings_cover_all_scorecard_fields_in_both_crms(own: MappingSet) -> None:
    for mapping in own.by_connection.values():
        own = {key for key in ANCHORS if mapping.field(key) is not None}
        assert set(mapping.written) == set(names.WRITTEN) - own - set(CALCULATED[mapping.crm])


@pytest.mark.parametrize(("file", "usual"), [("salesforce.yaml", "KPI_{}__c"), ("hubspot.yaml", "kpi_{}")])
def test_the_two_field_mode_writes_both_of_them_named_or_not(tmp_path: Path, file: str, usual: str) -> None:
    """What is provisioned under its usual name is written under it; null switches one off, in both."""

    def written(*lines: str) -> dict[str, str]:
        shutil.copytree(ROOT / "mappings", tmp_path / "copy", dirs_exist_ok=True)
        path = tmp_path / "copy" / file
        text = path.read_text(encoding="utf-8").replace("  population: {open: true", "  mode: two_fields\n  population: {open: true")
        path.write_text(re.sub(r"^    (pace|stale_reason): .*\n", "", text, flags=re.MULTILINE), encoding="utf-8")
        path.write_text(path.read_text(encoding="utf-8").replace("\n  opportunity:\n", "\n".join(("\n  opportunity:", *lines, ""))), encoding="utf-8")
        mapping = load(tmp_path / "copy").by_connection[file.removesuffix(".yaml")]
        left_out: dict[str, str] = {}
        made = written_fields(switched(mapping, "UTC"), left_out, written_field)
        assert {spec.key: spec.name for spec in made} == mapping.written
        return dict(mapping.written)

    crm = file.removesuffix(".yaml")
    assert TWO_FIELDS[crm] == {key: MANIFEST[key].name(crm) for key in ("pace", "stale_reason")}
    assert written() == TWO_FIELDS[crm]
    assert written(f"    pace: {usual.format('tempo')}") == {**TWO_FIELDS[crm], "pace": usual.format("tempo")}
    assert written("    pace: null") == {"stale_reason": TWO_FIELDS[crm]["stale_reason"]}
    with pytest.raises(MappingError) as caught:
        written("    pace: null", "    stale_reason: null")
    said = "mode two_fields writes pace and stale_reason: both are switched off"
    assert [(f.code, f.message) for f in caught.value.findings] == [("SC-E025", said)]


def test_both_crms_map_the_same_fields_gates_and_stages(own: MappingSet) -> None:
    sf, hs = own.by_connection["salesforce"], own.by_connection["hubspot"]
    assert set(sf.opportunities.fields) == set(hs.opportunities.fields)
    assert set(sf.gates) == set(hs.gates)
    assert set(sf.pipeline_names.values()) == set(hs.pipeline_names.values())
    for pipeline, stages in sf.stages.items():
        assert sorted(stages.live.values()) == sorted(hs.stages[pipeline].live.values())
        assert sorted(stages.retired.values()) == sorted(hs.stages[pipeline].retired.values())
    assert sf.personas.titles == hs.personas.titles


def test_the_example_for_the_public_data_set_validates() -> None:
    loaded = load(ROOT / "mappings/examples/crm-opportunities", {"sandbox": "salesforce"})
    assert list(loaded.by_connection) == ["sandbox"]
    assert loaded.findings == ()


def test_the_worked_example_validates(worked: MappingSet) -> None:
    assert worked.findings == ()
    assert {name: mapping.crm for name, mapping in worked.by_connection.items()} == CONNECTIONS
    assert worked.ladder.ranks["vac"] == 7
    assert worked.by_connection["sf-prod"].written.keys() & {"days_in_stage", "pilot_overrun"} == set()


def test_every_canonical_name_is_a_column_of_its_record() -> None:
    opportunity, account = set(columns("opportunities")), set(columns("accounts"))
    for name in names.OPPORTUNITY_FIELDS:
        assert name in opportunity | account
    for section, fields in names.SECTION_FIELDS.items():
        assert set(fields) <= set(columns(section))
    assert set(names.ACCOUNT_ONLY) <= account - opportunity


def test_the_readme_lists_every_canonical_name() -> None:
    text = (ROOT / "mappings/README.md").read_text()
    said = set(re.findall(r"[a-z][a-z0-9_]*", text))
    for group in (names.OPPORTUNITY_FIELDS, names.ALIASES, names.TOPICS, names.OUTCOMES, names.DEAL_TYPES, names.GATE_RESULTS, names.REQUIREMENTS,
                  names.DATA_FIELDS, names.WRITTEN, names.COMPUTED, names.SEVERITIES, *names.SECTION_FIELDS.values(), PERSONAS, STANCES):  # fmt: skip
        assert set(group) <= said, set(group) - said


@pytest.mark.parametrize("directory", ["mappings", "mappings/examples/crm-opportunities", "tests/mapping/worked_example"])
def test_the_json_schemas_accept_what_the_loader_accepts(directory: str) -> None:
    schemas = json_schemas()
    assert set(schemas) == {"stages", "kpis", "crm"}
    for path in sorted((ROOT / directory).glob("*.yaml")):
        data = YAML(typ="safe", pure=True).load(path.read_text())
        jsonschema.Draft202012Validator(schemas.get(path.stem, schemas["crm"])).validate(data)


def test_the_json_schema_refuses_an_unknown_key_and_completes_names() -> None:
    crm = json_schemas()["crm"]
    with pytest.raises(jsonschema.ValidationError, match="crmm"):
        jsonschema.Draft202012Validator(crm).validate({"crmm": "salesforce"})
    assert "closes_on" in str(crm)
    assert "surgeon_champion" in str(crm)


# -- one character off --------------------------------------------------------------------------------------------------


Spoilt = list[tuple[str, str, str, str, str, str | None]]
"""(code, line that holds it, token at the place, path, part of the message, suggestion)"""

MUTATIONS: list[tuple[str, str, str, Spoilt]] = [
    ("stages.yaml", "probability: 0.45, gate: clinical}", "probability: 0.45, gate: clinica}",
     [("SC-E022", "key: pilot,", "clinica}", "ladder[4].gate", "unknown gate clinica", "clinical")]),
    ("stages.yaml", "probability: 0.60, gate: vac}", "probability: 6.60, gate: vac}",
     [("SC-E020", "key: vac,                 label: VAC review", "6.60", "ladder[7].probability", "between 0 and 1, not 6.6", None)]),
    ("stages.yaml", "held_by: [value_analysis]", "held_by: [value_analysi]",
     [("SC-E022", "key: vac,         label: VAC,", "value_analysi]", "gates[4].held_by[0]", "unknown persona value_analysi", "value_analysis")]),
    ("stages.yaml", "clinic:        {stages: [demo],", "clinic:        {stages: [dem],",
     [("SC-E022", "clinic:  ", "dem]", "required.clinic.stages[0]", "unknown canonical stage dem", "demo")]),
    ("stages.yaml", "kind: post_sale}\n  - {key: adoption", "kind: postsale}\n  - {key: adoption",
     [("SC-E020", "key: go_live", "postsale", "ladder[16].kind", '"postsale" is none of sequential', "post_sale")]),
    ("kpis.yaml", "America/New_York ", "America/New_Yor ",
     [("SC-E020", "time_zone:", "America", "calendar.time_zone", "unknown time zone America/New_Yor", "America/New_York")]),
    ("kpis.yaml", "compliance_legal: 60, vac: 60}\n  gate", "compliance_legal: 60, va: 60}\n  gate",
     [("SC-E022", "stage_limit_days", "va:", "thresholds.stage_limit_days.va", "unknown canonical stage va", "vac")]),
    ("kpis.yaml", "currency: USD ", "currency: Usd ",
     [("SC-E020", "currency: Usd", "Usd", "calendar.currency", '"Usd" is not a currency code', None)]),
    ("kpis.yaml", "low_n: 10", "lown: 10",
     [("SC-E020", "lown", "lown", "thresholds.lown", "unknown key lown", "low_n")]),
    ("kpis.yaml", "[amount, closes_on, segment]\n", "[amount, closs_on, segment]\n",
     [("SC-E022", "closs_on", "closs_on", "required_fields.demo[1]", "unknown field closs_on", "closes_on")]),
    ("kpis.yaml", "quotas:         inputs", "quota:          inputs",
     [("SC-E022", "quota:", "quota:", "inputs.quota", "unknown input quota", "quotas")]),
    ("salesforce.yaml", "crm: salesforce\n", "crm: salesforc\n",
     [("SC-E020", "crm: salesforc", "salesforc", "crm", '"salesforc" is none of salesforce, hubspot', "salesforce")]),
    ("salesforce.yaml", "connection: sf-prod", "connection: sf-prd",
     [("SC-E020", "connection: sf-prd", "sf-prd", "connection", "unknown connection sf-prd", "sf-prod"),
      ("SC-E025", "", "", "", "no mapping file names connection sf-prod", None)]),
    ("salesforce.yaml", '"GPO / Supply Chain":    procurement', '"GPO / Supply Chain":    procurment',
     [("SC-E022", '"GPO / Supply Chain"', "procurment", "stages.capital.live", "unknown canonical stage procurment", "procurement")]),
    ("salesforce.yaml", "{topic: procurement, subject_any", "{topic: procurment, subject_any",
     [("SC-E022", "topic: procurment", "procurment", "activities.rules[6].topic", "unknown topic procurment", "procurement")]),
    ("salesforce.yaml", "Economic Buyer:         {persona: cfo}", "Economic Buyer:         {persona: cfp}",
     [("SC-E022", "persona: cfp", "cfp", "personas.roles.Economic Buyer.persona", "unknown persona cfp", "cfo")]),
    ("salesforce.yaml", "Coach:                  {stance: coach}", "Coach:                  {stance: coch}",
     [("SC-E022", "stance: coch", "coch}", "personas.roles.Coach.stance", "unknown stance coch", "coach")]),
    ("salesforce.yaml", "    amount:           {from", "    amout:            {from",
     [("SC-E022", "amout:", "amout:", "opportunities.fields", "unknown canonical field amout", "amount"),
      ("SC-E025", "  fields:\n", "fields:", "opportunities.fields", "amount is missing", None)]),
    ("salesforce.yaml", "currency:         {from: CurrencyIsoCode}", "currency:         {frm: CurrencyIsoCode}",
     [("SC-E020", "frm:", "frm:", "opportunities.fields.currency.frm", "unknown key frm", "from")]),
    ("salesforce.yaml", "loi_signed_on:    {from: LOI_Signed_On__c, type: date}", "loi_signed_on:    {from: LOI_Signed_On__c, type: dat}",
     [("SC-E020", "loi_signed_on:", "dat}", "opportunities.fields.loi_signed_on.type", '"dat" is none of money', "date")]),
    ("salesforce.yaml", "Cross-sell: expansion,", "Cross-sell: expnsion,",
     [("SC-E022", "Cross-sell", "expnsion", "opportunities.fields.deal_type.values", "unknown deal type expnsion", "expansion")]),
    ("salesforce.yaml", "IDN: health_system}", "IDN: helth_system}",
     [("SC-E022", "IDN:", "helth_system", "opportunities.fields.segment.values", "unknown segment helth_system", "health_system")]),
    ("salesforce.yaml", "Account.Customer_Type__c", "Acount.Customer_Type__c",
     [("SC-E020", "Acount.", "Acount.", "opportunities.fields.segment.from", "only fields of Account are read", "Account.Customer_Type__c")]),
    ("salesforce.yaml", "Tabled: tabled}", "Tabled: tabld}",
     [("SC-E022", "tabld", "tabld", "gates.vac.result.values", "unknown gate result tabld", "tabled")]),
    ("salesforce.yaml", 'values: {"true": approved}', "values: {true: approved}",
     [("SC-E020", "{true: approved}", "true", "gates.budget.result.values", "true is read as something other than text", None)]),
    ("salesforce.yaml", "dated_by: observation ", "dated_by: observatio ",
     [("SC-E020", "dated_by:", "observatio", "gates.budget.dated_by", '"observatio" is none of fields, observation', "observation")]),
    ("salesforce.yaml", "outcome: {from: Event.Meeting", "outcome: {from: Evnt.Meeting",
     [("SC-E021", "outcome:", "Evnt", "activities.outcome.from", "name the activity object before the dot", "Event")]),
    ("salesforce.yaml", "No Show: no_show,", "No Show: no_shw,",
     [("SC-E022", "no_shw", "no_shw", "activities.outcome.values", "unknown outcome no_shw", "no_show")]),
    ("salesforce.yaml", "    pace:                 KPI_Pace__c", "    pace:                 KP_Pace__c",
     [("SC-E020", "KP_Pace__c", "KP_Pace__c", "scorecard.opportunity.pace", "only fields called KPI_…__c are ever written", None)]),
    ("salesforce.yaml", "    open_gates:           KPI", "    open_gate:            KPI",
     [("SC-E022", "open_gate: ", "open_gate", "scorecard.opportunity", "unknown scorecard field open_gate", "open_gates")]),
    ("salesforce.yaml", "Service_Contract:  {ignore:", "Service_Contract:  {ignor:",
     [("SC-E025", "Service_Contract:", "{ignor", "opportunities.pipelines.Service_Contract", "ignore is missing", None),
      ("SC-E020", "Service_Contract:", "ignor:", "opportunities.pipelines.Service_Contract.ignor", "unknown key ignor", "ignore")]),
    ("salesforce.yaml", "Disposables:       disposables", "Disposables:       disposable",
     [("SC-E025", "Disposables: ", "disposable", "opportunities.pipelines.Disposables", "stages.disposable is missing", "disposables"),
      ("SC-E020", "  disposables:\n", "disposables", "stages.disposables", "no pipeline is called disposables", "disposable")]),
    ("salesforce.yaml", "projected_pull_through: {from: Consumables_Per_Year__c", "projected_pull_through: {from: Description",
     [("SC-E190", "projected_pull_through:", "Description", "opportunities.fields.projected_pull_through.from",
       "Description of Opportunity is never read", None)]),
    ("salesforce.yaml", "lead_source:      {from: LeadSource}", "lead_source:      {from: Patient_Source__c}",
     [("SC-E190", "lead_source:", "Patient", "opportunities.fields.lead_source.from", "Patient_Source__c of Opportunity is never read", None)]),
    ("salesforce.yaml", "{from: Primary_Product__c}", '{from: "Id FROM User"}',
     [("SC-E020", "product: ", '"Id FROM', "opportunities.fields.product.from", '"Id FROM User" is not a name', None)]),
    ("hubspot.yaml", '"171000103":              security_review', '"171000103":              security_revie',
     [("SC-E022", '"171000103"', "security_revie", "stages.software.live", "unknown canonical stage security_revie", "security_review")]),
    ("hubspot.yaml", '"171000107":              closed_won', "171000107:                closed_won",
     [("SC-E020", "171000107:  ", "171000107", "stages.software.live", "171000107 is read as something other than text", None)]),
    ("hubspot.yaml", "{association: companies, label: Primary}", "{association: companie, label: Primary}",
     [("SC-E020", "association:", "companie,", "opportunities.fields.account.association", "only account comes from an association", None)]),
    ("hubspot.yaml", "objects: [calls, emails, meetings, tasks]", "objects: [call, emails, meetings, tasks]",
     [("SC-E021", "objects: [call,", "call,", "activities.objects[0]", "no activity object call", "calls")]),
    ("hubspot.yaml", "INCOMING_EMAIL: inbound}", "INCOMING_EMAIL: inbond}",
     [("SC-E022", "inbond", "inbond", "activities.direction.values", "unknown direction inbond", "inbound")]),
    ("hubspot.yaml", "open: true, closed_days: 0}", "open: tru, closed_days: 0}",
     [("SC-E020", "open: tru", "tru,", "scorecard.population.open", '"tru" is none of true', "true")]),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "expected"), MUTATIONS, ids=[f"{m[0]}:{m[2][:40]}" for m in MUTATIONS])
def test_a_slip_gives_its_findings_and_no_others(
    copy: Path, edit: Edit, findings_of: FindingsOf, file: str, old: str, new: str, expected: Spoilt
) -> None:
    edit(file, old, new)
    found = findings_of(copy)
    for code, line, token, path, message, suggestion in expected:
        match = [f for f in found if f.code == code and message in f.message]
        assert len(match) == 1, [f.text() for f in found]
        assert match[0].suggestion == suggestion
        if token:
            anchor = line.rstrip("\n")
            lines = (copy / file).read_text().split("\n")
            rows = [n for n, text in enumerate(lines, 1) if (text == anchor if line.endswith("\n") else anchor in text)]
            place = next((n, lines[n - 1].index(token) + 1) for n in rows if token in lines[n - 1])
            assert (match[0].file, match[0].line, match[0].column) == (f"mappings/{file}", *place)
            assert match[0].path == path
    assert len(found) == len(expected), [f.text() for f in found]


def test_all_findings_of_all_files_come_at_once(copy: Path, edit: Edit) -> None:
    edit("kpis.yaml", "currency: USD ", "currency: Usd ")
    edit("salesforce.yaml", "Tabled: tabled}", "Tabled: tabld}")
    edit("salesforce.yaml", "kol: {from: Contact.KOL__c}", "koll: {from: Contact.KOL__c}")
    edit("hubspot.yaml", "INCOMING_EMAIL: inbound}", "INCOMING_EMAIL: inbond}")
    with pytest.raises(MappingError) as caught:
        load(copy, CONNECTIONS)
    assert caught.value.exit_code == 4
    assert caught.value.message == "4 problems in 3 files"
    assert [(f.file, f.code) for f in caught.value.findings] == [
        ("mappings/hubspot.yaml", "SC-E022"), ("mappings/kpis.yaml", "SC-E020"),
        ("mappings/salesforce.yaml", "SC-E022"), ("mappings/salesforce.yaml", "SC-E020"),
    ]  # fmt: skip


def test_a_finding_reads_as_promised(copy: Path, edit: Edit, findings_of: FindingsOf) -> None:
    edit("salesforce.yaml", "{topic: procurement, subject_any", "{topic: procurment, subject_any")
    (found,) = findings_of(copy)
    text = found.text()
    assert text.startswith("mappings/salesforce.yaml:")
    assert text.endswith("SC-E022  activities.rules[6].topic  unknown topic procurment; did you mean procurement? (95 %)")


def test_missing_files_and_unserved_connections(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(MappingError) as caught:
        load(tmp_path / "nothing")
    assert [(f.code, f.message) for f in caught.value.findings] == [("SC-E025", "kpis.yaml is missing"), ("SC-E025", "stages.yaml is missing")]
    with pytest.raises(MappingError) as caught:
        load(copy, {**CONNECTIONS, "sf-emea": "salesforce"})
    assert [f.message for f in caught.value.findings] == ["no mapping file names connection sf-emea"]


def test_one_file_serves_all_connections_that_none_names() -> None:
    loaded = load(ROOT / "mappings", {"sf-us": "salesforce", "sf-emea": "salesforce"})
    assert loaded.by_connection["sf-us"] is loaded.by_connection["sf-emea"]
    assert loaded.files["sf-us"] == "mappings/salesforce.yaml"


def test_two_files_for_the_same_connections_are_refused(copy: Path, findings_of: FindingsOf) -> None:
    (copy / "sf2.yaml").write_text((copy / "salesforce.yaml").read_text())
    assert [f.message for f in findings_of(copy)] == ["mappings/salesforce.yaml serves the same connections"]


def test_the_version_follows_the_data_and_not_the_comments(copy: Path, worked: MappingSet) -> None:
    path = copy / "stages.yaml"
    path.write_text(path.read_text() + "\n# a note\n")
    assert load(copy, CONNECTIONS).version == worked.version
    path.write_text(path.read_text().replace("probability: 0.45", "probability: 0.40"))
    assert load(copy, CONNECTIONS).version != worked.version


def test_kpi_names_are_checked_where_the_registry_is_given(copy: Path) -> None:
    known = ["deals_stuck_in_compliance_review", "vac_cycle_time", "pilot_to_paid_conversion", "kol_engagement_score"]
    with pytest.raises(MappingError) as caught:
        load(copy, CONNECTIONS, known)
    assert [(f.path, f.message) for f in caught.value.findings] == [("kpis.add[3]", "unknown KPI data_health_score")]


DIMENSION = "  dimensions:\n    therapy: {from: Therapy_Area__c, values: {Ortho: ortho}}\n  pilot_link: [account, product]\n\nstages:   "


def test_dimensions_and_populations_that_name_them(copy: Path, edit: Edit) -> None:
    edit("salesforce.yaml", "\nstages:   ", DIMENSION)
    edit(
        "kpis.yaml",
        "\nthresholds:\n",
        "\npopulations:\n  win_rate: {where: {therapy: [ortho], stage: [demo]}, except: {deal_type: [pilot]}}\nthresholds:\n",
    )
    mapping = load(copy, CONNECTIONS)
    assert mapping.kpis.populations.win_rate.where == {"therapy": ("ortho",), "stage": ("demo",)}
    assert "Therapy_Area__c" in next(s.fields for s in streams(mapping.by_connection["sf-prod"]) if s.name == "opportunities")


@pytest.mark.parametrize(
    ("file", "text", "code", "message", "suggestion"),
    [
        ("salesforce.yaml", "  dimensions: {amount: {from: Size__c}}\n", "SC-E020", "amount has a meaning already", None),
        ("salesforce.yaml", "  dimensions: {Therapy: {from: Size__c}}\n", "SC-E020", '"Therapy" is not a key', None),
        ("salesforce.yaml", "  dimensions: {therapy: {from: Account.Size__c}}\n", "SC-E020", "a dimension is a field of the deal itself", None),
        ("salesforce.yaml", "  dimensions: {therapy: {from: Size__c, type: money}}\n", "SC-E020", "a dimension holds words", None),
        ("salesforce.yaml", "  dimensions: {therapy: {from: Patient_Group__c}}\n", "SC-E190", "Patient_Group__c of Opportunity is never read", None),
        ("salesforce.yaml", "  pilot_link: [acount]\n", "SC-E020", '"acount" is none of account, product', "account"),
        ("kpis.yaml", "populations: {win_rate: {where: {segmnt: [clinic]}}}\n", "SC-E022", "unknown field segmnt", "segment"),
        ("kpis.yaml", "populations: {win_rate: {except: {stage: [demoo]}}}\n", "SC-E022", "unknown stage demoo", "demo"),
        ("kpis.yaml", "populations: {winrate: {}}\n", "SC-E020", "unknown key winrate", "win_rate"),
    ],
)
def test_a_slip_in_dimensions_and_populations(
    copy: Path, edit: Edit, findings_of: FindingsOf, file: str, text: str, code: str, message: str, suggestion: str | None
) -> None:
    anchor = "\nthresholds:\n" if file == "kpis.yaml" else "\nstages:   "
    edit(file, anchor, f"\n{text}{anchor}" if file == "kpis.yaml" else f"{text}{anchor}")
    (found,) = findings_of(copy)
    assert (found.code, found.suggestion) == (code, suggestion)
    assert message in found.message
    assert found.line is not None


def test_records_may_be_named_by_a_field_of_theirs(copy: Path, edit: Edit) -> None:
    edit(
        "salesforce.yaml", "\nopportunities:\n", "\ninput_keys: {owners: Email, accounts: ERP_Number__c, opportunities: Quote__c}\n\nopportunities:\n"
    )
    specs = {s.name: s.fields for s in streams(load(copy, CONNECTIONS).by_connection["sf-prod"])}
    assert "Email" in specs["owners"]
    assert "ERP_Number__c" in specs["accounts"]
    assert "Quote__c" in specs["opportunities"]


def test_an_address_of_a_buyer_is_no_key(copy: Path, edit: Edit, findings_of: FindingsOf) -> None:
    edit("salesforce.yaml", "\nopportunities:\n", "\ninput_keys: {contacts: Email}\n\nopportunities:\n")
    (found,) = findings_of(copy)
    assert (found.code, found.message) == ("SC-E190", "Email of Contact is never read")


def test_the_words_of_populations_are_those_of_the_engine() -> None:
    assert names.POPULATION_FIELDS == populations.FIELDS
    assert names.DIMENSIONS == parts.SLICES


def test_the_golden_names_of_four_dates_are_the_same_fields(copy: Path, edit: Edit) -> None:
    edit("salesforce.yaml", "    loi_signed_on:    {", "    contract_sent_on: {")
    mapping = load(copy, CONNECTIONS).by_connection["sf-prod"]
    assert mapping.field("legal_sent_on") is not None


def test_nothing_but_a_list_of_findings_ever_leaves_the_loader(copy: Path, findings_of: FindingsOf) -> None:
    """A file cut off anywhere, or with a character gone anywhere, is findings: never another exception."""
    path = copy / "salesforce.yaml"
    text = path.read_text()
    for cut in range(0, len(text), 701):
        path.write_text(text[:cut])
        findings_of(copy)
        path.write_text(text[:cut] + text[cut + 1 :])
        findings_of(copy)
