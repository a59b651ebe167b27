"""Records over REST: one by one, in collections, by external id."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from connector.sandbox.salesforce import inserts, writes
from connector.sandbox.salesforce.describe import etag, summary
from connector.sandbox.salesforce.frames import ApiError, http_date, not_found, read_json
from connector.sandbox.salesforce.gate import Call, Handler, Reply
from connector.sandbox.salesforce.ids import full_id
from connector.sandbox.salesforce.paths import reader
from connector.sandbox.salesforce.projection import attributes
from connector.sandbox.salesforce.rows import unstamp
from connector.sandbox.salesforce.schema import ObjectDef, Row

MOST_IDS = 2000


def handlers(data: str) -> dict[str, dict[str, Handler]]:
    """Paths below ``data`` and what serves them."""
    return {
        f"{data}/sobjects/{{type}}": {"GET": basics, "POST": create},
        f"{data}/sobjects/{{type}}/{{id}}": {"GET": record, "PATCH": edit, "DELETE": delete},
        f"{data}/sobjects/{{type}}/{{field}}/{{value}}": {"GET": record_by_key, "PATCH": upsert},
        f"{data}/composite/sobjects": {"POST": create_collection, "PATCH": update_collection, "DELETE": delete_collection},
        f"{data}/composite/sobjects/{{type}}": {"POST": retrieve},
        f"{data}/composite/sobjects/{{type}}/{{field}}": {"PATCH": upsert_collection},
    }


def definition_of(call: Call) -> ObjectDef:
    """The object of the path as the caller sees it. Raises ApiError 404."""
    found = call.org.seen(call.definition_name, call.user)
    if found is None:
        raise not_found()
    return found


async def basics(call: Call) -> Reply:
    """The object's head and what the caller saw last: here nothing."""
    return Reply({"objectDescribe": summary(definition_of(call), call.version), "recentItems": []})


async def record(call: Call) -> Reply:
    """One record whole, or the fields asked for by ``?fields=``."""
    definition = definition_of(call)
    full = full_id(_part(call, "id"))
    row = None if full is None else call.org.tables[definition.name].rows.get(full)
    return _whole(call, definition, row)


async def record_by_key(call: Call) -> Reply:
    definition = definition_of(call)
    key = inserts.lookup_field(call.org, definition.name, _part(call, "field"), call.user)
    found = inserts.matches(call.org, definition.name, key, _part(call, "value"))
    return _whole(call, definition, found[0] if len(found) == 1 else None)


async def create(call: Call) -> Reply:
    definition = definition_of(call)
    made = inserts.create_one(call.org, definition.name, await read_json(call.request), call.user)
    _saved(call)
    return _made(call, definition, made, 201, {"id": made, "success": True, "errors": []})


async def upsert(call: Call) -> Reply:
    definition, only = definition_of(call), call.request.query_params.get("updateOnly") == "true"
    body = await read_json(call.request)
    key, created = inserts.upsert_one(
        call.org, definition.name, _part(call, "field"), _part(call, "value"), body, call.user, update_only=only
    )  # fmt: skip
    return _made(call, definition, key, 201 if created else 200, {"id": key, "success": True, "errors": [], "created": created})


async def edit(call: Call) -> Reply:
    definition = definition_of(call)
    writes.update_one(call.org, definition.name, _part(call, "id"), await read_json(call.request), call.user)
    return Reply(None, 204)


async def delete(call: Call) -> Reply:
    inserts.delete_one(call.org, definition_of(call).name, _part(call, "id"), call.user)
    return Reply(None, 204)


async def create_collection(call: Call) -> Reply:
    results = inserts.create_collection(call.org, await read_json(call.request), call.user)
    if any(result["success"] for result in results):
        _saved(call)
    return Reply(results)


async def update_collection(call: Call) -> Reply:
    return Reply(writes.update_collection(call.org, await read_json(call.request), call.user))


async def upsert_collection(call: Call) -> Reply:
    body = await read_json(call.request)
    return Reply(inserts.upsert_collection(call.org, definition_of(call).name, _part(call, "field"), body, call.user))


async def delete_collection(call: Call) -> Reply:
    params = call.request.query_params
    ids = [key.strip() for key in params.get("ids", "").split(",") if key.strip()]
    if not ids:
        raise ApiError(400, "MISSING_ARGUMENT", "The ids parameter must be specified")
    return Reply(inserts.delete_collection(call.org, ids, params.get("allOrNone") == "true", call.user))


async def retrieve(call: Call) -> Reply:
    """Known records again: in the order of the ids, null for what cannot be seen."""
    definition, body = definition_of(call), await read_json(call.request)
    ids, names = (body.get(key) if isinstance(body, dict) else None for key in ("ids", "fields"))
    if not isinstance(ids, list) or not isinstance(names, list) or not names:
        raise ApiError(400, "MISSING_ARGUMENT", "The ids and fields parameters must be specified")
    if len(ids) > MOST_IDS:
        raise ApiError(400, "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {MOST_IDS} records in this call")
    shown(call, definition, None, names)
    return Reply([row and shown(call, definition, row, names) for row in writes.retrieve_ids(call.org, definition, ids)])


def shown(call: Call, definition: ObjectDef, row: Row | None, names: Sequence[Any]) -> dict[str, Any]:
    """A record with the named fields. Without a row, only the names are checked. Raises ApiError INVALID_FIELD."""
    moment, out = call.org.moment(call.user), {}
    for name in names:
        found = definition.find(name) if isinstance(name, str) else None
        if found is None:
            raise ApiError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {definition.name}")
        if row is not None:
            out[found.name] = reader(found, moment)(row)
    return {} if row is None else {"attributes": attributes(call.org, row, call.version), **out}


def _whole(call: Call, definition: ObjectDef, row: Row | None) -> Reply:
    if row is None or row.get("IsDeleted"):
        raise not_found()
    asked = call.request.query_params.get("fields")
    names = [name.strip() for name in asked.split(",")] if asked else list(definition.fields)
    changed = row.get("LastModifiedDate")
    headers = {"Last-Modified": http_date(unstamp(changed))} if changed else {}
    if definition.name == "Account":  # the only object whose records carry one
        headers["ETag"] = f'"{etag(row["Id"], changed)}--gzip"'
    return Reply(shown(call, definition, row, names), headers=headers)


def _made(call: Call, definition: ObjectDef, key: str, status: int, body: dict[str, Any]) -> Reply:
    return Reply(body, status, {"Location": f"/services/data/v{call.version}/sobjects/{definition.name}/{key}"})


def _part(call: Call, name: str) -> str:
    return str(call.request.path_params[name])


def _saved(call: Call) -> None:
    """A record was made by POST: a second passes, as it does with every other write."""
    call.org.clock.advance_to(call.org.clock.now + timedelta(seconds=1))
