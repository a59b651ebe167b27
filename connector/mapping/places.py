"""Where each grain of the scorecard is written: the object, its fields, and the stream that reads them back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

from connector.crms.base import Grain, Record
from connector.mapping import names, values
from connector.mapping.names import ScorecardKind
from connector.mapping.schema import CrmMapping
from connector.model import scorecard_fields
from connector.model.records import ScorecardRow
from connector.model.scorecard_fields import Row

STREAMS: Mapping[Grain, str] = {
    "opportunity": "opportunities", "companion": "scorecards", "account": "accounts", "contact": "contacts", "rep": "rep_scorecards",
    "snapshot": "kpi_snapshots",
}  # fmt: skip
OURS: tuple[Grain, ...] = ("companion", "rep", "snapshot")
"""Grains whose records are of objects of ours: the connector makes them, under keys."""


@dataclass(frozen=True, slots=True)
class Place:
    """One grain's. ``fields``: manifest key → name of the field; ``kinds``: name of the field → what it holds; ``beside``: fields of the CRM's own
    that say how ours are to be understood, never written."""

    grain: Grain
    object: str
    fields: Mapping[str, str]
    kinds: Mapping[str, ScorecardKind]
    beside: tuple[str, ...] = ()

    @property
    def stream(self) -> str:
        return STREAMS[self.grain]

    @property
    def key_field(self) -> str | None:
        """The field by which records are found, where they are ours."""
        return self.fields["key"] if self.grain in OURS else None

    def observed(self, record: Record) -> dict[str, str | None]:
        """Field → wire text of what a record holds."""
        return {f: values.wire_text(record.values.get(f), numeric=self.kinds.get(f) == "number") for f in self.read}

    @property
    def read(self) -> tuple[str, ...]:
        """What is read to see what the CRM holds."""
        return tuple(sorted({*self.fields.values(), *self.beside}))

    def id(self, record: Record) -> str:
        return f"{self.object}:{record.id}"

    def row(self, record: Record) -> ScorecardRow:
        key = None if self.key_field is None else values.text(record.values.get(self.key_field))
        return ScorecardRow(self.id(record), key, record.version, self.observed(record))


def places(mapping: CrmMapping) -> Mapping[Grain, Place]:
    """Every grain that the mapping switches on, the deal's first."""
    card, found = mapping.scorecard, []
    deal = mapping.written
    kinds = {name: names.WRITTEN[key] for key, name in deal.items()}
    if card.mode == "companion":
        found.append(_ours("companion", scorecard_fields.COMPANION_OBJECT, scorecard_fields.COMPANION, deal, kinds))
    elif deal:
        found.append(Place("opportunity", mapping.opportunities.object, deal, kinds))
    told = tuple(compress((names.RECORD_CURRENCY, names.PARENT), (mapping.several_currencies, mapping.crm == "salesforce")))
    found += _switched("account", names.ACCOUNT_OBJECT[mapping.crm], card.account, names.ACCOUNT_SCORECARD, told)
    found += _switched("contact", names.CONTACT_OBJECT[mapping.crm], card.contact, names.CONTACT_SCORECARD)
    if card.rep is not None and card.rep.object is not None:
        currency = {"currency": names.RECORD_CURRENCY} if mapping.several_currencies else {}
        found.append(_ours("rep", card.rep.object, scorecard_fields.REP, currency, dict.fromkeys(currency.values(), "text")))
    if card.snapshot is not None:
        found.append(_ours("snapshot", card.snapshot.object, scorecard_fields.SNAPSHOT))
    return {place.grain: place for place in found}


def manifest(mapping: CrmMapping) -> dict[str, frozenset[str]]:
    """Object → the fields that may be written on it: nothing else ever is."""
    return {place.object: frozenset(place.fields.values()) for place in places(mapping).values()}


def _switched(
    grain: Grain, object: str, named: Mapping[str, str | None], known: Mapping[str, ScorecardKind], beside: tuple[str, ...] = ()
) -> list[Place]:
    fields = {key: name for key, name in named.items() if name is not None}
    return [Place(grain, object, fields, {name: known[key] for key, name in fields.items()}, beside)] if fields else []


def _ours(
    grain: Grain,
    object: str,
    fixed: Sequence[Row],
    fields: Mapping[str, str] | None = None,
    kinds: Mapping[str, ScorecardKind] | None = None,
) -> Place:
    own = names.kinds(fixed)
    named = {row.key: row.salesforce for row in fixed}
    return Place(grain, object, {**named, **(fields or {})}, {**{name: own[key] for key, name in named.items()}, **(kinds or {})})
