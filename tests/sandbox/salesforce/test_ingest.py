"""Bulk API 2.0 ingest jobs over HTTP: each row settles by itself, an empty cell leaves alone, #N/A empties."""

import csv
import io


def start(client, data, operation="update", **more):
    made = client.post("jobs/ingest", {"object": "Opportunity", "operation": operation, "contentType": "CSV", **more}).json()
    path = f"jobs/ingest/{made['id']}"
    assert (made["state"], made["contentUrl"]) == ("Open", f"services/data/v68.0/{path}/batches")
    assert client.call("PUT", f"{path}/batches", data=data.encode(), headers={"Content-Type": "text/csv"}).status_code == 201
    return path


def finish(client, path):
    assert client.patch(path, {"state": "UploadComplete"}).json()["state"] == "UploadComplete"
    states = [client.get(path).json() for _ in range(2)]
    assert [state["state"] for state in states] == ["InProgress", "JobComplete"]
    return states[-1]


def rows(answer):
    return list(csv.reader(io.StringIO(answer.content.decode(), newline="")))


def test_rows_settle_one_by_one(client, org, deal):
    org.update("Opportunity", deal, {"KPI_Pace__c": "Slow", "KPI_Stale_Reason__c": "waits"})
    data = f"Id,KPI_Stage_Entered_On__c,KPI_Pace__c,KPI_Stale_Reason__c\n{deal},2026-10-20,,#N/A\n{deal},20.10.2026,Stuck,\n,2026-10-20,,\n"
    path = start(client, data)
    done = finish(client, path)
    assert (done["numberRecordsProcessed"], done["numberRecordsFailed"], done["jobType"]) == (3, 2, "V2Ingest")
    row = org.find(deal)
    assert (row["KPI_Stage_Entered_On__c"], row["KPI_Pace__c"], row.get("KPI_Stale_Reason__c")) == ("2026-10-20", "Slow", None)
    good, bad, left = (client.get(f"{path}/{name}") for name in ("successfulResults", "failedResults", "unprocessedrecords"))
    assert rows(good)[1] == [deal, "false", deal, "2026-10-20", "", "#N/A"]
    assert bad.text.startswith('"sf__Id","sf__Error",Id,KPI_Stage_Entered_On__c,')
    message = "INVALID_FIELD:Failed to deserialize field at col 1. Due to, '20.10.2026' is not a valid value for the type xsd:date"
    assert rows(bad)[1][:2] == ["", f"{message}:KPI_Stage_Entered_On__c --"]
    assert rows(bad)[2][1].startswith("MISSING_ARGUMENT")
    assert rows(left) == [["Id", "KPI_Stage_Entered_On__c", "KPI_Pace__c", "KPI_Stale_Reason__c"]]


def test_an_aborted_job_gives_its_rows_back(client, org, deal):
    path = start(client, f"Id,KPI_Pace__c\n{deal},Stuck\n")
    assert client.patch(path, {"state": "Aborted"}).json()["state"] == "Aborted"
    assert rows(client.get(f"{path}/unprocessedrecords")) == [["Id", "KPI_Pace__c"], [deal, "Stuck"]]
    assert "KPI_Pace__c" not in org.find(deal)
    assert client.call("DELETE", path).status_code == 204
    assert client.get(path).status_code == 404


def test_insert_and_delete(client, org, deal):
    path = start(client, "Name,StageName,CloseDate\nNew one,Prospect,2027-01-01\nNo stage,,2027-01-01\n", "insert")
    assert finish(client, path)["numberRecordsFailed"] == 1
    made = rows(client.get(f"{path}/successfulResults"))[1]
    assert (made[1], org.find(made[0])["Name"]) == ("true", "New one")
    assert "REQUIRED_FIELD_MISSING" in rows(client.get(f"{path}/failedResults"))[1][1]
    finish(client, start(client, f"Id\n{deal}\n", "delete"))
    assert org.find(deal)["IsDeleted"]


def test_a_column_that_the_user_does_not_see_fails_the_job(client, org, deal):
    org.hide_field("Opportunity", "KPI_Pace__c", org.api_user)
    path = start(client, f"Id,KPI_Pace__c\n{deal},Stuck\n")
    client.patch(path, {"state": "UploadComplete"})
    job = [client.get(path).json() for _ in range(2)][-1]
    assert (job["state"], job["errorMessage"]) == ("Failed", "InvalidBatch : Field name not found : KPI_Pace__c")
    assert rows(client.get(f"{path}/unprocessedrecords")) == [["Id", "KPI_Pace__c"], [deal, "Stuck"]]
    assert "KPI_Pace__c" not in org.find(deal)
