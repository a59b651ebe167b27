"""Failures of single records of a batch write: the others are really written by the CRM behind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connector.sandbox.faults.kinds import SALESFORCE
from connector.sandbox.faults.rules import Fault
from connector.sandbox.faults.wire import Answer, collected, whole
from connector.sandbox.hubspot.errors import Failure, missing, not_valid
from connector.sandbox.hubspot.values import Problem

_SALESFORCE: Mapping[str, tuple[str, str]] = {
    "row-locked": ("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records: {id:.15}"),
    "row-refused": ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Close date must be in the future"),
    "row-deleted": ("ENTITY_IS_DELETED", "entity is deleted"),
    "row-read-only": ("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id"),
    "row-flow-failed": (
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "KPI_Watch: System.LimitException: Too many SOQL queries: 101",
    ),
    "row-bad-option": ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Pace: bad value for restricted picklist field: Stuck"),
    "row-failed": ("UNKNOWN_EXCEPTION", "An unexpected error occurred"),
}  # fmt: skip
_HUBSPOT: Mapping[str, tuple[str, str]] = {
    "row-refused": ("FAILED_VALIDATION_RULE", "The value does not satisfy a validation rule of this property"),
    "row-read-only": ("READ_ONLY_VALUE", '"{name}" is a read only property; its value cannot be set.'),
    "row-bad-option": ("INVALID_OPTION", "The value was not one of the allowed options"),
    "row-failed": ("INVALID_LONG", "The value was not a valid long."),
}
_UPSERT = re.compile(r".*/composite/sobjects/\w+/(\w+)/?")
"""A collection of Salesforce whose records are known by a field of theirs."""
_APART = ("row-deleted", "row-conflict")  # on HubSpot errors of a 207; any other fault of one record refuses the whole batch


def touches(fault: Fault, body: bytes, path: str) -> bool:
    """Whether the batch holds a record that the fault is about: by its id, or by its key where the path names the field that holds it.
    Without ids it takes the first record it sees, and stays with it."""
    ids = [_id(record, path) for record in _records(body)]
    if "ids" not in fault.parameters and ids:
        fault.parameters["ids"] = ids[0]
    return not set(ids).isdisjoint(_victims(fault))


def _victims(fault: Fault) -> set[str]:
    return {part.strip() for part in fault.parameters.get("ids", "").split(",") if part.strip()}


def _records(body: bytes) -> list[dict[str, Any]]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    rows = found.get("records", found.get("inputs")) if isinstance(found, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _id(record: Mapping[str, Any], path: str) -> str:
    by_key = _UPSERT.fullmatch(path)
    wanted = by_key[1].lower() if by_key is not None else "id"
    return next((str(value) for name, value in record.items() if name.lower() == wanted), "")


async def strike(fault: Fault, app: ASGIApp, scope: Scope, body: bytes, send: Send, correlation: str) -> None:
    """Fail the records that the fault is about, let the CRM write the others, and put both into one answer."""
    if fault.crm == SALESFORCE:
        await _collection(fault, app, scope, body, send)
    elif fault.kind in _APART:
        await _partly(fault, app, scope, body, send)
    else:
        await _refused(fault, app, scope, body, send, correlation)


async def _collection(fault: Fault, app: ASGIApp, scope: Scope, body: bytes, send: Send) -> None:
    request, victims, path = orjson.loads(body), _victims(fault), str(scope["path"])
    records = request["records"]
    answer = await _behind(app, scope, request | {"records": [r for r in records if _id(r, path) not in victims]})
    rest = iter(orjson.loads(answer.text()))
    code, message = _SALESFORCE[fault.kind]
    code, message = fault.parameters.get("code", code), fault.parameters.get("message", message)
    results = []
    for record in records:
        id_ = _id(record, path)
        error = {"statusCode": code, "message": message.format(id=id_), "fields": []}
        failed = {"success": False, "errors": [error]} | ({"created": False} if _UPSERT.fullmatch(path) else {})
        results.append(failed if id_ in victims else next(rest))
    await whole(answer, orjson.dumps(results), send)


async def _partly(fault: Fault, app: ASGIApp, scope: Scope, body: bytes, send: Send) -> None:
    request, victims = orjson.loads(body), _victims(fault)
    inputs = request["inputs"]
    hit = [str(one["id"]) for one in inputs if str(one.get("id")) in victims]
    rest = [one for one in inputs if str(one.get("id")) not in victims]
    # the API takes no empty batch: where nothing is left, the frame of an answer is had from a read of nothing
    answer = await _behind(app, scope, request | {"inputs": rest}) if rest else None
    if answer and answer.start["status"] >= 400:  # the CRM refuses the others as a whole, before it comes to any
        await whole(answer, answer.text(), send)
        return
    frame = orjson.loads(answer.text()) if answer else {"status": "COMPLETE", "results": []}
    error = missing("DEAL", hit)
    if fault.kind == "row-conflict":
        error = {"status": "error", "category": "CONFLICT", "message": "The record was changed by another request.", "context": {"ids": hit}}
    errors = [*frame.get("errors", []), error]
    frame |= {"errors": errors, "numErrors": len(errors)}
    found = answer or Answer({"type": "http.response.start", "status": 207, "headers": [(b"content-type", b"application/json;charset=utf-8")]})
    found.start = {**found.start, "status": 207}
    await whole(found, orjson.dumps(frame), send)


async def _refused(fault: Fault, app: ASGIApp, scope: Scope, body: bytes, send: Send, correlation: str) -> None:
    code, message = _HUBSPOT[fault.kind]
    code, message = fault.parameters.get("code", code), fault.parameters.get("message", message)
    victim = next(one for one in _records(body) if str(one.get("id")) in _victims(fault))
    name = next(iter(victim.get("properties") or {"hs_object_id": ""}))
    failure: Failure = not_valid([Problem(name, code, message.replace("{name}", name))])
    start = {"type": "http.response.start", "status": 400, "headers": [(b"content-type", b"application/json;charset=utf-8")]}
    await whole(Answer(start), orjson.dumps(failure.body(correlation)), send)


async def _behind(app: ASGIApp, scope: Scope, request: dict[str, Any]) -> Answer:
    """The CRM's answer to another body than the one that came."""
    raw = orjson.dumps(request)
    headers = [(key, value) for key, value in scope["headers"] if key.lower() not in (b"content-length", b"accept-encoding")]
    return await collected(app, {**scope, "headers": [*headers, (b"content-length", str(len(raw)).encode())]}, replay(raw))


def replay(body: bytes) -> Receive:
    """A body that has been read, to be read again."""
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
