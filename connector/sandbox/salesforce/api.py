"""The REST API: paths and handlers. Shapes are those of the contract page; sessions, versions and errors are gate.py's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connector.sandbox.salesforce import api_records, bulk, composite, gate, ingest, layouts, oauth, pages
from connector.sandbox.salesforce.api_records import definition_of
from connector.sandbox.salesforce.describe import describe, etag, picklists, summary
from connector.sandbox.salesforce.frames import ApiError, answer, http_date, not_found, read_http_date
from connector.sandbox.salesforce.gate import Call, Endpoint, Handler, Reply
from connector.sandbox.salesforce.ids import full_id, new_id
from connector.sandbox.salesforce.metadata import deployments
from connector.sandbox.salesforce.more_objects import TOOLING_ONLY
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.query import run
from connector.sandbox.salesforce.rows import stamp
from connector.sandbox.salesforce.schema import MASTER_RECORD_TYPE, ObjectDef
from connector.sandbox.salesforce.sessions import Locator

BATCH_SIZE = re.compile(r"batchSize\s*=\s*(\d+)", re.IGNORECASE)
LOCATOR = re.compile(r"(\w{15,18})-(\d+)")
SEASONS = ("Winter", "Spring", "Summer")
MOST_IDS = 2000


def routes(org: Org) -> list[Route]:
    """Every path of the org, each with and without a closing slash, and a last one for what does not exist."""
    data = "/services/data/v{version}"
    handlers: dict[str, dict[str, Handler]] = {
        "/services/oauth2/userinfo": {"GET": userinfo},
        data: {"GET": resources},
        f"{data}/limits": {"GET": limits},
        f"{data}/sobjects": {"GET": sobjects},
        f"{data}/sobjects/{{type}}/describe": {"GET": describe_object},
        f"{data}/sobjects/{{type}}/describe/layouts": {"GET": layouts.layouts},
        f"{data}/sobjects/{{type}}/describe/layouts/{{record_type}}": {"GET": layouts.layout},
        f"{data}/sobjects/{{type}}/deleted": {"GET": deleted},
        f"{data}/sobjects/{{type}}/updated": {"GET": updated},
        f"{data}/ui-api/object-info/Opportunity/picklist-values/{{record_type}}": {"GET": picklist_values},
        f"{data}/query": {"GET": query},
        f"{data}/tooling/query": {"GET": tooling_query},
        f"{data}/limits/recordCount": {"GET": record_count},
        f"{data}/queryAll": {"GET": query_all},
        f"{data}/query/{{locator}}": {"GET": more},
        **api_records.handlers(data),
        **bulk.handlers(data),
        **ingest.handlers(data),
        **deployments.handlers(data),
        "/services/{rest:path}": dict.fromkeys(("GET", "POST", "PATCH", "PUT", "DELETE"), gate.missing),
    }

    async def token(request: Request) -> Response:
        return await oauth.token(org, request)

    async def versions(request: Request) -> Response:
        return answer(request, org.clock.now, _versions())

    async def hand_out(request: Request) -> Response:
        return await oauth.hand_out(org, request)

    made: list[Route] = []
    handlers = {**composite.handlers(data, made), **handlers}
    made += [Route("/services/oauth2/token", token, methods=["GET", "POST"])]
    made += [Route("/sandbox/salesforce/token", hand_out, methods=["POST"]), *pages.routes(org)]
    made += [Route(path, versions) for path in ("/services/data", "/services/data/")]
    for path, methods in handlers.items():
        endpoint = Endpoint(org, **methods)
        made.append(Route(path, endpoint))
        made.append(Route(path + "/", endpoint))
    return made


def _versions() -> list[dict[str, str]]:
    found = []
    for number in range(gate.OLDEST, gate.NEWEST + 1):
        season = SEASONS[(number - gate.NEWEST) % 3]
        year = 27 - (gate.NEWEST - number + 2) // 3
        label = f"{season} '{year:02d}"
        found.append({"label": label, "url": f"/services/data/v{number}.0", "version": f"{number}.0"})
    return found


# -- who and how much ----------------------------------------------------------------------------------------------


async def userinfo(call: Call) -> Reply:
    org, user = call.org, call.org.find(call.user) or {}
    return Reply({
        "sub": f"https://login.salesforce.com/id/{org.org_id}/{call.user}", "user_id": call.user, "organization_id": org.org_id,
        "preferred_username": user.get("Username"), "nickname": user.get("LastName"), "name": user.get("Name"), "email": user.get("Email"),
        "email_verified": True, "given_name": user.get("FirstName"), "family_name": user.get("LastName"),
        "zoneinfo": user.get("TimeZoneSidKey"), "active": user.get("IsActive"), "user_type": "STANDARD", "language": "en_US",
        "locale": "en_US", "utcOffset": -18000000, "updated_at": user.get("LastModifiedDate"),
    })  # fmt: skip


async def resources(call: Call) -> Reply:
    base = f"/services/data/v{call.version}"
    return Reply({name: f"{base}/{name}" for name in ("limits", "sobjects", "query", "queryAll", "composite", "ui-api")})


async def limits(call: Call) -> Reply:
    org = call.org
    whole = {"DailyBulkApiBatches": 15_000, "DailyBulkV2QueryJobs": 10_000, "DailyBulkV2QueryFileStorageMB": 976_562,
             "DailyAsyncApexExecutions": 250_000, "DataStorageMB": 1_024, "FileStorageMB": 1_024, "MassEmail": 5_000}  # fmt: skip
    full = {name: {"Max": most, "Remaining": most} for name, most in whole.items()}
    now, bulk_of = org.clock.now, org.bulk
    for name, what, most, unit in (
        ("DailyBulkV2QueryJobs", "jobs", bulk_of.most_jobs, 1), ("DailyBulkApiBatches", "batches", bulk_of.most_batches, 1),
        ("DailyBulkV2QueryFileStorageMB", "kb", bulk_of.most_kb, 1024),
    ):  # fmt: skip
        full[name] = {"Max": most // unit, "Remaining": max(0, (most - bulk_of.spent(what, now)) // unit)}
    return Reply({"DailyApiRequests": {"Max": org.calls_max, "Remaining": max(0, org.calls_max - org.calls_used)}, **full})


async def record_count(call: Call) -> Reply:
    """Estimates: the deleted count too, empty objects are left out, and the number is as of the last full hundred records."""
    asked = [name.strip() for name in call.request.query_params.get("sObjects", "").split(",") if name.strip()]
    names = asked or sorted(call.org.schema)
    counts = [(name, len(call.org.tables[name].rows)) for name in names if call.org.seen(name, call.user) is not None]
    return Reply({"sObjects": [{"count": count - count % 100 if count > 100 else count, "name": name} for name, count in counts if count]})


# -- what there is ---------------------------------------------------------------------------------------------------


async def sobjects(call: Call) -> Reply:
    seen = [call.org.seen(name, call.user) for name in sorted(call.org.schema) if name not in TOOLING_ONLY]
    found = [summary(definition, call.version) for definition in seen if definition is not None]
    changed = max(call.org.schema_changed.values())
    return _unless_known(call, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": found}, changed, "sobjects")


async def describe_object(call: Call) -> Reply:
    definition = definition_of(call)
    return _unless_known(call, describe(call.org, definition, call.version, call.user), call.org.schema_changed[definition.name], definition.name)


def _unless_known(call: Call, body: Any, changed: datetime, name: str) -> Reply:
    """The body, or 304 for a client that has it since ``changed``."""
    headers = {"Last-Modified": http_date(changed), "ETag": f'"{etag(call.version, name, changed)}"'}
    since = read_http_date(call.request.headers.get("if-modified-since"))
    if call.request.headers.get("if-none-match") == headers["ETag"] or (since is not None and since >= changed):
        return Reply(None, 304, headers)
    return Reply(body, 200, headers)


async def picklist_values(call: Call) -> Reply:
    record_type = full_id(str(call.request.path_params["record_type"]))
    if record_type is None or (record_type != MASTER_RECORD_TYPE and record_type not in call.org.offered):
        raise not_found()
    return Reply(picklists(call.org, record_type, call.version))


# -- queries ---------------------------------------------------------------------------------------------------------


async def query(call: Call) -> Reply:
    return _query(call, include_deleted=False)


async def query_all(call: Call) -> Reply:
    return _query(call, include_deleted=True)


async def tooling_query(call: Call) -> Reply:
    """Queries on what the org is made of: validation rules, flows."""
    return _query(call, include_deleted=False, tooling=True)


def _query(call: Call, *, include_deleted: bool, tooling: bool = False) -> Reply:
    org, text = call.org, call.request.query_params.get("q")
    if not text or not text.strip():
        raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
    result = run(org, text, include_deleted=include_deleted, version=call.version, user=call.user, tooling=tooling)
    if result.rows is not None:
        return Reply({"totalSize": result.total, "done": True, "records": list(result.rows)})
    size = min(result.size, org.page_size, _batch_size(call) or 2000)
    locator = Locator(new_id("0r8", org.next_locator()), call.token, result.ids, result.project, size, org.clock.now)
    if result.total > size:
        org.sessions.keep(locator)
    return _page(call, locator, 0, size)


async def more(call: Call) -> Reply:
    """The next page of a result that this session opened."""
    org, match = call.org, LOCATOR.fullmatch(str(call.request.path_params["locator"]))
    kept = org.sessions.locator(match[1], call.token, org.clock.now) if match else None
    if match is None or kept is None or int(match[2]) >= len(kept.ids):
        raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return _page(call, kept, int(match[2]), min(_batch_size(call) or kept.size, kept.size, org.page_size))


def _page(call: Call, locator: Locator, start: int, size: int) -> Reply:
    end, total = start + size, len(locator.ids)
    body: dict[str, Any] = {"totalSize": total, "done": end >= total}
    if end < total:
        body["nextRecordsUrl"] = f"/services/data/v{call.version}/query/{locator.id}-{end}"
    body["records"] = locator.project(locator.ids[start:end])
    return Reply(body)


def _batch_size(call: Call) -> int | None:
    """What the client asks for, within what the org gives: 200 to 2,000."""
    match = BATCH_SIZE.search(call.request.headers.get("sforce-query-options", ""))
    return min(2000, max(200, int(match[1]))) if match else None


# -- replication -----------------------------------------------------------------------------------------------------


async def deleted(call: Call) -> Reply:
    """Ids that went to the recycle bin in a span, at most 15 days back."""
    definition = _replicable(call)
    start, end = _span(call, timedelta(days=15))
    log = call.org.deleted_at
    rows = [key for key in call.org.tables[definition.name].rows if start <= log.get(key, "") < end]
    earliest = stamp(call.org.clock.now - timedelta(days=15))
    found = [{"id": key, "deletedDate": log[key]} for key in sorted(rows, key=lambda key: log[key])]
    return Reply({"deletedRecords": found, "earliestDateAvailable": earliest, "latestDateCovered": _covered(call.org, end)})


async def updated(call: Call) -> Reply:
    """Ids made or changed in a span, at most 30 days back, without the deleted ones."""
    definition = _replicable(call)
    start, end = _span(call, timedelta(days=30))
    rows = call.org.tables[definition.name].rows
    ids = [key for key, row in rows.items() if start <= row.get("SystemModstamp", "") < end and not row.get("IsDeleted")]
    return Reply({"ids": ids, "latestDateCovered": _covered(call.org, end)})


def _replicable(call: Call) -> ObjectDef:
    definition = definition_of(call)
    if not definition.replicateable or "SystemModstamp" not in definition.fields:
        raise ApiError(400, "INVALID_TYPE", f"object type '{definition.name}' is not replicable")
    return definition


def _covered(org: Org, end: str) -> str:
    return min(end, stamp(org.clock.now.replace(second=0)))


def _span(call: Call, furthest: timedelta) -> tuple[str, str]:
    params: Mapping[str, str] = call.request.query_params
    found = []
    for name in ("start", "end"):
        text = params.get(name)
        if not text:
            raise ApiError(400, "MISSING_ARGUMENT", f"{name} is required")
        try:
            at = datetime.fromisoformat(text.replace(" ", "+"))
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            raise ApiError(400, "INVALID_REPLICATION_DATE", f"{name} is not a valid date: {text}")
        found.append(at.astimezone(UTC))
    start, end = found
    if start >= end or start < call.org.clock.now - furthest:
        raise ApiError(400, "INVALID_REPLICATION_DATE", f"startDate before org replication enabled date or more than {furthest.days} days ago")
    return stamp(start), stamp(end)
