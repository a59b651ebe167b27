"""Rows of the objects that the connector brings: made, read, healed and removed through the API, as the user whom the permission set admits."""

import re
from datetime import date, timedelta

import pytest

from connector.crms.salesforce import bundle, extras
from connector.sandbox.salesforce.org import Org
from tests.crms.salesforce.wanted import made
from tests.sandbox.salesforce import bundles as b
from tests.scorecard.test_formulas import OWN

CARD, REP, SNAPSHOT = "KPI_Scorecard__c", "KPI_Rep_Scorecard__c", "KPI_Snapshot__c"
BY_KEY = f"composite/sobjects/{CARD}/KPI_Key__c"


@pytest.fixture
def org(clock):
    """An org that nobody has provisioned."""
    return Org(clock, bare=True)


@pytest.fixture
def admin(client, org):
    client.token = f"sandbox-as-{org.admin}"
    return client


def provisioned(client, org, mode):
    """Deploy a bundle and admit the connection's user; the client goes on as that user."""
    client.token = f"sandbox-as-{org.admin}"
    known = {key: name for key, name in OWN.items() if name in org.schema["Opportunity"].fields}
    result = b.deploy(client, bundle.zipped(bundle.metadata_files(made(mode, own=known), "68.0")))
    assert result["success"], b.problems(result)
    give(client, org, extras.INTEGRATION, org.api_user)
    client.token = f"sandbox-as-{org.api_user}"
    return client


def give(client, org, name, user):
    held = next(key for key, row in org.tables["PermissionSet"].rows.items() if row["Name"] == name)
    client.token = f"sandbox-as-{org.admin}"
    assert client.post("sobjects/PermissionSetAssignment", {"PermissionSetId": held, "AssigneeId": user}).status_code == 201


@pytest.fixture
def own(client, org):
    """The connection's user on an org in companion mode."""
    return provisioned(client, org, "companion")


@pytest.fixture
def reader(org):
    """A rep whom nobody has given anything."""
    return org.insert("User", {"FirstName": "Dana", "LastName": "Reyes", "Username": "dana@x.example", "IsActive": True,
                               "TimeZoneSidKey": "America/New_York"})  # fmt: skip


def deals(org, count):
    close = org.clock.now.date() + timedelta(days=60)
    return [org.insert("Opportunity", {"Name": f"Deal {n}", "StageName": "VAC Submitted", "CloseDate": close}) for n in range(count)]


def card(deal, **values):
    return {"attributes": {"type": CARD}, "KPI_Key__c": deal, "KPI_Opportunity__c": deal, **values}


def upsert(client, *records, **more):
    answer = client.patch(BY_KEY, {"allOrNone": False, "records": list(records), **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def codes(results):
    return [result["errors"][0]["statusCode"] if result["errors"] else "" for result in results]


# -- made, updated, read, removed ------------------------------------------------------------------------------------------


def test_a_collection_makes_rows_by_key_and_finds_them_again(own, org):
    first, second, third = deals(org, 3)
    results = upsert(own, card(first, KPI_Pace__c="Stuck"), card(second))
    assert [(r["success"], r["created"], r["errors"]) for r in results] == [(True, True, [])] * 2
    again = upsert(own, card(first, KPI_Pace__c="Slow"), card(third), {**card(second, KPI_Stage__c="Demo"), "KPI_Key__c": second.lower()})
    assert [r["created"] for r in again] == [False, True, False]
    assert (again[0]["id"], again[2]["id"]) == (results[0]["id"], results[1]["id"])
    rows = own.rows(f"SELECT Id, Name, KPI_Key__c, KPI_Pace__c, CreatedById, LastModifiedById, OwnerId FROM {CARD} ORDER BY Name")
    assert [(row["KPI_Key__c"], row["KPI_Pace__c"]) for row in rows] == [(first, "Slow"), (second, None), (third, None)]
    assert [row["Name"] for row in rows] == ["00000001", "00000002", "00000003"]
    assert {row[name] for row in rows for name in ("CreatedById", "LastModifiedById", "OwnerId")} == {org.api_user}


def test_one_bad_row_is_its_own_error(own, org):
    good, gone, other, last = deals(org, 4)
    org.delete("Opportunity", gone)
    account = org.insert("Account", {"Name": "Hospital A"})
    results = upsert(
        own, card(good), card(gone), card(other, KPI_Stage__c="x" * 41), card(last, KPI_Days_In_Stage__c=3), card(last, Nope__c=1),
        {"attributes": {"type": CARD}, "KPI_Stage__c": "Demo"}, card("006000000000999AAA"), card(other, KPI_Opportunity__c=account),
        {**card(good), "id": "a00000000000001AAA"}, {"attributes": {"type": "Opportunity"}, "KPI_Key__c": good}, {"KPI_Key__c": good},
    )  # fmt: skip
    assert len(results) == 11
    assert all(set(result) == {"created", "success", "errors"} for result in results[1:])
    # keys that two rows of a call share are looked at before anything else of them
    assert codes(results)[1:] == [
        "INVALID_CROSS_REFERENCE_KEY", "DUPLICATE_VALUE", "DUPLICATE_VALUE", "DUPLICATE_VALUE", "MISSING_ARGUMENT", "INVALID_CROSS_REFERENCE_KEY",
        "DUPLICATE_VALUE", "INVALID_FIELD", "INVALID_TYPE", "JSON_PARSER_ERROR",
    ]  # fmt: skip
    assert codes(upsert(own, card(other, KPI_Stage__c="x" * 41), card(last, KPI_Days_In_Stage__c=3))) == [
        "STRING_TOO_LONG", "INVALID_FIELD_FOR_INSERT_UPDATE",
    ]  # fmt: skip
    assert codes(upsert(own, card(last, Nope__c=1), card(other, KPI_Opportunity__c=account))) == ["INVALID_FIELD", "MALFORMED_ID"]


def test_rows_of_one_call_that_share_a_key_are_refused_all_of_them(own, org):
    first, second = deals(org, 2)
    results = upsert(own, card(first, KPI_Pace__c="Slow"), card(second), {**card(first), "KPI_Key__c": first.lower()})
    assert codes(results) == ["DUPLICATE_VALUE", "", "DUPLICATE_VALUE"]
    assert results[0]["errors"][0]["message"] == f"Duplicate external id specified: {first}"
    assert [row["KPI_Key__c"] for row in own.rows(f"SELECT KPI_Key__c FROM {CARD}")] == [second]


def test_a_key_is_unique_in_any_case_however_a_row_is_made(own, org):
    first, second = deals(org, 2)
    upsert(own, card(first), card(second))
    taken = own.rows(f"SELECT Id FROM {CARD} WHERE KPI_Key__c = '{first}'")[0]["Id"]
    free = {"attributes": {"type": CARD}}
    keys = (first.lower(), "new", "NEW")
    made_now = own.post("composite/sobjects", {"records": [{**free, "KPI_Key__c": key} for key in keys]}).json()
    assert codes(made_now) == ["DUPLICATE_VALUE", "", "DUPLICATE_VALUE"]
    assert taken[:15] in made_now[0]["errors"][0]["message"]
    assert made_now[1]["id"][:15] in made_now[2]["errors"][0]["message"]
    whole = own.post("composite/sobjects", {"allOrNone": True, "records": [{**free, "KPI_Key__c": "a"}, {**free, "KPI_Key__c": "A"}]}).json()
    assert codes(whole) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "DUPLICATE_VALUE"]
    other = own.rows(f"SELECT Id FROM {CARD} WHERE KPI_Key__c = '{second}'")[0]["Id"]
    moved = own.patch("composite/sobjects", {"records": [{"attributes": {"type": CARD}, "id": other, "KPI_Key__c": first.upper()}]}).json()
    assert (codes(moved), taken[:15] in moved[0]["errors"][0]["message"]) == (["DUPLICATE_VALUE"], True)


def test_two_hundred_rows_and_no_more(own, org):
    ids = deals(org, 201)
    assert own.patch(BY_KEY, {"records": [card(deal) for deal in ids]}).json()[0]["errorCode"] == "EXCEEDED_ID_LIMIT"
    assert all(result["created"] for result in upsert(own, *(card(deal) for deal in ids[:200])))
    asked = ", ".join(f"'{deal}'" for deal in ids)
    assert len(own.rows(f"SELECT Id FROM {CARD} WHERE KPI_Key__c IN ({asked})")) == 200
    assert own.query(f"SELECT COUNT() FROM {CARD}").json()["totalSize"] == 200


def test_rows_are_healed_by_id_and_removed_by_id(own, org, clock):
    first, second = deals(org, 2)
    one, two = (result["id"] for result in upsert(own, card(first, KPI_Pace__c="Slow"), card(second)))
    org.update(CARD, one, {"KPI_Pace__c": "On pace"})  # somebody's edit
    since = own.rows(f"SELECT SystemModstamp FROM {CARD} WHERE Id = '{one}'")[0]["SystemModstamp"]
    clock.advance_to(clock.now + timedelta(hours=1))
    healed = own.patch("composite/sobjects", {"records": [{"attributes": {"type": CARD}, "id": one, "KPI_Pace__c": "Slow"}]}).json()
    assert healed == [{"id": one, "success": True, "errors": []}]
    changed = own.rows(f"SELECT Id, LastModifiedById FROM {CARD} WHERE SystemModstamp > {since.replace('+0000', '+00:00')}")
    assert [(row["Id"], row["LastModifiedById"]) for row in changed] == [(one, org.api_user)]
    read = own.post(f"composite/sobjects/{CARD}", {"ids": [two, one], "fields": ["Id", "KPI_Pace__c"]}).json()
    assert [(row["Id"], row["KPI_Pace__c"]) for row in read] == [(two, None), (one, "Slow")]
    gone = own.call("DELETE", "composite/sobjects", params={"ids": f"{one},{one},a00000000000999AAA", "allOrNone": "false"}).json()
    assert codes(gone) == ["", "", "INVALID_CROSS_REFERENCE_KEY"]
    assert [row["Id"] for row in own.rows(f"SELECT Id FROM {CARD}")] == [two]
    kept = own.rows(f"SELECT Id, IsDeleted, KPI_Pace__c FROM {CARD} WHERE IsDeleted = true", everything=True)
    assert [(row["Id"], row["KPI_Pace__c"]) for row in kept] == [(one, "Slow")]
    assert own.patch("composite/sobjects", {"records": [{"attributes": {"type": CARD}, "id": one}]}).json()[0]["errors"][0][
        "statusCode"
    ] == "ENTITY_IS_DELETED"  # fmt: skip
    assert upsert(own, card(first))[0]["created"] is True  # what lies in the bin does not hold the key


def test_a_row_by_its_key(own, org):
    (deal,) = deals(org, 1)
    path = f"sobjects/{CARD}/KPI_Key__c/{deal}"
    body = {"KPI_Opportunity__c": deal, "KPI_Pace__c": "Slow"}
    assert own.patch(path, {**body, "KPI_Key__c": deal}).json()[0]["errorCode"] == "INVALID_FIELD"
    first, second = own.patch(path, body), own.patch(path, {"KPI_Pace__c": None})
    assert (first.status_code, first.json()["created"], second.status_code, second.json()["created"]) == (201, True, 200, False)
    assert own.get(path).json()["KPI_Key__c"] == deal
    assert own.patch(f"sobjects/{CARD}/KPI_Key__c/{'x' * 19}", body).json()[0]["errorCode"] == "STRING_TOO_LONG"
    assert own.patch(f"sobjects/{CARD}/KPI_Stage__c/Demo", body).status_code == 404


# -- beside the deal -------------------------------------------------------------------------------------------------------


def test_a_row_is_read_with_its_deal_and_the_deal_with_its_row(own, org):
    account = org.insert("Account", {"Name": "Hospital A"})
    (deal,) = deals(org, 1)
    org.update("Opportunity", deal, {"AccountId": account})
    upsert(own, card(deal))
    row = own.rows(f"SELECT KPI_Opportunity__r.StageName, KPI_Opportunity__r.Account.Name FROM {CARD}")[0]
    assert (row["KPI_Opportunity__r"]["StageName"], row["KPI_Opportunity__r"]["Account"]["Name"]) == ("VAC Submitted", "Hospital A")
    assert len(own.rows(f"SELECT Id FROM {CARD} WHERE KPI_Opportunity__r.StageName = 'VAC Submitted'")) == 1
    name = next(child.relationship for child in org.schema["Opportunity"].children if child.object == CARD)
    below = own.rows(f"SELECT Id, (SELECT KPI_Key__c FROM {name}) FROM Opportunity WHERE Id = '{deal}'")[0]
    assert below[name]["records"][0]["KPI_Key__c"] == deal


def test_formulas_read_the_row_and_the_deal(own, org, clock):
    (deal,) = deals(org, 1)
    today = date.fromisoformat(org.moment(org.api_user).today)
    org.update("Opportunity", deal, {OWN["pilot_started_on"]: today - timedelta(days=30), OWN["arr"]: 120_000})
    key = upsert(own, card(deal, KPI_Stage__c="Demo", KPI_Stage_Entered_On__c=(today - timedelta(days=12)).isoformat()))[0]["id"]
    names = "KPI_Days_In_Stage__c, KPI_Pilot_Days__c, KPI_Blended_ARR__c, KPI_Deal_Age__c, KPI_Stalled__c, KPI_Days_Since_Buyer__c"

    def read():
        row = own.rows(f"SELECT {names} FROM {CARD} WHERE Id = '{key}'")[0]
        return [row[name] for name in names.split(", ")]

    stamp = org.find(key)["SystemModstamp"]
    assert read() == [12.0, 30.0, 120_000.0, 0.0, False, None]
    clock.advance_to(clock.now + timedelta(days=10))
    assert read() == [22.0, 40.0, 120_000.0, 10.0, False, None]
    org.update("Opportunity", deal, {"StageName": "Closed Lost"})
    assert read()[0] is None  # a closed deal's clock stands, as the deal says
    org.delete("Opportunity", deal)
    assert read()[1:4] == [None, None, None]
    assert org.find(key)["SystemModstamp"] > stamp  # the lookup was emptied


def test_a_write_of_a_row_leaves_the_deal_alone(own, org, clock):
    ran = []
    org.add_flow("Watch", "Opportunity", lambda row, before: ran.append(row["Id"]))
    org.add_rule("Never", "Opportunity", lambda name, row, values, user: (_ for _ in ()).throw(AssertionError) if name == "Opportunity" else None)
    (deal,) = deals(org, 1)
    before, history = dict(org.find(deal)), len(org.tables["OpportunityHistory"].rows)
    clock.advance_to(clock.now + timedelta(hours=2))
    key = upsert(own, card(deal, KPI_Pace__c="Slow"))[0]["id"]
    own.patch("composite/sobjects", {"records": [{"attributes": {"type": CARD}, "id": key, "KPI_Pace__c": "Stuck"}]})
    own.call("DELETE", "composite/sobjects", params={"ids": key})
    assert (dict(org.find(deal)), len(org.tables["OpportunityHistory"].rows), ran) == (before, history, [])


def test_the_lookup_is_emptied_with_the_deal_and_comes_back_with_it(own, org, clock):
    first, second = deals(org, 2)
    one, two = (result["id"] for result in upsert(own, card(first), card(second)))
    modified = org.find(one)["LastModifiedDate"]
    clock.advance_to(clock.now + timedelta(hours=1))
    org.delete("Opportunity", first)
    row = own.rows(f"SELECT KPI_Opportunity__c, KPI_Opportunity__r.Name, IsDeleted, LastModifiedDate FROM {CARD} WHERE Id = '{one}'")[0]
    assert (row["KPI_Opportunity__c"], row["KPI_Opportunity__r"], row["IsDeleted"], row["LastModifiedDate"]) == (None, None, False, modified)
    assert own.rows(f"SELECT KPI_Key__c FROM {CARD} WHERE KPI_Opportunity__c = null")[0]["KPI_Key__c"] == first
    org.undelete("Opportunity", first)
    assert org.find(one)["KPI_Opportunity__c"] == first
    assert len(own.rows(f"SELECT Id FROM {CARD} WHERE KPI_Opportunity__c = '{first}'")) == 1
    org.delete("Opportunity", first)
    org.update(CARD, one, {"KPI_Opportunity__c": second})  # somebody points it elsewhere meanwhile
    org.undelete("Opportunity", first)
    assert org.find(one)["KPI_Opportunity__c"] == second
    org.vanish("Opportunity", second)
    for key in (one, two):
        assert "KPI_Opportunity__c" not in org.find(key)


# -- who may ---------------------------------------------------------------------------------------------------------------


def test_without_a_grant_the_object_is_not_there(own, org, reader):
    (deal,) = deals(org, 1)
    key = upsert(own, card(deal))[0]["id"]
    own.token = f"sandbox-as-{reader}"
    assert own.query(f"SELECT Id FROM {CARD}").json()[0]["errorCode"] == "INVALID_TYPE"
    assert own.get(f"sobjects/{CARD}/describe").status_code == own.patch(BY_KEY, {"records": [card(deal)]}).status_code == 404
    assert codes(own.post("composite/sobjects", {"records": [card(deal)]}).json()) == ["INVALID_TYPE"]
    assert codes(own.call("DELETE", "composite/sobjects", params={"ids": key}).json()) == ["INSUFFICIENT_ACCESS_OR_READONLY"]
    children = own.get("sobjects/Opportunity/describe").json()["childRelationships"]
    assert CARD not in {child["childSObject"] for child in children}
    assert org.find(key)["IsDeleted"] is False


def test_readers_read_and_nothing_more(own, org, reader):
    (deal,) = deals(org, 1)
    key = upsert(own, card(deal, KPI_Pace__c="Slow"))[0]["id"]
    give(own, org, extras.READER, reader)
    own.token = f"sandbox-as-{reader}"
    told = own.get(f"sobjects/{CARD}/describe").json()
    assert (told["createable"], told["updateable"], told["deletable"], told["queryable"]) == (False, False, False, True)
    assert own.rows(f"SELECT KPI_Pace__c FROM {CARD}")[0]["KPI_Pace__c"] == "Slow"
    change = {"records": [{"attributes": {"type": CARD}, "id": key, "KPI_Pace__c": "Stuck"}]}
    refused = {
        "insert": own.post("composite/sobjects", {"records": [card("x")]}).json(), "update": own.patch("composite/sobjects", change).json(),
        "upsert": upsert(own, card(deal, KPI_Pace__c="Stuck")), "delete": own.call("DELETE", "composite/sobjects", params={"ids": key}).json(),
    }  # fmt: skip
    assert {verb: codes(results)[0] for verb, results in refused.items()} == {
        "insert": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "update": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        "upsert": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "delete": "INSUFFICIENT_ACCESS_OR_READONLY",
    }  # fmt: skip
    assert refused["update"][0]["errors"][0]["message"] == "entity type cannot be updated: Deal scorecard"
    assert (org.find(key)["KPI_Pace__c"], org.find(key)["IsDeleted"]) == ("Slow", False)


def test_the_connections_user_as_describe_and_the_access_object_see_it(own, org):
    (deal,) = deals(org, 1)
    key = upsert(own, card(deal))[0]["id"]
    told = own.get(f"sobjects/{CARD}/describe").json()
    assert (told["createable"], told["updateable"], told["deletable"], told["undeletable"]) == (True, True, True, True)
    fields = {field["name"]: field for field in told["fields"]}
    held = fields["KPI_Key__c"]
    assert (held["externalId"], held["unique"], held["caseSensitive"], held["idLookup"], held["length"]) == (True, True, False, True, 18)
    lookup = fields["KPI_Opportunity__c"]
    assert (lookup["referenceTo"], lookup["relationshipName"], lookup["nillable"]) == (["Opportunity"], "KPI_Opportunity__r", True)
    assert (fields["KPI_Days_In_Stage__c"]["calculated"], fields["KPI_Days_In_Stage__c"]["updateable"]) == (True, False)
    asked = f"SELECT RecordId, HasDeleteAccess, MaxAccessLevel FROM UserRecordAccess WHERE UserId = '{org.api_user}' AND RecordId = '{key}'"
    assert [own.rows(asked)[0][name] for name in ("HasDeleteAccess", "MaxAccessLevel")] == [True, "Delete"]


def test_deals_themselves_stay_closed_to_the_connections_user(own, org):
    """In companion mode the set reads deals and has no field of theirs."""
    held = next(row for row in org.tables["ObjectPermissions"].rows.values() if row["SobjectType"] == "Opportunity")
    assert (held["PermissionsRead"], held["PermissionsEdit"], held["PermissionsCreate"], held["PermissionsDelete"]) == (True, False, False, False)


# -- rep scorecards and snapshots ------------------------------------------------------------------------------------------


def test_rows_of_reps_and_snapshots_are_made_found_again_and_taken_back(client, org):
    own = provisioned(client, org, "everything")
    rep = {"attributes": {"type": REP}, "KPI_Key__c": f"{org.admin}|2026Q4", "KPI_User__c": org.admin, "KPI_Period__c": "2026Q4",
           "KPI_Quota__c": 1_000_000, "KPI_Attainment__c": 104}  # fmt: skip
    key = "win_rate|count|company|365d|2026-11-20"
    snapshot = {"attributes": {"type": SNAPSHOT}, "KPI_Key__c": key, "KPI_Value__c": 123456789012.123456, "KPI_Low_N__c": True,
                "KPI_As_Of__c": "2026-11-20"}  # fmt: skip
    for record in (rep, snapshot):
        name = record["attributes"]["type"]
        path = f"composite/sobjects/{name}/KPI_Key__c"
        (first,), (second,) = (own.patch(path, {"records": [record]}).json() for _ in range(2))
        assert (first["created"], second["created"], first["id"]) == (True, False, second["id"])
    fields = {f["name"]: f for f in own.get(f"sobjects/{SNAPSHOT}/describe").json()["fields"]}
    assert (fields["KPI_Value__c"]["precision"], fields["KPI_Value__c"]["scale"], fields["KPI_Key__c"]["length"]) == (18, 6, 255)
    row = own.rows(f"SELECT KPI_Value__c, KPI_Low_N__c, KPI_As_Of__c FROM {SNAPSHOT} WHERE KPI_Key__c = '{key.upper()}'")[0]
    assert (row["KPI_Value__c"], row["KPI_Low_N__c"], row["KPI_As_Of__c"]) == (123456789012.123456, True, "2026-11-20")
    assert codes(own.patch(f"composite/sobjects/{SNAPSHOT}/KPI_Key__c", {"records": [{**snapshot, "KPI_Value__c": 1e12}]}).json()) == [
        "NUMBER_OUTSIDE_VALID_RANGE"
    ]  # fmt: skip
    user = own.rows(f"SELECT KPI_User__r.Name FROM {REP}")[0]["KPI_User__r"]["Name"]
    assert user == org.find(org.admin)["Name"]
    ids = [next(iter(org.tables[name].rows)) for name in (REP, SNAPSHOT)]
    assert codes(own.call("DELETE", "composite/sobjects", params={"ids": ",".join(ids)}).json()) == ["", ""]
    assert own.rows(f"SELECT Id FROM {REP}") == own.rows(f"SELECT Id FROM {SNAPSHOT}") == []


# -- as people see them ----------------------------------------------------------------------------------------------------


def page(client, path):
    answer = client.session.get(f"{client.base}/sandbox/salesforce/{path}", timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.text


def shown(text):
    """(field, value) of each line of a page."""
    return re.findall(r'<dd data-field="(\w+)">(.*?)</dd>', text)


def test_a_deals_page_shows_its_row_to_those_who_may_read_it(own, org, reader):
    first, second = deals(org, 2)
    today = date.fromisoformat(org.moment(reader).today)
    upsert(own, card(first, KPI_Pace__c="Stuck", KPI_Win_Chance__c=29, KPI_Stage_Entered_On__c=(today - timedelta(days=12)).isoformat()),
           card(second, KPI_Pace__c="On pace"))  # fmt: skip
    assert not [name for name, _ in shown(page(own, f"deals/{first}?as={reader}")) if name.startswith("KPI_")]
    give(own, org, extras.READER, reader)
    own.token = f"sandbox-as-{org.api_user}"
    text = page(own, f"deals/{first}?as={reader}")
    found = dict(shown(text))
    assert (found["KPI_Pace__c"], found["KPI_Win_Chance__c"], found["KPI_Days_In_Stage__c"], found["KPI_Stalled__c"]) == ("Stuck", "29%", "12", "☐")
    assert ("Deal scorecard 00000001" in text, "On a row of its own" in text, "On pace" in found.values()) == (True, True, False)
    assert not {"KPI_Key__c", "KPI_Opportunity__c"} & set(found)
    held = own.rows(f"SELECT Id FROM {CARD} WHERE KPI_Key__c = '{first}'")[0]["Id"]
    own.call("DELETE", "composite/sobjects", params={"ids": held})
    assert "Deal scorecard" not in page(own, f"deals/{first}?as={reader}")


def test_accounts_contacts_and_reps_have_pages_too(client, org, reader):
    own = provisioned(client, org, "everything")
    account = org.insert("Account", {"Name": "Hospital A", "OwnerId": reader})
    contact = org.insert("Contact", {"LastName": "Ochoa", "AccountId": account, "OwnerId": reader})
    (deal,) = deals(org, 1)
    org.update("Opportunity", deal, {"AccountId": account, "OwnerId": reader})
    change = [
        {"attributes": {"type": "Account"}, "id": account, "KPI_ARR__c": 420_000, "KPI_Health_Tier__c": "At risk"},
        {"attributes": {"type": "Contact"}, "id": contact, "KPI_KOL_Score__c": 77},
    ]
    assert codes(own.patch("composite/sobjects", {"records": change}).json()) == ["", ""]
    for quarter, won in (("2026Q3", 100), ("2026Q4", 250)):
        row = {"attributes": {"type": REP}, "KPI_Key__c": f"{reader}|{quarter}", "KPI_User__c": reader, "KPI_Period__c": quarter, "KPI_Won__c": won}
        assert own.patch(f"composite/sobjects/{REP}/KPI_Key__c", {"records": [row]}).json()[0]["success"]
    give(own, org, extras.READER, reader)
    found = dict(shown(page(own, f"accounts/{account}?as=rep")))
    assert (found["KPI_ARR__c"], found["KPI_Health_Tier__c"]) == ("USD 420,000.00", "At risk")
    assert dict(shown(page(own, f"contacts/{contact}?as={reader}")))["KPI_KOL_Score__c"] == "77"
    lines = shown(page(own, f"reps/{reader}"))
    assert [value for name, value in lines if name in ("KPI_Period__c", "KPI_Won__c")] == ["2026Q4", "USD 250.00", "2026Q3", "USD 100.00"]
    beside = page(own, f"deals/{deal}?as=rep")
    assert f"/sandbox/salesforce/accounts/{account}?as={reader}" in beside
    assert f"/sandbox/salesforce/reps/{reader}?as={reader}" in beside
    other = org.insert("User", {"FirstName": "Kim", "LastName": "Ito", "Username": "kim@x.example", "IsActive": True})
    assert not [name for name, _ in shown(page(own, f"reps/{reader}?as={other}")) if name.startswith("KPI_")]
    for path in ("accounts/001000000000999AAA", f"contacts/{account}", f"accounts/{account}?as=nobody"):
        assert client.session.get(f"{client.base}/sandbox/salesforce/{path}", timeout=10).status_code == 404


# -- in bulk ---------------------------------------------------------------------------------------------------------------


def ingest(client, operation, lines, **more):
    job = client.post("jobs/ingest", {"object": CARD, "operation": operation, "contentType": "CSV", "lineEnding": "LF", **more}).json()["id"]
    client.call("PUT", f"jobs/ingest/{job}/batches", data="\n".join(lines).encode(), headers={"Content-Type": "text/csv"})
    client.patch(f"jobs/ingest/{job}", {"state": "UploadComplete"})
    for _ in range(20):
        if client.get(f"jobs/ingest/{job}").json()["state"] in ("JobComplete", "Failed"):
            break
    done, failed = (client.get(f"jobs/ingest/{job}/{kind}").text.splitlines()[1:] for kind in ("successfulResults", "failedResults"))
    return done, failed


def test_a_job_makes_rows_by_key_and_removes_them_by_id(own, org):
    first, second, third = deals(org, 3)
    head = "KPI_Key__c,KPI_Opportunity__c,KPI_Pace__c"
    lines = [head, f"{first},{first},Slow", f"{second},{second},", f"{third},{third},Slow", f"{third.lower()},{third},Stuck", f",{first},Slow"]
    good, bad = ingest(own, "upsert", lines, externalIdFieldName="KPI_Key__c")
    assert [line.split(",")[1] for line in good] == ['"true"', '"true"']
    assert [line.split('"')[3].split(":")[0] for line in bad] == ["DUPLICATE_VALUE", "DUPLICATE_VALUE", "MISSING_ARGUMENT"]
    good, bad = ingest(own, "upsert", [head, f"{first},{first},#N/A"], externalIdFieldName="KPI_Key__c")
    assert ([line.split(",")[1] for line in good], bad) == (['"false"'], [])
    key = good[0].split('"')[1]
    assert "KPI_Pace__c" not in org.find(key)
    assert len(ingest(own, "delete", ["Id", key])[0]) == 1
    assert org.find(key)["IsDeleted"] is True
    answer = own.post("jobs/ingest", {"object": CARD, "operation": "upsert", "contentType": "CSV"})
    assert answer.json()[0]["errorCode"] == "INVALIDJOB"


def test_a_job_may_do_no_more_than_its_user(own, org, reader):
    (deal,) = deals(org, 1)
    key = upsert(own, card(deal))[0]["id"]
    give(own, org, extras.READER, reader)
    own.token = f"sandbox-as-{reader}"
    _, bad = ingest(own, "delete", ["Id", key])
    assert (bad[0].split('"')[3].split(":")[0], org.find(key)["IsDeleted"]) == ("INSUFFICIENT_ACCESS_OR_READONLY", False)
    _, bad = ingest(own, "update", ["Id,KPI_Pace__c", f"{key},Slow"])
    assert bad[0].split('"')[3].startswith("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:entity type cannot be updated")
