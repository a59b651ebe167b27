"""GROUP BY and the aggregate functions: records of type AggregateResult with ``expr0`` names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connector.sandbox.salesforce.paths import Path, Scope
from connector.sandbox.salesforce.schema import NUMBER_TYPES, Row
from connector.sandbox.salesforce.soql import Call, Name, Query, SoqlError, TypeOf

FUNCTIONS: Mapping[str, Callable[[list[Any]], Any]] = {
    "count": len,
    "count_distinct": lambda values: len(set(values)),
    "sum": lambda values: sum(values) if values else None,
    "avg": lambda values: sum(values) / len(values) if values else None,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
}


def grouped(scope: Scope, query: Query, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One record a group, or one over all rows. Raises SoqlError MALFORMED_QUERY for a field that is neither grouped nor aggregated."""
    keys = [scope.resolve(name) for name in query.group]
    columns = [_column(scope, item, {name.text.lower() for name in query.group}) for item in query.items]
    names = _names(query)
    groups: dict[tuple[Any, ...], list[Row]] = {} if keys else {(): list(rows)}
    if keys:
        for row in rows:
            groups.setdefault(tuple(path.get(row) for path in keys), []).append(row)
    ordered = sorted(groups.items(), key=lambda group: [(key is not None, key) for key in group[0]])
    for sort in reversed(query.order):
        place = next((at for at, name in enumerate(query.group) if name.text.lower() == sort.field.text.lower()), None)
        if place is None:
            raise SoqlError("MALFORMED_QUERY", f"Ordered field must be grouped or aggregated: {sort.field.text}")
        ordered.sort(key=_by(place), reverse=sort.descending)
    records = [
        {"attributes": {"type": "AggregateResult"}} | {name: column(members) for name, column in zip(names, columns, strict=True)}
        for _, members in ordered
    ]  # fmt: skip
    start = query.offset or 0
    return records[start:] if query.limit is None else records[start : start + query.limit]


def _names(query: Query) -> list[str]:
    names, nameless = [], 0
    for item in query.items:
        if isinstance(item, Name):
            names.append(item.text.rsplit(".", 1)[-1])
        elif isinstance(item, Call) and item.alias is not None:
            names.append(item.alias)
        else:
            names.append(f"expr{nameless}")
            nameless += 1
    return names


def _column(scope: Scope, item: Name | Call | Query | TypeOf, keys: set[str]) -> Callable[[list[Row]], Any]:
    if isinstance(item, Name):
        path = scope.resolve(item)
        if item.text.lower() not in keys:
            raise SoqlError("MALFORMED_QUERY", f"Field must be grouped or aggregated: {item.text}")
        return lambda members: path.get(members[0])
    if not isinstance(item, Call) or item.field is None or item.function.text.lower() not in FUNCTIONS:
        raise SoqlError("MALFORMED_QUERY", "unknown function in the SELECT list")
    fold, path = FUNCTIONS[item.function.text.lower()], scope.resolve(item.field)
    if item.function.text.lower() in ("sum", "avg") and path.field.type not in NUMBER_TYPES:
        raise SoqlError("MALFORMED_QUERY", f"field {path.field.name} does not support aggregate operator {item.function.text.upper()}")
    return lambda members: fold(_values(path, members))


def _by(place: int) -> Callable[[tuple[tuple[Any, ...], list[Row]]], Any]:
    return lambda group: (group[0][place] is not None, group[0][place])


def _values(path: Path, members: list[Row]) -> list[Any]:
    return [value for row in members if (value := path.get(row)) is not None]
