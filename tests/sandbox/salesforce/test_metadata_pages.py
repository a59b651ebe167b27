"""List views, compact layouts, components, report types, reports, dashboards: what an org refuses of them and what it takes."""

import pytest

from connector.sandbox.clock import VirtualClock
from connector.sandbox.salesforce.org import Org
from tests.sandbox.salesforce import bundles as b


@pytest.fixture
def org(clock: VirtualClock):
    return Org(clock, bare=True)


@pytest.fixture
def admin(client, org):
    client.token = f"sandbox-as-{org.admin}"
    return client


# -- pages and reports -------------------------------------------------------------------------------------------------------


def view(*parts, name="KPI_Stuck", label="Stuck", scope="Everything"):
    return f"<listViews><fullName>{name}</fullName>{''.join(parts)}<filterScope>{scope}</filterScope><label>{label}</label></listViews>"


def column(name):
    return f"<columns>{name}</columns>"


def where(field, operation="equals", value="x"):
    return f"<filters><field>{field}</field><operation>{operation}</operation><value>{value}</value></filters>"


def listed(part):
    return b.zipped({"package.xml": b.manifest({"ListView": ["Opportunity.KPI_Stuck"]}), "objects/Opportunity.object": b.custom_object(part)})


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (view(column("OPPORTUNITY.NAME"), label="x" * 40), "Value too long for field: Name maximum length is:39"),
        (view(column("KPI_Gone__c")), "Could not resolve list view column: KPI_Gone__c"),
        (view(column("OPPORTUNITY.WISH")), "Could not resolve list view column: OPPORTUNITY.WISH"),
        (view(where("KPI_Gone__c")), "Could not resolve list view column: KPI_Gone__c"),
        (view(where("OPPORTUNITY.NAME", "resembles")), "Error parsing file: 'resembles' is not a valid value for the enum 'FilterOperation'"),
        (view(scope="World"), "Error parsing file: 'World' is not a valid value for the enum 'FilterScope'"),
        (view("<booleanFilter>1 OR 2</booleanFilter>", where("OPPORTUNITY.NAME")), "Invalid filter logic: 1 OR 2"),
        (view(column("OPPORTUNITY.NAME"), where("OPPORTUNITY.NAME"), column("OPPORTUNITY.AMOUNT")),
         b.DUPLICATED.format("columns", "ListView")),
    ],
)  # fmt: skip
def test_list_views(admin, part, words):
    row = b.of(admin, listed(part))
    assert (row["componentType"], row["problem"]) == ("ListView", words)


def test_a_list_view_and_a_compact_layout_are_there_afterwards(admin):
    compact = "<compactLayouts><fullName>KPI_Scorecard</fullName><fields>Name</fields><fields>KPI_A__c</fields><label>KPI</label></compactLayouts>"
    part = view(column("OPPORTUNITY.NAME"), column("KPI_A__c"), where("KPI_A__c"), label="x" * 39)
    members = {"CustomField": ["Opportunity.KPI_A__c"], "ListView": ["Opportunity.KPI_Stuck"], "CompactLayout": ["Opportunity.KPI_Scorecard"]}
    body = {"package.xml": b.manifest(members), "objects/Opportunity.object": b.custom_object(b.custom_field("KPI_A__c"), part, compact)}
    assert b.deploy(admin, b.zipped(body))["numberComponentsDeployed"] == 3
    assert [row["DeveloperName"] for row in admin.rows("SELECT DeveloperName FROM ListView WHERE SobjectType = 'Opportunity'")] == ["KPI_Stuck"]
    body["objects/Opportunity.object"] = body["objects/Opportunity.object"].replace("<fields>Name</fields>", "<fields>KPI_Gone__c</fields>")
    assert b.of(admin, b.zipped(body))["problem"] == "In field: fields - no CustomField named Opportunity.KPI_Gone__c found"


def component(name="kpiScorecard", *, js=None, meta="", html="<template></template>"):
    code = js if js is not None else "import { LightningElement } from 'lwc';\nexport default class K extends LightningElement {}"
    told = b.wrap("LightningComponentBundle", f"<apiVersion>68.0</apiVersion><isExposed>true</isExposed>{meta}")
    home = f"lwc/{name}/{name}"
    files = {f"{home}.js": code, f"{home}.html": html, f"{home}.js-meta.xml": told}
    return b.zipped({"package.xml": b.manifest({"LightningComponentBundle": [name]}), **{p: c for p, c in files.items() if c}})


PLACED = "<targets><target>lightning__RecordPage</target></targets>"


def config(about):
    held = f'<targetConfig targets="lightning__RecordPage"><objects><object>{about}</object></objects></targetConfig>'
    return f"<targetConfigs>{held}</targetConfigs>"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (component("KpiScorecard"), "Invalid component name KpiScorecard"),
        (component(js=""), "No MODULE named markup://c:kpiScorecard found"),
        (component(js="class K {}"), "Invalid class: kpiScorecard.js must export a default class that extends LightningElement"),
        (component(html="<div></div>"), "LWC1012: Invalid root tag of kpiScorecard.html"),
        (component(meta="<targets><target>lightning__Moon</target></targets>"), "'lightning__Moon' is not a valid target"),
        (component(meta=PLACED + '<targetConfigs><targetConfig targets="lightning__AppPage"/></targetConfigs>'),
         "'lightning__AppPage' in targetConfig is not among the component's targets"),
        (component(meta=PLACED + config("Nope")), "'Nope' is not a valid object"),
        (component(js="import F from '@salesforce/schema/Opportunity.KPI_Gone__c';\nexport default class K extends LightningElement {}"),
         "Invalid reference Opportunity.KPI_Gone__c of type sobjectField in file kpiScorecard.js"),
        (component(meta="<wish>x</wish>"), b.INVALID.format("wish", "LightningComponentBundle")),
    ],
)  # fmt: skip
def test_components(admin, content, words):
    row = b.of(admin, content)
    assert row["problem"].startswith(words)
    assert row["componentType"] == "LightningComponentBundle"


def test_a_component_that_will_do(admin, org):
    js = "import N from '@salesforce/schema/Opportunity.Account.Name';\nexport default class K extends LightningElement {}"
    config = (
        '<targetConfigs><targetConfig targets="lightning__RecordPage"><objects><object>Opportunity</object></objects></targetConfig></targetConfigs>'
    )
    assert b.deploy(admin, component(js=js, meta=PLACED + config))["success"]
    assert ("LightningComponentBundle", "kpiScorecard") in org.metadata


def type_file(field="Name", base="Opportunity", category="opportunities"):
    columns = f"<columns><checkedByDefault>true</checkedByDefault><field>{field}</field><table>{base}</table></columns>"
    return b.wrap("ReportType", f"<baseObject>{base}</baseObject><category>{category}</category><deployed>true</deployed><label>KPI</label>"
                f"<sections>{columns}<masterLabel>Deal</masterLabel></sections>")  # fmt: skip


def report_file(*fields, kind="Opportunity", form="Tabular", more="", name="Stuck"):
    columns = "".join(f"<columns><field>{field}</field></columns>" for field in fields)
    return b.wrap(
        "Report", f"{columns}<format>{form}</format>{more}<name>{name}</name><reportType>{kind}</reportType><showDetails>true</showDetails>"
    )


def reported(report, folder=True, kind=None):
    members = {"Report": ["KPI_Scorecard", "KPI_Scorecard/Stuck"] if folder else ["KPI_Scorecard/Stuck"], "ReportType": ["KPI_Opportunities"]}
    files = {"reports/KPI_Scorecard/Stuck.report": report, "reportTypes/KPI_Opportunities.reportType": kind or type_file()}
    if folder:
        files["reports/KPI_Scorecard-meta.xml"] = b.wrap("ReportFolder", "<name>KPI Scorecard</name>")
    return b.zipped({"package.xml": b.manifest(members), **files})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (reported(report_file("OPPORTUNITY_NAME"), folder=False), "Cannot find folder:KPI_Scorecard"),
        (reported(report_file("Opportunity.KPI_Gone__c")), "field: invalid value for field: Opportunity.KPI_Gone__c"),
        (reported(report_file("WISH")), "field: invalid value for field: WISH"),
        (reported(report_file("Opportunity$Amount", kind="KPI_Opportunities__c")), "field: invalid value for field: Opportunity$Amount"),
        (reported(report_file("OPPORTUNITY_NAME", kind="Wishes")), "invalid report type: Wishes"),
        (reported(report_file("OPPORTUNITY_NAME", form="Round")), "Error parsing file: 'Round' is not a valid value for the enum 'ReportFormat'"),
        (reported(report_file("OPPORTUNITY_NAME", form="Summary")), "A report of the format Summary must have at least one grouping"),
        (reported(report_file("OPPORTUNITY_NAME", name="x" * 41)), "Value too long for field: Name maximum length is:40"),
        (reported(report_file("OPPORTUNITY_NAME", more="<wish>x</wish>")), b.INVALID.format("wish", "Report")),
        (reported(report_file("OPPORTUNITY_NAME"), kind=type_file("KPI_Gone__c")), 
         "In field: field - no CustomField named Opportunity.KPI_Gone__c found"),
        (reported(report_file("OPPORTUNITY_NAME"), kind=type_file(category="wishes")),
         "Error parsing file: 'wishes' is not a valid value for the enum 'ReportTypeCategory'"),
    ],
)  # fmt: skip
def test_reports(admin, content, words):
    assert b.of(admin, content)["problem"] == words


def test_reports_in_their_folder(admin):
    grouped = report_file("Opportunity$Name", kind="KPI_Opportunities__c", form="Summary",
                          more="<groupingsDown><field>Opportunity$Name</field><sortOrder>Asc</sortOrder></groupingsDown>")  # fmt: skip
    result = b.deploy(admin, reported(grouped))
    assert result["success"], b.problems(result)
    row = admin.rows("SELECT Name, DeveloperName, FolderName, Format FROM Report")[0]
    assert (row["Name"], row["DeveloperName"], row["FolderName"], row["Format"]) == ("Stuck", "Stuck", "KPI_Scorecard", "Summary")
    assert [row["DeveloperName"] for row in admin.rows("SELECT DeveloperName FROM Folder WHERE Type = 'Report'")] == ["KPI_Scorecard"]


def test_dashboards_need_their_reports(admin):
    def board(report):
        looks = "".join(f"<{t}>#FFFFFF</{t}>" for t in ("backgroundEndColor", "backgroundStartColor", "textColor", "titleColor"))
        middle = f"<middleSection><columnSize>Wide</columnSize><components><report>{report}</report></components></middleSection>"
        inner = f"{looks}<backgroundFadeDirection>Diagonal</backgroundFadeDirection>{middle}<title>KPI</title><titleSize>12</titleSize>"
        return b.zipped({
            "package.xml": b.manifest({"Dashboard": ["KPI_Scorecard", "KPI_Scorecard/Board"]}),
            "dashboards/KPI_Scorecard-meta.xml": b.wrap("DashboardFolder", "<name>KPI Scorecard</name>"),
            "dashboards/KPI_Scorecard/Board.dashboard": b.wrap("Dashboard", inner),
        })  # fmt: skip

    assert b.of(admin, board("KPI_Scorecard/Stuck"))["problem"] == "In field: report - no Report named KPI_Scorecard/Stuck found"
    assert b.deploy(admin, reported(report_file("OPPORTUNITY_NAME")))["success"]
    assert b.deploy(admin, board("KPI_Scorecard/Stuck"))["success"]
