"""Describe, picklists, single records, retrieve, replication."""

from datetime import timedelta
from urllib.parse import quote

FIELD_KEYS = """aggregatable aiPredictionField autoNumber byteLength calculated calculatedFormula cascadeDelete caseSensitive compoundFieldName
controllerName createable custom defaultValue defaultValueFormula defaultedOnCreate dependentPicklist deprecatedAndHidden digits
displayLocationInDecimal encrypted externalId extraTypeInfo filterable filteredLookupInfo formulaTreatNullNumberAsZero groupable highScaleNumber
htmlFormatted idLookup inlineHelpText label length mask maskType name nameField namePointing nillable permissionable picklistValues
polymorphicForeignKey precision queryByDistance referenceTargetField referenceTo relationshipName relationshipOrder restrictedDelete
restrictedPicklist scale searchPrefilterable soapType sortable type unique updateable writeRequiresMasterRead"""
OBJECT_KEYS = """actionOverrides activateable associateEntityType associateParentEntity childRelationships compactLayoutable createable custom
customSetting deepCloneable defaultImplementation deletable deprecatedAndHidden extendedBy extendsInterfaces feedEnabled fields hasSubtypes
implementedBy implementsInterfaces isInterface isSubtype keyPrefix label labelPlural layoutable listviewable lookupLayoutable mergeable mruEnabled
name namedLayoutInfos networkScopeFieldName queryable recordTypeInfos replicateable retrieveable searchLayoutable searchable sobjectDescribeOption
supportedScopes triggerable undeletable updateable urls"""


def described(client, name):
    body = client.get(f"sobjects/{name}/describe").json()
    return body, {field["name"]: field for field in body["fields"]}


def test_describe_has_the_keys_of_real_ones(client):
    body, fields = described(client, "Opportunity")
    assert sorted(body) == sorted(OBJECT_KEYS.split())
    assert all(sorted(field) == sorted(FIELD_KEYS.split()) for field in fields.values())
    assert (body["keyPrefix"], body["mergeable"], body["undeletable"]) == ("006", False, True)
    assert [info["developerName"] for info in body["recordTypeInfos"]] == ["Capital_Equipment", "Disposables", "Software", "Renewals", "Master"]
    assert body["recordTypeInfos"][-1]["recordTypeId"] == "012000000000000AAA"
    roles = next(child for child in body["childRelationships"] if child["childSObject"] == "OpportunityContactRole")
    assert (roles["field"], roles["relationshipName"], roles["cascadeDelete"]) == ("OpportunityId", "OpportunityContactRoles", True)


def test_what_describe_says_of_fields(client):
    _, fields = described(client, "Opportunity")
    amount, stage, formula = fields["Amount"], fields["StageName"], fields["Days_To_Close__c"]
    assert (amount["type"], amount["soapType"], amount["precision"], amount["scale"]) == ("currency", "xsd:double", 18, 2)
    assert (stage["restrictedPicklist"], stage["nillable"], stage["length"]) == (False, False, 255)
    assert {"active": False, "defaultValue": False, "label": "Trial", "validFor": None, "value": "Trial"} in stage["picklistValues"]
    assert (formula["calculated"], formula["updateable"], formula["createable"]) == (True, False, False)
    assert all(not fields[name]["updateable"] for name in ("IsClosed", "IsWon", "ForecastCategory", "ExpectedRevenue", "SystemModstamp"))
    assert (fields["Description"]["filterable"], fields["Description"]["sortable"]) == (False, False)
    assert (fields["AccountId"]["referenceTo"], fields["AccountId"]["relationshipName"]) == (["Account"], "Account")
    scorecard = {name: field for name, field in fields.items() if name.startswith("KPI_")}
    assert len(scorecard) == 21
    assert all(field["updateable"] and field["nillable"] and not field["calculated"] for field in scorecard.values())
    shapes = {name: (field["type"], field["length"], field["precision"], field["scale"]) for name, field in scorecard.items()}
    assert shapes["KPI_Stage__c"] == ("string", 40, 0, 0)
    assert shapes["KPI_Touch_Density__c"] == ("double", 0, 5, 1)
    assert shapes["KPI_Gate_Progress__c"] == ("percent", 0, 3, 0)
    assert shapes["KPI_Definition__c"] == ("string", 64, 0, 0)


def test_describe_of_other_objects(client):
    assert described(client, "OpportunityContactRole")[0]["undeletable"] is False
    assert described(client, "Account")[0]["mergeable"] is True
    assert described(client, "Event")[1]["WhatId"]["polymorphicForeignKey"] is True
    assert described(client, "OpportunityFieldHistory")[1]["OldValue"]["filterable"] is False


def test_describe_answers_304_until_the_schema_changes(client, org):
    for path in ("sobjects/Opportunity/describe", "sobjects"):
        first = client.get(path)
        again = client.get(path, headers={"If-Modified-Since": first.headers["Last-Modified"]})
        assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert client.get(path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    org.clock.advance_to(org.clock.now + timedelta(hours=1))
    org.rename_stage("VAC Submitted", "Value Analysis")
    since = {"If-Modified-Since": first.headers["Last-Modified"]}
    assert client.get("sobjects/Opportunity/describe", headers=since).status_code == 200
    assert client.get("sobjects/Account/describe", headers=since).status_code == 304


def test_a_field_that_the_user_may_not_see(client, org, deal):
    org.hide_field("Opportunity", "KPI_Pace__c")
    assert "KPI_Pace__c" not in described(client, "Opportunity")[1]
    assert client.query("SELECT KPI_Pace__c FROM Opportunity").json()[0]["errorCode"] == "INVALID_FIELD"
    assert "KPI_Pace__c" not in client.get(f"sobjects/Opportunity/{deal}").json()


def test_a_new_stage_is_offered_at_once(client, org, deal):
    org.add_stage("Cadaver Lab", 35, pipelines=("Capital_Equipment",))
    row = client.rows("SELECT ApiName, IsActive, IsClosed, DefaultProbability FROM OpportunityStage WHERE ApiName = 'Cadaver Lab'")[0]
    assert (row["IsActive"], row["IsClosed"], row["DefaultProbability"]) == (True, False, 35.0)
    path = f"ui-api/object-info/Opportunity/picklist-values/{org.record_types['Capital_Equipment']}"
    offered = client.get(path).json()["picklistFieldValues"]["StageName"]["values"]
    assert offered[-1] == {"attributes": None, "label": "Cadaver Lab", "value": "Cadaver Lab", "validFor": []}
    org.update("Opportunity", deal, {"StageName": "Cadaver Lab"})
    assert org.find(deal)["Probability"] == 35.0


def test_the_list_of_objects(client):
    body = client.get("sobjects").json()
    assert (body["encoding"], body["maxBatchSize"]) == ("UTF-8", 200)
    assert {"Opportunity", "OpportunityHistory", "Task", "DatedConversionRate"} <= {found["name"] for found in body["sobjects"]}
    assert "fields" not in body["sobjects"][0]


def test_stages_of_a_record_type(client, org):
    def stages(record_type):
        body = client.get(f"ui-api/object-info/Opportunity/picklist-values/{record_type}").json()
        return [value["value"] for value in body["picklistFieldValues"]["StageName"]["values"]]

    assert stages(org.record_types["Renewals"]) == ["Renewal Out", "Contracting", "Closed Won", "Closed Lost"]
    assert "Internal Transfer" in stages(org.record_types["Software"])
    assert "Trial" not in stages("012000000000000AAA")
    assert "Clinical Evaluation" in stages("012000000000000AAA")
    assert client.get("ui-api/object-info/Opportunity/picklist-values/012000000000009AAA").status_code == 404


def test_one_record_whole_and_in_part(client, org, deal):
    answer = client.get(f"sobjects/Opportunity/{deal}")
    body = answer.json()
    assert list(body)[:2] == ["attributes", "Id"]
    assert set(body) == {"attributes", *org.schema["Opportunity"].fields}
    assert (body["StageName"], body["KPI_Pace__c"], body["Fiscal"]) == ("VAC Submitted", None, "2027 1")
    assert answer.headers["Last-Modified"] == "Fri, 20 Nov 2026 18:00:00 GMT"
    assert client.get(f"sobjects/Opportunity/{deal}?fields=Name,KPI_Pace__c").json() == {
        "attributes": body["attributes"], "Name": "Hospital A - infusion", "KPI_Pace__c": None,
    }  # fmt: skip
    assert client.get(f"sobjects/Opportunity/{deal}?fields=Nope").json()[0]["errorCode"] == "INVALID_FIELD"
    org.delete("Opportunity", deal)
    assert client.get(f"sobjects/Opportunity/{deal}").status_code == 404


def test_retrieve_keeps_the_order_of_the_ids(client, org, deal):
    other = org.insert("Opportunity", {"Name": "Other", "StageName": "Prospect", "CloseDate": "2027-01-01"})
    gone = org.insert("Opportunity", {"Name": "Gone", "StageName": "Prospect", "CloseDate": "2027-01-01"})
    org.delete("Opportunity", gone)
    body = {"ids": [other, "nonsense", gone, deal[:15], org.find(deal)["AccountId"]], "fields": ["Id", "SystemModstamp", "KPI_Pace__c"]}
    found = client.post("composite/sobjects/Opportunity", body).json()
    assert [row and row["Id"] for row in found] == [other, None, None, deal, None]
    assert list(found[0]) == ["attributes", "Id", "SystemModstamp", "KPI_Pace__c"]


def test_refused_retrieves(client, deal):
    def refused(body):
        answer = client.post("composite/sobjects/Opportunity", body)
        return answer.status_code, answer.json()[0]["errorCode"]

    assert refused({"ids": [deal], "fields": ["Id", "Nope"]}) == (400, "INVALID_FIELD")
    assert refused({"ids": [], "fields": ["Account.Name"]}) == (400, "INVALID_FIELD")
    assert refused({"ids": [deal] * 2001, "fields": ["Id"]}) == (400, "EXCEEDED_ID_LIMIT")
    assert refused({"ids": [deal]}) == (400, "MISSING_ARGUMENT")
    assert client.post("composite/sobjects/Opportunity", {"ids": [deal] * 2000, "fields": ["Id"]}).status_code == 200


def span(client, kind, start, end, name="Opportunity"):
    return client.get(f"sobjects/{name}/{kind}/?start={quote(start.isoformat(), safe='')}&end={quote(end.isoformat(), safe='')}")


def test_deleted_and_updated(client, org, deal, clock):
    start = clock.now
    gone = org.insert("Opportunity", {"Name": "Gone", "StageName": "Prospect", "CloseDate": "2027-01-01"})
    clock.advance_to(start + timedelta(minutes=5))
    org.delete("Opportunity", gone)
    clock.advance_to(start + timedelta(minutes=10))
    assert span(client, "deleted", start, clock.now).json() == {
        "deletedRecords": [{"id": gone, "deletedDate": "2026-11-20T18:05:00.000+0000"}],
        "earliestDateAvailable": "2026-11-05T18:10:00.000+0000", "latestDateCovered": "2026-11-20T18:10:00.000+0000",
    }  # fmt: skip
    assert span(client, "updated", start, clock.now).json() == {"ids": [deal], "latestDateCovered": "2026-11-20T18:10:00.000+0000"}
    org.undelete("Opportunity", gone)
    assert span(client, "deleted", start, clock.now).json()["deletedRecords"] == []


def test_refused_spans(client, clock):
    for start, end in ((clock.now - timedelta(days=16), clock.now), (clock.now, clock.now)):
        assert span(client, "deleted", start, end).json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"
    assert span(client, "updated", clock.now - timedelta(days=16), clock.now).status_code == 200
    assert client.get("sobjects/Opportunity/updated").json()[0]["errorCode"] == "MISSING_ARGUMENT"
    assert client.get("sobjects/Opportunity/updated?start=2026-11-20T10:00:00&end=x").json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"
