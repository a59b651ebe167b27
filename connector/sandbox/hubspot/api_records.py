"""Endpoints that read records: list, by id, search, batch."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from connector.sandbox.hubspot import schema
from connector.sandbox.hubspot.api_links import inline
from connector.sandbox.hubspot.call import Answer, Call
from connector.sandbox.hubspot.errors import NotFound, invalid, missing
from connector.sandbox.hubspot.records import Record
from connector.sandbox.hubspot.schema import ObjectType
from connector.sandbox.hubspot.search import Hit, search

BATCH_MAX, HISTORY_MAX = 100, 50
IDENTITIES = {"contacts": ("email",), "companies": (), "deals": ()}
"""Properties by which a record can be named instead of its id, beside those with unique values."""


def shown(call: Call, kind: ObjectType, asked: list[str] | None) -> list[str]:
    """Known ones of the properties asked for (unknown ones vanish), and the stamps and id that come unasked.

    A sensitive one is shown only to a credential that holds a scope for it; there is none in the sandbox, so it vanishes as well.
    """
    known = call.portal.properties[kind.name]
    wanted = kind.defaults if not asked else [name for name in asked if name in known and known[name].sensitivity == "non_sensitive"]
    return sorted({*wanted, kind.created, kind.modified, "hs_object_id"})


def _reading(call: Call, kind: ObjectType) -> None:
    call.allow(kind.needs("read"))


def _present(call: Call, record: Record, names: list[str], history: list[str] | None) -> dict[str, object]:
    kind = record.kind
    known = call.portal.properties[kind.name]
    wire = record.wire(names, call.portal.portal_id)
    if history:
        held = {name: record.history.get(name, []) for name in history if name in known and (record.history.get(name) or call.portal.empty_history)}
        wire["propertiesWithHistory"] = {name: [version.wire() for version in reversed(versions)] for name, versions in held.items()}
    return wire


def list_records(call: Call) -> Answer:
    """GET …/{type}: by id, 100 a page, 50 with history; ``archived=true`` lists the recycle bin instead."""
    kind, portal = call.kind(), call.portal
    _reading(call, kind)
    history = call.names("propertiesWithHistory")
    limit = call.number("limit", 10, HISTORY_MAX if history else BATCH_MAX)
    after = call.query.get("after", "0")
    if not after.isdigit():
        raise invalid(f"after {after} is not a valid cursor")
    records = portal.records[kind.name]
    numbers = portal.archived(kind.name) if call.flag("archived") else portal.live[kind.name]
    start = bisect_left(numbers, int(after))
    page = numbers[start : start + max(limit - portal.page_shortfall, 1)]
    names, to = shown(call, kind, call.names("properties")), _associated(call)
    rows = [_present(call, records[number], names, history) | inline(portal, records[number], to) for number in page]
    body: dict[str, Any] = {"results": rows}
    if start + len(page) < len(numbers):
        upcoming = str(numbers[start + len(page)])
        # The link leads to another path than the one called, as in real answers: only ``after`` is to be used.
        link = f"https://api.hubapi.com/crm/objects/v3/{kind.name}?offset_param=after&limit={limit}&after={upcoming}"
        body["paging"] = {"next": {"after": upcoming, "link": link}}
    return Answer(body)


def _associated(call: Call) -> list[ObjectType]:
    """The object types of ``associations=``. An unknown one is a 400."""
    found = [(word, schema.object_type(word)) for word in call.names("associations") or []]
    bad = [word for word, kind in found if kind is None]
    if bad:
        raise invalid(f"Unable to infer object type from: {bad[0]}")
    return [kind for _, kind in found if kind is not None]


def named(call: Call, kind: ObjectType, id_: str, id_property: str | None) -> Record | None:
    """The record that an id means, or the value of ``idProperty``, which must tell records apart. Raises Failure (400)."""
    if not id_property or id_property == "hs_object_id":
        return call.portal.resolve(kind.name, id_)
    prop = call.portal.properties[kind.name].get(id_property)
    if prop is None or not (prop.unique or id_property in IDENTITIES.get(kind.name, ())):
        raise invalid(f"Property {id_property} is not a unique identifier property for {kind.name}")
    return call.portal.by_value(kind.name, id_property, id_)


def by_id(call: Call, kind: ObjectType, *, archived: bool = False) -> Record:
    """The record of the path. Raises NotFound."""
    record = named(call, kind, call.path["id"], call.query.get("idProperty"))
    if record is None or (record.archived_at is not None) is not archived:
        raise NotFound
    return record


def get_record(call: Call) -> Answer:
    """GET …/{type}/{id}: a merged loser's id answers with the survivor; the 404 is HTML."""
    kind = call.kind()
    _reading(call, kind)
    record = by_id(call, kind, archived=call.flag("archived"))
    body = _present(call, record, shown(call, kind, call.names("properties")), call.names("propertiesWithHistory"))
    return Answer(body | inline(call.portal, record, _associated(call)))


def search_records(call: Call) -> Answer:
    """POST …/search."""
    kind = call.kind()
    _reading(call, kind)
    body = call.json()
    found = search(call.portal, kind, body)
    asked = body.get("properties")
    names = shown(call, kind, [str(name) for name in asked] if isinstance(asked, list) else None)
    answer: dict[str, Any] = {
        "total": found.total,
        "results": [hit.record.wire(names, call.portal.portal_id, _seen(call, hit)) for hit in found.hits],
    }
    if found.after is not None:
        answer["paging"] = {"next": {"after": str(found.after)}}
    return Answer(answer)


def _seen(call: Call, hit: Hit) -> dict[str, str]:
    return hit.record.values if call.portal.index_hydrates else dict(hit.values)


def batch_read(call: Call) -> Answer:
    """POST …/batch/read: 100 ids, 50 with history; 207 where some are missing; ``archived=true`` reads archived ones."""
    kind = call.kind()
    _reading(call, kind)
    body = call.json()
    history = [str(name) for name in body.get("propertiesWithHistory") or []]
    inputs = call.inputs(body, HISTORY_MAX if history else BATCH_MAX)
    names = shown(call, kind, [str(name) for name in body.get("properties") or []])
    found: dict[int, Record] = {}
    gone: list[str] = []
    for one in inputs:
        record = named(call, kind, one["id"], body.get("idProperty"))
        if record is None or (record.archived_at is not None) is not call.flag("archived"):
            gone.append(one["id"])
        else:
            found[record.number] = record
    # By id and not in the order asked for.
    results = [_present(call, found[number], names, history) for number in sorted(found)]
    return call.batch(results, [missing(kind.singular, gone)] if gone else [])
