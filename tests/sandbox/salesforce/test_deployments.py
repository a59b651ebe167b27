"""Metadata deployments over REST: who may, what the states are, what a refused component is told, and that nothing of a failed one remains."""

import pytest

from connector.sandbox.salesforce.org import Org
from tests.sandbox.salesforce import bundles as b

PACE = "Opportunity.KPI_Pace__c"


@pytest.fixture
def org(clock):
    """An org that nobody has provisioned."""
    return Org(clock, bare=True)


@pytest.fixture
def admin(client, org):
    client.token = f"sandbox-as-{org.admin}"
    return client


def as_user(client, user):
    client.token = f"sandbox-as-{user}"
    return client


def names(client, about="Opportunity"):
    return {field["name"]: field for field in client.get(f"sobjects/{about}/describe").json()["fields"]}


def code(answer):
    return answer.status_code, answer.json()[0]["errorCode"]


def one(org, kind, **held):
    return next(row for row in org.tables[kind].rows.values() if all(row.get(k) == v for k, v in held.items()))


def provisioned(*, edit=("Opportunity.KPI_Pace__c",), read=("Opportunity.KPI_Days__c",)):
    return b.opportunity(
        b.picklist("KPI_Pace__c", "On pace", "Slow", "Stuck"), b.custom_field("KPI_Entered__c", "Date", label="In stage since"),
        b.formula("KPI_Days__c", "Number", "IF( ISBLANK(KPI_Entered__c), NULL, TODAY() - KPI_Entered__c )"),
        members={"PermissionSet": ["KPI_Integration"]},
        files={"permissionsets/KPI_Integration.permissionset": b.permission_set("KPI Integration", edit=edit, read=read)},
    )  # fmt: skip


def test_an_org_that_nobody_has_provisioned_has_no_scorecard_field(client, org):
    for user in (org.admin, org.api_user):
        assert not [name for name in names(as_user(client, user)) if name.startswith("KPI_")]
    assert client.rows("SELECT Id FROM PermissionSet WHERE Name LIKE 'KPI%'") == []


def test_the_states_of_a_deployment(admin, org):
    answer = b.send(admin, provisioned())
    body = answer.json()
    assert (answer.status_code, body["deployResult"]["status"], body["deployResult"]["done"]) == (201, "Pending", False)
    assert body["deployOptions"]["checkOnly"] is False
    assert body["url"].endswith(f"/services/data/v68.0/metadata/deployRequest/{body['id']}")
    path = f"metadata/deployRequest/{body['id']}"
    first, second = (admin.get(path).json()["deployResult"] for _ in range(2))
    assert [first["status"], second["status"], second["success"], second["done"]] == ["InProgress", "Succeeded", True, True]
    assert "details" not in second
    assert (second["numberComponentsTotal"], second["numberComponentsDeployed"], second["numberComponentErrors"]) == (4, 4, 0)
    rows = admin.get(path, params={"includeDetails": "true"}).json()["deployResult"]["details"]["componentSuccesses"]
    assert {(row["componentType"], row["fullName"], row["created"]) for row in rows} == {
        ("CustomField", PACE, True), ("CustomField", "Opportunity.KPI_Entered__c", True), ("CustomField", "Opportunity.KPI_Days__c", True),
        ("PermissionSet", "KPI_Integration", True),
    }  # fmt: skip
    assert all(row["fileName"] and row["success"] and row["id"] for row in rows)


def test_only_an_administrator_deploys(client, org):
    answer = b.send(client, provisioned())
    assert answer.status_code == 403
    assert answer.json() == [{
        "errorCode": "INSUFFICIENT_ACCESS",
        "message": "INSUFFICIENT_ACCESS: use of the Metadata API requires a user with the ModifyAllData or ModifyMetadata permissions",
    }]  # fmt: skip
    assert code(client.get("metadata/deployRequest/0Af000000000001AAA")) == (403, "INSUFFICIENT_ACCESS")


def test_a_check_leaves_nothing_behind(admin, org):
    result = b.deploy(admin, provisioned(), checkOnly=True)
    assert (result["status"], result["checkOnly"], result["numberComponentsDeployed"]) == ("Succeeded", True, 4)
    assert all(row["id"] is None for row in result["details"]["componentSuccesses"])
    assert "KPI_Pace__c" not in org.schema["Opportunity"].fields
    assert admin.rows("SELECT Id FROM PermissionSet WHERE Name = 'KPI_Integration'") == []


def test_nothing_remains_of_a_failed_deployment(admin, org):
    before = dict(org.schema)
    bad = b.opportunity(b.custom_field("KPI_Fine__c"), b.custom_field("KPI_Bad__c", "Number", scale=None))
    result = b.deploy(admin, bad)
    assert (result["status"], result["success"], result["numberComponentErrors"]) == ("Failed", False, 1)
    failure = result["details"]["componentFailures"][0]
    assert failure == failure | {
        "fullName": "Opportunity.KPI_Bad__c", "componentType": "CustomField", "problemType": "Error", "fileName": "objects/Opportunity.object",
        "problem": "Must specify 'scale' for a CustomField of type Number", "lineNumber": 2, "success": False,
    }  # fmt: skip
    assert org.schema == before


def test_without_rollback_the_good_half_stays(admin, org):
    bad = b.opportunity(b.custom_field("KPI_Fine__c"), b.custom_field("KPI_Bad__c", "Number", scale=None))
    assert b.deploy(admin, bad, rollbackOnError="false")["status"] == "SucceededPartial"
    assert set(org.schema["Opportunity"].fields) & {"KPI_Fine__c", "KPI_Bad__c"} == {"KPI_Fine__c"}


def test_a_deployment_can_be_canceled(admin, org):
    path = f"metadata/deployRequest/{b.send(admin, provisioned()).json()['id']}"
    answer = admin.patch(path, {"deployResult": {"status": "Canceling"}})
    assert (answer.status_code, answer.json()["deployResult"]["status"]) == (202, "Canceled")
    assert admin.get(path).json()["deployResult"]["done"]
    assert "KPI_Pace__c" not in org.schema["Opportunity"].fields
    assert code(admin.patch(path, {"deployResult": {"status": "Canceling"}})) == (400, "INVALID_ID_FIELD")
    assert code(admin.get("metadata/deployRequest/0Af000000000001AAA")) == (404, "NOT_FOUND")


def test_requests_that_are_no_deployment(admin):
    assert code(admin.post("metadata/deployRequest", {})) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert code(b.send(admin, b"", wishes=1)) == (400, "JSON_PARSER_ERROR")
    only = {"json": (None, '{"deployOptions": {}}', "application/json")}
    assert code(admin.call("POST", "metadata/deployRequest", files=only)) == (400, "INVALID_MULTIPART_REQUEST")
    assert b.problems(b.deploy(admin, b"no zip")) == {"package.xml": "Not a valid zip file"}
    assert b.problems(b.deploy(admin, b.zipped({"x": "y"}))) == {"package.xml": "No package.xml found"}


# -- access ----------------------------------------------------------------------------------------------------------


def test_a_deployed_field_is_nobodys_until_a_permission_set_is_assigned(client, org, deal):
    b.deploy(as_user(client, org.admin), provisioned())
    soql = "SELECT KPI_Pace__c FROM Opportunity"
    for user in (org.admin, org.api_user):
        answer = as_user(client, user).query(soql)
        assert code(answer) == (400, "INVALID_FIELD")
        assert "No such column 'KPI_Pace__c' on entity 'Opportunity'" in answer.json()[0]["message"]
        assert "KPI_Pace__c" not in names(client)
        assert client.patch(f"sobjects/Opportunity/{deal}", {"KPI_Pace__c": "Slow"}).json()[0]["errorCode"] == "INVALID_FIELD"
    as_user(client, org.admin)
    held = client.rows("SELECT Id FROM PermissionSet WHERE Name = 'KPI_Integration'")[0]["Id"]
    made = client.post("sobjects/PermissionSetAssignment", {"PermissionSetId": held, "AssigneeId": org.api_user})
    assert made.status_code == 201, made.text
    assert code(client.query(soql)) == (400, "INVALID_FIELD")
    as_user(client, org.api_user)
    assert client.patch(f"sobjects/Opportunity/{deal}", {"KPI_Pace__c": "Slow"}).status_code == 204
    assert client.rows(soql)[0]["KPI_Pace__c"] == "Slow"
    shown = names(client)
    assert (shown["KPI_Pace__c"]["updateable"], shown["KPI_Days__c"]["updateable"], shown["KPI_Days__c"]["calculated"]) == (True, False, True)
    assert "KPI_Entered__c" not in shown
    refused = client.patch(f"sobjects/Opportunity/{deal}", {"KPI_Days__c": 3})
    assert refused.json()[0] | {"message": ""} == {"errorCode": "INVALID_FIELD_FOR_INSERT_UPDATE", "message": "", "fields": ["KPI_Days__c"]}
    client.call("DELETE", f"sobjects/PermissionSetAssignment/{made.json()['id']}")
    as_user(client, org.admin).call("DELETE", f"sobjects/PermissionSetAssignment/{made.json()['id']}")
    assert code(as_user(client, org.api_user).query(soql)) == (400, "INVALID_FIELD")


def test_a_set_that_is_deployed_again_holds_only_what_it_names(client, org):
    b.deploy(as_user(client, org.admin), provisioned(edit=(PACE, "Opportunity.KPI_Entered__c")))
    held = "SELECT Field, PermissionsEdit FROM FieldPermissions WHERE Parent.Name = 'KPI_Integration' ORDER BY Field"
    assert [row["Field"] for row in client.rows(held)] == ["Opportunity.KPI_Days__c", "Opportunity.KPI_Entered__c", PACE]
    result = b.deploy(client, provisioned(edit=(), read=(PACE,)))
    assert {row["created"] for row in result["details"]["componentSuccesses"]} == {False}
    assert [(row["Field"], row["PermissionsEdit"]) for row in client.rows(held)] == [(PACE, False)]


def test_who_may_give_access(client, org):
    b.deploy(as_user(client, org.admin), provisioned())
    held = one(org, "PermissionSet", Name="KPI_Integration")["Id"]
    given = {"PermissionSetId": held, "AssigneeId": org.api_user}
    refused = as_user(client, org.api_user).post("sobjects/PermissionSetAssignment", given)
    assert code(refused) == (400, "INSUFFICIENT_ACCESS_OR_READONLY")
    assert as_user(client, org.admin).post("sobjects/PermissionSetAssignment", given).status_code == 201
    assert code(client.post("sobjects/PermissionSetAssignment", given)) == (400, "DUPLICATE_VALUE")
    field = {"ParentId": held, "SobjectType": "Opportunity", "PermissionsRead": True}
    for more, wanted in (
        ({"Field": "Opportunity.Nope__c"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"Field": "Opportunity.CloseDate"}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"Field": "Opportunity.KPI_Days__c"}, "DUPLICATE_VALUE"),
    ):
        assert code(client.post("sobjects/FieldPermissions", field | more)) == (400, wanted)
    days = one(org, "FieldPermissions", Field="Opportunity.KPI_Days__c")["Id"]
    assert code(client.patch(f"sobjects/FieldPermissions/{days}", {"PermissionsEdit": True})) == (400, "FIELD_INTEGRITY_EXCEPTION")
    assert client.post("sobjects/FieldPermissions", field | {"Field": "Opportunity.KPI_Entered__c"}).status_code == 201
    assert "KPI_Entered__c" in names(as_user(client, org.api_user))
