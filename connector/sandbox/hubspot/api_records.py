"""Endpoints of records: list, by id, search, batches, associations."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from connector.sandbox.hubspot.call import Answer, Call
from connector.sandbox.hubspot.errors import Failure, NotFound, invalid, missing, not_valid
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.records import ADMIN, CONNECTOR, Record, Source
from connector.sandbox.hubspot.schema import ObjectType
from connector.sandbox.hubspot.search import search

BATCH_MAX, HISTORY_MAX, ASSOCIATIONS_MAX = 100, 50, 1000


def _shown(call: Call, kind: ObjectType, asked: list[str] | None) -> list[str]:
    """Known ones of the properties asked for (unknown ones vanish), and the stamps and id that come unasked."""
    known = call.portal.properties[kind.name]
    wanted = kind.defaults if not asked else [name for name in asked if name in known]
    return sorted({*wanted, kind.created, kind.modified, "hs_object_id"})


def _reading(call: Call, kind: ObjectType) -> None:
    call.allow(f"crm.objects.{kind.scope}.read")


def _present(call: Call, record: Record, names: list[str], history: list[str] | None) -> dict[str, object]:
    shown = record.wire(names, call.portal.portal_id)
    if history:
        held = {name: record.history[name] for name in history if record.history.get(name)}
        shown["propertiesWithHistory"] = {name: [version.wire() for version in reversed(versions)] for name, versions in held.items()}
    return shown


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
    if call.flag("archived"):
        numbers = sorted(record.number for record in records.values() if record.archived_at is not None)
    else:
        numbers = portal.live[kind.name]
    start = bisect_left(numbers, int(after))
    page = numbers[start : start + limit]
    names = _shown(call, kind, call.names("properties"))
    body: dict[str, Any] = {"results": [_present(call, records[number], names, history) for number in page]}
    if start + limit < len(numbers):
        upcoming = str(numbers[start + limit])
        # The link leads to another path than the one called, as in real answers: only ``after`` is to be used.
        link = f"https://api.hubapi.com/crm/objects/v3/{kind.name}?offset_param=after&limit={limit}&after={upcoming}"
        body["paging"] = {"next": {"after": upcoming, "link": link}}
    return Answer(body)


def _by_id(call: Call, kind: ObjectType, *, archived: bool = False) -> Record:
    record = call.portal.resolve(kind.name, call.path["id"])
    if record is None or (record.archived_at is not None) is not archived:
        raise NotFound
    return record


def get_record(call: Call) -> Answer:
    """GET …/{type}/{id}: a merged loser's id answers with the survivor; the 404 is HTML."""
    kind = call.kind()
    _reading(call, kind)
    record = _by_id(call, kind, archived=call.flag("archived"))
    return Answer(_present(call, record, _shown(call, kind, call.names("properties")), call.names("propertiesWithHistory")))


def search_records(call: Call) -> Answer:
    """POST …/search."""
    kind = call.kind()
    _reading(call, kind)
    body = call.json()
    found = search(call.portal, kind, body)
    asked = body.get("properties")
    names = _shown(call, kind, [str(name) for name in asked] if isinstance(asked, list) else None)
    answer: dict[str, Any] = {
        "total": found.total,
        "results": [hit.record.wire(names, call.portal.portal_id, dict(hit.values)) for hit in found.hits],
    }
    if found.after is not None:
        answer["paging"] = {"next": {"after": str(found.after)}}
    return Answer(answer)


def batch_read(call: Call) -> Answer:
    """POST …/batch/read: 100 ids, 50 with history; 207 where some are missing; ``archived=true`` reads archived ones."""
    kind = call.kind()
    _reading(call, kind)
    body = call.json()
    history = [str(name) for name in body.get("propertiesWithHistory") or []]
    inputs = call.inputs(body, HISTORY_MAX if history else BATCH_MAX)
    names = _shown(call, kind, [str(name) for name in body.get("properties") or []])
    found: dict[int, Record] = {}
    gone: list[str] = []
    for one in inputs:
        record = call.portal.resolve(kind.name, one["id"])
        if record is None or (record.archived_at is not None) is not call.flag("archived"):
            gone.append(one["id"])
        else:
            found[record.number] = record
    # By id and not in the order asked for.
    results = [_present(call, found[number], names, history) for number in sorted(found)]
    return call.batch(results, [missing(kind.singular, gone)] if gone else [])


# -- writing ---------------------------------------------------------------------------------------------------------------


def _given(one: Mapping[str, Any]) -> dict[str, object]:
    given = one.get("properties")
    if not isinstance(given, dict):
        raise invalid("Invalid input JSON: properties must be an object")
    return given


def _refusals(call: Call, record: Record, wanted: Mapping[str, str]) -> list[Any]:
    portal = call.portal
    rules = portal.rules + (portal.rules_2026_09 if call.version >= "2026-09" else [])
    return [problem for rule in rules if (problem := rule(record, wanted)) is not None]


def _save(portal: Portal, record: Record, wanted: Mapping[str, str], source: Source) -> dict[str, object]:
    """Set the values and answer as HubSpot does: changed and calculated properties only, not the whole record."""
    lost = any(loses(record, wanted) for loses in portal.lost_effects)
    changed = frozenset() if lost else portal.update(record, wanted, source)
    names = sorted({*wanted, *changed, record.kind.created, record.kind.modified, "hs_object_id"})
    shown = record.wire(names, portal.portal_id)
    if changed:
        for workflow in portal.workflows:
            workflow(record, changed)
    return shown


def patch_record(call: Call) -> Answer:
    """PATCH …/{type}/{id}. The sandbox has no screen of its own: a PATCH stands for a person's edit there, history says CRM_UI."""
    kind = call.kind()
    call.allow(f"crm.objects.{kind.scope}.write")
    record = _by_id(call, kind)
    wanted, problems = call.portal.check(kind, record, _given(call.json()))
    problems += _refusals(call, record, wanted)
    if problems:
        raise not_valid(problems)
    return Answer(_save(call.portal, record, wanted, ADMIN))


def batch_update(call: Call) -> Answer:
    """POST …/batch/update: 100 inputs. One bad value refuses the whole batch with 400; ids that are gone are errors of a 207."""
    kind, portal = call.kind(), call.portal
    call.allow(f"crm.objects.{kind.scope}.write")
    inputs = call.inputs(call.json(), BATCH_MAX)
    ids = [one["id"] for one in inputs]
    twice = [id_ for id_ in dict.fromkeys(ids) if ids.count(id_) > 1]
    if twice:
        message = f"Duplicate IDs found in batch input: [{', '.join(twice)}]. IDs must be unique"
        raise Failure(400, message, context={"ids": twice}, category="VALIDATION_ERROR")
    problems: list[Any] = []
    writes: dict[int, tuple[Record, dict[str, str]]] = {}
    gone: list[str] = []
    for one in inputs:
        record = portal.resolve(kind.name, one["id"])
        alive = record is not None and record.archived_at is None
        wanted, bad = portal.check(kind, record, _given(one))
        problems += bad
        if record is None or not alive:
            gone.append(one["id"])
        else:
            problems += _refusals(call, record, wanted)
            # Two ids of one merged record become one write.
            writes[record.number] = (record, writes[record.number][1] | wanted if record.number in writes else wanted)
    if problems:
        raise not_valid(problems)
    results = [_save(portal, record, wanted, CONNECTOR) for _, (record, wanted) in sorted(writes.items())]
    return call.batch(results, [missing(kind.singular, gone, writing=True)] if gone else [])


# -- associations ------------------------------------------------------------------------------------------------------------


def _token(number: int) -> str:
    return base64.b64encode(str(number).encode()).decode().rstrip("=")


def _from_token(text: str) -> int:
    try:
        return int(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    except (ValueError, binascii.Error):
        raise invalid(f"after {text} is not a valid cursor") from None


def associations(call: Call) -> Answer:
    """POST …/associations/{from}/{to}/batch/read: 1,000 records, each with its own pages. A record without links, or a merged
    loser's id, is an error NO_ASSOCIATIONS_FOUND in a 207, which means the empty set."""
    kind, to, portal = call.kind("from"), call.kind("to"), call.portal
    call.allow(f"crm.objects.{kind.scope}.read", f"crm.objects.{to.scope}.read")
    results: list[dict[str, object]] = []
    errors: list[dict[str, object]] = []
    for one in call.inputs(call.json(), ASSOCIATIONS_MAX):
        id_ = one["id"]
        held = portal.linked(kind.name, int(id_) if id_.isdigit() else -1, to.name)
        if not held:
            message = f"No {to.singular} is associated with {kind.singular} {id_}."
            context = {"fromObjectId": [id_], "fromObjectType": [kind.singular], "toObjectType": [to.singular]}
            errors.append({"status": "error", "category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
                           "message": message, "context": context})  # fmt: skip
            continue
        first = _from_token(str(one["after"])) if one.get("after") else 0
        rest = [number for number in held if number >= first]
        page = rest[: portal.association_page]
        result: dict[str, object] = {
            "from": {"id": id_},
            "to": [{"toObjectId": str(number), "associationTypes": held[number]} for number in page],
        }
        if len(rest) > len(page):
            result["paging"] = {"next": {"after": _token(rest[len(page)])}}
        results.append(result)
    return call.batch(results, errors)
