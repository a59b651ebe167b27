"""Writes: positional results, each reason for a refusal, and what a save moves."""

import pytest

from connector.sandbox.salesforce.org import RowError


def one(record_id, **values):
    return {"attributes": {"type": "Opportunity"}, "id": record_id, **values}


def send(client, *records, **more):
    answer = client.patch("composite/sobjects", {"allOrNone": False, "records": list(records), **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(client, deal, **values):
    """The error of one refused record."""
    results = send(client, one(deal, **values))
    assert [result["success"] for result in results] == [False]
    assert set(results[0]) == {"success", "errors"}
    return results[0]["errors"][0]


@pytest.fixture
def deals(org):
    return [org.insert("Opportunity", {"Name": f"D{n}", "StageName": "Prospect", "CloseDate": "2027-01-01"}) for n in range(5)]


def test_results_come_in_the_order_of_the_request(client, org, deals):
    org.delete("Opportunity", deals[1])
    results = send(
        client, one(deals[3], KPI_Pace__c="Stuck"), one(deals[1], KPI_Pace__c="Slow"), one("006000000000001AAA", KPI_Pace__c="Slow"),
        one(deals[0], KPI_Stage_Entered_On__c="2026-10-20", KPI_Pace__c=None),
    )  # fmt: skip
    assert results == [
        {"id": deals[3], "success": True, "errors": []},
        {"success": False, "errors": [{"statusCode": "ENTITY_IS_DELETED", "message": "entity is deleted", "fields": []}]},
        {"success": False, "errors": [{"statusCode": "INVALID_CROSS_REFERENCE_KEY", "message": "invalid cross reference id", "fields": []}]},
        {"id": deals[0], "success": True, "errors": []},
    ]
    assert org.find(deals[3])["KPI_Pace__c"] == "Stuck"
    assert org.find(deals[0])["KPI_Stage_Entered_On__c"] == "2026-10-20"


def test_all_or_none_rolls_the_innocent_back(client, org, deals):
    results = send(client, one(deals[0], KPI_Pace__c="Slow"), one(deals[1], Nope=1), allOrNone=True)
    assert [result["errors"][0]["statusCode"] for result in results] == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "INVALID_FIELD"]
    assert "KPI_Pace__c" not in org.find(deals[0])


def test_a_save_moves_stamps_and_the_clock(client, org, deal, clock):
    send(client, one(deal, KPI_Pace__c="Slow"))
    first = dict(org.find(deal))
    assert first["LastModifiedById"] == org.api_user
    send(client, one(deal, KPI_Pace__c="Slow"))
    assert (first["SystemModstamp"], org.find(deal)["SystemModstamp"]) == ("2026-11-20T18:00:00.000+0000", "2026-11-20T18:00:01.000+0000")
    assert org.find(deal)["LastModifiedDate"] == "2026-11-20T18:00:01.000+0000"
    assert clock.now.second == 2


def test_null_clears_and_absence_leaves(client, org, deal):
    send(client, one(deal, KPI_Pace__c="Slow", KPI_Regressions__c=2))
    send(client, one(deal, KPI_Pace__c=None))
    row = client.rows("SELECT KPI_Pace__c, KPI_Regressions__c FROM Opportunity")[0]
    assert (row["KPI_Pace__c"], row["KPI_Regressions__c"]) == (None, 2.0)


@pytest.mark.parametrize(
    ("values", "code", "words", "fields"),
    [
        ({"Nope__c": 1}, "INVALID_FIELD", "No such column 'Nope__c' on sobject of type Opportunity", []),
        ({"IsClosed": True}, "INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: IsClosed. Please check the security", ["IsClosed"]),
        ({"Days_To_Close__c": 1}, "INVALID_FIELD_FOR_INSERT_UPDATE", "Days_To_Close__c", ["Days_To_Close__c"]),
        ({"CreatedDate": "2026-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE", "CreatedDate", ["CreatedDate"]),
        ({"KPI_Stage__c": "x" * 41}, "STRING_TOO_LONG", "Canonical stage: data value too large: " + "x" * 41 + " (max length=40)", ["KPI_Stage__c"]),
        ({"KPI_Stage_Entered_On__c": "20.10.2026"}, "JSON_PARSER_ERROR",
         "Cannot deserialize instance of date from VALUE_STRING value 20.10.2026", []),
        ({"KPI_Stage_Entered_On__c": "2026-02-30"}, "JSON_PARSER_ERROR", "2026-02-30", []),
        ({"KPI_Updated_At__c": "2026-10-20T10:00:00"}, "JSON_PARSER_ERROR", "instance of datetime", []),
        ({"KPI_Regressions__c": "many"}, "JSON_PARSER_ERROR", "instance of double from VALUE_STRING value many", []),
        ({"KPI_Regressions__c": 1000}, "NUMBER_OUTSIDE_VALID_RANGE", "value outside of valid range on numeric field: 1000", ["KPI_Regressions__c"]),
        ({"KPI_Win_Chance__c": 1e6}, "NUMBER_OUTSIDE_VALID_RANGE", "Win chance from here", ["KPI_Win_Chance__c"]),
        ({"BAA_Signed__c": "yes"}, "JSON_PARSER_ERROR", "instance of boolean", []),
        ({"VAC_Status__c": "Nearly"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "VAC status: bad value for restricted picklist field: Nearly",
         ["VAC_Status__c"]),
        ({"CloseDate": None}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [CloseDate]", ["CloseDate"]),
        ({"Name": ""}, "REQUIRED_FIELD_MISSING", "[Name]", ["Name"]),
        ({"OwnerId": "003000000000001AAA"}, "MALFORMED_ID", "id value of incorrect type", ["OwnerId"]),
        ({"AccountId": "001000000000001AAA"}, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ["AccountId"]),
    ],
)  # fmt: skip
def test_refused_values(client, org, deal, values, code, words, fields):
    before = dict(org.find(deal))
    error = refusal(client, deal, **values)
    assert (error["statusCode"], error["fields"]) == (code, fields)
    assert words in error["message"]
    assert org.find(deal) == before


def test_unrestricted_picklists_take_any_text(client, org, deal):
    send(client, one(deal, KPI_Pace__c="Very stuck", StageName="sam"))
    row = org.find(deal)
    assert (row["KPI_Pace__c"], row["StageName"], row["IsClosed"], row["Probability"]) == ("Very stuck", "sam", False, 60.0)


def test_numbers_are_rounded_to_the_scale(client, org, deal):
    send(client, one(deal, KPI_Touch_Density__c=3.25, KPI_Win_Chance__c=29))
    row = org.find(deal)
    assert (row["KPI_Touch_Density__c"], row["KPI_Win_Chance__c"]) == (3.3, 29.0)


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"id": "006000000000001AAA", "KPI_Pace__c": "Slow"}, "JSON_PARSER_ERROR"),
        ({"id": "006000000000001AAA", "attributes": {"type": "Opportunity"}, "KPI_Pace__c": "Slow"}, "INVALID_CROSS_REFERENCE_KEY"),
        ({"attributes": {"type": "Opportunity"}, "KPI_Pace__c": "Slow"}, "MISSING_ARGUMENT"),
        ({"attributes": {"type": "Opportunity"}, "id": "001000000000001AAA"}, "MALFORMED_ID"),
        ({"attributes": {"type": "Opportunity"}, "id": "nonsense"}, "MALFORMED_ID"),
        ({"attributes": {"type": "Nothing"}, "id": "006000000000001AAA"}, "INVALID_TYPE"),
    ],
)
def test_malformed_records(client, record, code):
    result = send(client, record)[0]
    assert (result["success"], result["errors"][0]["statusCode"]) == (False, code)


def test_the_same_record_twice(client, deals):
    results = send(client, one(deals[0], KPI_Pace__c="Slow"), one(deals[0], KPI_Pace__c="Stuck"))
    assert [result["success"] for result in results] == [True, False]
    assert results[1]["errors"][0]["statusCode"] == "DUPLICATE_VALUE"


def test_malformed_requests(client, deal):
    def code(body):
        answer = client.patch("composite/sobjects", body)
        assert answer.status_code == 400
        return answer.json()[0]["errorCode"]

    assert code({"records": [one(deal)] * 201}) == "EXCEEDED_ID_LIMIT"
    assert code({"allOrNone": False}) == "JSON_PARSER_ERROR"
    mixed = [{"attributes": {"type": name}, "id": deal} for name in ("Opportunity", "Account") * 6]
    assert code({"records": mixed}) == "LIMIT_EXCEEDED"
    assert client.call("PATCH", "composite/sobjects", data="{").json()[0]["errorCode"] == "JSON_PARSER_ERROR"


def test_rules_and_locks(client, org, deals):
    def future(name, before, values, user):
        if values.get("KPI_Pace__c") == "Stuck" and before["Name"] == "D1":
            return RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Close date must be in the future")
        return None

    org.rules.append(future)
    org.locked.add(deals[2])
    org.uneditable.add(deals[3])
    results = send(client, *(one(deal, KPI_Pace__c="Stuck") for deal in deals))
    assert [result["success"] for result in results] == [True, False, False, False, True]
    assert [result["errors"][0] for result in results[1:4]] == [
        {"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "Close date must be in the future", "fields": []},
        {"statusCode": "UNABLE_TO_LOCK_ROW", "fields": [],
         "message": f"unable to obtain exclusive access to this record or 1 records: {deals[2][:15]}"},
        {"statusCode": "INSUFFICIENT_ACCESS_OR_READONLY", "message": "insufficient access rights on object id", "fields": []},
    ]  # fmt: skip


def test_a_person_edits_one_record(client, org, deal):
    rep = org.insert("User", {"FirstName": "Dana", "LastName": "Reyes", "Username": "dana@example.com", "IsActive": True})
    client.token = f"sandbox-as-{rep}"
    answer = client.patch(f"sobjects/Opportunity/{deal[:15]}", {"StageName": "Contracting", "OwnerId": rep})
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Sforce-Limit-Info" in answer.headers
    row = org.find(deal)
    assert (row["StageName"], row["Probability"], row["OwnerId"], row["LastModifiedById"]) == ("Contracting", 80.0, rep, rep)


@pytest.mark.parametrize(
    ("body", "status", "code", "keys"),
    [
        ({"Nope": 1}, 400, "INVALID_FIELD", {"message", "errorCode"}),
        ({"CloseDate": "soon"}, 400, "JSON_PARSER_ERROR", {"message", "errorCode"}),
        ({"Id": "006000000000001AAA"}, 400, "INVALID_FIELD", {"message", "errorCode"}),
        ({"IsWon": True}, 400, "INVALID_FIELD_FOR_INSERT_UPDATE", {"message", "errorCode", "fields"}),
        ([], 400, "JSON_PARSER_ERROR", {"message", "errorCode"}),
    ],
)
def test_refused_edits(client, deal, body, status, code, keys):
    answer = client.patch(f"sobjects/Opportunity/{deal}", body)
    assert (answer.status_code, answer.json()[0]["errorCode"], set(answer.json()[0])) == (status, code, keys)


def test_edits_of_what_is_gone(client, org, deal):
    assert client.patch("sobjects/Opportunity/006000000000001AAA", {"Name": "x"}).json()[0]["errorCode"] == "NOT_FOUND"
    org.delete("Opportunity", deal)
    answer = client.patch(f"sobjects/Opportunity/{deal}", {"Name": "x"})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (404, "ENTITY_IS_DELETED")


def test_an_inactive_owner(client, org, deal):
    gone = org.insert("User", {"LastName": "Gone", "Username": "g@example.com", "IsActive": False})
    assert refusal(client, deal, OwnerId=gone)["statusCode"] == "INACTIVE_OWNER_OR_USER"
