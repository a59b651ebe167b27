"""Endpoints that change records: one by one and in batches."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from connector.sandbox.hubspot.api_links import associate
from connector.sandbox.hubspot.api_records import BATCH_MAX, by_id, named
from connector.sandbox.hubspot.call import Answer, Call
from connector.sandbox.hubspot.errors import Failure, invalid, missing, not_valid
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.records import ADMIN, CONNECTOR, Record, Source
from connector.sandbox.hubspot.schema import ObjectType, object_type
from connector.sandbox.hubspot.values import Problem

API_LINK = "https://api.hubapi.com"


def _given(one: Mapping[str, Any]) -> dict[str, object]:
    given = one.get("properties")
    if not isinstance(given, dict):
        raise invalid("Invalid input JSON: properties must be an object")
    return given


def _writing(call: Call) -> ObjectType:
    kind = call.kind()
    call.allow(kind.needs("write"))
    return kind


def _refusals(call: Call, kind: ObjectType, record: Record | None, wanted: Mapping[str, str]) -> list[Problem]:
    """What rules of the portal say against a write; the conditional ones only from 2026-09 on."""
    portal = call.portal
    judged = record or Record(kind, 0, {})
    rules = portal.rules + (portal.rules_2026_09 if call.strict else [])
    problems = [problem for rule in rules if (problem := rule(judged, wanted)) is not None]
    if call.strict:
        problems += portal.validations.required(kind, judged.values, wanted, new=record is None)
    return problems


def _answer(portal: Portal, record: Record, names: set[str]) -> dict[str, object]:
    """As HubSpot answers a write: changed and calculated properties only, not the whole record."""
    kind = record.kind
    return record.wire(sorted({*names, kind.created, kind.modified, "hs_object_id"}), portal.portal_id)


def _ran(portal: Portal, record: Record, changed: frozenset[str]) -> None:
    if changed:
        for workflow in portal.workflows:
            workflow(record, changed)


def _save(portal: Portal, record: Record, wanted: Mapping[str, str], source: Source) -> dict[str, object]:
    lost = any(loses(record, wanted) for loses in portal.lost_effects)
    changed = frozenset() if lost else portal.update(record, wanted, source)
    filled = portal.fill_in(record, {name: wanted[name] for name in changed if name in wanted}, new=False)
    shown = _answer(portal, record, {*wanted, *changed, *filled})
    _ran(portal, record, changed)
    return shown


def _make(call: Call, kind: ObjectType, wanted: Mapping[str, str], links: object) -> Record:
    """A new record through the API, with its links. Raises Failure (400) for a link that cannot be; nothing is made then."""
    portal = call.portal
    ends = _ends(call, links)
    record = portal.create(kind.name, wanted, CONNECTOR)
    portal.fill_in(record, wanted, new=True)
    for other, types in ends:
        associate(portal, record, other, types)
    _ran(portal, record, frozenset(wanted))
    return record


def _ends(call: Call, links: object) -> list[tuple[Record, object]]:
    """Records to link with and the types. The type id tells the object type."""
    found: list[tuple[Record, object]] = []
    for one in links if isinstance(links, list) else []:
        try:
            id_, types = str(one["to"]["id"]), one["types"]
            type_id = int(types[0]["associationTypeId"])
        except (KeyError, IndexError, TypeError, ValueError):
            raise invalid("Invalid input JSON: an association needs to and types") from None
        offered = call.portal.associations.labels
        kind = call.kind()
        to = next((pair[1] for pair, labels in offered.items() if pair[0] == kind.name and any(label.type_id == type_id for label in labels)), None)
        record = call.portal.resolve(to, id_) if to else None
        if to is None or record is None or record.archived_at is not None:
            type_ = object_type(to) if to else None
            raise invalid(f"{type_.singular.upper() if type_ else 'OBJECT'}={id_} is not valid")
        found.append((record, types))
    return found


def _clash(portal: Portal, kind: ObjectType, wanted: Mapping[str, str], itself: Record | None = None) -> Record | None:
    """Another contact with that e-mail address, in any case."""
    email = wanted.get("email") if kind.name == "contacts" else None
    held = portal.by_value("contacts", "email", email) if email else None
    return held if held is not itself else None


def create(call: Call) -> Answer:
    """POST …/{type}: 201 with the Location. An e-mail address that is taken is a 409."""
    kind, body = _writing(call), call.json()
    wanted, problems = call.portal.check(kind, None, _given(body))
    problems += _refusals(call, kind, None, wanted)
    if problems:
        raise not_valid(problems, single=True)
    held = _clash(call.portal, kind, wanted)
    if held is not None:  # only a batch says with which record
        raise Failure(409, f"{kind.labels[0]} already exists", category="CONFLICT")
    record = _make(call, kind, wanted, body.get("associations"))
    where = f"{API_LINK}/crm/objects/{call.version}/{kind.name}/{record.id}"
    return Answer(_answer(call.portal, record, set(record.values)), 201, {"Location": where})


def patch(call: Call) -> Answer:
    """PATCH …/{type}/{id}. The sandbox has no screen of its own: a PATCH stands for a person's edit there, history says CRM_UI."""
    kind = _writing(call)
    record = by_id(call, kind)
    wanted, problems = call.portal.check(kind, record, _given(call.json()))
    problems += _refusals(call, kind, record, wanted)
    if problems:
        raise not_valid(problems, single=True)
    held = _clash(call.portal, kind, wanted, record)
    if held is not None:
        raise Failure(409, f"{kind.labels[0]} already exists", category="CONFLICT")
    return Answer(_save(call.portal, record, wanted, ADMIN))


def archive(call: Call) -> Answer:
    """DELETE …/{type}/{id}: 204, also for a record that is not there."""
    kind = _writing(call)
    record = call.portal.resolve(kind.name, call.path["id"])
    if record is not None:
        call.portal.archive(record)
    return Answer(b"", 204)


def batch_create(call: Call) -> Answer:
    """POST …/batch/create: 201; 400 for the whole batch if a value is bad; 207 where an e-mail address is taken."""
    kind, portal = _writing(call), call.portal
    rows = call.rows(call.json(), BATCH_MAX)
    problems: list[Problem] = []
    wishes: list[dict[str, str]] = []
    for one in rows:
        wanted, bad = portal.check(kind, None, _given(one))
        problems += bad + _refusals(call, kind, None, wanted)
        wishes.append(wanted)
    if problems:
        raise not_valid(problems)
    results: list[dict[str, object]] = []
    errors: list[dict[str, Any]] = []
    for one, wanted in zip(rows, wishes, strict=True):
        held = _clash(portal, kind, wanted)
        if held is not None:
            trace = {"objectWriteTraceId": [str(one["objectWriteTraceId"])]} if "objectWriteTraceId" in one else {}
            message = f"{kind.labels[0]} already exists. Existing ID: {held.id}"
            errors.append({"status": "error", "category": "CONFLICT", "message": message, "context": trace | {"existingId": [held.id]}})
            continue
        record = _make(call, kind, wanted, one.get("associations"))
        results.append(_answer(portal, record, set(record.values)))
    # In no order that the request had.
    return call.batch(sorted(results, key=lambda row: zlib.crc32(str(row["id"]).encode())), errors, 201)


def batch_update(call: Call) -> Answer:
    """POST …/batch/update: 100 inputs. One bad value refuses the whole batch with 400; ids that are gone are errors of a 207."""
    kind, portal = _writing(call), call.portal
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
        record = named(call, kind, one["id"], one.get("idProperty"))
        wanted, bad = portal.check(kind, record, _given(one))
        problems += bad
        if record is None or record.archived_at is not None:
            gone.append(one["id"])
        else:
            problems += _refusals(call, kind, record, wanted)
            # Two ids of one merged record become one write.
            writes[record.number] = (record, writes[record.number][1] | wanted if record.number in writes else wanted)
    if problems:
        raise not_valid(problems)
    results = [_save(portal, record, wanted, CONNECTOR) for _, (record, wanted) in sorted(writes.items())]
    return call.batch(results, [missing(kind.singular, gone)] if gone else [])


def batch_upsert(call: Call) -> Answer:
    """POST …/batch/upsert: by a property that tells records apart; ``new`` says which were made."""
    kind, portal = _writing(call), call.portal
    inputs = call.inputs(call.json(), BATCH_MAX)
    problems: list[Problem] = []
    wishes: list[tuple[Record | None, dict[str, str]]] = []
    for one in inputs:
        id_property = str(one.get("idProperty") or "")
        if not id_property:
            raise invalid("idProperty is required")
        record = named(call, kind, one["id"], id_property)
        wanted, bad = portal.check(kind, record, {id_property: one["id"]} | _given(one))
        problems += bad + _refusals(call, kind, record, wanted)
        wishes.append((record, wanted))
    if problems:
        raise not_valid(problems)
    results = []
    for record, wanted in wishes:
        if record is None:
            made = _make(call, kind, wanted, None)
            results.append(_answer(portal, made, set(made.values)) | {"new": True})
        else:
            results.append(_save(portal, record, wanted, CONNECTOR) | {"new": False})
    return call.batch(results, [])


def batch_archive(call: Call) -> Answer:
    """POST …/batch/archive: 204, whether or not the records were there."""
    kind = _writing(call)
    for one in call.inputs(call.json(), BATCH_MAX):
        record = call.portal.resolve(kind.name, one["id"])
        if record is not None:
            call.portal.archive(record)
    return Answer(b"", 204)


def gdpr_delete(call: Call) -> Answer:
    """POST …/{type}/gdpr-delete: gone at once, no way back; 204."""
    kind, body = _writing(call), call.json()
    record = named(call, kind, str(body.get("objectId") or ""), body.get("idProperty"))
    if record is not None:
        call.portal.erase(record)
    return Answer(b"", 204)


def merge(call: Call) -> Answer:
    """POST …/{type}/merge: both become one new record, which is the answer."""
    kind, body = _writing(call), call.json()
    pair = [call.portal.resolve(kind.name, str(body.get(name) or "")) for name in ("primaryObjectId", "objectIdToMerge")]
    if pair[0] is None or pair[1] is None or pair[0] is pair[1]:
        raise invalid("Unable to merge: both records must exist and differ")
    return Answer(_answer(call.portal, call.portal.merge(pair[0], pair[1]), set(kind.defaults) | {"hs_merged_object_ids"}))
