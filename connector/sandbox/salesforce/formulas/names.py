"""What the names in a formula stand for: fields of the record, of its parents, of whoever asks; custom permissions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

from connector.sandbox.salesforce.formulas import functions as f
from connector.sandbox.salesforce.formulas.functions import Unworkable
from connector.sandbox.salesforce.formulas.syntax import FormulaError
from connector.sandbox.salesforce.grants import Grants
from connector.sandbox.salesforce.schema import NUMBER_TYPES, FieldDef, Moment, ObjectDef, Row

MISSING = "Field {name} does not exist. Check spelling."
KINDS = {"date": f.DATE, "datetime": f.DATETIME, "boolean": f.BOOLEAN, "picklist": f.PICKLIST, "multipicklist": f.MULTI} | dict.fromkeys(
    NUMBER_TYPES, f.NUMBER
)
DEEPEST = 10


class Live(Protocol):
    """The org when a formula is worked out: fields may have been changed since it was compiled."""

    schema: dict[str, ObjectDef]

    def find(self, record_id: str) -> Row | None: ...
    def grants(self, user: str) -> Grants: ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a formula is worked out on. ``before``: the record before the save, for rules; ``new``: it is being made."""

    row: Row
    moment: Moment
    before: Row = field(default_factory=dict)
    new: bool = False


Read = Callable[[Context], Any]


@dataclass(frozen=True, slots=True)
class Scope:
    """Where names are looked up: the org as it will be (``schema``, ``permissions``) and as it is then (``live``). ``rule``: a validation
    rule, which may ask what a save changes."""

    live: Live
    schema: Mapping[str, ObjectDef]
    about: str
    permissions: Collection[str] = ()
    blank_as_zero: bool = False
    rule: bool = False
    names: set[str] = field(default_factory=set)

    def resolve(self, text: str) -> tuple[str, Read]:
        """The kind of a name's value and how to read it. Raises FormulaError."""
        first, _, rest = text.partition(".")
        if first.startswith("$"):
            return self._global(first.lower(), rest, text)
        definition, steps = self.schema[self.about], text.split(".")[:-1]
        if steps and steps[0].lower() == self.about.lower():
            steps = steps[1:]
        walk: list[str] = []
        for part in steps:
            reference = definition.parent(part)
            if reference is None or len(reference.reference_to) != 1 or len(walk) == DEEPEST:
                raise FormulaError(MISSING.format(name=text))
            walk.append(reference.name)
            definition = self.schema[reference.reference_to[0]]
        found = definition.find(text.rsplit(".", 1)[-1])
        if found is None or found.compound:
            raise FormulaError(MISSING.format(name=text))
        if found.long_text:
            raise FormulaError(f"You can't reference the long text area field {text} in a formula.")
        if not walk:
            self.names.add(found.name)
        return KINDS.get(found.type, f.TEXT), self._reader(definition.name, found.name, tuple(walk))

    def field_named(self, text: str) -> FieldDef:
        """A field of the record itself. Raises FormulaError."""
        found = self.schema[self.about].find(text)
        if found is None:
            raise FormulaError(MISSING.format(name=text))
        self.names.add(found.name)
        return found

    def _global(self, first: str, rest: str, text: str) -> tuple[str, Read]:
        live = self.live
        if first == "$permission" and rest in self.permissions:
            return f.BOOLEAN, lambda context: rest in live.grants(context.moment.user).custom
        if first == "$user" and (found := self.schema["User"].find(rest)) is not None:
            name, zero = found.name, self.blank_as_zero
            return KINDS.get(found.type, f.TEXT), lambda context: inward(found, (live.find(context.moment.user) or {}).get(name), zero)
        if first == "$profile" and rest.lower() == "name":
            return f.TEXT, lambda context: (live.find((live.find(context.moment.user) or {}).get("ProfileId", "")) or {}).get("Name")
        raise FormulaError(MISSING.format(name=text))

    def _reader(self, about: str, name: str, walk: tuple[str, ...]) -> Read:
        live, zero = self.live, self.blank_as_zero

        def read(context: Context) -> Any:
            row: Row | None = context.row
            for step in walk:
                row = live.find(row.get(step) or "") if row is not None else None
            return inward(_field(live, about, name), None if row is None else stored(live, about, name, row, context.moment), zero)

        return read


def _field(live: Live, about: str, name: str) -> FieldDef:
    found = live.schema[about].fields.get(name)
    if found is None:
        raise Unworkable
    return found


def stored(live: Live, about: str, name: str, row: Row, moment: Moment) -> Any:
    """A field's value in wire form, worked out where it is not stored."""
    found = _field(live, about, name)
    return row.get(name) if found.compute is None else found.compute(row, moment)


def inward(found: FieldDef, value: Any, zero: bool = False) -> Any:
    """A wire value as formulas see it: percentages are fractions, an empty checkbox is unticked. ``zero``: blank numbers are 0."""
    if value is None:
        return Decimal(0) if zero and found.type in NUMBER_TYPES else False if found.type == "boolean" else None
    if found.type in NUMBER_TYPES:
        exact = Decimal(str(value))
        return exact / 100 if found.type == "percent" else exact
    if found.type == "date":
        return date.fromisoformat(value)
    return datetime.fromisoformat(value) if found.type == "datetime" else value
