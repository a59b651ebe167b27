"""Running a query: candidates by index, one test, one sort; the result is ids and a function that makes records of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

from connector.sandbox.salesforce.access import record_access
from connector.sandbox.salesforce.aggregates import grouped
from connector.sandbox.salesforce.conditions import Test, compiled, narrowing, operand
from connector.sandbox.salesforce.definitions import SEES_ALL, custom_field_rows, field_rows, limit_rows
from connector.sandbox.salesforce.more_objects import SET_UP, TOOLING, TOOLING_ONLY
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.paths import NO_OBJECT, Path, Scope, find_object
from connector.sandbox.salesforce.projection import Tree, collect, projector
from connector.sandbox.salesforce.rows import Table
from connector.sandbox.salesforce.schema import TEXT_TYPES, ObjectDef, Row
from connector.sandbox.salesforce.soql import Call, Name, Query, SoqlError, Sort, TypeOf, drawing, parse

Select = Callable[[Iterable[Row]], list[Row]]
LARGEST_OFFSET = 2000
MOST_GROUPS = 2000
LONGEST_QUERY = 100_000


@dataclass(frozen=True, slots=True)
class Result:
    """``project`` makes the records of some of the ids as they are now; purged ones are left out.

    ``rows``: the records of an aggregate query, which has no ids. ``size``: the most rows a page may have.
    """

    total: int
    ids: Sequence[str]
    project: Callable[[Sequence[str]], list[Mapping[str, Any]]]
    rows: Sequence[Mapping[str, Any]] | None = None
    size: int = 2000


def checked(org: Org, text: str, user: str = "") -> None:
    """Look at a query without running it. Raises SoqlError as the org would refuse it."""
    query = parse(text)
    scope = Scope(org, org.moment(user), find_object(org, query.source, text, user), query.alias, text, user)
    collect(scope, (item for item in query.items if isinstance(item, Name)), Tree())
    _selection(scope, query, True)


def run(org: Org, text: str, *, include_deleted: bool, version: str, user: str = "", tooling: bool = False) -> Result:
    """Answer a query of a user ("": one who sees all); ``tooling``: of the Tooling API. Raises SoqlError as the org would refuse it."""
    if len(text) > LONGEST_QUERY:
        raise SoqlError("MALFORMED_QUERY", "SOQL statements cannot be longer than 100000 characters.")
    query = parse(text)
    definition = find_object(org, query.source, text, user)
    hidden = definition.name in SET_UP and bool(user) and not org.grants(user).permissions & SEES_ALL
    if hidden or (definition.name not in TOOLING if tooling else definition.name in TOOLING_ONLY):
        raise SoqlError("INVALID_TYPE", drawing(text, query.source.line, query.source.column, NO_OBJECT.format(name=query.source.text)))
    if (query.offset or 0) > LARGEST_OFFSET:
        raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {LARGEST_OFFSET}")
    scope = Scope(org, org.moment(user), definition, query.alias, text, user)
    calls = [item for item in query.items if isinstance(item, Call)]
    counting = len(query.items) == 1 and bool(calls) and calls[0].field is None and calls[0].function.text.lower() == "count"
    if counting or calls or query.group:
        whole = query if counting else replace(query, order=(), limit=None, offset=None)
        rows = _selection(scope, whole, include_deleted)(_candidates(scope, query, org.tables[definition.name]))
        if counting:
            return Result(len(rows), (), _nothing, ())
        records = grouped(scope, query, rows)
        if len(records) > MOST_GROUPS:
            message = "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch"
            raise SoqlError("EXCEEDED_ID_LIMIT", message)
        return Result(len(records), (), _nothing, records)
    return _records(scope, query, include_deleted, version)


def visible(definition: ObjectDef, scope: Scope) -> Test:
    """What plain ``query`` shows: neither deleted rows nor archived activities."""
    archived = definition.fields.get("IsArchived")
    if archived is None or archived.compute is None:
        return lambda row: not row.get("IsDeleted")
    compute, moment = archived.compute, scope.moment
    return lambda row: not row.get("IsDeleted") and not compute(row, moment)


def _records(scope: Scope, query: Query, include_deleted: bool, version: str) -> Result:
    org, table = scope.org, scope.org.tables[scope.definition.name]
    tree = Tree()
    collect(scope, (item for item in query.items if isinstance(item, Name)), tree)
    for item in query.items:
        if isinstance(item, Query):
            _child(scope, item, tree, include_deleted, version)
        elif isinstance(item, TypeOf):
            _by_type(scope, item, tree, version)
    project_row = projector(org, tree, version)
    ids = [row["Id"] for row in _selection(scope, query, include_deleted)(_candidates(scope, query, table))]
    rows = table.rows

    def project(some: Sequence[str]) -> list[Mapping[str, Any]]:
        return [project_row(rows[key]) for key in some if key in rows]

    long_texts = sum(1 for name in tree.fields if (f := scope.definition.fields.get(name)) is not None and f.long_text)
    return Result(len(ids), ids, project, size=200 if long_texts > 1 else 2000)


def _child(scope: Scope, query: Query, tree: Tree, include_deleted: bool, version: str) -> None:
    child = next((c for c in scope.definition.children if (c.relationship or "").lower() == query.source.text.lower()), None)
    if child is None:
        message = f"Didn't understand relationship '{query.source.text}' in FROM part of query call."
        raise SoqlError("INVALID_TYPE", drawing(scope.text, query.source.line, query.source.column, message))
    table = scope.org.tables[child.object]
    seen = scope.org.seen(child.object, scope.user)
    if seen is None:
        raise SoqlError("INVALID_TYPE", drawing(scope.text, query.source.line, query.source.column, NO_OBJECT.format(name=child.object)))
    inner = replace(scope, definition=seen, alias=query.alias)
    below = Tree()
    collect(inner, (item for item in query.items if isinstance(item, Name)), below)
    project, select = projector(scope.org, below, version), _selection(inner, query, include_deleted)

    def get(row: Row) -> Any:
        found = select(table.rows[key] for key in table.ids_with(child.field, (row["Id"],)))
        return {"totalSize": len(found), "done": True, "records": [project(r) for r in found]} if found else None

    assert child.relationship is not None
    tree.fields[child.relationship] = get
    tree.plain = False


def _by_type(scope: Scope, found: TypeOf, tree: Tree, version: str) -> None:
    """A parent of which other fields are shown for each object it may be of."""
    reference = scope.definition.parent(found.field.text)
    if reference is None:
        raise scope.refuse(found.field, f"No such relation '{found.field.text}' on entity '{scope.definition.name}'")
    shown = {}
    for kind, names in (*found.cases, (None, found.other)):
        if not names:
            continue
        if kind is None:
            shown[""] = _projector_of(scope, scope.org.schema[reference.reference_to[0]], names, version)
        else:
            definition = find_object(scope.org, kind, scope.text, scope.user)
            shown[definition.name] = _projector_of(scope, definition, names, version)

    def get(row: Row) -> Any:
        parent = scope.org.find(row.get(reference.name, ""))
        project = None if parent is None else shown.get(scope.org.prefixes[parent["Id"][:3]]) or shown.get("")
        return None if parent is None or project is None else project(parent)

    assert reference.relationship is not None
    tree.fields[reference.relationship] = get
    tree.plain = False


def _projector_of(scope: Scope, definition: ObjectDef, names: Sequence[Name], version: str) -> Callable[[Row], dict[str, Any]]:
    below = Tree()
    collect(replace(scope, definition=definition, alias=None), names, below)
    return projector(scope.org, below, version)


def _candidates(scope: Scope, query: Query, table: Table) -> Iterable[Row]:
    """The smallest set of rows that an id or an indexed reference of the condition leaves."""
    if scope.definition.name == "UserRecordAccess":
        return record_access(scope.org, narrowing(query.where))
    if scope.definition.name == "FieldDefinition":
        return field_rows(scope.org, scope.user, narrowing(query.where))
    if scope.definition.name == "CustomField":
        return custom_field_rows(scope.org)
    if scope.definition.name == "EntityLimit":
        return limit_rows(scope.org)
    for comparison in narrowing(query.where):
        field = scope.definition.find(comparison.field.text)
        if field is None or comparison.operator not in ("=", "in") or (field.name != "Id" and field.name not in table.indexed):
            continue
        values = [operand(scope, field, literal) for literal in comparison.values]
        if None in values:
            continue
        ids = dict.fromkeys(values if field.name == "Id" else table.ids_with(field.name, values))
        return [table.rows[key] for key in ids if key in table.rows]
    return table.rows.values()


def _selection(scope: Scope, query: Query, include_deleted: bool) -> Select:
    """Condition, order and limits as one function over candidate rows. Compiled once, whatever the number of rows."""
    shown = None if include_deleted else visible(scope.definition, scope)
    test = None if query.where is None else compiled(scope, query.where)
    keys = [(sort, scope.resolve(sort.field)) for sort in query.order]
    for sort, path in keys:
        if not path.field.sortable:
            raise scope.refuse(sort.field, f"field '{path.field.name}' can not be sorted in a query call")
    start = query.offset or 0
    end = None if query.limit is None else start + query.limit

    def select(rows: Iterable[Row]) -> list[Row]:
        if shown is not None:
            rows = [row for row in rows if shown(row)]
        if test is not None:
            rows = [row for row in rows if test(row)]
        return _sorted(keys, list(rows))[start:end]

    return select


def _sorted(paths: Sequence[tuple[Sort, Path]], rows: list[Row]) -> list[Row]:
    """By the keys, last one first. Rows that tie come in no order a client could rely on, unless Id is a key."""
    if paths and all(path.field.name != "Id" or path.steps for _, path in paths):
        rows.sort(key=lambda row: crc32(row["Id"].encode()))
    for sort, path in reversed(paths):
        get, fold = path.get, path.field.type in TEXT_TYPES
        empty: list[Row] = []
        held: list[tuple[Any, Row]] = []
        for row in rows:
            value = get(row)
            if value is None:
                empty.append(row)
            else:
                held.append((value.casefold() if fold else value, row))
        held.sort(key=_key, reverse=sort.descending)
        filled = [row for _, row in held]
        rows = [*empty, *filled] if sort.nulls_first else [*filled, *empty]
    return rows


def _key(pair: tuple[Any, Row]) -> Any:
    return pair[0]


def _nothing(some: Sequence[str]) -> list[Mapping[str, Any]]:
    return []
