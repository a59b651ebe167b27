"""Endpoints of associations: read in batches and per record, labels, create, archive."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from connector.sandbox.hubspot.call import Answer, Call
from connector.sandbox.hubspot.errors import NotFound, invalid
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.records import Record
from connector.sandbox.hubspot.schema import ObjectType

INPUTS_MAX = 1000
WRITES_MAX = 2000
PAGE_MAX = 500


def _token(number: int) -> str:
    return base64.b64encode(str(number).encode()).decode().rstrip("=")


def _from_token(text: str) -> int:
    try:
        return int(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    except (ValueError, binascii.Error):
        raise invalid(f"after {text} is not a valid cursor") from None


def labels(call: Call) -> Answer:
    """GET /crm/associations/{v}/{from}/{to}/labels."""
    kind, to = call.kind("from"), call.kind("to")
    call.allow(kind.needs("read"))
    return Answer({"results": [label.wire() for label in call.portal.associations.labels.get((kind.name, to.name), [])]})


def batch_read(call: Call) -> Answer:
    """POST …/associations/{from}/{to}/batch/read: 1,000 records, each with its own pages. A record without links, or a merged
    loser's id, is an error NO_ASSOCIATIONS_FOUND in a 207, which means the empty set."""
    kind, to, portal = call.kind("from"), call.kind("to"), call.portal
    call.allow(kind.needs("read"), to.needs("read"))
    results: list[dict[str, object]] = []
    errors: list[dict[str, object]] = []
    for one in call.inputs(call.json(), INPUTS_MAX):
        id_ = one["id"]
        held = portal.linked(kind.name, int(id_) if id_.isdigit() else -1, to.name)
        if not held:
            message = f"No {to.singular} is associated with {kind.singular} {id_}."
            context = {"fromObjectId": [id_], "fromObjectType": [kind.singular], "toObjectType": [to.singular]}
            errors.append({"status": "error", "category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
                           "message": message, "context": context})  # fmt: skip
            continue
        results.append({"from": {"id": id_}} | _page(held, one.get("after"), portal.association_page))
    return call.batch(results, errors)


def _page(held: Mapping[int, list[dict[str, object]]], after: object, size: int, key: str = "to") -> dict[str, object]:
    first = _from_token(str(after)) if after else 0
    rest = [number for number in held if number >= first]
    page = rest[:size]
    shown: dict[str, object] = {key: [{"toObjectId": str(number), "associationTypes": held[number]} for number in page]}
    if len(rest) > len(page):
        shown["paging"] = {"next": {"after": _token(rest[len(page)])}}
    return shown


def list_links(call: Call) -> Answer:
    """GET /crm/objects/{v}/{from}/{id}/associations/{to}: gone from 2026-09 on, use batch/read."""
    if call.strict:
        raise NotFound
    kind, to, portal = call.kind("from"), call.kind("to"), call.portal
    call.allow(kind.needs("read"), to.needs("read"))
    record = portal.resolve(kind.name, call.path["id"])
    if record is None or record.archived_at is not None:
        raise NotFound
    return Answer(_page(portal.linked(kind.name, record.number, to.name), call.query.get("after"), call.number("limit", 500, PAGE_MAX), "results"))


# -- writing -------------------------------------------------------------------------------------------------------------


def _end(portal: Portal, kind: ObjectType, given: object) -> Record | None:
    id_ = str(given.get("id")) if isinstance(given, dict) else ""
    record = portal.resolve(kind.name, id_)
    return record if record is not None and record.archived_at is None else None


def associate(portal: Portal, one: Record, two: Record, types: object) -> list[str]:
    """Link two records by the types of a request; the labels set. Raises Failure (400)."""
    if not isinstance(types, list) or not types:
        raise invalid("Invalid input JSON: types must be a list")
    names: list[str] = []
    for given in types:
        try:
            label = portal.associations.of_type(one.kind.name, two.kind.name, int(given["associationTypeId"]))
        except (KeyError, TypeError, ValueError):
            raise invalid(f"Invalid association type from {one.kind.singular} to {two.kind.singular}") from None
        portal.associate(one, two, label.name)
        names += [label.name] if label.name else []
    return names


def batch_create(call: Call) -> Answer:
    """POST …/associations/{from}/{to}/batch/create: 201, or 207 where an end is not there. The error names the record in its text only."""
    kind, to, portal = call.kind("from"), call.kind("to"), call.portal
    call.allow(kind.needs("write"), to.needs("write"))
    results: list[dict[str, object]] = []
    errors: list[dict[str, object]] = []
    for one in call.rows(call.json(), WRITES_MAX):
        if unfit := _unfit(kind, to, one):
            errors.append(unfit)
            continue
        ends = [_end(portal, kind, one.get("from")), _end(portal, to, one.get("to"))]
        gone = [
            f"{type_.singular.upper()}={(one.get(side) or {}).get('id')} is not valid"
            for type_, side, end in zip((kind, to), ("from", "to"), ends, strict=True)
            if end is None
        ]
        if gone or ends[0] is None or ends[1] is None:
            errors.append({"status": "error", "category": "VALIDATION_ERROR", "message": gone[0]})
            continue
        names = associate(portal, ends[0], ends[1], one.get("types"))
        results.append({
            "fromObjectTypeId": kind.type_id, "fromObjectId": ends[0].id, "toObjectTypeId": to.type_id, "toObjectId": ends[1].id, "labels": names,
        })  # fmt: skip
    return call.batch(results, errors, 201)


def _unfit(kind: ObjectType, to: ObjectType, one: Mapping[str, Any]) -> dict[str, object] | None:
    """The error of a pair that cannot be one: an id that is no id, or a record with itself."""
    ids = [str((one.get(side) or {}).get("id")) for side in ("from", "to")]
    bad = next((id_ for id_ in ids if not id_.isdigit()), None)
    if bad is not None:
        return {"status": "error", "category": "VALIDATION_ERROR", "subCategory": "crm.associations.INVALID_IDENTIFIER",
                "message": f"{bad} is not a valid ID", "context": {"id": [bad]}}  # fmt: skip
    if kind is to and ids[0] == ids[1]:
        return {"status": "error", "category": "VALIDATION_ERROR", "message": f"Object {ids[0]} cannot be associated to itself ({ids[1]})"}
    return None


def batch_archive(call: Call) -> Answer:
    """POST …/associations/{from}/{to}/batch/archive: 204, whether or not the links were there."""
    kind, to, portal = call.kind("from"), call.kind("to"), call.portal
    call.allow(kind.needs("write"), to.needs("write"))
    for one in call.rows(call.json(), WRITES_MAX):
        first = _end(portal, kind, one.get("from"))
        for other in one.get("to") or []:
            second = _end(portal, to, other)
            if first is not None and second is not None:
                portal.dissociate(first, second)
    # Other empty answers have neither header; this one has both.
    return Answer(b"", 204, {"Content-Type": "application/json;charset=utf-8", "Vary": "Accept-Encoding"})


def put_default(call: Call) -> Answer:
    """PUT /crm/objects/{v}/{from}/{id}/associations/default/{to}/{other}: the unlabelled type, told in both directions."""
    kind, to, portal = call.kind("from"), call.kind("to"), call.portal
    call.allow(kind.needs("write"), to.needs("write"))
    one, two = _end(portal, kind, {"id": call.path["id"]}), _end(portal, to, {"id": call.path["other"]})
    if one is None or two is None:
        raise NotFound
    try:
        portal.associate(one, two)
    except KeyError:
        raise invalid(f"No default association from {kind.singular} to {to.singular}") from None
    rows = [
        {"from": {"id": a.id}, "to": {"id": b.id}, "associationSpec": {
            "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": portal.associations.label(a.kind.name, b.kind.name, None).type_id}}
        for a, b in ((one, two), (two, one))
    ]  # fmt: skip
    return call.batch(rows, [])


def inline(portal: Portal, record: Record, types: list[ObjectType]) -> dict[str, Any]:
    """``{"associations": …}`` as lists carry it: an id once per type of the pair, cut at a page; no key where there are none."""
    found = {}
    for to in types:
        held = portal.linked(record.kind.name, record.number, to.name)
        plain = f"{record.kind.singular}_to_{to.singular}"
        rows = [
            {"id": str(number), "type": plain if type_["label"] or len(known) == 1 else f"{plain}_unlabeled"}
            for number, known in list(held.items())[: portal.association_page]
            for type_ in known
        ]
        if rows:
            found[to.name] = {"results": rows}
    return {"associations": found} if found else {}
