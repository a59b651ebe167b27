"""Bulk API 2.0 query jobs over HTTP: states, pages, CSV, refusals, allowances."""

import csv
import gzip
import io
from datetime import timedelta

import pytest
import requests

FIELDS = "SELECT Id, Name, Amount, IsDeleted, CloseDate, SystemModstamp, Account.Customer_Type__c FROM Opportunity"


@pytest.fixture
def job(client):
    """``job(soql)``: the id of a complete job."""

    def run(soql, operation="queryAll", **more):
        made = client.post("jobs/query", {"operation": operation, "query": soql, **more})
        assert made.status_code == 200, made.text
        path = f"jobs/query/{made.json()['id']}"
        while client.get(path).json()["state"] in ("UploadComplete", "InProgress"):
            pass
        return path

    return run


def rows(answer):
    return list(csv.reader(io.StringIO(answer.content.decode(), newline="")))


def test_states_advance_with_looks(client, org, deal):
    org.bulk.polls = 2
    made = client.post("jobs/query", {"operation": "query", "query": FIELDS}).json()
    assert {key: value for key, value in made.items() if key not in ("id", "createdById", "createdDate", "systemModstamp")} == {
        "state": "UploadComplete", "operation": "query", "object": "Opportunity", "apiVersion": 68.0, "contentType": "CSV",
        "columnDelimiter": "COMMA", "lineEnding": "LF", "concurrencyMode": "Parallel",
    }  # fmt: skip
    path = f"jobs/query/{made['id']}"
    early = client.get(path + "/results")
    assert early.status_code == 400
    assert early.json()[0]["errorCode"] == "INVALIDJOBSTATE"
    looks = [client.get(path).json() for _ in range(4)]
    assert [look["state"] for look in looks] == ["InProgress", "InProgress", "JobComplete", "JobComplete"]
    assert looks[-1]["numberRecordsProcessed"] == 1
    assert {"jobType", "retries", "totalProcessingTime"} <= set(looks[0])
    assert "errorMessage" not in looks[-1]


def test_csv_spelling(client, org, job, deal):
    org.update("Opportunity", deal, {"Name": 'Two "lines"\nof text, NA'})
    bare = org.insert("Opportunity", {"Name": "NA", "StageName": "Prospect", "CloseDate": "2027-01-01"})
    answer = client.get(job(FIELDS + " ORDER BY Id") + "/results", headers={"Accept-Encoding": "identity"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.content.decode() == (
        '"Id","Name","Amount","IsDeleted","CloseDate","SystemModstamp","Account.Customer_Type__c"\n'
        f'"{deal}","Two ""lines""\nof text, NA","420000.0","false","2027-01-29","2026-11-20T18:00:00.000Z","General Hospital"\n'
        f'"{bare}","NA","","false","2027-01-01","2026-11-20T18:00:00.000Z",""\n'
    )
    assert (answer.headers["Sforce-NumberOfRecords"], answer.headers["Sforce-Locator"]) == ("2", "null")


def test_delimiter_and_line_ending(client, job, deal):
    answer = client.get(job("SELECT Id, Amount FROM Opportunity", columnDelimiter="PIPE", lineEnding="CRLF") + "/results")
    assert answer.content.decode() == f'"Id"|"Amount"\r\n"{deal}"|"420000.0"\r\n'


@pytest.fixture
def many(org):
    return [org.insert("Account", {"Name": f"Hospital {number}"}) for number in range(23)]


def test_pages_and_locators(client, job, many):
    path = job("SELECT Id FROM Account ORDER BY Id") + "/results"
    found, locator = [], None
    while locator != "null":
        page = client.get(path, params={"maxRecords": 10} | ({"locator": locator} if locator else {}))
        body = rows(page)
        assert body[0] == ["Id"]
        assert page.headers["Sforce-NumberOfRecords"] == str(len(body) - 1)
        found += [row[0] for row in body[1:]]
        first, locator = locator, page.headers["Sforce-Locator"]
    assert found == many
    again = client.get(path, params={"maxRecords": 10, "locator": first})
    assert [row[0] for row in rows(again)[1:]] == many[-3:]
    wrong = client.get(path, params={"locator": "rubbish"})
    assert (wrong.status_code, wrong.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


def test_result_pages_give_five_addresses_at_a_time(client, org, job, many):
    org.bulk.page = 4
    path = job("SELECT Id FROM Account ORDER BY Id")
    pages = client.get(path + "/resultPages").json()
    assert (len(pages["resultPages"]), pages["done"]) == (5, False)
    rest = client.get(pages["nextRecordsUrl"]).json()
    assert (len(rest["resultPages"]), rest["done"], rest["nextRecordsUrl"]) == (1, True, None)
    found = [row[0] for page in pages["resultPages"] + rest["resultPages"] for row in rows(client.get(page["resultUrl"]))[1:]]
    assert found == many
    assert client.get("/services/data/v57.0/" + path + "/resultPages").status_code == 404


def test_gzip_when_asked(client, job, many):
    path = job("SELECT Id, Name, SystemModstamp, OwnerId FROM Account") + "/results"
    packed = client.get(path, headers={"Accept-Encoding": "gzip"}, stream=True)
    assert packed.headers["Content-Encoding"] == "gzip"
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.raw.read(decode_content=False)) == plain.content


def test_query_and_query_all(client, org, job, deal):
    org.delete("Opportunity", deal)
    soql = "SELECT Id, IsDeleted FROM Opportunity"
    assert rows(client.get(job(soql, "query") + "/results")) == [["Id", "IsDeleted"]]
    assert rows(client.get(job(soql, "queryAll") + "/results")) == [["Id", "IsDeleted"], [deal, "true"]]


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Id FROM Account LIMIT 5 OFFSET 2", "FEATURENOTENABLED"),
        ("SELECT COUNT() FROM Account", "FEATURENOTENABLED"),
        ("SELECT Type, COUNT(Id) FROM Account GROUP BY Type", "FEATURENOTENABLED"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "FEATURENOTENABLED"),
        ("SELECT TYPEOF What WHEN Account THEN Name END FROM Task", "FEATURENOTENABLED"),
        ("SELECT Id, BillingAddress FROM Account", "FUNCTIONALITY_NOT_ENABLED"),
        ("SELECT Id FROM UserRecordAccess", "INVALIDENTITY"),
        ("SELECT Id, Nothing__c FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Nothing__c", "INVALID_TYPE"),
        ("SELECT Id FROM", "MALFORMED_QUERY"),
        ("SELECT Id FROM Opportunity WHERE Description = 'x'", "INVALID_FIELD"),
        ("", "INVALIDJOB"),
    ],
)
def test_refused_at_once(client, org, soql, code):
    answer = client.post("jobs/query", {"operation": "query", "query": soql})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)
    assert not org.bulk.jobs


def test_what_breaks_later_fails_the_job(client, org, deal):
    path = f"jobs/query/{client.post('jobs/query', {'operation': 'query', 'query': FIELDS}).json()['id']}"
    org.hide_field("Opportunity", "Amount")
    client.get(path)
    gone = client.get(path).json()
    assert gone["state"] == "Failed"
    assert gone["errorMessage"].startswith("INVALID_FIELD")
    assert "Amount" in gone["errorMessage"]
    org.bulk.failing = ["InternalServerError : the job was tried 15 times"]
    path = f"jobs/query/{client.post('jobs/query', {'operation': 'query', 'query': 'SELECT Id FROM Account'}).json()['id']}"
    assert [client.get(path).json().get("errorMessage") for _ in range(2)] == [None, "InternalServerError : the job was tried 15 times"]


def test_another_version_is_a_conflict(client, job, deal):
    path = job(FIELDS)
    for part in ("results", "resultPages"):
        answer = client.get(f"/services/data/v67.0/{path}/{part}")
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (409, "INVALIDVERSION")


def test_deleted_old_and_unknown_jobs_are_404(client, org, clock, job, deal):
    path = job(FIELDS)
    before = clock.now
    assert client.call("DELETE", path).status_code == 204
    assert clock.now == before
    old = job(FIELDS)
    assert len(client.get("jobs/query").json()["records"]) == 1
    clock.advance_to(clock.now + timedelta(days=8))
    for gone in (path, old, "jobs/query/750000000000001AAA", "jobs/query/x"):
        assert client.get(gone).status_code == 404
        assert client.get(gone + "/results").status_code == 404
    assert client.get("jobs/query").json()["records"] == []


def test_running_jobs_are_aborted_not_deleted(client, deal):
    path = f"jobs/query/{client.post('jobs/query', {'operation': 'query', 'query': FIELDS}).json()['id']}"
    client.get(path)
    assert client.call("DELETE", path).json()[0]["errorCode"] == "INVALIDJOBSTATE"
    assert client.patch(path, {"state": "Aborted"}).json()["state"] == "Aborted"
    assert client.get(path).json()["state"] == "Aborted"
    assert client.patch(path, {"state": "Aborted"}).status_code == 400


def test_the_day_has_only_so_many_jobs(client, org, clock, deal):
    org.bulk.most_jobs = 1
    body = {"operation": "query", "query": FIELDS}
    assert client.post("jobs/query", body).status_code == 200
    assert client.get("limits").json()["DailyBulkV2QueryJobs"] == {"Max": 1, "Remaining": 0}
    refused = client.post("jobs/query", body)
    assert refused.status_code == 400
    assert refused.json()[0] == {"errorCode": "LIMIT_EXCEEDED", "message": "Max bulk v2 query jobs (1) per 24 hrs has been reached (2)"}
    clock.advance_to(clock.now + timedelta(hours=25))
    assert client.post("jobs/query", body).status_code == 200


def test_results_need_a_session(client, job, deal):
    path = job(FIELDS)
    assert requests.get(f"{client.base}/services/data/v68.0/{path}/results", timeout=10).status_code == 401
