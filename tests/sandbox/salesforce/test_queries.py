"""query and queryAll over HTTP: shapes, pages, locators, what is hidden, speed."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from connector.sandbox.salesforce.ids import checksum


def fill(org, count):
    """Deals that all share one stamp, but for the last."""
    ids = [org.insert("Opportunity", {"Name": f"D{n}", "StageName": "Prospect", "CloseDate": "2027-01-01"}) for n in range(count - 1)]
    org.clock.advance_to(org.clock.now + timedelta(seconds=5))
    return [*ids, org.insert("Opportunity", {"Name": "last", "StageName": "Prospect", "CloseDate": "2027-01-01"})]


def test_a_record_on_the_wire(client, org, deal):
    answer = client.query("SELECT Id, Name, Amount, Probability, CloseDate, Account.Customer_Type__c, IsDeleted, SystemModstamp FROM Opportunity")
    account = org.find(deal)["AccountId"]
    assert answer.json() == {"totalSize": 1, "done": True, "records": [{
        "attributes": {"type": "Opportunity", "url": f"/services/data/v68.0/sobjects/Opportunity/{deal}"},
        "Id": deal, "Name": "Hospital A - infusion", "Amount": 420000.0, "Probability": 60.0, "CloseDate": "2027-01-29",
        "Account": {
            "attributes": {"type": "Account", "url": f"/services/data/v68.0/sobjects/Account/{account}"}, "Customer_Type__c": "General Hospital",
        },
        "IsDeleted": False, "SystemModstamp": "2026-11-20T18:00:00.000+0000",
    }]}  # fmt: skip
    assert '"Amount":420000.0' in answer.text
    assert len(deal) == 18
    assert deal[15:] == checksum(deal[:15])


def test_the_url_carries_the_version_called(client, deal):
    answer = client.get("/services/data/v60.0/query/", params={"q": "SELECT Id FROM Opportunity"}).json()
    assert answer["records"][0]["attributes"]["url"] == f"/services/data/v60.0/sobjects/Opportunity/{deal}"


def test_count(client, deal):
    assert client.query("SELECT COUNT() FROM Opportunity").json() == {"totalSize": 1, "done": True, "records": []}


def test_refused_queries_are_arrays(client):
    answer = client.query("SELECT Nope FROM Opportunity")
    assert answer.status_code == 400
    assert [set(error) for error in answer.json()] == [{"message", "errorCode"}]
    assert answer.json()[0]["errorCode"] == "INVALID_FIELD"
    assert "Sforce-Limit-Info" in answer.headers
    assert client.get("query").json()[0]["errorCode"] == "MALFORMED_QUERY"


def test_pages_break_inside_ties_and_lose_nothing(client, org):
    ids = fill(org, 501)
    answer = client.query("SELECT Id FROM Opportunity ORDER BY SystemModstamp, Id", headers={"Sforce-Query-Options": "batchSize=200"}).json()
    assert (answer["totalSize"], answer["done"], len(answer["records"])) == (501, False, 200)
    assert re.fullmatch(r"/services/data/v68\.0/query/0r8\w{15}-200", answer["nextRecordsUrl"])
    pages = client.pages("SELECT Id, SystemModstamp FROM Opportunity ORDER BY SystemModstamp, Id", 200)
    assert [len(page) for page in pages] == [200, 200, 101]
    assert [row["Id"] for page in pages for row in page] == ids
    assert pages[0][-1]["SystemModstamp"] == pages[1][0]["SystemModstamp"]


def test_inside_a_tie_only_id_gives_an_order(client, org):
    ids = fill(org, 300)
    rows = client.rows("SELECT Id FROM Opportunity ORDER BY SystemModstamp")
    assert {row["Id"] for row in rows} == set(ids)
    assert [row["Id"] for row in rows] != ids


def test_the_server_chooses_the_page_size(client, org):
    fill(org, 450)
    assert [len(page) for page in client.pages("SELECT Id FROM Opportunity", 2)] == [200, 200, 50]
    org.page_size = 100
    assert [len(page) for page in client.pages("SELECT Id FROM Opportunity", 2000)] == [100, 100, 100, 100, 50]


def test_a_locator_belongs_to_its_session(client, org):
    fill(org, 300)
    client.log_in()
    url = client.query("SELECT Id FROM Opportunity", headers={"Sforce-Query-Options": "batchSize=200"}).json()["nextRecordsUrl"]
    assert client.get(url).json()["done"] is True
    client.log_in()
    answer = client.get(url)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


def test_locators_expire(client, org):
    fill(org, 300)
    url = client.query("SELECT Id FROM Opportunity", headers={"Sforce-Query-Options": "batchSize=200"}).json()["nextRecordsUrl"]
    for wrong in ("query/01gnothing", f"{url[: url.rindex('-')]}-5000"):
        assert client.get(wrong).json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"
    org.clock.advance_to(org.clock.now + timedelta(days=2, seconds=1))
    assert client.get(url).json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_query_hides_what_query_all_shows(client, org, deal):
    old = {"WhatId": deal, "Subject": "Call", "Status": "Completed", "TaskSubtype": "Call"}
    org.insert("Task", {**old, "ActivityDate": "2025-11-19"})
    org.insert("Task", {**old, "ActivityDate": "2025-11-21"})
    assert [row["IsArchived"] for row in client.rows("SELECT IsArchived FROM Task")] == [False]
    assert sorted(row["IsArchived"] for row in client.rows("SELECT IsArchived FROM Task", everything=True)) == [False, True]
    org.delete("Opportunity", deal)
    assert client.rows("SELECT Id FROM Opportunity") == []
    row = client.rows("SELECT Id, IsDeleted FROM Opportunity", everything=True)[0]
    assert (row["Id"], row["IsDeleted"]) == (deal, True)


def test_merged_accounts_name_their_master(client, org, deal):
    loser, winner = org.find(deal)["AccountId"], org.insert("Account", {"Name": "Hospital A Inc."})
    org.clock.advance_to(org.clock.now + timedelta(minutes=1))
    org.merge("Account", loser, winner)
    rows = client.rows("SELECT Id, IsDeleted, MasterRecordId FROM Account ORDER BY Id", everything=True)
    assert [(row["Id"], row["IsDeleted"], row["MasterRecordId"]) for row in rows] == [(loser, True, winner), (winner, False, None)]
    moved = client.rows("SELECT AccountId, SystemModstamp FROM Opportunity")[0]
    assert (moved["AccountId"], moved["SystemModstamp"]) == (winner, "2026-11-20T18:01:00.000+0000")
    assert [row["Id"] for row in client.rows(f"SELECT Id FROM Opportunity WHERE AccountId = '{winner}'")] == [deal]


def test_a_formula_moves_without_a_stamp(client, org, deal):
    soql = "SELECT Days_To_Close__c, SystemModstamp FROM Opportunity"
    before = client.rows(soql)[0]
    org.clock.advance_to(org.clock.now + timedelta(days=3))
    after = client.rows(soql)[0]
    assert (before["Days_To_Close__c"], after["Days_To_Close__c"]) == (70.0, 67.0)
    assert before["SystemModstamp"] == after["SystemModstamp"]


def test_settings_objects(client):
    stages = {row["ApiName"]: row for row in client.rows("SELECT ApiName, IsActive, IsClosed, IsWon, DefaultProbability FROM OpportunityStage")}
    assert (stages["VAC Submitted"]["DefaultProbability"], stages["VAC Submitted"]["IsActive"]) == (60.0, True)
    assert [stages["Stopped - No Decision"][name] for name in ("IsClosed", "IsWon", "DefaultProbability")] == [True, False, 0.0]
    assert [name for name, row in stages.items() if not row["IsActive"]] == ["Trial", "4 - VAC Approval", "InfoSec"]
    organization = client.rows("SELECT Name, TimeZoneSidKey, FiscalYearStartMonth, IsSandbox FROM Organization")[0]
    assert [organization[name] for name in ("Name", "TimeZoneSidKey", "FiscalYearStartMonth")] == ["Beacon Surgical", "America/New_York", 1]
    currencies = client.rows("SELECT IsoCode, ConversionRate, IsCorporate, IsActive FROM CurrencyType ORDER BY IsoCode")
    assert [(row["IsoCode"], row["ConversionRate"], row["IsCorporate"]) for row in currencies] == [("EUR", 0.92, False), ("USD", 1.0, True)]
    rates = client.rows("SELECT StartDate, NextStartDate FROM DatedConversionRate WHERE IsoCode = 'EUR' ORDER BY StartDate")
    assert all(one["NextStartDate"] == after["StartDate"] for one, after in pairwise(rates))
    types = client.rows("SELECT DeveloperName FROM RecordType WHERE SobjectType = 'Opportunity' AND IsActive = true")
    assert {row["DeveloperName"] for row in types} == {"Capital_Equipment", "Disposables", "Software", "Renewals"}


def test_record_access(client, org, deal):
    soql = f"SELECT RecordId, HasEditAccess, MaxAccessLevel FROM UserRecordAccess WHERE UserId = '{org.api_user}' AND RecordId IN ('{deal}')"
    assert [client.rows(soql)[0][name] for name in ("RecordId", "HasEditAccess", "MaxAccessLevel")] == [deal, True, "Edit"]
    org.uneditable.add(deal)
    assert [client.rows(soql)[0][name] for name in ("HasEditAccess", "MaxAccessLevel")] == [False, "Read"]
    assert client.query("SELECT RecordId FROM UserRecordAccess").json()[0]["errorCode"] == "MALFORMED_QUERY"


@pytest.mark.parametrize("everything", [False, True])
def test_purged_rows_vanish(client, org, deal, everything):
    org.delete("Opportunity", deal)
    org.purge(deal)
    assert client.query("SELECT COUNT() FROM Opportunity", everything).json()["totalSize"] == 0
    assert client.query("SELECT COUNT() FROM OpportunityHistory", everything).json()["totalSize"] == 0


def test_a_big_org_is_read_in_seconds(client, org):
    """8,800 deals with three history rows and a task each, all columns, through queryAll."""
    accounts = [org.insert("Account", {"Name": f"A{n}"}) for n in range(85)]
    for n in range(8800):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=n // 7)
        made = org.insert("Opportunity", {
            "Name": f"D{n}", "AccountId": accounts[n % 85], "StageName": "Prospect", "CloseDate": "2026-03-01", "Amount": n,
        }, at=at)  # fmt: skip
        org.update("Opportunity", made, {"StageName": "Discover"}, at=at)
        org.update("Opportunity", made, {"StageName": "Closed Won"}, at=at)
        org.insert("Task", {"WhatId": made, "Subject": "Call", "Status": "Completed", "ActivityDate": "2026-02-01"}, at=at)
    counts = {}
    for name in ("Opportunity", "OpportunityHistory", "Task"):
        columns = ", ".join(field for field in org.schema[name].fields if field != "Description")
        window = "SystemModstamp >= 2025-01-01T00:00:00Z AND SystemModstamp < 2027-01-01T00:00:00Z"
        counts[name] = sum(map(len, client.pages(f"SELECT {columns} FROM {name} WHERE {window} ORDER BY SystemModstamp, Id", 2000)))
    assert counts == {"Opportunity": 8800, "OpportunityHistory": 26400, "Task": 8800}
