"""Bulk API 2.0 ingest jobs: update, insert, upsert and delete from CSV, each row settled by itself."""

from __future__ import annotations

import csv
import io
from typing import Any

from connector.sandbox.salesforce import inserts, jobs
from connector.sandbox.salesforce.frames import ApiError, not_found, read_json
from connector.sandbox.salesforce.gate import Call, Handler, Reply
from connector.sandbox.salesforce.ids import full_id, new_id
from connector.sandbox.salesforce.jobs import Job
from connector.sandbox.salesforce.org import Org, RowError
from connector.sandbox.salesforce.rows import stamp
from connector.sandbox.salesforce.schema import FieldDef, ObjectDef, Row
from connector.sandbox.salesforce.writes import ISO_DAY, values_of

OPERATIONS = frozenset({"insert", "update", "upsert", "delete"})
CLEARS = "#N/A"
LARGEST = 100_000_000
BATCH = 200
"""Rows that the org takes up together."""
NUMBERS = frozenset({"int", "double", "currency", "percent"})


def handlers(data: str) -> dict[str, dict[str, Handler]]:
    """Paths below ``data`` and what serves them."""
    job = f"{data}/jobs/ingest/{{job}}"
    return {
        f"{data}/jobs/ingest": {"POST": create},
        job: {"GET": info, "PATCH": close, "DELETE": delete},
        f"{job}/batches": {"PUT": upload},
        f"{job}/successfulResults": {"GET": successful},
        f"{job}/failedResults": {"GET": failed},
        f"{job}/unprocessedrecords": {"GET": unprocessed},
    }


async def create(call: Call) -> Reply:
    org, now, body = call.org, call.org.clock.now, await read_json(call.request)
    given = body if isinstance(body, dict) else {}
    operation, external = given.get("operation"), str(given.get("externalIdFieldName", ""))
    if operation not in OPERATIONS or (operation == "upsert" and not external):
        raise ApiError(400, "INVALIDJOB", f"operation {operation} is not supported")
    definition = org.seen(str(given.get("object")), call.user)
    if definition is None:
        raise ApiError(400, "INVALIDENTITY", f"Unable to find object: {given.get('object')}")
    if external:
        inserts.lookup_field(org, definition.name, external, call.user)
    if org.bulk.spent("batches", now) >= org.bulk.most_batches:
        raise ApiError(400, "LIMIT_EXCEEDED", f"Max bulk batches ({org.bulk.most_batches}) per 24 hrs has been reached")
    job = Job(
        new_id("750", len(org.bulk.jobs) + 1), "ingest", operation, definition.name, call.version, call.user, now, jobs.OPEN, now,
        external_id=external, ending=given.get("lineEnding", "LF"), delimiter=given.get("columnDelimiter", "COMMA"),
    )  # fmt: skip
    if job.ending not in jobs.ENDINGS or job.delimiter not in jobs.DELIMITERS:
        raise ApiError(400, "INVALIDJOB", "lineEnding or columnDelimiter is not supported")
    org.bulk.jobs[job.id] = job
    org.bulk.use("batches", 1, now)
    return Reply(jobs.shown(job, stamp, full=False))


async def upload(call: Call) -> Reply:
    """The data, once."""
    job = _job(call)
    if job.state != jobs.OPEN or job.data is not None:
        raise ApiError(400, "INVALIDJOBSTATE", "data can be uploaded once, to an open job")
    job.data = await call.request.body()
    if len(job.data) > LARGEST:
        raise ApiError(413, "REQUEST_ENTITY_TOO_LARGE", "the data is too large")
    return Reply(None, 201)


async def close(call: Call) -> Reply:
    job, body = _job(call), await read_json(call.request)
    state = body.get("state") if isinstance(body, dict) else None
    if state not in (jobs.UPLOADED, jobs.ABORTED):
        raise ApiError(400, "INVALIDJOB", "state can only be set to UploadComplete or Aborted")
    if job.state in jobs.ENDED or (state == jobs.UPLOADED and job.state != jobs.OPEN):
        raise ApiError(400, "INVALIDJOBSTATE", f"state cannot be changed from {job.state} to {state}")
    job.state, job.changed_at = state, call.org.clock.now
    if state == jobs.ABORTED:
        _keep_all(job)
    return Reply(jobs.shown(job, stamp, full=False))


async def info(call: Call) -> Reply:
    job, org = _job(call), call.org
    org.bulk.advance(job, org.clock.now, lambda running: _work(org, running))
    if job.state == jobs.FAILED and not job.left:
        _keep_all(job)
    return Reply(jobs.shown(job, stamp, full=True))


async def delete(call: Call) -> Reply:
    job = _job(call)
    if job.state not in jobs.ENDED and job.state != jobs.UPLOADED:
        raise ApiError(400, "INVALIDJOBSTATE", f"Job cannot be deleted in state {job.state}")
    del call.org.bulk.jobs[job.id]
    return Reply(None, 204)


async def successful(call: Call) -> Reply:
    job = _job(call)
    return _lines(job, '"sf__Id","sf__Created",' + job.head, job.good)


async def failed(call: Call) -> Reply:
    job = _job(call)
    return _lines(job, '"sf__Id","sf__Error",' + job.head, job.bad)


async def unprocessed(call: Call) -> Reply:
    job = _job(call)
    return _lines(job, job.head, job.left)


# -- inside ----------------------------------------------------------------------------------------------------------


def _job(call: Call) -> Job:
    found = call.org.bulk.find("ingest", full_id(str(call.request.path_params["job"])) or "", call.org.clock.now)
    if found is None:
        raise not_found()
    return found


def _lines(job: Job, head: str, rows: list[str]) -> Reply:
    """A list of results as CSV; the uploaded head comes back as it was written."""
    if job.state not in jobs.ENDED:
        raise ApiError(400, "INVALIDJOBSTATE", f"Job is not in the right state to read results: {job.state}")
    separator, newline = jobs.DELIMITERS[job.delimiter], jobs.ENDINGS[job.ending]
    text = newline.join((head.replace('","', f'"{separator}"').replace('",', f'"{separator}', 1), *rows)) + newline
    return Reply(text.encode(), headers={"Content-Type": "text/csv"})


def _rows(job: Job) -> list[list[str]]:
    text = (job.data or b"").decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=jobs.DELIMITERS[job.delimiter]))
    job.head = text.splitlines()[0] if rows else ""
    return [row for row in rows if row]


def _quoted(job: Job, cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=jobs.DELIMITERS[job.delimiter], quoting=csv.QUOTE_ALL, lineterminator="").writerow(cells)
    return buffer.getvalue()


def _keep_all(job: Job) -> None:
    job.left = [_quoted(job, row) for row in _rows(job)[1:]]


def _work(org: Org, job: Job) -> None:
    head, *rows = _rows(job) or [[]]
    definition = org.seen(job.object, job.by)
    unknown = "Id" if definition is None or not head else next((name for name in head if definition.find(name) is None), None)
    if definition is None or unknown is not None:  # a column that the user does not see is not there either
        job.state, job.error = jobs.FAILED, f"InvalidBatch : Field name not found : {unknown}"
        return
    key = inserts.lookup_field(org, definition.name, job.external_id or "Id", job.by)
    for place, cells in enumerate(rows):
        if place % BATCH == 0:
            shared = _shared(job, key, head, rows[place : place + BATCH])
        job.processed += 1
        done = _row(org, job, definition, dict(zip(head, cells, strict=False)), head, key, shared)
        if isinstance(done, RowError):
            job.bad.append(_quoted(job, ["", f"{done.code}:{done.message}:{' '.join(done.fields)} --", *cells]))
        else:
            job.good.append(_quoted(job, [done[0], "true" if done[1] else "false", *cells]))


def _shared(job: Job, key: FieldDef, head: list[str], rows: list[list[str]]) -> frozenset[str]:
    """External ids that more than one row of a batch has: none of these rows is taken."""
    at = next((place for place, name in enumerate(head) if name.lower() == key.name.lower()), None)
    if job.operation != "upsert" or at is None:
        return frozenset()
    return inserts.repeated(cells[at] for cells in rows if at < len(cells))


def _row(
    org: Org, job: Job, definition: ObjectDef, cells: dict[str, str], head: list[str], key: FieldDef, shared: frozenset[str]
) -> tuple[str, bool] | RowError:
    """One row: the id and whether it was made, or why not. An empty cell leaves a field alone, ``#N/A`` empties it."""
    named = next((value for name, value in cells.items() if name.lower() == key.name.lower()), "")
    if job.operation == "upsert" and named in ("", CLEARS) and key.name != "Id":
        return RowError("MISSING_ARGUMENT", f"{key.name} not specified")
    if named.casefold() in shared:
        return inserts.shared_key(key, named)
    found = inserts.matches(org, definition.name, key, named) if named else []
    if len(found) > 1:
        return RowError("DUPLICATE_EXTERNAL_ID", f"{key.label}: more than one record found for external id field", (key.name,))
    if job.operation in ("update", "delete") and not found:
        return RowError("INVALID_CROSS_REFERENCE_KEY" if named else "MISSING_ARGUMENT", "invalid cross reference id" if named else "Id not specified")
    row = found[0] if found and job.operation != "insert" else {}
    if job.operation == "delete":
        refused = inserts.undeletable(org, definition, row, job.by)
        if refused is not None:
            return refused
        org.delete(definition.name, row["Id"], by=job.by)
        return str(row["Id"]), False
    given: dict[str, Any] = {}
    for place, name in enumerate(head):
        field, text = definition.find(name), cells.get(name, "")
        if field is None or text == "" or (field.name == key.name and (row or key.name == "Id")):
            continue
        value = None if text == CLEARS else _read(field.type, text)
        if isinstance(value, ValueError):
            return RowError("INVALID_FIELD", (
                f"Failed to deserialize field at col {place}. Due to, '{text}' is not a valid value for the type {value}"
            ), (field.name,))  # fmt: skip
        given[field.name] = value
    values: Row | RowError = values_of(org, definition, row, given, job.by)
    if isinstance(values, RowError):
        return values
    if row:
        org.update(definition.name, row["Id"], values, by=job.by)
        return str(row["Id"]), False
    return org.insert(definition.name, values, by=job.by), True


def _read(kind: str, text: str) -> Any:
    """A cell's value for a field's type; a ValueError that names the type where it is none."""
    if kind in NUMBERS:
        try:
            return float(text)
        except ValueError:
            return ValueError("xsd:double")
    if kind == "boolean":
        return text.lower() == "true" if text.lower() in ("true", "false") else ValueError("xsd:boolean")
    if kind == "date" and not ISO_DAY.fullmatch(text):
        return ValueError("xsd:date")
    return text
