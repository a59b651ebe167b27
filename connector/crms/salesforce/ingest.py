"""Bulk API 2.0 ingest: many updates as one CSV, and what became of each row, from all three lists of results."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
import requests

from connector.crms.base import Update, Value
from connector.crms.salesforce import soql
from connector.crms.salesforce.bulk import FIRST_LOOK, LONGEST_PAUSE, REFUSED, WIDEST_CELL, JobLost
from connector.crms.salesforce.faults import Problem, clean
from connector.crms.salesforce.settings import SalesforceSettings
from connector.crms.salesforce.transport import Client
from connector.errors import CrmConfigError, Transient

CLEARS = "#N/A"
"""The cell that empties a field; an empty cell leaves it alone."""
JOB_CALLS = 16
"""What a job takes: making, filling and closing it, three lists of results, deleting it, and ten looks at it, the time of about three minutes."""
ENDED = frozenset({"JobComplete", "Failed", "Aborted"})


@dataclass
class Results:
    """``done``: updates with their problem, None where written; ``left``: those that the job did not come to: nothing of them was written."""

    done: list[tuple[Update, Problem | None]] = field(default_factory=list)
    left: list[Update] = field(default_factory=list)


def fits(update: Update) -> bool:
    """A text that reads like the mark for *empty* cannot go by CSV."""
    return CLEARS not in update.values.values()


class Ingest:
    """Update jobs of one connection."""

    def __init__(self, client: Client, settings: SalesforceSettings) -> None:
        self._client = client
        self._settings = settings

    def update(self, updates: Sequence[Update]) -> Results:
        """One job for updates of one object, each record once. Raises JobLost where the org takes none, before anything is written;
        Transient where its fate is not known."""
        job = self._made(updates[0].object)
        try:
            self._upload(job, table(updates))
        except JobLost:
            self._call("PATCH", job, {"state": "Aborted"})
            raise
        self._wait(job)
        found = self._results(job, updates)
        self._delete(job)
        return found

    def _made(self, object_: str) -> str:
        wanted = {"object": soql.name(object_), "operation": "update", "contentType": "CSV", "lineEnding": "LF", "columnDelimiter": "COMMA"}
        try:
            made = self._client.json("POST", "jobs/ingest", writing=True, data=orjson.dumps(wanted))
        except REFUSED as refused:
            raise JobLost(refused.message) from None
        identity = made.get("id") if isinstance(made, dict) else None
        if not isinstance(identity, str) or not identity.isalnum():
            raise JobLost("the org answered a new job without its id")
        return identity

    def _upload(self, job: str, data: bytes) -> None:
        """The data, then the word that it is whole. Either may have arrived though its answer was lost: then the job says so itself."""
        try:
            self._client.request("PUT", f"jobs/ingest/{job}/batches", data=data, headers={"Content-Type": "text/csv; charset=UTF-8"})
        except CrmConfigError as error:
            if "INVALIDJOBSTATE" not in error.message:
                raise JobLost(error.message) from None
        except REFUSED as refused:
            raise JobLost(refused.message) from None
        try:
            self._client.json("PATCH", f"jobs/ingest/{job}", writing=True, data=orjson.dumps({"state": "UploadComplete"}))
        except CrmConfigError as error:
            if "INVALIDJOBSTATE" not in error.message:
                raise JobLost(error.message) from None

    def _wait(self, job: str) -> None:
        """Until it has ended, one way or another; after ``bulk_wait`` it is aborted, so that it writes nothing behind our back."""
        pause = waited = FIRST_LOOK
        self._client.pause(pause)
        while self._state(job) not in ENDED:
            pause = min(2 * pause, LONGEST_PAUSE)
            if waited + pause > self._settings.bulk_wait.total_seconds():
                self._call("PATCH", job, {"state": "Aborted"})
                if self._state(job) in ENDED:
                    return
                raise Transient(f"a bulk job still runs after {waited:.0f} s and cannot be stopped")
            self._client.pause(pause)
            waited += pause

    def _state(self, job: str) -> str | None:
        answer = self._client.get(f"jobs/ingest/{job}")
        return answer.get("state") if isinstance(answer, dict) else None

    def _results(self, job: str, updates: Sequence[Update]) -> Results:
        """Every update in one of the three lists; one that is in none counts as left."""
        waiting = {soql.to18(update.id): update for update in updates}
        found = Results()
        for row in self._rows(job, "successfulResults"):
            if update := waiting.pop(_id(row, "sf__Id"), None):
                found.done.append((update, None))
        for row in self._rows(job, "failedResults"):
            if update := waiting.pop(_id(row, "Id"), None):
                found.done.append((update, _problem(row.get("sf__Error", ""))))
        named = {_id(row, "Id") for row in self._rows(job, "unprocessedrecords")}
        found.left = [waiting[identity] for identity in waiting if identity in named] + [u for i, u in waiting.items() if i not in named]
        return found

    def _rows(self, job: str, which: str) -> list[dict[str, str]]:
        try:
            return self._client.read(f"jobs/ingest/{job}/{which}", parsed, headers={"Accept": "text/csv"})
        except REFUSED as gone:
            raise Transient(f"the results of a bulk job cannot be read: {clean(gone.message)}") from None

    def _delete(self, job: str) -> None:
        try:
            self._client.request("DELETE", f"jobs/ingest/{job}")
        except (*REFUSED, Transient):
            return

    def _call(self, method: str, job: str, body: dict[str, str]) -> None:
        try:
            self._client.json(method, f"jobs/ingest/{job}", writing=True, data=orjson.dumps(body))
        except (*REFUSED, Transient):
            return


def table(updates: Sequence[Update]) -> bytes:
    """The updates as CSV: one column for every field that any of them sets."""
    names = sorted({name for update in updates for name in update.values})
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["Id", *names])
    for update in updates:
        writer.writerow([update.id, *(_cell(update.values[name]) if name in update.values else "" for name in names)])
    return buffer.getvalue().encode()


def _cell(value: Value) -> str:
    if value is None or value == "":
        return CLEARS
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def parsed(response: requests.Response) -> list[dict[str, str]]:
    """The rows of a list of results. Raises Transient for one that is not whole."""
    csv.field_size_limit(WIDEST_CELL)
    try:
        reader = csv.reader(io.StringIO(response.content.decode("utf-8-sig"), newline=""), strict=True)
        head = next(reader, [])
        rows = [row for row in reader if row]
    except (UnicodeDecodeError, csv.Error):
        raise Transient("the results of a bulk job are damaged") from None
    if any(len(row) != len(head) for row in rows):
        raise Transient("the results of a bulk job are not whole")
    return [dict(zip(head, row, strict=True)) for row in rows]


def _id(row: dict[str, str], column: str) -> str:
    return soql.to18(row.get(column) or row.get("Id") or "")


def _problem(said: str) -> Problem:
    """``CODE:message:fields --`` as a problem like those of collections."""
    code, _, rest = said.partition(":")
    message = rest.rsplit(" --", 1)[0]
    return Problem(code or "UNKNOWN_EXCEPTION", clean(message.rpartition(":")[0] or message))
