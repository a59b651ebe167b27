"""Logins for everybody, the page of a deal as one user sees it, and what the set-up shows of fields and layouts."""

import re
from datetime import date

import pytest

from connector.crms.salesforce import bundle
from tests.crms.salesforce.wanted import made
from tests.sandbox.salesforce import bundles as b


@pytest.fixture
def rep(org, deal):
    key = org.insert("User", {"FirstName": "Dana", "LastName": "Reyes", "Username": "dana@x.example", "IsActive": True,
                              "TimeZoneSidKey": "America/New_York"})  # fmt: skip
    org.update("Opportunity", deal, {"OwnerId": key})
    return key


def page(client, path):
    answer = client.session.get(f"{client.base}/sandbox/salesforce/{path}", timeout=10)
    return answer.status_code, answer.text


def shown(text):
    """Field → value of a deal's page."""
    return dict(re.findall(r'<dd data-field="(\w+)">(.*?)</dd>', text))


@pytest.mark.parametrize(
    ("login", "username"),
    [("admin", "admin@beacon-surgical.example"), ("integration", "kpi.connector@beacon-surgical.example"), ("rep", "dana@x.example"),
     ("dana", "dana@x.example"), ("DANA@x.example", "dana@x.example")],
)  # fmt: skip
def test_a_token_for_everybody(client, org, rep, login, username):
    answer = client.session.post(f"{client.base}/sandbox/salesforce/token", json={"as": login}, timeout=10).json()
    assert (answer["ok"], answer["username"], answer["instance_url"]) == (True, username, client.base)
    for token in (answer["access_token"], f"sandbox-as-{login}"):
        client.token = token
        assert client.get("/services/oauth2/userinfo").json()["preferred_username"] == username


def test_no_token_for_nobody(client, org, rep):
    org.update("User", rep, {"IsActive": False})
    for asked in ({"as": "nobody"}, {"as": "dana"}, {"as": 3}, ["x"]):
        answer = client.session.post(f"{client.base}/sandbox/salesforce/token", json=asked, timeout=10)
        assert (answer.status_code, answer.json()["ok"]) == (400, False)


def test_an_app_that_runs_as_the_administrator(client, org):
    token = client.grant(grant_type="client_credentials", client_id="provisioner", client_secret="s").json()["access_token"]
    client.token = token
    assert client.get("/services/oauth2/userinfo").json()["user_id"] == org.admin


def test_a_deal_as_a_rep_sees_it(client, org, deal, rep):
    org.update("Opportunity", deal, {"KPI_Pace__c": "Stuck", "KPI_Win_Chance__c": 29, "KPI_Stage_Entered_On__c": date(2026, 10, 2),
                                     "KPI_Touch_Density__c": 3.25, "KPI_Updated_At__c": "2026-11-20T17:30:00.000+0000"})  # fmt: skip
    status, text = page(client, f"deals/{deal}?as=rep")
    assert (status, "seen as <b>Dana Reyes</b> (Standard User), 20 Nov 2026, 13:00 EST" in text) == (200, True)
    found = shown(text)
    wanted = {
        "KPI_Pace__c": "Stuck", "KPI_Win_Chance__c": "29%", "KPI_Stage_Entered_On__c": "2 Oct 2026", "KPI_Touch_Density__c": "3.3",
        "KPI_Updated_At__c": "20 Nov 2026, 12:30 EST", "Amount": "USD 420,000.00", "AccountId": "Hospital A", "OwnerId": "Dana Reyes",
        "IsClosed": "☐", "NextStep": "—", "Days_To_Close__c": "70",
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted
    assert "Not on the page layout yet" in text
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)
    org.place([name for name in org.schema["Opportunity"].fields if name.startswith("KPI_")])
    assert "Not on the page layout yet" not in page(client, f"deals/{deal}?as=rep")[1]


def test_what_a_user_may_not_see_is_not_on_the_page(client, org, deal, rep):
    org.hide_field("Opportunity", "Amount", rep)
    assert "Amount" not in shown(page(client, f"deals/{deal}?as={rep}")[1])
    assert "Amount" in shown(page(client, f"deals/{deal}?as=admin")[1])


def test_a_deployed_field_appears_with_its_permission_set(client, org, deal, rep):
    client.token = "sandbox-as-admin"
    zipped = b.opportunity(b.formula("KPI_Days__c", "Number", "TODAY() - DATEVALUE(CreatedDate)", label="Days &amp; nights"),
                           members={"PermissionSet": ["P"]},
                           files={"permissionsets/P.permissionset": b.permission_set("P", read=["Opportunity.KPI_Days__c"])})  # fmt: skip
    assert b.deploy(client, zipped)["success"]
    assert "KPI_Days__c" not in shown(page(client, f"deals/{deal}?as=rep")[1])
    held = client.rows("SELECT Id FROM PermissionSet WHERE Name = 'P'")[0]["Id"]
    assert client.post("sobjects/PermissionSetAssignment", {"PermissionSetId": held, "AssigneeId": rep}).status_code == 201
    assert shown(page(client, f"deals/{deal}?as=rep")[1])["KPI_Days__c"] == "0"


def test_pages_of_what_is_not_there(client, org, deal):
    assert page(client, "deals/006000000000001AAA")[0] == 404
    assert page(client, f"deals/{deal}?as=nobody")[0] == 404
    assert page(client, "deals?as=nobody")[0] == 404


def test_the_lists(client, org, deal, rep):
    org.update("Opportunity", deal, {"Name": "<b>Hospital</b>"})
    status, text = page(client, "deals?as=dana")
    assert (status, f"/sandbox/salesforce/deals/{deal}?as={rep}" in text, "&lt;b&gt;Hospital" in text) == (200, True, True)
    text = page(client, "logins")[1]
    for words in ("sandbox-as-admin", "sandbox-as-integration", "sandbox-as-dana", "KPI_Scorecard_Integration"):
        assert words in text


# -- set-up --------------------------------------------------------------------------------------------------------------


def test_field_definitions(client, org):
    soql = "SELECT QualifiedApiName, DataType, IsCalculated FROM FieldDefinition WHERE EntityDefinition.QualifiedApiName = 'Opportunity'"
    for path in ("query", "tooling/query"):
        rows = {row["QualifiedApiName"]: row for row in client.get(path, params={"q": soql}).json()["records"]}
        wanted = {
            "KPI_Stage__c": "Text(40)", "KPI_Touch_Density__c": "Number(4, 1)", "KPI_Pace__c": "Picklist", "Days_To_Close__c": "Formula (Number)",
            "AccountId": "Lookup(Account)",
        }  # fmt: skip
        assert {name: rows[name]["DataType"] for name in wanted} == wanted
        assert rows["Days_To_Close__c"]["IsCalculated"]
    org.hide_field("Opportunity", "Amount", org.api_user)
    assert "Amount" not in [row["QualifiedApiName"] for row in client.rows(soql)]
    client.token = "sandbox-as-admin"
    assert "Amount" in [row["QualifiedApiName"] for row in client.rows(soql)]
    assert client.query("SELECT QualifiedApiName FROM FieldDefinition").json()[0]["errorCode"] == "EXTERNAL_OBJECT_EXCEPTION"


def test_custom_fields_of_the_tooling_api(client):
    soql = "SELECT DeveloperName, TableEnumOrId FROM CustomField WHERE TableEnumOrId = 'Opportunity' AND DeveloperName LIKE 'KPI_P%'"
    rows = client.get("tooling/query", params={"q": soql}).json()["records"]
    assert {row["DeveloperName"] for row in rows} == {"KPI_Pace", "KPI_Pilot_Limit_On", "KPI_Personas", "KPI_Personas_Missing"}
    assert client.query(soql).json()[0]["errorCode"] == "INVALID_TYPE"
    by_entity = soql.replace("TableEnumOrId =", "EntityDefinition.QualifiedApiName =")
    assert client.get("tooling/query", params={"q": by_entity}).json()["records"] == rows


def tooled(client, soql):
    answer = client.get("tooling/query", params={"q": soql}).json()
    return answer["records"] if isinstance(answer, dict) else answer[0]["errorCode"]


def test_limits_of_objects_are_told_to_who_may_see_the_set_up(client, org):
    soql = "SELECT Type, Max, Remaining FROM EntityLimit WHERE EntityDefinition.QualifiedApiName = 'Opportunity' AND Type = 'CustomFields'"
    assert tooled(client, soql) == "INVALID_TYPE"  # the connection's user
    client.token = "sandbox-as-admin"
    assert client.query(soql).json()[0]["errorCode"] == "INVALID_TYPE"
    custom = sum(field.custom for field in org.schema["Opportunity"].fields.values())
    row = tooled(client, soql)[0]
    assert (row["Type"], row["Max"], row["Remaining"]) == ("CustomFields", 500, 500 - custom)
    assert b.deploy(client, b.opportunity(b.custom_field("KPI_A__c")))["success"]
    assert tooled(client, soql)[0]["Remaining"] == 500 - custom - 1
    org.most_fields = custom + 2
    assert set(b.problems(b.deploy(client, b.opportunity(b.custom_field("KPI_B__c"), b.custom_field("KPI_C__c"))))) == {"Opportunity.KPI_C__c"}
    assert b.deploy(client, b.opportunity(b.custom_field("KPI_A__c", label="Another")))["success"]  # no new field


def test_record_pages_are_told_and_not_what_is_on_them(client, org):
    org.add_page("Deal page", "Opportunity")
    org.add_page("Deals at home", "Opportunity", kind="HomePage")
    org.add_page("Account page", "Account")
    soql = "SELECT MasterLabel, DeveloperName FROM FlexiPage WHERE EntityDefinition.QualifiedApiName = 'Opportunity' AND Type = 'RecordPage'"
    assert tooled(client, soql) == "INVALID_TYPE"
    client.token = "sandbox-as-admin"
    assert [(row["MasterLabel"], row["DeveloperName"]) for row in tooled(client, soql)] == [("Deal page", "Deal_page")]


def test_deployed_pages_and_components_are_told_with_their_sources(client, org):
    client.token = "sandbox-as-admin"
    assert b.deploy(client, bundle.zipped(bundle.metadata_files(made("two_fields"), "68.0")))["success"]
    assert [row["SobjectType"] for row in tooled(client, "SELECT SobjectType FROM CompactLayout WHERE DeveloperName LIKE 'KPI%'")] == ["Opportunity"]
    assert len(tooled(client, "SELECT Id FROM LightningComponentBundle WHERE DeveloperName = 'kpiScorecard'")) == 1
    soql = "SELECT FilePath, Source FROM LightningComponentResource WHERE LightningComponentBundle.DeveloperName = 'kpiScorecard'"
    sources = {row["FilePath"]: row["Source"] for row in tooled(client, soql)}
    assert sources == {path: text for path, text in bundle.metadata_files(made("two_fields"), "68.0").items() if path.startswith("lwc/")}
    assert b.deploy(client, bundle.zipped(bundle.metadata_files(made("two_fields"), "68.0")))["success"]
    assert len(tooled(client, soql)) == 3
    org.drop_record(("LightningComponentBundle", "kpiScorecard"))
    assert (tooled(client, soql), tooled(client, "SELECT Id FROM LightningComponentBundle")) == ([], [])


def laid(client, path="sobjects/Opportunity/describe/layouts"):
    """Record type's id → the fields on its page."""
    body = client.get(path).json()
    found = {}
    for mapping in body["recordTypeMappings"]:
        layout = next(each for each in body["layouts"] if each["id"] == mapping["layoutId"])
        items = [item for section in layout["detailLayoutSections"] for row in section["layoutRows"] for item in row["layoutItems"]]
        found[mapping["recordTypeId"]] = {item["layoutComponents"][0]["value"] for item in items}
    return found


def test_layouts_tell_which_fields_are_on_a_page(client, org):
    before = laid(client)
    assert len(before) == len(org.record_types) + 1
    assert all("Amount" in names and "KPI_Pace__c" not in names for names in before.values())
    first = next(iter(org.record_types.values()))
    org.place(["KPI_Pace__c", "KPI_Stale_Reason__c"], record_type=first)
    assert {key for key, names in laid(client).items() if "KPI_Pace__c" in names} == {first}
    org.hide_field("Opportunity", "KPI_Pace__c", org.api_user)
    assert "KPI_Pace__c" not in laid(client)[first]
    one = client.get(f"sobjects/Opportunity/describe/layouts/{first}").json()
    assert [section["heading"] for section in one["detailLayoutSections"]] == ["Opportunity Information", "KPI Scorecard"]
    assert client.get("sobjects/Opportunity/describe/layouts/012000000000001AAA").status_code == 404
    assert client.get("sobjects/OpportunityHistory/describe/layouts").status_code == 404


def test_record_access_follows_object_rights(client, org, deal):
    client.token = "sandbox-as-admin"
    body = b.custom_object("<deploymentStatus>Deployed</deploymentStatus><label>Card</label><nameField><label>N</label><type>Text</type></nameField>"
                           "<pluralLabel>Cards</pluralLabel><sharingModel>ReadWrite</sharingModel>")  # fmt: skip
    held = {"package.xml": b.manifest({"CustomObject": ["KPI_Card__c"]}), "objects/KPI_Card__c.object": body}
    assert b.deploy(client, b.zipped(held))["success"]
    card = client.post("sobjects/KPI_Card__c", {"Name": "x"}).json()["id"]
    soql = f"SELECT RecordId, HasReadAccess, HasEditAccess FROM UserRecordAccess WHERE UserId = '{{}}' AND RecordId IN ('{deal}', '{card}')"
    rights = {user: [row["HasEditAccess"] for row in client.rows(soql.format(user))] for user in (org.admin, org.api_user)}
    assert rights == {org.admin: [True, True], org.api_user: [True, False]}
