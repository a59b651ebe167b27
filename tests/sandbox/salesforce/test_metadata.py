"""What an org refuses of a bundle, component by component, with its body; and what it takes."""

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


def lookup(name, to="Opportunity", **tags):
    return b.custom_field(name, "Lookup", referenceTo=to, **tags)


# -- the package ---------------------------------------------------------------------------------------------------------


def test_members_and_files_must_match(admin):
    name = "Opportunity.KPI_A__c"
    content = b.zipped({"package.xml": b.manifest({"CustomField": [name], "PermissionSet": ["Gone"]}),
                        "objects/Opportunity.object": b.custom_object(b.custom_field("KPI_A__c"), b.custom_field("KPI_B__c"))})  # fmt: skip
    rows = b.deploy(admin, content)["details"]["componentFailures"]
    assert {(row["fullName"], row["problem"], row["fileName"]) for row in rows} == {
        ("Gone", "An object 'Gone' of type PermissionSet was named in package.xml, but was not found in zipped directory", "package.xml"),
        ("Opportunity.KPI_B__c", "Not in package.xml", "objects/Opportunity.object"),
    }


def test_an_object_named_whole_brings_its_parts(admin):
    content = b.zipped({"package.xml": b.manifest({"CustomObject": ["Opportunity"]}),
                        "objects/Opportunity.object": b.custom_object(b.custom_field("KPI_A__c"))})  # fmt: skip
    assert b.deploy(admin, content)["numberComponentsDeployed"] == 2
    assert b.deploy(admin, b.zipped({"package.xml": b.manifest({"CustomField": ["*"]}),
                                     "objects/Account.object": b.custom_object(b.custom_field("KPI_A__c"))}))["success"]  # fmt: skip


@pytest.mark.parametrize(
    ("files", "name", "words"),
    [
        ({"package.xml": b.manifest({"Wish": ["x"]})}, "package.xml", "Unknown type name 'Wish' specified in package.xml"),
        ({"package.xml": b.manifest({}, version="")}, "package.xml", "Required field is missing: version"),
        ({"package.xml": "<Package"}, "package.xml", "Error parsing file: unclosed token"),
        ({"package.xml": b.wrap("Package", "<wish/><version>68.0</version>")}, "package.xml",
         "Error parsing file: Element wish invalid at this location in type Package"),
        ({"package.xml": b.manifest({}), "notes.txt": "x"}, "notes.txt", "Unknown file or directory in the package"),
        ({"package.xml": b.manifest({"PermissionSet": ["P"]}), "permissionsets/P.permissionset": "<!DOCTYPE p [<!ENTITY a 'b'>]><p>&a;</p>"}, "P",
         "Error parsing file: DOCTYPE is disallowed"),
        ({"package.xml": b.manifest({"PermissionSet": ["P"]}), "permissionsets/P.permissionset": b.wrap("Profile", "")}, "P",
         "Error parsing file: Element Profile invalid at this location, PermissionSet expected"),
        ({"package.xml": b.manifest({"PermissionSet": ["P"]}), "permissionsets/P.permissionset": "<PermissionSet/>"}, "P",
         "Error parsing file: Unexpected element {}PermissionSet during simple type deserialization"),
        ({"package.xml": b.manifest({"PermissionSet": ["P"]}), "permissionsets/P.permissionset": "<!-- note --><a"}, "P",
         "Error parsing file: unclosed token"),
    ],
)  # fmt: skip
def test_packages_that_will_not_do(admin, files, name, words):
    row = b.of(admin, b.zipped(files))
    assert (row["fullName"], row["problem"]) == (name, words)


def test_the_same_name_twice(admin):
    result = b.deploy(admin, b.opportunity(b.custom_field("KPI_A__c"), b.custom_field("KPI_A__c", "Date")))
    assert set(b.problems(result).values()) == {"Duplicate developer name: Opportunity.KPI_A__c occurs more than once in the deployment"}


# -- fields ---------------------------------------------------------------------------------------------------------------


BAD_NAME = "The Field Name can only contain underscores and alphanumeric characters."


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (b.custom_field("KPI__A__c"), BAD_NAME), (b.custom_field("1KPI__c"), BAD_NAME), (b.custom_field("KPI A__c"), BAD_NAME),
        (b.custom_field("KPI_A___c"), BAD_NAME), (b.custom_field("Nothing"), "Could not resolve standard field's name."),
        (b.custom_field("K" * 41 + "__c"), "Value too long for field: DeveloperName maximum length is:40"),
        (b.custom_field("KPI_A__c", label=""), "Required field is missing: label"),
        (b.custom_field("KPI_A__c", label="x" * 41), "Value too long for field: MasterLabel maximum length is:40"),
        (b.custom_field("KPI_A__c", description="x" * 1001), "Value too long for field: Description maximum length is:1000"),
        (b.custom_field("KPI_A__c", inlineHelpText="x" * 511), "Value too long for field: InlineHelpText maximum length is:510"),
        (b.custom_field("KPI_A__c", kind=None), "Required field is missing: type"),
        (b.custom_field("KPI_A__c", kind="Tekst"), "Error parsing file: 'Tekst' is not a valid value for the enum 'FieldType'"),
        (b.custom_field("KPI_A__c", length=None), "Must specify 'length' for a CustomField of type Text"),
        (b.custom_field("KPI_A__c", length=256), "Length must be between 1 and 255"),
        (b.custom_field("KPI_A__c", length="long"), "Error parsing file: 'long' is not a valid value for the type xsd:int"),
        (b.custom_field("KPI_A__c", wish="x"), b.INVALID.format("wish", "CustomField")),
        (b.custom_field("KPI_A__c", required="yes"), "Error parsing file: 'yes' is not a valid value for the type xsd:boolean"),
        (b.custom_field("KPI_A__c", extra="<label>Again</label>"), b.DUPLICATED.format("label", "CustomField")),
        (b.custom_field("KPI_A__c", "Number", precision=None), "Must specify 'precision' for a CustomField of type Number"),
        (b.custom_field("KPI_A__c", "Percent", scale=None), "Must specify 'scale' for a CustomField of type Percent"),
        (b.custom_field("KPI_A__c", "Number", precision=19), "Precision must be between 1 and 18"),
        (b.custom_field("KPI_A__c", "Number", precision=2, scale=3), "Scale must be less than or equal to the precision"),
        (b.custom_field("KPI_A__c", "Date", precision=3), "Can not specify 'precision' for a CustomField of type Date"),
        (b.custom_field("KPI_A__c", "TextArea", length=255), "Can not specify 'length' for a CustomField of type TextArea"),
        (b.custom_field("KPI_A__c", "Checkbox", defaultValue=None), "Must specify 'defaultValue' for a CustomField of type Checkbox"),
        (b.custom_field("KPI_A__c", "Checkbox", required="true"), "Can not specify 'required' for a CustomField of type Checkbox"),
        (b.custom_field("KPI_A__c", formulaTreatBlanksAs="BlankAsBlank"), "Can not specify 'formulaTreatBlanksAs' for a CustomField of type Text"),
        (b.custom_field("KPI_A__c", "Picklist"), "Must specify 'valueSet' for a CustomField of type Picklist"),
        (b.picklist("KPI_A__c"), "Must specify at least one picklist value"),
        (b.picklist("KPI_A__c", "Slow", "slow"), "Duplicate picklist value: slow"),
        (lookup("KPI_A__c", to="Nope__c"), "referenceTo value of 'Nope__c' does not resolve to a valid sObject type"),
        (lookup("KPI_A__c", deleteConstraint="Keep"), "Error parsing file: 'Keep' is not a valid value for the enum 'DeleteConstraint'"),
        (lookup("KPI_A__c", to="Account", relationshipName="Contacts"), None),
        (b.formula("KPI_A__c", "Number", "Foo__c + 1"), "Field Foo__c does not exist. Check spelling."),
        (b.formula("KPI_A__c", "Number", "IF(IsClosed, 1, 2"), "Syntax error. Missing ')'"),
        (b.formula("KPI_A__c", "Number", "Name"), "Formula result is data type (Text), incompatible with expected data type (Number)."),
        (b.formula("KPI_A__c", "Checkbox", "Amount"), "Formula result is data type (Number), incompatible with expected data type (true or false)."),
        (b.formula("KPI_A__c", "Number", "Amount", scale=None), "Must specify 'scale' for a CustomField of type Number"),
        (b.formula("KPI_A__c", "Number", "Amount", required="true"), "Can not specify 'required' for a CustomField of type Number"),
        (b.formula("KPI_A__c", "Number", "Amount", trackHistory="true"), "Can not specify 'trackHistory' for a CustomField of type Number"),
        (b.formula("KPI_A__c", "Picklist", "Amount"), "Can not specify 'formula' for a CustomField of type Picklist"),
        (b.custom_field("KPI_A__c", "Number", formula="Amount", formulaTreatBlanksAs="Never"),
         "Error parsing file: 'Never' is not a valid value for the enum 'TreatBlanksAs'"),
        (b.formula("KPI_A__c", "Number", "KPI_A__c + 1"), "Field KPI_A__c does not exist. Check spelling."),
        (b.custom_field("LOI_Signed_On__c", "Text"), "Cannot change field type from Date to Text for field Opportunity.LOI_Signed_On__c"),
        (b.formula("LOI_Signed_On__c", "Date", "CloseDate"),
         "Cannot change field type from Date to Date formula for field Opportunity.LOI_Signed_On__c"),
    ],
)  # fmt: skip
def test_fields(admin, org, field, words):
    if words is None:
        assert b.deploy(admin, b.opportunity(field))["success"]
        return
    before = dict(org.schema)
    row = b.of(admin, b.opportunity(field))
    assert row["problem"].startswith(words)
    assert (row["componentType"], row["fileName"], row["problemType"]) == ("CustomField", "objects/Opportunity.object", "Error")
    assert org.schema == before


def test_formulas_may_name_each_other_in_any_order_but_not_in_a_circle(admin, org):
    good = b.opportunity(b.formula("KPI_B__c", "Number", "KPI_A__c + 1"), b.formula("KPI_A__c", "Number", "KPI_Base__c * 2"),
                         b.custom_field("KPI_Base__c", "Number"))  # fmt: skip
    assert b.deploy(admin, good)["success"]
    turned = b.opportunity(b.formula("KPI_A__c", "Number", "KPI_B__c"))
    assert b.of(admin, turned)["problem"] == "Circular reference: the formula of KPI_A__c refers to itself"


def test_a_changed_formula_counts_at_once(admin, org, deal):
    for text in ("1", "2 + 3"):
        assert b.deploy(admin, b.opportunity(b.formula("KPI_A__c", "Number", text)))["success"]
    shown = org.schema["Opportunity"].fields["KPI_A__c"]
    assert (shown.formula, shown.compute(org.find(deal), org.moment())) == ("2 + 3", 5.0)


def test_the_twenty_tracked_fields(admin, org):
    names = [f"KPI_{n}__c" for n in range(20)]
    result = b.deploy(admin, b.opportunity(*(b.custom_field(name, trackHistory="true") for name in names[:19])))
    assert result["success"]
    row = b.of(admin, b.opportunity(b.custom_field(names[19], trackHistory="true")))
    assert row["problem"] == "You have reached the maximum number of 20 tracked fields"


# -- permissions ----------------------------------------------------------------------------------------------------------


def permission_sets(admin, text, **more):
    members = {"PermissionSet": ["P"], **more.pop("members", {})}
    files = {"permissionsets/P.permissionset": text, **more}
    return b.opportunity(b.custom_field("KPI_A__c"), b.formula("KPI_F__c", "Number", "1"), members=members, files=files)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b.permission_set("P", edit=["Opportunity.KPI_Gone__c"]), "In field: field - no CustomField named Opportunity.KPI_Gone__c found"),
        (b.permission_set("P", read=["Opportunity.CloseDate"]), "You cannot deploy to a required field: Opportunity.CloseDate"),
        (b.permission_set("P", edit=["Opportunity.KPI_F__c"]), "You cannot grant edit permission to the read-only field: Opportunity.KPI_F__c"),
        (b.permission_set("P", permissions=["Fly"]), "Unknown user permission: Fly"),
        (b.permission_set("P", custom=["KPI_Bypass"]), "In field: customPermission - no CustomPermission named KPI_Bypass found"),
        (b.permission_set("P", objects=b.object_rights("Nope__c")), "In field: object - no CustomObject named Nope__c found"),
        (b.permission_set("P", objects=b.object_rights("Account", "Edit")), "Permission Edit Account depends on permission(s): Read Account"),
        (b.permission_set(""), "Required field is missing: label"),
        (b.permission_set("P", more="<wish>x</wish>"), b.INVALID.format("wish", "PermissionSet")),
        (b.permission_set("P", more="<description>" + "x" * 256 + "</description>"), "Value too long for field: Description maximum length is:255"),
        (b.permission_set("P", permissions=["ApiEnabled"], more="<userPermissions><enabled>true</enabled><name>ApiEnabled</name></userPermissions>"),
         "Duplicate userPermissions specified for ApiEnabled"),
    ],
)  # fmt: skip
def test_permission_sets(admin, org, text, words):
    row = b.of(admin, permission_sets(admin, text))
    assert (row["fullName"], row["componentType"], row["problem"]) == ("P", "PermissionSet", words)
    assert "KPI_A__c" not in org.schema["Opportunity"].fields


def test_a_custom_permission_reaches_its_holder(admin, org):
    held = permission_sets(
        admin, b.permission_set("P", edit=["Opportunity.KPI_A__c"], custom=["KPI_Bypass"]), members={"CustomPermission": ["KPI_Bypass"]},
        **{"customPermissions/KPI_Bypass.customPermission": b.wrap("CustomPermission", "<label>Bypass</label>")},
    )  # fmt: skip
    assert b.deploy(admin, held)["success"]
    key = admin.rows("SELECT Id FROM PermissionSet WHERE Name = 'P'")[0]["Id"]
    admin.post("sobjects/PermissionSetAssignment", {"PermissionSetId": key, "AssigneeId": org.api_user})
    assert (org.grants(org.api_user).custom, org.grants(org.admin).custom) == ({"KPI_Bypass"}, frozenset())
    rows = admin.rows("SELECT SetupEntityType, SetupEntity.DeveloperName FROM SetupEntityAccess WHERE Parent.Name = 'P'")
    assert [(row["SetupEntityType"], row["SetupEntity"]["DeveloperName"]) for row in rows] == [("CustomPermission", "KPI_Bypass")]


# -- objects ----------------------------------------------------------------------------------------------------------------


def scorecard(*parts, label="Rep Scorecard", name_field="<nameField><label>Name</label><type>Text</type></nameField>", **tags):
    held = {"label": label, "pluralLabel": f"{label}s", "sharingModel": "ReadWrite", "deploymentStatus": "Deployed", **tags}
    inner = "".join(f"<{tag}>{value}</{tag}>" for tag, value in held.items() if value is not None)
    return b.custom_object(*parts, inner, name_field)


def rep_scorecard(body, sets=None):
    files = {"objects/KPI_Rep_Scorecard__c.object": body}
    members = {"CustomObject": ["KPI_Rep_Scorecard__c"]}
    if sets:
        members["PermissionSet"] = ["P"]
        files["permissionsets/P.permissionset"] = sets
    return b.zipped({"package.xml": b.manifest(members), **files})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (scorecard(label=""), "Must specify a non-empty label for the CustomObject"),
        (scorecard(pluralLabel=None), "Must specify a non-empty pluralLabel for the CustomObject"),
        (scorecard(name_field=""), "Must specify a nameField for the CustomObject"),
        (scorecard(sharingModel=None), "Must specify a sharingModel for the CustomObject"),
        (scorecard(sharingModel="Everyone"), "Error parsing file: 'Everyone' is not a valid value for the enum 'SharingModel'"),
        (scorecard(wish="x"), b.INVALID.format("wish", "CustomObject")),
        (scorecard(name_field="<nameField><label>N</label><type>AutoNumber</type><displayFormat>KS</displayFormat></nameField>"),
         "Must specify a valid 'displayFormat' for a CustomField of type AutoNumber"),
    ],
)  # fmt: skip
def test_objects(admin, org, body, words):
    row = b.of(admin, rep_scorecard(body))
    assert (row["fullName"], row["componentType"], row["problem"]) == ("KPI_Rep_Scorecard__c", "CustomObject", words)


def test_a_custom_object_lives(admin, org, deal):
    body = scorecard(
        b.custom_field("KPI_Key__c", length=80, externalId="true", unique="true"), b.custom_field("KPI_Won__c", "Currency"),
        lookup("KPI_Rep__c", to="User", relationshipName="KPI_Scorecards"), lookup("KPI_Deal__c", relationshipName="KPI_Scorecards"),
        b.formula("KPI_Closed__c", "Checkbox", "KPI_Deal__r.IsClosed"),
        name_field="<nameField><label>Number</label><type>AutoNumber</type><displayFormat>RS-{0000}</displayFormat></nameField>",
    )  # fmt: skip
    named = [f"KPI_Rep_Scorecard__c.{name}" for name in ("KPI_Key__c", "KPI_Won__c", "KPI_Rep__c", "KPI_Deal__c")]
    rights = b.object_rights("KPI_Rep_Scorecard__c", "Create Read Edit")
    sets = b.permission_set("P", edit=named, read=["KPI_Rep_Scorecard__c.KPI_Closed__c"], objects=rights)
    result = b.deploy(admin, rep_scorecard(body, sets))
    assert result["success"], b.problems(result)
    key = admin.rows("SELECT Id FROM PermissionSet WHERE Name = 'P'")[0]["Id"]
    soql = "SELECT Name, KPI_Won__c, KPI_Closed__c, KPI_Deal__r.Name FROM KPI_Rep_Scorecard__c"
    admin.token = f"sandbox-as-{org.api_user}"
    assert admin.query(soql).json()[0]["errorCode"] == "INVALID_TYPE"
    org.insert("PermissionSetAssignment", {"PermissionSetId": key, "AssigneeId": org.api_user})
    path = "sobjects/KPI_Rep_Scorecard__c/KPI_Key__c/dana|2026-Q4"
    for won, status in ((1, 201), (2, 200)):
        assert admin.patch(path, {"KPI_Won__c": won, "KPI_Deal__c": deal}).status_code == status
    row = admin.rows(soql)[0]
    assert (row["Name"], row["KPI_Won__c"], row["KPI_Closed__c"]) == ("RS-0001", 2.0, False)
    assert row["KPI_Deal__r"]["Name"] == "Hospital A - infusion"
    twin = admin.post("sobjects/KPI_Rep_Scorecard__c", {"KPI_Key__c": "dana|2026-Q4"})
    assert twin.json()[0]["errorCode"] == "DUPLICATE_VALUE"
    below = admin.rows("SELECT Id, (SELECT KPI_Won__c FROM KPI_Scorecards__r) FROM Opportunity")[0]["KPI_Scorecards__r"]
    assert [each["KPI_Won__c"] for each in below["records"]] == [2.0]
    gone = admin.call("DELETE", f"sobjects/KPI_Rep_Scorecard__c/{row['attributes']['url'].rsplit('/', 1)[1]}")
    assert gone.json()[0]["errorCode"] == "INSUFFICIENT_ACCESS_OR_READONLY"


# -- rules ------------------------------------------------------------------------------------------------------------------


def rule(condition, message="No", more=""):
    return (
        f"<validationRules><fullName>Guard</fullName><active>true</active>{more}<errorConditionFormula>{condition}</errorConditionFormula>"
        f"<errorMessage>{message}</errorMessage></validationRules>"
    )  # fmt: skip


def ruled(condition, message="No", more=""):
    return b.zipped({"package.xml": b.manifest({"ValidationRule": ["Opportunity.Guard"]}),
                     "objects/Opportunity.object": b.custom_object(rule(condition, message, more))})  # fmt: skip


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("Amount",), "Formula result is data type (Number), incompatible with expected data type (true or false)."),
        (("$Permission.KPI_Bypass_Automation",), "Field $Permission.KPI_Bypass_Automation does not exist. Check spelling."),
        (("TRUE", "x" * 256), "Value too long for field: ErrorMessage maximum length is:255"),
        (("TRUE", ""), "Required field is missing: errorMessage"),
        (("TRUE", "No", "<errorDisplayField>Nope__c</errorDisplayField>"), 
         "In field: errorDisplayField - no CustomField named Opportunity.Nope__c found"),
    ],
)  # fmt: skip
def test_rules(admin, args, words):
    row = b.of(admin, ruled(*args))
    assert (row["fullName"], row["componentType"], row["problem"]) == ("Opportunity.Guard", "ValidationRule", words)


def test_a_deployed_rule_guards_saves_and_can_be_replaced(admin, org, deal):
    assert b.deploy(admin, ruled("ISCHANGED(Amount) &amp;&amp; Amount &lt; PRIORVALUE(Amount)", "Amounts only grow"))["success"]
    path = f"sobjects/Opportunity/{deal}"
    refused = admin.patch(path, {"Amount": 1})
    assert (refused.status_code, refused.json()) == (
        400, [{"message": "Amounts only grow", "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "fields": []}],
    )  # fmt: skip
    assert admin.patch(path, {"Amount": 500_000}).status_code == 204
    soql = "SELECT ValidationName, Active, ErrorMessage FROM ValidationRule WHERE EntityDefinition.QualifiedApiName = 'Opportunity'"
    listed = admin.get("tooling/query", params={"q": soql}).json()["records"]
    assert [(row["ValidationName"], row["Active"], row["ErrorMessage"]) for row in listed] == [("Guard", True, "Amounts only grow")]
    assert b.deploy(admin, ruled("FALSE"))["success"]
    assert admin.patch(path, {"Amount": 1}).status_code == 204
