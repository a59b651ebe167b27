"""The search endpoint: filter groups, one sort, offsets up to 10,000, and an index that may trail behind.

Ranges over the modified date are answered from the stamp-sorted index; everything else is a filter over what is left.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import inf
from typing import Any

from connector.sandbox.hubspot.errors import Failure, invalid
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.records import Record, parse_stamp
from connector.sandbox.hubspot.schema import ObjectType, Property, object_type

PAGE_MAX = 200
RESULTS_MAX = 10_000
GROUPS_MAX, FILTERS_MAX, FILTERS_IN_ALL = 6, 10, 25
SEARCHABLE = (
    "dealname", "name", "domain", "email", "firstname", "lastname", "hs_meeting_title", "hs_task_subject", "hs_email_subject", "hs_call_title",
)  # fmt: skip
"""Where the words of ``query`` are looked for."""

Values = Mapping[str, str]
Key = float | str
Test = Callable[[Values], bool]


@dataclass
class Group:
    """One filter group: bounds on the stamp (ms, upper one exclusive) and the tests that remain."""

    low: float = -inf
    high: float = inf
    tests: list[Test] = field(default_factory=list)

    def accepts(self, moved: int, values: Values) -> bool:
        return self.low <= moved < self.high and all(test(values) for test in self.tests)


@dataclass(frozen=True, slots=True)
class Hit:
    stamp: int
    record: Record
    values: Values


@dataclass(frozen=True, slots=True)
class Found:
    """``total`` counts index entries, ghosts included; ``hits`` is one page; ``after``: the next offset, None at the end."""

    total: int
    hits: list[Hit]
    after: int | None


def search(portal: Portal, kind: ObjectType, body: Mapping[str, Any]) -> Found:
    """Answer one query. Raises Failure (400) on a bad page, operator, property or value, and beyond 10,000."""
    limit, offset = _number(body, "limit", 10), _number(body, "after", 0)
    if not 0 < limit <= PAGE_MAX:
        raise invalid(f"Invalid input JSON: limit must be between 1 and {PAGE_MAX}, got {limit}")
    if offset < 0 or offset + limit > RESULTS_MAX:
        raise Failure(400, "There was a problem with the request.")
    groups = _groups(portal, kind, body)
    hits = _matching(portal, kind, groups)
    words = str(body.get("query") or "").lower().split()
    if words:
        hits = [hit for hit in hits if all(any(word in value.lower() for value in _texts(hit.values)) for word in words)]
    _sort(portal, kind, hits, body.get("sorts"))
    total = len(hits) + _ghosts(portal, kind, groups)
    page = hits[offset : offset + max(limit - portal.page_shortfall, 1)]
    reached = offset + len(page)
    return Found(total, page, reached if page and reached < len(hits) else None)


def _number(body: Mapping[str, Any], name: str, default: int) -> int:
    raw = body.get(name)
    try:
        return default if raw in (None, "") else int(str(raw))
    except ValueError:
        raise invalid(f"Invalid input JSON: {name} is not an integer") from None


def _texts(values: Values) -> Iterable[str]:
    return (values[name] for name in SEARCHABLE if name in values)


# -- candidates ----------------------------------------------------------------------------------------------------------


def _matching(portal: Portal, kind: ObjectType, groups: list[Group]) -> list[Hit]:
    """What the index holds and any group accepts, each record once, by stamp and id."""
    found: dict[int, Hit] = {}
    behind = _behind(portal, kind)
    for group in groups:
        for hit in _candidates(portal, kind, group, behind):
            if all(test(hit.values) for test in group.tests):
                found[hit.record.number] = hit
    hits = list(found.values())
    if len(groups) > 1 or behind:
        hits.sort(key=lambda hit: (hit.stamp, hit.record.number))
    return hits


def _behind(portal: Portal, kind: ObjectType) -> dict[int, int]:
    """Records of which the index does not know the latest: number → the instant (ms) as of which it shows them."""
    horizon, index = portal.horizon, portal.index[kind.name]
    known: dict[int, int] = {}
    if horizon < portal.now:
        known = {number: horizon for _, number in index[bisect_left(index, (horizon + 1, -1)) :]}
    live = portal.records[kind.name]
    for (name, number), (since, until) in portal.delayed.items():
        if name == kind.name and until > portal.now and number in live and live[number].archived_at is None:
            known[number] = min(since, known.get(number, since))
    return known


def _candidates(portal: Portal, kind: ObjectType, group: Group, behind: Mapping[int, int]) -> Iterable[Hit]:
    index, records = portal.index[kind.name], portal.records[kind.name]
    for moved, number in index[bisect_left(index, (group.low, -1)) : bisect_left(index, (group.high, -1))]:
        if number not in behind:
            record = records[number]
            yield Hit(moved, record, record.values)
    for number, at in behind.items():  # still seen as it was
        was = records[number].as_of(at)
        if was is not None and group.low <= was[0] < group.high:
            yield Hit(was[0], records[number], was[1])


def _ghosts(portal: Portal, kind: ObjectType, groups: list[Group]) -> int:
    """Records archived since the horizon: the index still counts them, but cannot show them."""
    horizon = portal.horizon
    if horizon >= portal.now:
        return 0
    gone = [record for record in portal.records[kind.name].values() if record.archived_at is not None and record.archived_at > horizon]
    return sum(any(group.accepts(record.stamp, record.values) for group in groups) for record in gone)


def _sort(portal: Portal, kind: ObjectType, hits: list[Hit], sorts: object) -> None:
    """Only the first sort counts, and only if it is an object: text is ignored without a word. Unset values come last."""
    first = sorts[0] if isinstance(sorts, list) and sorts else None
    if not isinstance(first, dict):
        hits.sort(key=lambda hit: hit.record.number)
        return
    prop, back = _property(portal, kind, first.get("propertyName")), first.get("direction") == "DESCENDING"
    if prop.name == kind.modified:
        if back:
            hits.sort(key=lambda hit: -hit.stamp)
        return
    key = _key(portal, prop)
    hits.sort(key=lambda hit: hit.record.number)
    known = sorted((hit for hit in hits if hit.values.get(prop.name)), key=lambda hit: key(hit.values[prop.name]), reverse=back)
    hits[:] = known + [hit for hit in hits if not hit.values.get(prop.name)]


# -- filters ---------------------------------------------------------------------------------------------------------------


def _groups(portal: Portal, kind: ObjectType, body: Mapping[str, Any]) -> list[Group]:
    given = body.get("filterGroups") or ([{"filters": body["filters"]}] if body.get("filters") else [])
    if not isinstance(given, list) or not all(isinstance(group, dict) and isinstance(group.get("filters"), list) for group in given):
        raise invalid("Invalid input JSON: filterGroups must be a list of objects with filters")
    if len(given) > GROUPS_MAX:
        raise invalid(f"Too many filter groups: {len(given)}. The maximum is {GROUPS_MAX}")
    if any(len(group["filters"]) > FILTERS_MAX for group in given) or sum(len(group["filters"]) for group in given) > FILTERS_IN_ALL:
        raise invalid(f"Too many filters. The maximum is {FILTERS_MAX} in a group and {FILTERS_IN_ALL} in all")
    return [_group(portal, kind, group["filters"]) for group in given] or [Group()]


def _group(portal: Portal, kind: ObjectType, filters: list[Any]) -> Group:
    group = Group()
    for one in filters:
        if not isinstance(one, dict):
            raise invalid("Invalid input JSON: a filter must be an object")
        operator = str(one.get("operator"))
        if str(one.get("propertyName")).startswith("associations."):
            group.tests.append(_linked(portal, kind, operator, one))
            continue
        prop = _property(portal, kind, one.get("propertyName"))
        if prop.name == kind.modified and operator in ("GTE", "GT", "LT", "LTE", "EQ", "BETWEEN"):
            low, high = _bounds(operator, *_range_keys(portal, prop, operator, one))
            group.low, group.high = max(group.low, low), min(group.high, high)
        else:
            group.tests.append(_test(portal, prop, operator, one))
    return group


def _linked(portal: Portal, kind: ObjectType, operator: str, one: Mapping[str, Any]) -> Test:
    """``associations.contact EQ 1451`` (or IN): linked with that record. Raises Failure (400)."""
    to = object_type(str(one["propertyName"]).removeprefix("associations."))
    if to is None or operator not in ("EQ", "IN"):
        raise invalid(f"Invalid input JSON: {one['propertyName']} {operator} cannot be searched for")
    wanted = {str(value) for value in (one.get("values") or [] if operator == "IN" else [one.get("value")])}
    name = to.name
    return lambda values: any(str(number) in wanted for number in portal.linked(kind.name, int(values["hs_object_id"]), name))


def _property(portal: Portal, kind: ObjectType, name: object) -> Property:
    prop = portal.properties[kind.name].get(str(name))
    if prop is None:
        raise invalid(f'Property "{name}" does not exist', code="PROPERTY_DOESNT_EXIST")
    return prop


def _bounds(operator: str, value: Any, high: Any) -> tuple[float, float]:
    """The half-open range of stamps that an operator means."""
    return {
        "GTE": (value, inf),
        "GT": (value + 1, inf),
        "LT": (-inf, value),
        "LTE": (-inf, value + 1),
        "EQ": (value, value + 1),
        "BETWEEN": (value, high + 1),
    }[operator]


def _key(portal: Portal, prop: Property) -> Callable[[str], Key]:
    """How values of a property compare."""
    if prop.name == "hs_object_id" and portal.ids_as_text:
        return str
    if prop.type in ("datetime", "date"):
        return parse_stamp
    return float if prop.type == "number" else str.casefold


def _read(portal: Portal, prop: Property, raw: object) -> Key:
    try:
        return _key(portal, prop)(str(raw))
    except ValueError:
        raise invalid(f"{raw} was not a valid long.", code="INVALID_LONG") from None


def _range_keys(portal: Portal, prop: Property, operator: str, one: Mapping[str, Any]) -> tuple[Key, Key]:
    value = _read(portal, prop, one.get("value", ""))
    return value, _read(portal, prop, one.get("highValue", "")) if operator == "BETWEEN" else value


def _test(portal: Portal, prop: Property, operator: str, one: Mapping[str, Any]) -> Test:
    name, key = prop.name, _key(portal, prop)
    if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        wanted = operator == "HAS_PROPERTY"
        return lambda values: bool(values.get(name)) is wanted
    if operator in ("IN", "NOT_IN"):
        if not isinstance(one.get("values"), list):
            raise invalid(f"Operator {operator} needs values")
        options, inside = {_read(portal, prop, value) for value in one["values"]}, operator == "IN"
        return lambda values: (bool(values.get(name)) and key(values[name]) in options) is inside
    if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
        pattern, contained = str(one.get("value", "")).casefold(), operator == "CONTAINS_TOKEN"
        return lambda values: any(fnmatchcase(word, pattern) for word in values.get(name, "").casefold().split()) is contained
    if operator not in ("EQ", "NEQ", "GT", "GTE", "LT", "LTE", "BETWEEN"):
        raise invalid(f"Invalid input JSON: unknown operator {operator}")
    return _comparison(name, key, operator, *_range_keys(portal, prop, operator, one))


def _comparison(name: str, key: Callable[[str], Key], operator: str, low: Any, high: Any) -> Test:
    compare: dict[str, Callable[[Any], bool]] = {
        "EQ": lambda value: bool(value == low),
        "GT": lambda value: bool(value > low),
        "GTE": lambda value: bool(value >= low),
        "LT": lambda value: bool(value < low),
        "LTE": lambda value: bool(value <= low),
        "BETWEEN": lambda value: bool(low <= value <= high),
    }
    if operator == "NEQ":
        return lambda values: not values.get(name) or key(values[name]) != low
    accepts = compare[operator]
    return lambda values: bool(values.get(name)) and accepts(key(values[name]))
