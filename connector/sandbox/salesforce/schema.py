"""What an object of the org looks like: fields, flags, relationships. The definitions themselves are in deal_objects and other_objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

Row = dict[str, Any]
"""A stored record: field → value in JSON wire form. A field that is null has no key. Dates and datetimes are text of one
fixed spelling, so that their order is the order of the text."""

SOAP = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int", "double": "xsd:double", "currency": "xsd:double",
    "percent": "xsd:double", "address": "urn:address", "location": "urn:location",
    "date": "xsd:date", "datetime": "xsd:dateTime", "anyType": "xsd:anyType",
}  # fmt: skip
TEXT_TYPES = frozenset({"string", "textarea", "picklist", "multipicklist", "phone", "email", "url", "combobox", "anyType"})
ID_TYPES = frozenset({"id", "reference"})
NUMBER_TYPES = frozenset({"int", "double", "currency", "percent"})
MASTER_RECORD_TYPE = "012000000000000AAA"


@dataclass(frozen=True, slots=True)
class Moment:
    """What a computed field may know beside its own record: the virtual now, who asks ("": nobody in particular), their local date in
    wire form and their time zone."""

    now: datetime
    today: str
    user: str = ""
    zone: tzinfo = UTC


Compute = Callable[[Row, Moment], Any]


@dataclass(frozen=True, slots=True)
class Pick:
    """One option of a picklist."""

    value: str
    active: bool = True
    label: str = ""


@dataclass(frozen=True, slots=True)
class FieldDef:
    """One field. ``relationship`` is the name by which SOQL reaches the parent; ``compute`` makes a value that is not stored."""

    name: str
    type: str
    label: str = ""
    length: int = 0
    precision: int = 0
    scale: int = 0
    nillable: bool = True
    createable: bool = True
    updateable: bool = True
    filterable: bool = True
    sortable: bool = True
    calculated: bool = False
    formula: str | None = None
    reference_to: tuple[str, ...] = ()
    relationship: str | None = None
    options: tuple[Pick, ...] = ()
    restricted: bool = False
    default: Any = None
    name_field: bool = False
    external_id: bool = False
    options_default: bool = False
    """The org has a default option for new records."""
    compute: Compute | None = None
    guarded: bool = False
    """Nobody has access but by a permission set."""
    blank_as_zero: bool = False
    """Of a formula: blank numbers in it count as 0."""
    reads: frozenset[str] = frozenset()
    """Of a formula: the fields of its own object that it reads."""
    unique: bool = False
    auto: str = ""
    """How a number that counts by itself is shown: ``KS-{00000}``."""
    description: str = ""
    help_text: str = ""

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")

    @property
    def compound(self) -> bool:
        return self.type in ("address", "location")

    @property
    def long_text(self) -> bool:
        return self.type == "textarea" and self.length > 255


@dataclass(frozen=True, slots=True)
class Child:
    """A child relationship: ``relationship`` is its name in SOQL sub-selects; ``cascade``: deleted with the parent; ``clears``: the lookup is
    emptied when the parent is deleted."""

    object: str
    field: str
    relationship: str | None = None
    cascade: bool = False
    clears: bool = False


@dataclass(frozen=True, slots=True)
class ObjectDef:
    name: str
    prefix: str
    label: str
    plural: str
    fields: Mapping[str, FieldDef]
    children: tuple[Child, ...] = ()
    createable: bool = True
    updateable: bool = True
    deletable: bool = True
    undeletable: bool = True
    mergeable: bool = False
    replicateable: bool = True
    record_types: bool = False
    retrieveable: bool = True
    guarded: bool = False
    """Nobody has access but by a permission set, or by the right to modify all data."""
    lowered: Mapping[str, FieldDef] = field(default_factory=dict)
    relationships: Mapping[str, FieldDef] = field(default_factory=dict)

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")

    def find(self, name: str) -> FieldDef | None:
        """A field by name; names are not case-sensitive."""
        return self.fields.get(name) or self.lowered.get(name.lower())

    def parent(self, name: str) -> FieldDef | None:
        """The reference field behind a relationship name (``Account`` → AccountId)."""
        return self.relationships.get(name.lower())


def sobject(name: str, prefix: str, fields: tuple[FieldDef, ...], *, label: str = "", plural: str = "", **flags: Any) -> ObjectDef:
    """Assemble an object; labels that are not given are made of the names."""
    named = tuple(f if f.label else replace(f, label=_spaced(f.name)) for f in fields)
    label = label or _spaced(name)
    return ObjectDef(
        name=name, prefix=prefix, label=label, plural=plural or label + "s", fields={f.name: f for f in named},
        lowered={f.name.lower(): f for f in named}, relationships={f.relationship.lower(): f for f in named if f.relationship}, **flags,
    )  # fmt: skip


def _spaced(name: str) -> str:
    return name.removesuffix("__c").removesuffix("Id").replace("_", " ") or name


# -- short forms for the definitions ------------------------------------------------------------------------------


def text(name: str, length: int = 255, label: str = "", **more: Any) -> FieldDef:
    return FieldDef(name, "string", label, length, **more)


def number(name: str, left: int, scale: int = 0, label: str = "", **more: Any) -> FieldDef:
    """``left`` digits before the point, ``scale`` after it, as the set-up pages write Number(left, scale)."""
    return FieldDef(name, "double", label, precision=left + scale, scale=scale, **more)


def percent(name: str, left: int = 3, label: str = "", **more: Any) -> FieldDef:
    return FieldDef(name, "percent", label, precision=left, **more)


def money(name: str, label: str = "", **more: Any) -> FieldDef:
    return FieldDef(name, "currency", label, precision=18, scale=2, **more)


def integer(name: str, label: str = "", **more: Any) -> FieldDef:
    return FieldDef(name, "int", label, precision=8, **more)


def day(name: str, label: str = "", **more: Any) -> FieldDef:
    return FieldDef(name, "date", label, **more)


def instant(name: str, label: str = "", **more: Any) -> FieldDef:
    return FieldDef(name, "datetime", label, **more)


def flag(name: str, label: str = "", **more: Any) -> FieldDef:
    return FieldDef(name, "boolean", label, nillable=False, default=False, **more)


def pick(name: str, *values: str, label: str = "", restricted: bool = False, **more: Any) -> FieldDef:
    return FieldDef(name, "picklist", label, 255, options=tuple(Pick(v) for v in values), restricted=restricted, **more)


def lookup(name: str, *to: str, relationship: str | None = None, label: str = "", **more: Any) -> FieldDef:
    return FieldDef(name, "reference", label, 18, reference_to=to, relationship=relationship or name.removesuffix("Id"), **more)


def address(prefix: str, compound: str) -> tuple[FieldDef, ...]:
    """The seven parts of an address and the compound field that shows them together (null when all are)."""
    parts = ("City", "Country", "PostalCode", "State", "Street")

    def whole(row: Row, moment: Moment) -> dict[str, Any] | None:
        held = {part[0].lower() + part[1:]: row.get(prefix + part) for part in parts}
        if not any(held.values()):
            return None
        return held | {"geocodeAccuracy": row.get(prefix + "GeocodeAccuracy"), **{p.lower(): row.get(prefix + p) for p in ("Latitude", "Longitude")}}

    return (
        FieldDef(prefix + "Street", "textarea", "", 255),
        text(prefix + "City", 40),
        text(prefix + "State", 80),
        text(prefix + "PostalCode", 20),
        text(prefix + "Country", 80),
        number(prefix + "Latitude", 3, 15),
        number(prefix + "Longitude", 3, 15),
        pick(prefix + "GeocodeAccuracy", "Address", "Block", "City", "State", restricted=True),
        read_only(FieldDef(compound, "address", "", filterable=False, sortable=False, compute=whole)),
    )


def read_only(found: FieldDef) -> FieldDef:
    return replace(found, createable=False, updateable=False)


ID = FieldDef("Id", "id", "", 18, nillable=False, createable=False, updateable=False)
IS_DELETED = read_only(flag("IsDeleted", "Deleted"))
CURRENCY = pick("CurrencyIsoCode", "USD", "EUR", label="Currency ISO Code", restricted=True)


def audit() -> tuple[FieldDef, ...]:
    """The six audit fields but IsDeleted, which settings objects do not have."""
    return (
        read_only(instant("CreatedDate", "Created Date", nillable=False)),
        read_only(lookup("CreatedById", "User", nillable=False, relationship="CreatedBy")),
        read_only(instant("LastModifiedDate", "Last Modified Date", nillable=False)),
        read_only(lookup("LastModifiedById", "User", nillable=False, relationship="LastModifiedBy")),
        read_only(instant("SystemModstamp", "System Modstamp", nillable=False)),
    )
