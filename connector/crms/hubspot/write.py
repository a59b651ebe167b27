"""Writing values: batches of 100, every answer reconciled by id, refused batches bisected down to the record at fault."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson

from connector.crms.base import Update, WriteResult
from connector.crms.hubspot.faults import NOT_FOUND, ids_in, names_in
from connector.crms.hubspot.records import read_batch
from connector.crms.hubspot.transport import Transport
from connector.crms.hubspot.wire import Raw, same, stamp, stamp_property, text, version_text
from connector.errors import BudgetReached, CrmConfigError, TooLarge, Transient

REFUSED = (400, 404, 409)
OUTAGE = 2  # batches in a row that fail for good: the rest is deferred without trying
UNKNOWN_PROPERTY = "PROPERTY_DOESNT_EXIST"
CODES: Mapping[str, str] = {
    "INVALID_OPTION": "SC-E123",
    "READ_ONLY_VALUE": "SC-E124",
    "REQUIRED_FIELD": "SC-E126",
    "MISSING_REQUIRED_PROPERTY": "SC-E126",
    NOT_FOUND: "SC-E128",
}
VALUE_AT_FAULT = "INVALID_"  # INVALID_LONG, INVALID_DATE …


@dataclass(frozen=True, slots=True)
class _Order:
    """All that is to be set on one record, as text."""

    id: str
    values: dict[str, str] = field(default_factory=dict)


class Writer:
    """Writes to one object type. ``aliases``: merged ids known so far, never written to. ``alive``: ids just read under
    their own name, which need not be looked up again."""

    def __init__(self, transport: Transport, object: str, aliases: dict[str, str], alive: set[str]) -> None:
        self._transport = transport
        self._object = object
        self._aliases = aliases
        self._alive = alive
        self._trace = count(1)
        self._failure: Transient | BudgetReached | None = None
        self._failed = 0  # batches in a row that an outage or a limit cut short

    def write(self, updates: Sequence[Update]) -> Iterator[WriteResult]:
        """One result per update. Updates of one record travel as one, and share its result.

        Raises CrmConfigError if the portal lacks a property (the push stops), AuthenticationError and MissingScope.
        """
        orders: dict[str, _Order] = {}
        for update in updates:
            order = orders.setdefault(update.id, _Order(update.id))
            order.values.update({name: text(value) for name, value in update.values.items()})
        size = self._transport.settings.write_batch
        ids = list(orders)
        for start in range(0, len(ids), size):
            batch = ids[start : start + size]
            results = self._batch([orders[id_] for id_ in batch])
            for update in updates:
                if update.id in results:
                    yield results[update.id]

    def _batch(self, orders: Sequence[_Order]) -> dict[str, WriteResult]:
        """Results by id, one for each order: what limits or a failing network left open is deferred."""
        results: dict[str, WriteResult] = {}
        if self._failure and self._failed >= OUTAGE:
            return {order.id: _deferred(order, self._failure) for order in orders}
        try:
            self._send(self._unmerged(orders, results), results)
            self._failed = 0
        except (Transient, BudgetReached) as error:
            self._failure, self._failed = error, self._failed + 1 if isinstance(error, Transient) else OUTAGE
            for order in orders:
                results.setdefault(order.id, _deferred(order, error))
        return results

    def _unmerged(self, orders: Sequence[_Order], results: dict[str, WriteResult]) -> list[_Order]:
        """Leave out merged and deleted records: an update of a loser would land on its survivor without a word."""
        unsure = [order.id for order in orders if order.id not in self._aliases and order.id not in self._alive]
        held: dict[str, Raw] = {}
        if unsure:
            held, losers = read_batch(self._transport, self._object, unsure, ["hs_object_id"])
            self._aliases |= losers
        for order in orders:
            if order.id in self._aliases:
                results[order.id] = WriteResult(order.id, "gone", "SC-E128", message=f"merged into {self._aliases[order.id]}")
            elif order.id not in held and order.id not in self._alive:
                results[order.id] = WriteResult(order.id, "gone", "SC-E128", NOT_FOUND, "deleted")
        return [order for order in orders if order.id not in results]

    # -- batches -------------------------------------------------------------------------------------------------------

    def _send(self, orders: Sequence[_Order], results: dict[str, WriteResult]) -> None:
        """Write the orders, halving a batch that is refused as a whole until the record at fault stands alone."""
        if not orders:
            return
        body = {"inputs": [{"id": o.id, "objectWriteTraceId": f"{o.id}-{next(self._trace)}", "properties": o.values} for o in orders]}
        path = f"/crm/objects/{self._transport.settings.api_version}/{self._object}/batch/update"
        halve = len(orders) > 1
        try:
            reply = self._transport.post(path, body, accept=REFUSED, writing=True)
        except TooLarge:
            if not halve:
                raise
            self._halves(orders, results)
            return
        if reply.status in REFUSED:
            faults = faults_of(reply.body)
            if reply.status == 404 and NOT_FOUND not in faults.codes:  # the path is gone, not the records
                raise CrmConfigError(f"{path}: HTTP 404: the path or API version is not served", code="SC-E055")
            if UNKNOWN_PROPERTY in faults.codes:
                raise CrmConfigError(f"{self._object}: {faults.message}; the manifest and the portal differ")
            if halve:
                self._halves(orders, results)
            else:
                results[orders[0].id] = faults.result(orders[0])
            return
        self._reconcile(orders, reply.body, results)

    def _halves(self, orders: Sequence[_Order], results: dict[str, WriteResult]) -> None:
        middle = len(orders) // 2
        self._send(orders[:middle], results)
        self._send(orders[middle:], results)

    def _reconcile(self, orders: Sequence[_Order], answer: Mapping[str, Any], results: dict[str, WriteResult]) -> None:
        """input ids − result ids − error ids must be empty; what is left unexplained is sent again alone."""
        returned: dict[str, Raw] = {str(raw["id"]): raw for raw in answer.get("results", ())}
        blamed: dict[str, Mapping[str, Any]] = {}
        for error in answer.get("errors", ()):
            blamed |= dict.fromkeys(_ids_of(error, orders), error)
        doubtful: list[_Order] = []
        unexplained: list[_Order] = []
        for order in orders:
            raw = returned.get(order.id)
            if raw is not None and _took(order, raw):
                results[order.id] = _written(self._object, raw)
            elif raw is not None:
                doubtful.append(order)
            elif order.id in blamed:
                results[order.id] = faults_of(blamed[order.id]).result(order)
            else:
                unexplained.append(order)
        self._look_again(doubtful, results)
        if len(orders) > 1:
            for order in unexplained:
                self._send([order], results)
        elif unexplained:
            results[unexplained[0].id] = WriteResult(unexplained[0].id, "deferred", "SC-E070", message="the answer names neither success nor fault")

    def _look_again(self, orders: Sequence[_Order], results: dict[str, WriteResult]) -> None:
        """A 200 that shows another value, or none: read the record itself. Search would show a stale index."""
        if not orders:
            return
        names = list(dict.fromkeys(name for order in orders for name in order.values))
        held, _ = read_batch(self._transport, self._object, [order.id for order in orders], [*names, stamp_property(self._object)])
        for order in orders:
            raw = held.get(order.id)
            if raw is None:
                results[order.id] = WriteResult(order.id, "gone", "SC-E128", NOT_FOUND, "gone after the write")
            elif _took(order, raw):
                results[order.id] = _written(self._object, raw)
            else:
                took = frozenset(name for name, sent in order.values.items() if same(sent, raw["properties"].get(name)))
                said = f"HubSpot answered with success and kept another value of {', '.join(sorted(order.values.keys() - took))}"
                results[order.id] = WriteResult(order.id, "rejected", "SC-E129", "SILENT_NO_OP", said, took=took)


def _deferred(order: _Order, error: Transient | BudgetReached) -> WriteResult:
    return WriteResult(order.id, "deferred", error.code, message=error.message)


def _took(order: _Order, raw: Raw) -> bool:
    """Whether the answer shows every value that was sent; a key that is absent proves nothing."""
    shown = raw.get("properties") or {}
    return all(name in shown and same(sent, shown[name]) for name, sent in order.values.items())


def _written(object: str, raw: Raw) -> WriteResult:
    return WriteResult(str(raw["id"]), "written", version=version_text(stamp(raw, object)))


def _ids_of(error: Mapping[str, Any], orders: Sequence[_Order]) -> list[str]:
    """Ids an error names: in its context as ids, as trace ids (which begin with the id), or only in its text."""
    told = set(ids_in(error, "ids", "id", "objectId"))
    told |= {trace.rsplit("-", 1)[0] for trace in ids_in(error, "objectWriteTraceId")}
    mine = [order.id for order in orders if order.id in told]
    if mine:
        return mine
    words = set(re.findall(r"\d+", str(error.get("message") or "")))
    named = [order.id for order in orders if order.id in words]
    return named if len(named) == 1 else []


@dataclass(frozen=True, slots=True)
class Faults:
    """What a refusal says: the CRM's codes, most specific first, and its words with the JSON inside them read."""

    codes: tuple[str, ...]
    message: str

    def result(self, order: _Order) -> WriteResult:
        """The refusal of one record, without the values that were sent: they stay out of messages and logs."""
        words = self.message
        for value in sorted({value for value in order.values.values() if value}, key=len, reverse=True):
            words = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", words)
        crm_code = self.codes[0] if self.codes else None
        if NOT_FOUND in self.codes:
            return WriteResult(order.id, "gone", "SC-E128", NOT_FOUND, words)
        return WriteResult(order.id, "rejected", self.code(), crm_code, words)

    def code(self) -> str:
        """Our code: by the table, then values at fault, then a rule of the portal."""
        for crm_code in self.codes:
            if crm_code in CODES:
                return CODES[crm_code]
        if any(crm_code.startswith(VALUE_AT_FAULT) for crm_code in self.codes):
            return "SC-E129"
        return "SC-E121" if "VALIDATION_ERROR" in self.codes else "SC-E129"


def faults_of(body: Mapping[str, Any]) -> Faults:
    """Read a refusal: top-level ``errors`` (which can be incomplete), the JSON inside ``message``, the category last."""
    said = str(body.get("message") or "")
    inner = _inner(said)
    frame = {key: body[key] for key in ("subCategory", "category", "errorType") if key in body}
    codes = [*names_in({"errors": body.get("errors")}), *(str(part["error"]) for part in inner if part.get("error")), *names_in(frame)]
    details = [str(part["message"]) for part in inner or body.get("errors") or () if isinstance(part, dict) and part.get("message")]
    words = details if inner and details else [said or ", ".join(codes), *(detail for detail in details if detail not in said)]
    if body.get("correlationId"):
        words.append(f"correlationId {body['correlationId']}")
    return Faults(tuple(dict.fromkeys(codes)), "; ".join(words))


def _inner(message: str) -> list[dict[str, Any]]:
    """``Property values were not valid: [{…}]``: the list inside the text."""
    start = message.find("[{")
    if start < 0:
        return []
    try:
        parts = orjson.loads(message[start : message.rfind("]") + 1])
    except orjson.JSONDecodeError:
        return []
    return [part for part in parts if isinstance(part, dict)]
