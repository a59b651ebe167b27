"""Bulk API 2.0 query jobs: made, looked at, read as CSV page by page, deleted. Codes of refusals are partly from public reports."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import re
from collections.abc import Callable, Iterable
from typing import Any

from connector.sandbox.salesforce import jobs
from connector.sandbox.salesforce.frames import ApiError, not_found, read_json
from connector.sandbox.salesforce.gate import Call, Handler, Reply
from connector.sandbox.salesforce.ids import full_id, new_id
from connector.sandbox.salesforce.jobs import Job
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.paths import Getter, Scope, find_object
from connector.sandbox.salesforce.query import checked, run
from connector.sandbox.salesforce.rows import stamp
from connector.sandbox.salesforce.schema import Row
from connector.sandbox.salesforce.soql import Name, SoqlError, parse

TYPEOF = re.compile(r"^\s*select\b.*\btypeof\b.*\bfrom\b", re.IGNORECASE | re.DOTALL)
MOST_URIS = 5
PAGES_SINCE = 58
NOT_BULK = frozenset({"UserRecordAccess", "ValidationRule", "FlowDefinitionView", "FieldDefinition", "CustomField"})


def handlers(data: str) -> dict[str, dict[str, Handler]]:
    """Paths below ``data`` and what serves them."""
    job = f"{data}/jobs/query/{{job}}"
    return {
        f"{data}/jobs/query": {"GET": listed, "POST": create},
        job: {"GET": info, "PATCH": abort, "DELETE": delete},
        f"{job}/results": {"GET": results},
        f"{job}/resultPages": {"GET": result_pages},
    }


async def create(call: Call) -> Reply:
    """A new job. Refused at once: what cannot be parsed, what bulk does not know, and the one job too many of the day."""
    org, now, body = call.org, call.org.clock.now, await read_json(call.request)
    if not isinstance(body, dict) or body.get("operation") not in ("query", "queryAll"):
        raise ApiError(400, "INVALIDJOB", "operation must be query or queryAll")
    text = body.get("query")
    if not isinstance(text, str) or not text.strip():
        raise ApiError(400, "INVALIDJOB", "a query must be given")
    if org.bulk.spent("jobs", now) >= org.bulk.most_jobs:
        most = org.bulk.most_jobs
        raise ApiError(400, "LIMIT_EXCEEDED", f"Max bulk v2 query jobs ({most}) per 24 hrs has been reached ({most + 1})")
    if org.bulk.spent("kb", now) > org.bulk.most_kb:
        raise ApiError(400, "LIMIT_EXCEEDED", f"Max bulk v2 query result size stored ({org.bulk.most_kb}) kb per 24 hrs has been exceeded")
    ending, delimiter = body.get("lineEnding", "LF"), body.get("columnDelimiter", "COMMA")
    if ending not in jobs.ENDINGS or delimiter not in jobs.DELIMITERS or body.get("contentType", "CSV") != "CSV":
        raise ApiError(400, "INVALIDJOB", "contentType, lineEnding or columnDelimiter is not supported")
    name = _refuse(org, text, call.user)
    made = Job(
        new_id("750", len(org.bulk.jobs) + 1), "query", str(body["operation"]), name, call.version, call.user, now, jobs.UPLOADED, now,
        query=text, ending=ending, delimiter=delimiter,
    )  # fmt: skip
    org.bulk.jobs[made.id] = made
    org.bulk.use("jobs", 1, now)
    return Reply(jobs.shown(made, stamp, full=False))


async def listed(call: Call) -> Reply:
    """All jobs of the org that are not older than seven days."""
    org = call.org
    found = [job for key, job in org.bulk.jobs.items() if org.bulk.find("query", key, org.clock.now)]
    return Reply({"done": True, "records": [jobs.shown(job, stamp, full=False) for job in found], "nextRecordsUrl": None})


async def info(call: Call) -> Reply:
    """The job's state. Each look takes it one step further."""
    job, org = _job(call), call.org
    org.bulk.advance(job, org.clock.now, lambda running: _work(org, running))
    return Reply(jobs.shown(job, stamp, full=True))


async def abort(call: Call) -> Reply:
    job, body = _job(call), await read_json(call.request)
    if not isinstance(body, dict) or body.get("state") != jobs.ABORTED:
        raise ApiError(400, "INVALIDJOB", "state can only be set to Aborted")
    if job.state in jobs.ENDED:
        raise ApiError(400, "INVALIDJOBSTATE", f"Aborting an already {job.state} job is not allowed")
    job.state, job.changed_at = jobs.ABORTED, call.org.clock.now
    return Reply(jobs.shown(job, stamp, full=False))


async def delete(call: Call) -> Reply:
    job = _job(call)
    if job.state == jobs.RUNNING:
        raise ApiError(400, "INVALIDJOBSTATE", f"Job cannot be deleted in state {job.state}")
    del call.org.bulk.jobs[job.id]
    return Reply(None, 204)


async def results(call: Call) -> Reply:
    """Rows as CSV. ``maxRecords``: at most so many; ``locator``: where to go on. The header says where the next page begins."""
    job, size = _finished(call), call.org.bulk.page
    asked = call.request.query_params.get("maxRecords")
    if asked is not None:
        if not asked.isdigit() or int(asked) < 1:
            raise ApiError(400, "INVALID_QUERY_LOCATOR", f"maxRecords is invalid: {asked}")
        size = min(int(asked), size)
    start = _start(call, job)
    page = job.rows[start : start + size]
    after = start + len(page)
    newline = jobs.ENDINGS[job.ending]
    body = newline.join((job.head, *page)) + newline
    return Reply(body.encode(), headers={
        "Content-Type": "text/csv", "Sforce-NumberOfRecords": str(len(page)),
        "Sforce-Locator": _locator(after) if after < len(job.rows) else "null",
    })  # fmt: skip


async def result_pages(call: Call) -> Reply:
    """Up to five addresses that may be read at the same time, and where the next five are."""
    if int(call.version.partition(".")[0]) < PAGES_SINCE:
        raise not_found()
    job, size = _finished(call), call.org.bulk.page
    start, base = _start(call, job), f"/services/data/v{call.version}/jobs/query/{job.id}"
    starts = list(range(start, max(len(job.rows), 1), size))
    pages = [{"resultUrl": f"{base}/results?maxRecords={size}&locator={_locator(at)}"} for at in starts[:MOST_URIS]]
    more = f"{base}/resultPages?locator={_locator(starts[MOST_URIS])}" if len(starts) > MOST_URIS else None
    return Reply({"resultPages": pages, "nextRecordsUrl": more, "done": more is None})


# -- inside ----------------------------------------------------------------------------------------------------------


def _job(call: Call) -> Job:
    key = full_id(str(call.request.path_params["job"]))
    found = None if key is None else call.org.bulk.find("query", key, call.org.clock.now)
    if found is None:
        raise not_found()
    return found


def _finished(call: Call) -> Job:
    """The job whose results are asked for: complete, and of the version that is called."""
    job = _job(call)
    if job.version != call.version:
        raise ApiError(409, "INVALIDVERSION", f"Job was created with API version {job.version}; its results need the same version")
    if job.state != jobs.COMPLETE:
        raise ApiError(400, "INVALIDJOBSTATE", f"Job is not in the right state to read results: {job.state}")
    return job


def _locator(start: int) -> str:
    return base64.urlsafe_b64encode(str(start).encode()).decode().rstrip("=")


def _start(call: Call, job: Job) -> int:
    text = call.request.query_params.get("locator")
    if text is None:
        return 0
    try:
        start = int(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error):
        start = -1
    if not 0 <= start < max(len(job.rows), 1):
        raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return start


def _refuse(org: Org, text: str, user: str) -> str:
    """The name of the object asked for. Raises ApiError or SoqlError for what a bulk query may not hold."""
    if TYPEOF.match(text):
        raise ApiError(400, "FEATURENOTENABLED", "TYPEOF is not supported in Bulk V2 Query")
    query = parse(text)
    definition = find_object(org, query.source, text, user)
    if definition.name in NOT_BULK:
        raise ApiError(400, "INVALIDENTITY", f"Entity '{definition.name}' is not supported by the Bulk API.")
    if query.offset is not None:
        raise ApiError(400, "FEATURENOTENABLED", "OFFSET clause is not supported in Bulk V2 Query")
    names = [item for item in query.items if isinstance(item, Name)]
    if query.group or any(not isinstance(item, Name) and hasattr(item, "function") for item in query.items):
        raise ApiError(400, "FEATURENOTENABLED", "Aggregate functions and GROUP BY are not supported in Bulk V2 Query")
    if len(names) < len(query.items):
        raise ApiError(400, "FEATURENOTENABLED", "Aggregate Relationships not supported in Bulk V2 Query with CSV content type")
    scope = Scope(org, org.moment(user), definition, query.alias, text, user)
    if any(scope.resolve(name).field.compound for name in names):
        raise ApiError(400, "FUNCTIONALITY_NOT_ENABLED", "Selecting compound data not supported in Bulk Query")
    checked(org, text, user)
    return definition.name


def _work(org: Org, job: Job) -> None:
    """Run the query and keep its rows as CSV lines; a query that no longer works ends the job as Failed."""
    try:
        columns = _columns(org, job)
        found = run(org, job.query, include_deleted=job.operation == "queryAll", version=job.version, user=job.by)
    except SoqlError as refused:
        job.state, job.error = jobs.FAILED, f"{refused.code}: {' '.join(refused.message.split())}"
        return
    line = _writer(job)
    table = org.tables[job.object].rows
    job.head = line(name for name, _ in columns)
    job.rows = [line(_cell(read(table[key])) for _, read in columns) for key in found.ids]
    job.processed = len(job.rows)
    org.bulk.use("kb", sum(map(len, job.rows)) // 1024, org.clock.now)


def _columns(org: Org, job: Job) -> list[tuple[str, Getter]]:
    query = parse(job.query)
    scope = Scope(org, org.moment(job.by), find_object(org, query.source, job.query, job.by), query.alias, job.query, job.by)
    found = []
    for name in query.items:
        assert isinstance(name, Name)
        path = scope.resolve(name)
        found.append((".".join((*path.parents, path.field.name)), _typed(path.get, path.field.type)))
    return found


def _typed(read: Getter, kind: str) -> Getter:
    if kind == "boolean":

        def flag(row: Row) -> Any:
            held = read(row)
            return None if held is None else "true" if held else "false"

        return flag
    if kind == "datetime":

        def instant(row: Row) -> Any:
            held = read(row)
            return None if held is None else held.replace("+0000", "Z")

        return instant
    return read


def _cell(value: Any) -> str:
    """A cell's text: null is an empty cell."""
    return "" if value is None else value if isinstance(value, str) else repr(value)


def _writer(job: Job) -> Callable[[Iterable[str]], str]:
    """One quoted line, without its ending: cells may hold newlines of their own."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=jobs.DELIMITERS[job.delimiter], quoting=csv.QUOTE_ALL, lineterminator="")

    def line(cells: Iterable[str]) -> str:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow(list(cells))
        return buffer.getvalue()

    return line
