"""Stored records of one object with the indexes that queries and cascades use, and the wire form of values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from connector.sandbox.salesforce.schema import ID_TYPES, NUMBER_TYPES, TEXT_TYPES, FieldDef, ObjectDef, Row

INDEXED = frozenset({"OpportunityId", "WhatId", "WhoId", "AccountId", "ContactId", "ParentId", "TaskId", "EventId", "RelationId", "ActivityId"})


def stamp(at: datetime) -> str:
    """The spelling of a datetime on the wire, cut to the second: ``2026-05-01T07:25:37.000+0000``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def unstamp(text: str) -> datetime:
    """The instant of a wire datetime."""
    return datetime.fromisoformat(text)


def wire(field: FieldDef, value: Any) -> Any:
    """Any Python value in the wire form of a field: numbers float (int for int fields), dates and instants text, "" is null."""
    if value is None or value == "":
        return None
    if field.type in NUMBER_TYPES:
        exact = Decimal(str(value)).quantize(Decimal(1).scaleb(-field.scale), rounding=ROUND_HALF_UP)
        return int(exact) if field.type == "int" else float(exact)
    if field.type == "datetime" and isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if field.type == "boolean":
        return bool(value)
    if field.type in ID_TYPES or isinstance(value, bool | int | float):
        return value
    return str(value)


class Table:
    """All records of one object, the deleted ones included, by id in the order in which they were made."""

    def __init__(self, definition: ObjectDef) -> None:
        self.definition = definition
        self.rows: dict[str, Row] = {}
        self.made = 0
        self._index: dict[str, dict[str, dict[str, None]]] = {}
        self._folded: set[str] = set()  # indexed texts, whose case does not matter
        for name, field in definition.fields.items():
            if name in INDEXED or field.unique or field.external_id:
                self.index(name)

    @property
    def indexed(self) -> frozenset[str]:
        """Fields that :meth:`ids_with` answers for."""
        return frozenset(self._index)

    def index(self, name: str) -> None:
        """Answer :meth:`ids_with` for one more field."""
        if name not in self._index:
            if self.definition.fields[name].type in TEXT_TYPES:
                self._folded.add(name)
            self._index[name] = {}
            for row in self.rows.values():
                self._enter(name, row)

    def add(self, row: Row) -> None:
        self.rows[row["Id"]] = row
        for name in self._index:
            self._enter(name, row)

    def set(self, row: Row, values: Row) -> None:
        """Write values into a stored record; None empties a field."""
        for name, value in values.items():
            changes = name in self._index and row.get(name) != value
            if changes:
                self._leave(name, row)
            if value is None:
                row.pop(name, None)
            else:
                row[name] = value
            if changes:
                self._enter(name, row)

    def remove(self, record_id: str) -> None:
        row = self.rows.pop(record_id)
        for name in self._index:
            self._leave(name, row)

    def ids_with(self, name: str, values: Iterable[str]) -> Iterator[str]:
        """Ids of the records whose indexed field has one of the values."""
        index = self._index[name]
        for value in values:
            yield from index.get(self._key(name, value), ())

    def _key(self, name: str, value: Any) -> Any:
        return str(value).casefold() if name in self._folded else value

    def _enter(self, name: str, row: Row) -> None:
        if name in row:
            self._index[name].setdefault(self._key(name, row[name]), {})[row["Id"]] = None

    def _leave(self, name: str, row: Row) -> None:
        if name in row:
            self._index[name][self._key(name, row[name])].pop(row["Id"], None)
