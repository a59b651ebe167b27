"""A WHERE condition → one function over a row. Comparisons are two-valued, text ignores case, ids do not."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

from connector.sandbox.salesforce.ids import full_id
from connector.sandbox.salesforce.paths import Path, Scope
from connector.sandbox.salesforce.schema import ID_TYPES, NUMBER_TYPES, TEXT_TYPES, FieldDef, Row
from connector.sandbox.salesforce.soql import Combine, Compare, Condition, Constant, SoqlError

Test = Callable[[Row], bool]
ORDERED: dict[str, Callable[[Any, Any], bool]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
LONGEST_LITERAL = 4000


def compiled(scope: Scope, condition: Condition) -> Test:
    """The condition as a function. Raises SoqlError INVALID_FIELD, INVALID_QUERY_FILTER_OPERATOR."""
    if isinstance(condition, Compare):
        return _comparison(scope, condition)
    tests = tuple(compiled(scope, part) for part in condition.parts)
    if condition.operator == "not":
        inner = tests[0]
        return lambda row: not inner(row)
    if len(tests) == 2:
        first, second = tests
        if condition.operator == "and":
            return lambda row: first(row) and second(row)
        return lambda row: first(row) or second(row)
    if condition.operator == "and":
        return lambda row: all(test(row) for test in tests)
    return lambda row: any(test(row) for test in tests)


def narrowing(condition: Condition | None) -> list[Compare]:
    """Comparisons that every result must meet: what an index may be asked for."""
    if isinstance(condition, Compare):
        return [condition]
    if isinstance(condition, Combine) and condition.operator == "and":
        return [found for part in condition.parts for found in narrowing(part)]
    return []


def operand(scope: Scope, field: FieldDef, literal: Constant) -> Any:
    """A literal in the form in which the field's values compare. Raises SoqlError where the types do not go together."""
    kind, value = literal.kind, literal.value
    if kind == "null":
        return None
    if field.type in ID_TYPES and kind == "string":
        found = full_id(value)
        if found is None and value:
            raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {value}")
        return found
    if field.type in TEXT_TYPES and kind == "string":
        if len(value) > LONGEST_LITERAL:
            raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"value of filter criterion for field '{field.name}' is too long")
        return value.casefold()
    if (field.type in NUMBER_TYPES and kind == "number") or (field.type in ("boolean", "date", "datetime") and kind == field.type):
        return value
    wanted = {"datetime": "dateTime"}.get(field.type, field.type)
    quoted = " and should be enclosed in quotes" if field.type in TEXT_TYPES | ID_TYPES else " and should not be enclosed in quotes"
    raise SoqlError("INVALID_FIELD", f"value of filter criterion for field '{field.name}' must be of type {wanted}{quoted}")


def _comparison(scope: Scope, found: Compare) -> Test:
    path = scope.resolve(found.field)
    field = path.field
    if not field.filterable:
        raise scope.refuse(found.field, f"field '{field.name}' can not be filtered in a query call")
    sign = found.operator
    if sign == "like":
        return _like(field, path, found.values[0].value)
    if sign in ("includes", "excludes") and field.type != "multipicklist":
        raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"{sign} operator is not valid on {field.name}")
    values = [operand(scope, field, literal) for literal in found.values]
    get = _folded(field, path)
    if sign in ("in", "not_in"):
        wanted, inside = frozenset(values), sign == "in"
        return lambda row: (get(row) in wanted) is inside
    if sign in ("includes", "excludes"):
        choices, inside = frozenset(values), sign == "includes"
        return lambda row: (not choices.isdisjoint((get(row) or "").split(";"))) is inside
    return _simple(field, get, sign, values[0])


def _simple(field: FieldDef, get: Callable[[Row], Any], sign: str, value: Any) -> Test:
    if sign == "=":
        return lambda row: get(row) == value
    if sign == "!=":
        return lambda row: get(row) != value
    if value is None or field.type == "boolean":
        raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {field.type} field")
    compare = ORDERED[sign]

    def ordered(row: Row) -> bool:
        held = get(row)
        return held is not None and compare(held, value)

    return ordered


def _folded(field: FieldDef, path: Path) -> Callable[[Row], Any]:
    read = path.get
    if field.type in TEXT_TYPES:

        def folded(row: Row) -> Any:
            held = read(row)
            return held.casefold() if isinstance(held, str) else held

        return folded
    if field.type == "boolean":
        return lambda row: bool(read(row))
    return read


def _like(field: FieldDef, path: Path, pattern: str) -> Test:
    if field.type not in TEXT_TYPES:
        raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {field.type} field")
    pieces, at = [], 0
    while at < len(pattern):
        if pattern[at] == "\\" and at + 1 < len(pattern):
            pieces.append(re.escape(pattern[at + 1]))
            at += 2
            continue
        pieces.append({"%": ".*", "_": "."}.get(pattern[at]) or re.escape(pattern[at]))
        at += 1
    match, read = re.compile("".join(pieces), re.IGNORECASE | re.DOTALL).fullmatch, path.get

    def like(row: Row) -> bool:
        held = read(row)
        return isinstance(held, str) and match(held) is not None

    return like
