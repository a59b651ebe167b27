"""Bulk API 2.0: the jobs of the org, their states and what they have used up of the day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

LIFE = timedelta(days=7)
DAY = timedelta(days=1)
OPEN, UPLOADED, RUNNING = "Open", "UploadComplete", "InProgress"
COMPLETE, FAILED, ABORTED = "JobComplete", "Failed", "Aborted"
ENDED = frozenset({COMPLETE, FAILED, ABORTED})
DELIMITERS = {"COMMA": ",", "SEMICOLON": ";", "PIPE": "|", "TAB": "\t", "CARET": "^", "BACKQUOTE": "`"}
ENDINGS = {"LF": "\n", "CRLF": "\r\n"}


@dataclass
class Job:
    """One job. ``head`` and ``rows``: CSV lines without their ending; ``kind``: query or ingest.

    ``polls``: how often it was looked at since it runs; ``data``: what was uploaded; ``good``, ``bad``, ``left``: result lines of an ingest.
    """

    id: str
    kind: str
    operation: str
    object: str
    version: str
    by: str
    made_at: datetime
    state: str
    changed_at: datetime
    query: str = ""
    external_id: str = ""
    ending: str = "LF"
    delimiter: str = "COMMA"
    polls: int = 0
    error: str = ""
    head: str = ""
    rows: list[str] = field(default_factory=list)
    data: bytes | None = None
    good: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    processed: int = 0


@dataclass
class Bulk:
    """What the org knows of bulk work.

    ``polls``: how many looks a job stays InProgress; ``page``: the rows of a result page that the server chooses; ``failing``: messages
    with which the next jobs end as Failed; ``most_jobs``, ``most_batches``, ``most_kb``: allowances of a rolling day (query jobs, ingest
    batches, stored result size).
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    polls: int = 1
    page: int = 50_000
    failing: list[str] = field(default_factory=list)
    most_jobs: int = 10_000
    most_batches: int = 15_000
    most_kb: int = 1_000_000_000
    used: list[tuple[datetime, str, int]] = field(default_factory=list)

    def find(self, kind: str, job_id: str, now: datetime) -> Job | None:
        """A job that is not older than seven days."""
        found = self.jobs.get(job_id)
        return None if found is None or found.kind != kind or now - found.made_at > LIFE else found

    def use(self, what: str, amount: int, now: datetime) -> None:
        """Count something against the day: ``jobs``, ``batches`` or ``kb``."""
        self.used.append((now, what, amount))

    def spent(self, what: str, now: datetime) -> int:
        """How much of something the last 24 hours have used."""
        return sum(amount for at, kind, amount in self.used if kind == what and now - at < DAY)

    def advance(self, job: Job, now: datetime, work: Callable[[Job], None]) -> None:
        """One look at a job: UploadComplete → InProgress → its end; ``work`` fills in the results when it ends."""
        if job.state == UPLOADED:
            job.state, job.changed_at = RUNNING, now
        elif job.state == RUNNING:
            job.polls += 1
            if job.polls >= self.polls:
                job.changed_at = now
                if self.failing:
                    job.state, job.error = FAILED, self.failing.pop(0)
                    return
                job.state = COMPLETE
                work(job)


def shown(job: Job, stamp: Callable[[datetime], str], *, full: bool) -> dict[str, Any]:
    """A job as the API shows it; ``full``: with the keys that only its info has."""
    body: dict[str, Any] = {
        "id": job.id, "operation": job.operation, "object": job.object, "createdById": job.by, "createdDate": stamp(job.made_at),
        "systemModstamp": stamp(job.changed_at), "state": job.state,
    }  # fmt: skip
    if job.external_id:
        body["externalIdFieldName"] = job.external_id
    body |= {"concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": float(job.version)}
    if full:
        body["jobType"] = "V2Query" if job.kind == "query" else "V2Ingest"
    if job.kind == "ingest" and job.state == OPEN:
        body["contentUrl"] = f"services/data/v{job.version}/jobs/ingest/{job.id}/batches"
    if full or job.kind == "query" or job.state == OPEN:
        body |= {"lineEnding": job.ending, "columnDelimiter": job.delimiter}
    if full:
        body["numberRecordsProcessed"] = job.processed
        if job.kind == "ingest":
            body["numberRecordsFailed"] = len(job.bad)
        body |= {"retries": 0, "totalProcessingTime": 10 + job.processed}
        if job.kind == "ingest":
            body |= {"apiActiveProcessingTime": job.processed, "apexProcessingTime": 0}
        if job.error:
            body["errorMessage"] = job.error
    return body
