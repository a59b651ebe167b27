"""Bulk jobs: chosen by the number of rows, waited for, read side by side, typed as REST types, cut off and gone on with."""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from connector.clock import FixedClock
from connector.crms.base import Meter, StreamSpec, Window
from connector.crms.salesforce import SalesforceCrm, SalesforceSettings
from connector.crms.salesforce.bulk import parsed
from connector.crms.salesforce.transport import Client
from connector.errors import AuthenticationError, NoProgress, Transient
from tests.crms.contract import MANY, CrmContract, Held, delivered
from tests.crms.salesforce.bench import START, SalesforceBench
from tests.crms.scripted import Answer, Asked, serving

SMALL = {"bulk_above": 5, "bulk_page": 4}


class BulkBench(SalesforceBench):
    """Every connection of it reads whatever it can by jobs, in result pages of six rows."""

    def open(self, **more: object) -> SalesforceCrm:
        self.org.bulk.page = 6
        return super().open(**{**SMALL, **more})


@pytest.fixture
def bench(bench: SalesforceBench) -> Iterator[BulkBench]:
    found = BulkBench(bench.server, bench.org)
    yield found
    for crm in found.opened:
        crm.close()


@pytest.fixture
def crm(bench: BulkBench) -> SalesforceCrm:
    return bench.open()


def filled(bench: BulkBench) -> list[str]:
    ids = bench.create(MANY)
    bench.wait(3_600)
    return ids


def error(code: str, status: int = 400) -> tuple[int, object]:
    return status, [{"errorCode": code, "message": "as told"}]


def jobs_asked(bench: BulkBench) -> list[str]:
    return [line for line in bench.server.asked if "/jobs/" in line]


class TestSalesforceByBulk(CrmContract):
    """The whole contract once more, first loads by Bulk."""

    lookback = timedelta(minutes=15)


# -- chosen by rows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "by_bulk"), [(5, False), (6, True)])
def test_rest_or_bulk_is_decided_by_the_number_of_rows(bench: BulkBench, crm: SalesforceCrm, rows: int, by_bulk: bool) -> None:
    bench.create(rows)
    bench.wait(3_600)
    held = Held()
    held.pull(crm, bench.deals)
    assert held.values("Name") == bench.truth("Name")
    assert bool(jobs_asked(bench)) is by_bulk
    counted = [line for line in bench.server.asked if "SELECT COUNT()" in line]
    assert len(counted) == 1


def test_a_short_window_is_neither_counted_nor_read_by_a_job(bench: BulkBench, crm: SalesforceCrm) -> None:
    held = Held()
    held.pull(crm, bench.deals)
    filled(bench)
    before = len(bench.server.asked)
    held.pull(crm, bench.deals)
    assert held.values("Name") == bench.truth("Name")
    assert [line for line in bench.server.asked[before:] if "COUNT()" in line or "/jobs/" in line] == []


def test_a_window_of_days_is_counted(bench: BulkBench, crm: SalesforceCrm) -> None:
    held = Held()
    held.pull(crm, bench.deals)
    bench.wait(86_400 * 3)
    ids = bench.create(MANY)
    bench.wait(3_600)
    held.pull(crm, bench.deals)
    assert held.alive() == sorted(ids)
    made = [line for line in jobs_asked(bench) if line.startswith("POST")]
    assert len(made) == 1
    assert "WHERE SystemModstamp >= 2026-11-20T17:45:00Z" in made[0]


def test_a_window_that_the_org_cannot_count_goes_to_bulk(bench: BulkBench, crm: SalesforceCrm) -> None:
    filled(bench)
    bench.server.recorder.intercept = lambda line: error("QUERY_TIMEOUT") if "COUNT()" in line else None
    held = Held()
    held.pull(crm, bench.deals)
    assert held.values("Name") == bench.truth("Name")
    assert jobs_asked(bench)


# -- the job -------------------------------------------------------------------------------------------------------


def test_a_job_is_read_in_pages_closed_by_an_incremental_read_and_deleted(bench: BulkBench, crm: SalesforceCrm) -> None:
    ids = filled(bench)
    bench.delete(ids[0])
    held = Held()
    pages = held.pull(crm, bench.deals)
    assert held.values("Name") == bench.truth("Name")
    assert held.records[ids[0]].deleted  # queryAll
    assert [len(page.records) for page in pages if "job" in page.bookmark] == [0, 4, 2, 4, 2, 4, 2, 4, 1]
    done = [re.sub(r".*/services/data/v68.0/jobs/query/?", "", line.split(" ")[1]).partition("&")[0] for line in jobs_asked(bench)]
    job = next(iter(re.findall(r"750\w{15}", done[1])))
    assert done[0] == "?"
    assert done[1] == done[2] == f"{job}?"
    assert done[3] == f"{job}/resultPages?"
    assert sorted(done[4:-1]) == [f"{job}/results?maxRecords=6"] * 4
    assert jobs_asked(bench)[-1].startswith("DELETE")
    assert bench.org.bulk.jobs == {}
    after = bench.server.asked[bench.server.asked.index(jobs_asked(bench)[-1]) + 1]
    assert "queryAll" in after
    assert "SystemModstamp >= 2026-11-20T18:45:00Z" in after
    assert held.bookmark == {"through": "2026-11-20T18:55:00Z", "swept": "2026-11-20T19:00:00Z", "swept_all": "2026-11-20T19:00:00Z"}


def test_what_is_saved_while_the_job_runs_is_brought_by_the_read_after_it(bench: BulkBench, crm: SalesforceCrm) -> None:
    ids = filled(bench)
    held = Held()
    for page in crm.read(bench.deals, Window(None, crm.now())):
        held.take(page)
        if len(held.pages) == 3:
            bench.wait(60)
            bench.edit(ids[2], {"Name": "edited meanwhile"})
            latecomer = bench.create(1)[0]
            bench.wait(1)
    assert held.values("Name")[ids[2]] == "edited meanwhile"
    assert latecomer in held.alive()
    assert held.values("Name") == bench.truth("Name")


def test_a_job_is_looked_at_after_pauses_that_double_up_to_half_a_minute_and_each_look_is_counted(bench: BulkBench, crm: SalesforceCrm) -> None:
    filled(bench)
    bench.org.bulk.polls = 8
    looks: list[float] = []

    def note(line: str) -> None:
        if re.search(r"GET /services/data/v68.0/jobs/query/750\w+\? ", line):
            looks.append(bench.clock.now().timestamp())

    bench.server.recorder.intercept = note
    before, start = crm.meter.calls, bench.clock.now().timestamp()
    list(crm.read(bench.deals, Window(None, crm.now())))
    assert [b - a for a, b in pairwise([start, *looks])] == [2, 4, 8, 16, 30, 30, 30, 30, 30]
    assert crm.meter.calls - before == len(bench.server.asked)
    assert len(looks) == 9


def test_a_job_that_takes_too_long_is_left_for_the_next_run(bench: BulkBench) -> None:
    filled(bench)
    bench.org.bulk.polls = 8
    held, patient = Held(), bench.open(bulk_wait=timedelta(seconds=40))
    with pytest.raises(Transient, match="still runs"):
        held.pull(patient, bench.deals)
    assert held.bookmark is not None
    job = held.bookmark["job"]
    held.pull(bench.open(), bench.deals)
    assert held.values("Name") == bench.truth("Name")
    assert len([line for line in jobs_asked(bench) if line.startswith("POST")]) == 1
    assert job in jobs_asked(bench)[-1]


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 6, 8])
def test_a_read_that_is_cut_goes_on_at_its_place_in_the_job(bench: BulkBench, cut: int) -> None:
    filled(bench)
    held = Held()
    before = delivered(held.pull(bench.open(), bench.deals, pages=cut))
    asked = len(bench.server.asked)
    after = delivered(held.pull(bench.open(), bench.deals))
    assert held.values("Name") == bench.truth("Name")
    assert len(before) + len(after) == MANY
    made = [line for line in bench.server.asked[asked:] if line.startswith("POST") and "/jobs/" in line]
    assert made == []
    assert bench.org.bulk.jobs == {}


@pytest.mark.fault
def test_a_job_that_is_gone_at_the_next_run_is_made_anew(bench: BulkBench) -> None:
    filled(bench)
    held = Held()
    held.pull(bench.open(), bench.deals, pages=3)
    bench.org.bulk.jobs.clear()
    bench.wait(86_400)
    held.pull(bench.open(), bench.deals)
    assert held.values("Name") == bench.truth("Name")
    assert len([line for line in jobs_asked(bench) if line.startswith("POST")]) == 2
    assert held.bookmark is not None
    assert "job" not in held.bookmark


@pytest.mark.fault
def test_a_session_that_ends_between_result_pages_is_renewed_and_the_job_gone_on_with(bench: BulkBench, crm: SalesforceCrm) -> None:
    filled(bench)
    held = Held()
    for page in crm.read(bench.deals, Window(None, crm.now())):
        held.take(page)
        if len(held.pages) == 1:
            bench.org.expire_sessions()
    assert held.values("Name") == bench.truth("Name")
    assert len(delivered(held.pages)) == MANY
    assert bench.paths().count("POST token") == 2


# -- refused, failed, damaged --------------------------------------------------------------------------------------


@pytest.mark.fault
@pytest.mark.parametrize("code", ["LIMIT_EXCEEDED", "FEATURENOTENABLED", "INVALIDENTITY", "INSUFFICIENT_ACCESS", "API_CURRENTLY_DISABLED"])
def test_a_job_that_is_refused_is_replaced_by_rest_over_deleted_rows(bench: BulkBench, crm: SalesforceCrm, code: str) -> None:
    ids = filled(bench)
    bench.delete(ids[1])
    bench.server.recorder.intercept = lambda line: error(code) if line.startswith("POST") and "/jobs/" in line else None
    held = Held()
    held.pull(crm, bench.deals)
    assert held.values("Name") == bench.truth("Name")
    assert held.records[ids[1]].deleted
    assert not any("/query?" in line and "FROM Opportunity" in line for line in bench.server.asked)


@pytest.mark.fault
def test_the_quota_of_jobs_is_no_end_of_the_read(bench: BulkBench, crm: SalesforceCrm) -> None:
    filled(bench)
    bench.org.bulk.most_jobs = 0
    held = Held()
    held.pull(crm, bench.deals)
    assert held.values("Name") == bench.truth("Name")


@pytest.mark.fault
def test_a_job_that_fails_is_deleted_and_replaced_by_rest(bench: BulkBench, crm: SalesforceCrm) -> None:
    filled(bench)
    bench.org.bulk.failing.append("QUERY_TIMEOUT: Your query request was running for too long.")
    held = Held()
    held.pull(crm, bench.deals)
    assert held.values("Name") == bench.truth("Name")
    assert bench.org.bulk.jobs == {}
    assert len([line for line in jobs_asked(bench) if line.startswith("POST")]) == 1


@pytest.mark.fault
def test_results_that_are_lost_halfway_are_read_by_rest(bench: BulkBench, crm: SalesforceCrm) -> None:
    filled(bench)
    lost = "MTI"  # the third result page
    bench.server.recorder.intercept = lambda line: error("NOT_FOUND", 404) if "/results?" in line and f"locator={lost}" in line else None
    held = Held()
    pages = held.pull(crm, bench.deals)
    assert held.values("Name") == bench.truth("Name")
    assert "job" not in pages[-1].bookmark
    assert len(delivered(pages)) == 12 + MANY  # two result pages, then everything by REST


@pytest.mark.fault
def test_a_damaged_result_page_is_asked_for_again(bench: BulkBench, crm: SalesforceCrm) -> None:
    filled(bench)
    broken: list[str] = []

    def once(line: str) -> tuple[int, object] | None:
        if "/results?" in line and not broken:
            broken.append(line)
            return 200, "<html>Down for maintenance</html>"
        return None

    bench.server.recorder.intercept = once
    held = Held()
    held.pull(crm, bench.deals)
    assert held.values("Name") == bench.truth("Name")
    assert len(delivered(held.pages)) == MANY


@pytest.mark.fault
def test_a_credential_that_is_refused_meanwhile_ends_the_read_and_keeps_the_place(bench: BulkBench) -> None:
    filled(bench)
    held, crm = Held(), bench.open()
    held.pull(crm, bench.deals, pages=2)
    bench.server.recorder.intercept = lambda line: error("INVALID_SESSION_ID", 401) if "/results?" in line else None
    with pytest.raises(AuthenticationError):
        held.pull(crm, bench.deals)
    bench.server.recorder.intercept = lambda line: None
    held.pull(bench.open(), bench.deals)
    assert held.values("Name") == bench.truth("Name")
    assert len([line for line in jobs_asked(bench) if line.startswith("POST")]) == 1


@pytest.mark.fault
def test_a_list_of_result_pages_that_comes_back_stops_the_read(bench: BulkBench, crm: SalesforceCrm) -> None:
    filled(bench)
    again = {"resultPages": [], "done": False, "nextRecordsUrl": "/services/data/v68.0/jobs/query/750000000000001AAA/resultPages?locator=x"}
    bench.server.recorder.intercept = lambda line: (200, again) if "/resultPages" in line else None
    with pytest.raises(NoProgress):
        list(crm.read(bench.deals, Window(None, crm.now())))


# -- values --------------------------------------------------------------------------------------------------------

TYPED = StreamSpec(
    "opportunities",
    "Opportunity",
    ("Name", "StageName", "Amount", "Probability", "CloseDate", "IsWon", "CreatedDate", "OwnerId", "Account.Customer_Type__c",
     "RecordType.DeveloperName", "Owner.IsActive", "LeadSource"),
)  # fmt: skip
NAMES = ["NA", "N/A", "None", "null", "00123", 'say "when",\nthen stop', "Ärztehaus; Süd", "日本", "x" * 120, "true", "1e5"]


def test_values_come_as_rest_gives_them(bench: BulkBench) -> None:
    for name in NAMES:
        bench.org.insert("Opportunity", bench.deal(name, Amount=1234567.89, LeadSource=None))
    bench.org.insert("Opportunity", bench.deal("empty", Amount=None, AccountId=None))
    bench.org.insert("Opportunity", bench.deal("zero", Amount=0.0))
    bench.wait(3_600)
    by_rest, by_bulk = Held(), Held()
    by_rest.pull(bench.open(bulk_above=None), TYPED)
    by_bulk.pull(bench.open(), TYPED)
    assert jobs_asked(bench)
    assert by_bulk.records == by_rest.records
    assert {record.values["Name"] for record in by_bulk.records.values()} == {*NAMES, "empty", "zero"}
    empty = next(record for record in by_bulk.records.values() if record.values["Name"] == "empty")
    assert (empty.values["Amount"], empty.values["Account.Customer_Type__c"]) == (None, None)
    assert {type(record.values["IsWon"]) for record in by_bulk.records.values()} == {bool}


def test_presence_is_asked_by_a_job_of_its_own_and_never_by_value(bench: BulkBench, crm: SalesforceCrm) -> None:
    ids = filled(bench)
    bench.org.update("Opportunity", ids[3], {"NextStep": None})
    bench.wait(3_600)
    stream = replace(bench.deals, presence=("NextStep",))
    held = Held()
    held.pull(crm, stream)
    assert {id_: held.records[id_].values["NextStep"] for id_ in ids} == {id_: id_ != ids[3] for id_ in ids}
    asked = [line for line in jobs_asked(bench) if "NextStep" in line]
    assert len(asked) == 1
    assert "SELECT Id FROM Opportunity WHERE NextStep != null" in asked[0]
    assert bench.org.bulk.jobs == {}


def test_a_merge_loser_names_its_master(bench: BulkBench, crm: SalesforceCrm) -> None:
    stream, loser, winner = bench.merge()
    for n in range(8):
        bench.org.insert("Account", {"Name": f"Clinic {n}"})
    bench.wait(60)
    held = Held()
    held.pull(crm, stream)
    assert jobs_asked(bench)
    assert (held.records[loser].deleted, held.records[loser].merged_into) == (True, winner)


@pytest.mark.parametrize(
    "answer",
    [
        Answer('"Id","Name"\n"1"\n', headers={"Content-Type": "text/csv"}),
        Answer('"Id","Name"\n"1","a"\n', headers={"Content-Type": "text/csv", "Sforce-NumberOfRecords": "2"}),
        Answer('"Id","Name"\n"1","a', headers={"Content-Type": "text/csv"}),
        Answer("", headers={"Content-Type": "text/csv"}),
        Answer("<html></html>", headers={"Content-Type": "text/html"}),
    ],
    ids=["a short row", "fewer rows than told", "cut in a cell", "nothing", "a page of a proxy"],
)
def test_a_page_that_is_not_whole_is_a_fault_of_the_moment(answer: Answer) -> None:
    def told(asked: Asked) -> Answer:
        return Answer({"access_token": "t", "instance_url": f"https://{asked.headers['host']}"}) if asked.path.endswith("/token") else answer

    with serving(told) as server:
        client = Client(SalesforceSettings(server.url, flow="sandbox"), FixedClock(START), Meter())
        with pytest.raises(Transient):
            client.read("jobs/query/1/results", parsed)
        assert server.count("results") == 5
        client.close()


def test_result_pages_are_downloaded_side_by_side_and_compressed() -> None:
    """Four pages that are answered only once all four have been asked for; they arrive late first and are still read in their order."""
    job, together = "/services/data/v68.0/jobs/query/750000000000001AAA", threading.Barrier(4, timeout=5)
    names = ("Id", "SystemModstamp", "IsDeleted", "Name")
    kinds = {"IsDeleted": "boolean", "SystemModstamp": "datetime"}

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/token"):
            return Answer({"access_token": "t", "instance_url": f"https://{asked.headers['host']}"})
        if asked.path.endswith("/describe"):
            return Answer({"fields": [{"name": name, "type": kinds.get(name, "string"), "filterable": True} for name in names]})
        if asked.path.endswith("/queryAll"):
            return Answer({"totalSize": 9 if "COUNT()" in asked.q else 0, "done": True, "records": []})
        if asked.path.endswith("/resultPages"):
            return Answer({"resultPages": [{"resultUrl": f"{job}/results?locator={n}"} for n in range(4)], "done": True})
        if asked.path.endswith("/results"):
            together.wait()
            number = asked.query["locator"]
            row = f'"00600000000000{number}AAA","2026-11-20T16:00:00.000Z","false","Deal ""{number}"",\nsecond line"'
            text = ",".join(f'"{name}"' for name in names) + f"\n{row}\n"
            compressed = gzip.compress(text.encode()) if "gzip" in asked.headers["accept-encoding"] else text.encode()
            return Answer(compressed, headers={"Content-Type": "text/csv", "Content-Encoding": "gzip", "Sforce-NumberOfRecords": "1"})
        return Answer({"id": job.rpartition("/")[2], "state": "JobComplete"})

    with serving(answer) as server:
        crm = SalesforceCrm(SalesforceSettings(server.url, flow="sandbox", bulk_above=5), FixedClock(START))
        stream = StreamSpec("opportunities", "Opportunity", ("Name",))
        records = delivered(list(crm.read(stream, Window(None, crm.now()))))
        crm.close()
    assert [record.values["Name"] for record in records] == [f'Deal "{n}",\nsecond line' for n in range(4)]
    assert {record.version for record in records} == {"2026-11-20T16:00:00.000+0000"}


# -- ids -----------------------------------------------------------------------------------------------------------


def test_ids_of_many_records_come_by_a_job(bench: BulkBench, crm: SalesforceCrm) -> None:
    ids = filled(bench)
    bench.delete(ids[0])
    assert sorted(id_ for batch in crm.ids(bench.deals) for id_ in batch) == ids[1:]
    assert any("SELECT Id FROM Opportunity WHERE IsDeleted = false" in line for line in jobs_asked(bench))
    assert bench.org.bulk.jobs == {}


@pytest.mark.fault
def test_ids_come_by_rest_where_the_job_is_lost(bench: BulkBench, crm: SalesforceCrm) -> None:
    ids = filled(bench)
    bench.org.bulk.failing.append("InternalServerError")
    assert sorted({id_ for batch in crm.ids(bench.deals) for id_ in batch}) == ids
