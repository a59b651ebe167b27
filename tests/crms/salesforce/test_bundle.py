"""The deployment's files: what an org would refuse, what would harm the company's own, and what its users would miss."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Collection
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from connector.crms.provisioning import FieldSpec, Wanted
from connector.crms.salesforce import bundle, extras, lint, project
from connector.model import scorecard_fields
from connector.model.scorecard_fields import ANCHORS, CALCULATED
from connector.scorecard import rows
from connector.scorecard.fields import MANIFEST
from tests.crms.salesforce.wanted import MODES, made
from tests.scorecard.test_formulas import OWN

NS = "{http://soap.sforce.com/2006/04/metadata}"
VERSION = "68.0"
EVERY = [pytest.param(mode, id=mode) for mode in MODES]


def files(wanted: Wanted) -> dict[str, str]:
    return bundle.metadata_files(wanted, VERSION)


def root(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def rows_of(text: str, tag: str) -> list[dict[str, str]]:
    return [{child.tag.removeprefix(NS): child.text or "" for child in row} for row in root(text).iter(NS + tag)]


@pytest.mark.parametrize("mode", EVERY)
def test_the_linter_finds_nothing_in_what_is_made(mode: str) -> None:
    wanted = made(mode)
    assert lint.problems(wanted, files(wanted), wanted.reads) == []


@pytest.mark.parametrize("mode", EVERY)
@pytest.mark.parametrize("instants", [(), [key for key in OWN if key.endswith("_on")]], ids=["dates", "instants"])
def test_whoever_reads_a_formula_that_turns_instants_into_days_is_told_of_the_zone(mode: str, instants: Collection[str]) -> None:
    wanted = made(mode, instants=frozenset(instants))
    zoned = {f.key for spec in wanted.objects for f in spec.fields if "the scorecard's is America/New_York" in f.help}
    assert zoned == {f.key for spec in wanted.objects for f in spec.fields if "DATEVALUE(" in (f.formula or "")}
    assert lint.problems(wanted, files(wanted), wanted.reads) == []
    if mode == "record":
        always = {"days_in_crm_stage", "deal_age"}
        assert zoned == (always | {"pilot_days", "secq_days", "loi_to_secq_days", "clearance_to_order_days"} if instants else always)


def test_what_a_rep_reads_names_the_span_of_time() -> None:
    (rep,) = (spec for spec in made("everything").objects if spec.grain == "rep")
    told = {field.key: field.help for field in rep.fields}
    assert all("last twelve months" in told[key] for key in ("win_rate", "win_rate_n", "show_rate"))
    assert "held or missed" in told["show_rate"]
    assert ("all time" in told["cycle_days"], "last 90 days" in told["capacity"]) == (True, True)
    assert not [key for key, text in told.items() if len(text) > lint.MOST_TEXT]


@pytest.mark.parametrize("mode", EVERY)
def test_every_field_is_in_both_permission_sets_and_no_formula_is_editable(mode: str) -> None:
    wanted = made(mode)
    every = {f"{spec.name}.{field.name}": field for spec in wanted.objects for field in spec.fields}
    package = files(wanted)
    for name in extras.SETS:
        held = {row["field"]: row for row in rows_of(package[f"permissionsets/{name}.permissionset"], "fieldPermissions")}
        assert set(held) == set(every)
        assert all(row["readable"] == "true" for row in held.values())
        editable = {field for field, row in held.items() if row["editable"] == "true"}
        assert editable == ({f for f, spec in every.items() if spec.written} if name == extras.INTEGRATION else set())


def test_the_integration_set_allows_what_a_push_needs_and_no_more() -> None:
    text = files(made("everything"))[f"permissionsets/{extras.INTEGRATION}.permissionset"]
    assert [row["name"] for row in rows_of(text, "userPermissions")] == ["ApiEnabled"]
    assert [row["name"] for row in rows_of(text, "customPermissions")] == [extras.BYPASS]
    allowed = {row["object"]: row for row in rows_of(text, "objectPermissions")}
    assert {name for name, row in allowed.items() if row["viewAllRecords"] == "true"} == {"Opportunity", "KPI_Rep_Scorecard__c", "KPI_Snapshot__c"}
    for right in ("allowCreate", "allowDelete"):  # what was made can be taken back
        assert {name for name, row in allowed.items() if row[right] == "true"} == {"KPI_Rep_Scorecard__c", "KPI_Snapshot__c"}
    assert not any(row["modifyAllRecords"] == "true" for row in allowed.values())


def test_in_companion_mode_deals_are_only_read() -> None:
    allowed = {
        row["object"]: row for row in rows_of(files(made("companion"))[f"permissionsets/{extras.INTEGRATION}.permissionset"], "objectPermissions")
    }
    assert allowed["Opportunity"]["allowEdit"] == "false"
    rights = {name.removeprefix("allow"): allowed["KPI_Scorecard__c"][name] for name in allowed["KPI_Scorecard__c"] if name.startswith("allow")}
    assert rights == {"Create": "true", "Delete": "true", "Edit": "true", "Read": "true"}


def test_readers_of_companion_rows_read_them_and_the_deals_and_no_more() -> None:
    text = files(made("companion"))[f"permissionsets/{extras.READER}.permissionset"]
    allowed = {row.pop("object"): {right for right, value in row.items() if value == "true"} for row in rows_of(text, "objectPermissions")}
    assert allowed == {name: {"allowRead"} for name in ("Account", "Opportunity", "KPI_Scorecard__c")}


def test_rows_of_our_objects_are_found_by_a_key_and_outlive_what_they_point_to() -> None:
    package = files(made("everything")) | files(made("companion"))
    found = {}
    for name in ("KPI_Scorecard__c", "KPI_Rep_Scorecard__c", "KPI_Snapshot__c"):
        fields = {row["fullName"]: row for row in rows_of(package[f"objects/{name}.object"], "fields")}
        assert [row["fullName"] for row in fields.values() if row.get("externalId") == "true"] == ["KPI_Key__c"]
        assert (fields["KPI_Key__c"]["unique"], fields["KPI_Key__c"]["caseSensitive"]) == ("true", "false")
        found |= {f"{row['referenceTo']}.{row['relationshipName']}": (row["deleteConstraint"], row["required"])
                  for row in fields.values() if row["type"] == "Lookup"}  # fmt: skip
    assert found == {"Opportunity.KPI_Opportunity_Scorecards": ("SetNull", "false"), "User.KPI_User_Scorecards": ("SetNull", "false")}
    value = next(row for row in rows_of(package["objects/KPI_Snapshot__c.object"], "fields") if row["fullName"] == "KPI_Value__c")
    assert (value["type"], value["precision"], value["scale"]) == ("Number", "18", "6")


def test_companion_rows_have_a_view_a_report_type_and_the_card_of_the_deals_page() -> None:
    wanted = made("companion")
    package = files(wanted)
    assert [(view.object, view.columns[:2]) for view in extras.views(wanted)] == [("KPI_Scorecard__c", ("NAME", "KPI_Opportunity__c"))] * 2
    columns = [row["field"] for row in rows_of(package["reportTypes/KPI_Deal_Scorecards.reportType"], "columns")]
    assert columns == ["Name", *(field.name for field in wanted.objects[0].fields)]
    assert not [path for path in package if path.endswith(".report")]
    script, meta = package["lwc/kpiScorecard/kpiScorecard.js"], package["lwc/kpiScorecard/kpiScorecard.js-meta.xml"]
    assert re.findall(r"from '([^']+)'", script) == ["lwc", "lightning/uiRelatedListApi"]
    assert "relatedListId: 'KPI_Opportunity_Scorecards__r'" in script
    assert [row.text for row in root(meta).iter(f"{NS}object")] == ["Opportunity"]
    assert "getRelatedListRecords" not in files(made("record"))["lwc/kpiScorecard/kpiScorecard.js"]


@pytest.mark.parametrize("mode", EVERY)
def test_nothing_of_the_companys_own_is_touched(mode: str) -> None:
    package = files(made(mode))
    assert not [path for path in package if re.search("layouts/|flexipages|profiles|Layout|FlexiPage", path)]
    kinds = {row["name"] for row in rows_of(package["package.xml"], "types")}
    assert kinds <= {"CustomObject", "CustomField", "ListView", "CompactLayout", "CustomPermission", "PermissionSet", "ReportType", "Report",
                     "LightningComponentBundle"}  # fmt: skip
    assert {path for path in package if path.startswith("permissionsets/")} == {f"permissionsets/{name}.permissionset" for name in extras.SETS}
    for path, text in package.items():
        if path.startswith("objects/") and "/KPI_" not in path:
            assert {child.tag.removeprefix(NS) for child in root(text)} <= {"fields", "listViews", "compactLayouts"}
            assert "compactLayoutAssignment" not in text


@pytest.mark.parametrize("mode", EVERY)
def test_formulas_treat_blanks_as_blank_and_no_field_is_required_or_tracked(mode: str) -> None:
    for path, text in files(made(mode)).items():
        if path.startswith("objects/"):
            for row in rows_of(text, "fields"):
                if "type" not in row:
                    continue  # a line of the compact layout
                assert row.get("required", "false") == "false"
                assert row.get("trackHistory", "false") == "false"
                assert ("formula" in row) == (row.get("formulaTreatBlanksAs") == "BlankAsBlank")


def test_views_filter_on_written_values_only() -> None:
    wanted = made("everything")
    formulas = {field.name for spec in wanted.objects for field in spec.fields if field.formula}
    found = list(extras.views(wanted))
    assert len(found) == 2
    assert all(len(view.label) < 40 and len(view.columns) <= extras.MOST_COLUMNS for view in found)
    assert not {f.field for view in found for f in view.filters} & formulas


def test_pace_is_an_open_list_and_stage_is_text() -> None:
    text = files(made("record"))["objects/Opportunity.object"]
    assert [row["type"] for row in rows_of(text, "fields") if row.get("fullName") == "KPI_Stage__c"] == ["Text"]
    assert [row["restricted"] for row in rows_of(text, "valueSet")] == ["false"]
    assert [row["fullName"] for row in rows_of(text, "value") if row] == ["On pace", "Slow", "Stuck"]


def test_three_reports_on_the_platforms_own_type_in_a_folder_that_everybody_sees() -> None:
    package = files(made("record"))
    reports = [path for path in package if path.endswith(".report")]
    assert len(reports) == 3
    assert all(root(package[path]).findtext(f"{NS}reportType") == "Opportunity" for path in reports)
    assert "AllInternalUsers" in package["reports/KPI_Scorecard-meta.xml"]
    assert root(package["reportTypes/KPI_Opportunities.reportType"]).findtext(f"{NS}baseObject") == "Opportunity"


def test_two_fields_are_complete_by_themselves() -> None:
    wanted = made("two_fields")
    assert [field.name for spec in wanted.objects for field in spec.fields] == ["KPI_Pace__c", "KPI_Stale_Reason__c"]
    package = files(wanted)
    assert package["lwc/kpiScorecard/kpiScorecard.js"].count("{ field:") == 2
    assert set(wanted.left_out) == {key for key in MANIFEST if key not in ("pace", "stale_reason", *ANCHORS, *CALCULATED["salesforce"])}


def test_the_same_fields_make_the_same_bytes_and_another_field_another_mark_of_what_shows_it() -> None:
    first, again = (bundle.zipped(files(made("record"))) for _ in range(2))
    assert first == again

    def marks(wanted: Wanted) -> frozenset[str]:
        text = files(wanted)[f"permissionsets/{extras.INTEGRATION}.permissionset"]
        return bundle.marks_of(root(text).findtext(f"{NS}description"))

    wanted = made("record")
    parts = {bundle.mark(part): part.member for part in bundle.components(wanted, VERSION) if part.kind in bundle.MARKED}
    assert marks(wanted) == set(parts)
    assert len(parts) == 10
    without = marks(made("record", opportunity={**MODES["record"].opportunity, "data_gaps": None}))
    assert sorted(parts[mark] for mark in set(parts) - without) == ["KPI_Opportunities", "KPI_Scorecard/KPI_Data_Gaps", "kpiScorecard"]


@pytest.mark.parametrize("mode", EVERY)
def test_no_description_is_too_long_for_its_marks(mode: str) -> None:
    text = root(files(made(mode))[f"permissionsets/{extras.INTEGRATION}.permissionset"]).findtext(f"{NS}description") or ""
    assert bundle.marks_of(text)
    assert len(text) <= lint.MOST_TEXT


def test_package_xml_names_exactly_what_the_zip_holds() -> None:
    wanted = made("everything")
    package = files(wanted)
    held = {path for path in package if path != "package.xml"}
    with zipfile.ZipFile(io.BytesIO(bundle.zipped(package))) as archive:
        assert set(archive.namelist()) == held | {"package.xml"}
    types = {t.findtext(f"{NS}name"): [m.text for m in t.iter(f"{NS}members")] for t in root(package["package.xml"]).iter(f"{NS}types")}
    assert types["CustomField"] == sorted(f"{spec.name}.{field.name}" for spec in wanted.objects for field in spec.fields)
    assert types["CustomObject"] == ["KPI_Rep_Scorecard__c", "KPI_Snapshot__c"]
    assert types["Report"] == ["KPI_Scorecard", *sorted(f"KPI_Scorecard/{r.name}" for r in extras.reports(wanted))]


# -- the linter, made to find each of its problems -------------------------------------------------------------------


def bent(wanted: Wanted, field: str, **changes: Any) -> Wanted:
    """The same with one field changed."""

    def fields(spec_fields: tuple[FieldSpec, ...]) -> tuple[FieldSpec, ...]:
        return tuple(replace(f, **changes) if f.name == field else f for f in spec_fields)

    return replace(wanted, objects=tuple(replace(spec, fields=fields(spec.fields)) for spec in wanted.objects))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Stage__c"}, "not a name of a scorecard field"),
        ({"name": f"KPI_{'X' * 40}__c"}, "not a name of a scorecard field"),
        ({"label": "X" * 41}, "the label is empty or longer"),
        ({"help": ""}, "help and description are needed"),
        ({"about": "X" * 256}, "help and description are needed"),
        ({"type": "picklist"}, "a picklist without values"),
        ({"formula": "IF( IsClosed, NULL, TODAY()"}, "brackets or quotes"),
        ({"formula": 'CASE( KPI_Pace__c, "Slow, 1, 2 )'}, "brackets or quotes"),
        ({"formula": "TODAY() - Not_Mapped__c"}, "Not_Mapped__c, which is neither ours nor mapped"),
        ({"formula": "X" * 3_901}, "longer than 3,900"),
    ],
)
def test_a_field_that_an_org_would_refuse_is_found(changes: dict[str, Any], said: str) -> None:
    wanted = bent(made("record"), "KPI_Stage__c", **changes)
    assert any(said in problem for problem in lint.problems(wanted, files(wanted), wanted.reads))


READERS = "permissionsets/KPI_Scorecard_Reader.permissionset"


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        (READERS, "<editable>false", "<editable>true", "may not be editable"),
        (READERS, "Opportunity.KPI_Pace__c", "Opportunity.Amount", "Opportunity.KPI_Pace__c is missing"),
        (
            "permissionsets/KPI_Scorecard_Reader.permissionset",
            "Opportunity.KPI_Pace__c",
            "Opportunity.Amount",
            "Opportunity.Amount is no field of ours",
        ),
        ("objects/Opportunity.object", "<label>KPI: stuck deals<", f"<label>{'X' * 40}<", "has 40 characters or more"),
        ("objects/Opportunity.object", "<required>false<", "<required>true<", "no permission set may name"),
        ("reports/KPI_Scorecard-meta.xml", "folderShares", "shares", "seen by nobody"),
        ("reports/KPI_Scorecard/KPI_Data_Gaps.report", "<field>AMOUNT<", "<field>FULL_NAME<", "is a column and a grouping"),
        ("package.xml", "<Package", "<!-- ours --><Package", "comments"),
        ("package.xml", "</Package>", "", "not well-formed"),
    ],
)
def test_a_file_that_an_org_would_refuse_is_found(path: str, old: str, new: str, said: str) -> None:
    wanted = made("record")
    package = files(wanted)
    assert old in package[path]
    package[path] = package[path].replace(old, new)
    assert any(said in problem for problem in lint.problems(wanted, package, wanted.reads)), said


INTEGRATION = "permissionsets/KPI_Scorecard_Integration.permissionset"
CARD_FILE, ROWS = "lwc/kpiScorecard/kpiScorecard.js", "objects/KPI_Scorecard__c.object"


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        (ROWS, "<externalId>true<", "<externalId>false<", "0 key fields"),
        (ROWS, "<unique>true<", "<unique>false<", "KPI_Key__c must be unique, in any case"),
        (ROWS, "<caseSensitive>false<", "<caseSensitive>true<", "KPI_Key__c must be unique, in any case"),
        (ROWS, ">SetNull<", ">Cascade<", "KPI_Opportunity__c would be deleted with its parent"),
        (ROWS, "<sharingModel>Read</sharingModel>", "", "sharingModel is missing"),
        (ROWS, "<columns>KPI_Pace__c<", "<columns>KPI_Tempo__c<", "KPI_Stuck_Deals shows KPI_Tempo__c"),
        ("reportTypes/KPI_Deal_Scorecards.reportType", "<field>KPI_Pace__c<", "<field>KPI_Tempo__c<", "KPI_Scorecard__c.KPI_Tempo__c is not in"),
        (INTEGRATION, "<allowDelete>true<", "<allowDelete>false<", "allowDelete on KPI_Scorecard__c is missing"),
        (INTEGRATION, "<modifyAllRecords>false<", "<modifyAllRecords>true<", "modifyAllRecords on Opportunity is more than is needed"),
        (INTEGRATION, "<object>KPI_Scorecard__c<", "<object>Campaign<", "no access to KPI_Scorecard__c"),
        (INTEGRATION, "ApiEnabled", "ModifyAllData", "ModifyAllData is more than is needed"),
        (READERS, "<allowEdit>false<", "<allowEdit>true<", "allowEdit on Opportunity is more than is needed"),
        (READERS, "<allowRead>true<", "<allowRead>false<", "allowRead on KPI_Scorecard__c is missing"),
        (CARD_FILE, "from 'lwc'", "from '@salesforce/apex/Kpi.read'", "imports @salesforce/apex/Kpi.read"),
        (CARD_FILE, "KPI_Opportunity_Scorecards__r", "Scorecards__r", "Opportunity has no related list Scorecards__r"),
        (CARD_FILE, "field: 'KPI_Pace__c'", "field: 'KPI_Tempo__c'", "shows KPI_Tempo__c"),
        (f"{CARD_FILE}-meta.xml", "<object>Opportunity<", "<object>Account<", "it may be placed on Account, not on Opportunity"),
    ],
)
def test_a_file_that_would_leave_rows_of_ours_astray_is_found(path: str, old: str, new: str, said: str) -> None:
    wanted = made("companion")
    package = files(wanted)
    assert old in package[path]
    package[path] = package[path].replace(old, new)
    assert any(said in problem for problem in lint.problems(wanted, package, wanted.reads)), lint.problems(wanted, package, wanted.reads)


def test_two_objects_of_ours_are_not_reached_by_one_name() -> None:
    wanted = made("everything")
    package = files(wanted)
    rep, snapshot = "objects/KPI_Rep_Scorecard__c.object", "objects/KPI_Snapshot__c.object"
    lookup = re.search(r"    <fields>\s*<fullName>KPI_User__c<.*?</fields>\n", package[rep], re.DOTALL)
    assert lookup is not None
    package[snapshot] = package[snapshot].replace("    <fields>\n", f"{lookup[0]}    <fields>\n", 1)
    assert any("KPI_User_Scorecards" in problem for problem in lint.problems(wanted, package, wanted.reads))


@pytest.mark.parametrize("path", ["layouts/Opportunity-Opportunity Layout.layout", "flexipages/Deal.flexipage", "profiles/Admin.profile"])
def test_a_page_of_the_company_never_gets_into_a_bundle(path: str) -> None:
    wanted = made("record")
    assert any("never deploys" in problem for problem in lint.problems(wanted, {**files(wanted), path: "<x/>"}, wanted.reads))


def test_a_permission_set_of_the_company_never_gets_into_a_bundle() -> None:
    wanted = made("record")
    theirs = {**files(wanted), "permissionsets/Sales.permissionset": '<PermissionSet xmlns="http://soap.sforce.com/2006/04/metadata"/>'}
    assert any("not a permission set of ours" in problem for problem in lint.problems(wanted, theirs, wanted.reads))


# -- the project for teams with a pipeline ---------------------------------------------------------------------------


def test_the_project_holds_the_same_components_one_file_each() -> None:
    wanted = made("everything")
    written = project.files(wanted, VERSION)
    assert {"sfdx-project.json", "manifest/package.xml", "README.md", "DEPLOY.md"} <= set(written)
    below = {path.removeprefix("force-app/main/default/") for path in written if path.startswith("force-app/")}
    for spec in wanted.objects:
        assert {f"objects/{spec.name}/fields/{f.name}.field-meta.xml" for f in spec.fields} <= below
    assert written["manifest/package.xml"] == files(wanted)["package.xml"]
    for spec in wanted.objects:
        for field in spec.fields:
            assert f"| {spec.name} | {field.name} |" in written["README.md"]
    assert "--dry-run" in written["DEPLOY.md"]


def test_every_row_of_the_manifest_is_made_by_some_mode() -> None:
    names = {field.name for mode in MODES for spec in made(mode).objects for field in spec.fields}
    known = (
        *rows.LIVE,
        *scorecard_fields.ACCOUNT,
        *scorecard_fields.CONTACT,
        *scorecard_fields.REP,
        *scorecard_fields.SNAPSHOT,
        *scorecard_fields.COMPANION,
    )
    assert {row.salesforce for row in known} - names == set()


@pytest.mark.parametrize("mode", EVERY)
def test_no_dashboard_is_deployed_and_the_export_says_why(mode: str) -> None:
    """One too many that runs as its viewer refuses the whole deployment, fields included."""
    wanted = made(mode)
    project_files = project.files(wanted, VERSION)
    assert [path for path in (*project_files, *files(wanted)) if "dashboard" in path.lower()] == []
    assert "<name>Dashboard</name>" not in project_files["manifest/package.xml"]
    assert "Nor a dashboard." in project_files["README.md"]
    assert "make it over the reports in the folder KPI Scorecard" in project_files["DEPLOY.md"]
    path, package = "dashboards/KPI_Scorecard/Board.dashboard", files(wanted)
    found = lint.problems(wanted, {**package, path: package["package.xml"]}, wanted.reads)
    assert f"{path}: the connector never deploys this kind of component" in found
