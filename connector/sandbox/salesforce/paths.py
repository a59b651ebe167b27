"""A field path of a query (``Account.Owner.Name``, ``What.Type``) → a function that reads it from a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.schema import FieldDef, Moment, ObjectDef, Row, text
from connector.sandbox.salesforce.soql import Name, SoqlError, drawing

Getter = Callable[[Row], Any]
Step = Callable[[Row], Row | None]

NO_COLUMN = (
    "No such column '{field}' on entity '{object}'. If you are attempting to use a custom field, be sure to append the '__c' after the "
    "custom field name. Please reference your WSDL or the describe call for the appropriate names."
)
NO_RELATIONSHIP = (
    "Didn't understand relationship '{name}' in field path. If you are attempting to use a custom relationship, be sure to append the "
    "'__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names."
)
NO_OBJECT = (
    "sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity "
    "name. Please reference your WSDL or the describe call for the appropriate names."
)
DEEPEST = 5


@dataclass(frozen=True, slots=True)
class Path:
    """A resolved path. ``parents``: the canonical names of the relationships on the way; ``steps``: how to walk them;
    ``last`` reads the field of the row at the end, ``get`` of the row at the start; ``generic``: the last parent may be of several objects."""

    field: FieldDef
    parents: tuple[str, ...]
    steps: tuple[Step, ...]
    last: Getter
    get: Getter
    generic: bool


@dataclass(frozen=True, slots=True)
class Scope:
    """Where names are looked up: the org, the object queried, its alias, the text for error drawings, who asks ("": nobody in particular)."""

    org: Org
    moment: Moment
    definition: ObjectDef
    alias: str | None
    text: str
    user: str = ""

    def resolve(self, name: Name) -> Path:
        """The path behind a name. Raises SoqlError INVALID_FIELD with the caret below it."""
        parts = name.text.split(".")
        if len(parts) > 1 and parts[0].lower() in (self.definition.name.lower(), (self.alias or "").lower()):
            parts = parts[1:]
        definition: ObjectDef | None = self.definition
        parents: list[str] = []
        steps: list[Step] = []
        for part in parts[:-1]:
            reference = definition.parent(part) if definition is not None else None
            if reference is None or len(steps) == DEEPEST:
                raise self.refuse(name, NO_RELATIONSHIP.format(name=part))
            assert reference.relationship is not None
            parents.append(reference.relationship)
            steps.append(_step(self.org, reference.name))
            definition = self.org.seen(reference.reference_to[0], self.user) if len(reference.reference_to) == 1 else None
        return self._end(name, definition, parts[-1], tuple(parents), tuple(steps))

    def refuse(self, name: Name, message: str) -> SoqlError:
        """An INVALID_FIELD that points at a name."""
        return SoqlError("INVALID_FIELD", drawing(self.text, name.line, name.column, message))

    def _end(self, name: Name, definition: ObjectDef | None, last: str, parents: tuple[str, ...], steps: tuple[Step, ...]) -> Path:
        if definition is None:  # a parent that may be of several objects shows only what all have
            shared = _shared(self.org).get(last.lower())
            if shared is None:
                raise self.refuse(name, NO_COLUMN.format(field=last, object="Name"))
            field, read = shared
        else:
            found = definition.find(last)
            if found is None:
                raise self.refuse(name, NO_COLUMN.format(field=last, object=definition.name))
            field, read = found, reader(found, self.moment)
        return Path(field, parents, steps, read, _through(steps, read) if steps else read, definition is None)


def find_object(org: Org, source: Name, query: str, user: str = "") -> ObjectDef:
    """The object behind a name as a user sees it; names are not case-sensitive. Raises SoqlError INVALID_TYPE."""
    name = source.text if source.text in org.schema else next((n for n in org.schema if n.lower() == source.text.lower()), None)
    found = None if name is None else org.seen(name, user)
    if found is None:
        raise SoqlError("INVALID_TYPE", drawing(query, source.line, source.column, NO_OBJECT.format(name=source.text)))
    return found


def reader(field: FieldDef, moment: Moment) -> Getter:
    """How to read one field of a row of its own object."""
    name, compute = field.name, field.compute
    if compute is not None:
        return lambda row: compute(row, moment)
    return lambda row: row.get(name)


def _step(org: Org, name: str) -> Step:
    def step(row: Row) -> Row | None:
        key = row.get(name)
        return None if key is None else org.find(key)

    return step


def _through(steps: tuple[Step, ...], read: Getter) -> Getter:
    def get(row: Row) -> Any:
        at = row
        for step in steps:
            parent = step(at)
            if parent is None:
                return None
            at = parent
        return read(at)

    return get


def _shared(org: Org) -> dict[str, tuple[FieldDef, Getter]]:
    def kind(row: Row) -> Any:
        return org.prefixes[row["Id"][:3]]

    moment = org.moment()
    return {"type": (text("Type"), kind)} | {name.lower(): (text(name), reader(text(name), moment)) for name in ("Id", "Name", "Title")}
