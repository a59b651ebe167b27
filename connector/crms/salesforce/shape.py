"""Which columns a stream asks for, and how a row of them becomes a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from connector.clock import parse_instant
from connector.crms.base import Record, StreamSpec, Value, Version
from connector.crms.salesforce import soql
from connector.crms.salesforce.schema import Description
from connector.errors import CrmConfigError, TooLarge

Row = Mapping[str, Any]
Versions = Callable[[Sequence[str]], Mapping[str, str]]


class Shape:
    """The columns of one stream, in one part or, where an address would be too long, in several."""

    def __init__(self, stream: StreamSpec, described: Description, known_versions: Versions = lambda ids: {}) -> None:
        if described.key is None:
            raise CrmConfigError(f"{stream.object} has no stamp that can be filtered; it cannot be read incrementally")
        self.object = soql.name(stream.object)
        self.key = described.key
        self.presence = stream.presence
        self.history = stream.history
        self.references = frozenset(name for name in stream.history if described.has(name) and described.fields[name].type == "reference")
        self.known_versions = known_versions
        self._asked = stream.fields
        for asked in (*stream.fields, *stream.presence, *stream.history):
            if "." not in soql.name(asked) and not described.has(asked):
                raise CrmConfigError(f"No such column '{asked}' on {stream.object}, as the connection's user sees it")
        own = ["Id", self.key, *(name for name in ("IsDeleted", "MasterRecordId") if described.has(name))]
        self._own = tuple(own)
        self._parts: tuple[tuple[str, ...], ...] = ((*own, *(f for f in stream.fields if f not in own)),)

    @property
    def columns(self) -> tuple[str, ...]:
        return self._parts[0]

    @property
    def whole(self) -> tuple[str, ...]:
        """Every column, for a request that no length limits."""
        return (*self._own, *(f for f in self._asked if f not in self._own))

    @property
    def others(self) -> tuple[tuple[str, ...], ...]:
        return self._parts[1:]

    def narrow(self) -> None:
        """Ask for half of the fields at a time. Raises TooLarge where nothing is left to halve."""
        halved: list[tuple[str, ...]] = []
        for part in self._parts:
            own = [f for f in part if f in self._own]
            rest = [f for f in part if f not in self._own]
            if len(rest) < 2:
                raise TooLarge("the address of a query for a single field is too long")
            middle = len(rest) // 2
            halved += [(*own, *rest[:middle]), ("Id", self.key, *rest[middle:])]
        self._parts = tuple(halved)

    def key_of(self, row: Row) -> tuple[datetime, str]:
        return parse_instant(row[self.key]), row["Id"]

    def record(self, row: Row, filled: Mapping[str, bool], history: Mapping[str, tuple[Version, ...]] | None = None) -> Record:
        values: dict[str, Value] = {name_: value_of(row, name_) for name_ in self._asked}
        master = row.get("MasterRecordId")
        return Record(
            id=soql.to18(row["Id"]),
            values={**values, **filled},
            version=row[self.key],
            modified_at=parse_instant(row[self.key]),
            deleted=bool(row.get("IsDeleted", False)),
            merged_into=soql.to18(master) if master else None,
            history=history or {},
        )


def value_of(row: Row, name_: str) -> Value:
    """The value under a mapped name; None under a parent that is null. Raises CrmConfigError if the answer leaves it out.

    Rows of REST hold a parent's fields inside the parent, those of a Bulk job under the dotted name.
    """
    here: Any = row
    for part in [name_] if name_ in row else name_.split("."):
        if here is None:
            return None
        actual = part if part in here else next((key for key in here if key.lower() == part.lower()), None)
        if actual is None:
            raise CrmConfigError(f"the org's answer leaves out {name_}")
        here = here[actual]
    if isinstance(here, dict | list):
        raise CrmConfigError(f"{name_} is a compound value; map its components")
    found: Value = here
    return found


def joined(one: Row, other: Row) -> dict[str, Any]:
    """Two parts of one record: fields side by side, fields of a shared parent inside it."""
    both = dict(one)
    for name_, value in other.items():
        held = both.get(name_)
        both[name_] = joined(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return both
