"""Accounts, deals, their history and their gates, from records as the CRM sent them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from connector.clock import Calendar
from connector.crms.base import Record, Value, Version, inputs_hash
from connector.errors import RecordError
from connector.mapping import names, values
from connector.mapping.people import PeopleMapper, main_link, reference
from connector.mapping.places import places
from connector.mapping.schema import CrmMapping, GateSource, Source
from connector.mapping.streams import HISTORY, HISTORY_COLUMNS, RECORD_TYPE
from connector.mapping.uses import input_key, is_denied
from connector.model.records import Account, CanonicalRecord, Change, GateEvidence, Mapped, Opportunity, Replace, Tombstone


class DealMapper:
    """``inputs``: the deal's fields that a scorecard is computed from, see streams.input_fields."""

    def __init__(self, mapping: CrmMapping, calendar: Calendar, people: PeopleMapper, inputs: tuple[str, ...]) -> None:
        self._mapping = mapping
        self._calendar = calendar
        self._people = people
        self._account_object = names.ACCOUNT_OBJECT[mapping.crm]
        self._sources = {names.ALIASES.get(key, key): source for key, source in mapping.opportunities.fields.items() if self._readable(source)}
        self._account_key, self._deal_key = input_key(mapping, "accounts"), input_key(mapping, "opportunities")
        self._dimensions = {key: source for key, source in mapping.opportunities.dimensions.items() if self._readable(source)}
        self._gate_sources = {gate: self._readable_gate(source) for gate, source in mapping.gates.items()}
        self._place = places(mapping).get("opportunity")
        self._inputs = inputs

    def _readable(self, source: Source) -> bool:
        object = source.parent or self._mapping.opportunities.object
        return source.presence or source.from_ is None or not is_denied(self._mapping, object, source.field)

    # -- accounts ------------------------------------------------------------------------------------------------------

    def account(self, record: Record) -> Mapped:
        if record.deleted:
            return Mapped(tombstones=(Tombstone("accounts", record.id, record.merged_into),))
        name = values.text(record.values.get("Name" if self._mapping.crm == "salesforce" else "name"))
        told: dict[str, Any] = {"key": _key(record, self._account_key), "parent": reference(record, names.PARENT)}
        for key in names.ACCOUNT_FIELDS:
            source = self._sources.get(key)
            if source is not None and source.parent == self._account_object:
                told[key] = self._value(key, source, record.values.get(source.field))
        return Mapped(rows=(Account(record.id, name, **told),))

    # -- deals -----------------------------------------------------------------------------------------------------------

    def opportunity(self, record: Record) -> Mapped:
        """The deal, one row per mapped gate, its history (HubSpot; Salesforce: results of gates) and its contacts (HubSpot: links;
        Salesforce: lookups)."""
        if record.deleted:
            return Mapped(tombstones=(Tombstone("opportunities", record.id, record.merged_into),))
        salesforce = self._mapping.crm == "salesforce"
        stage, pipeline = ("StageName", RECORD_TYPE) if salesforce else ("dealstage", "pipeline")
        deal = Opportunity(
            id=record.id, raw_stage=values.text(record.values.get(stage)),
            native_pipeline=values.text(record.values.get(pipeline)) or ("Master" if salesforce else None),
            key=_key(record, self._deal_key), modified_at=record.modified_at, version=record.version,
            inputs_hash=inputs_hash(record.values, self._inputs),
            observed={} if self._place is None else self._place.observed(record),
            dimensions={key: values.typed(record.values.get(s.field), s, "text", self._calendar) for key, s in self._dimensions.items()},
            **dict(self._own_fields(record)),
        )  # fmt: skip
        rows: list[CanonicalRecord] = [deal, *self._gates(record)]
        replaces: tuple[Replace, ...] = ()
        if salesforce:
            people, replaces = self._people.lookups(record, record.id)
            rows += [*people, *self._decisions(record)]
        else:
            rows += self._versions(record)
            if "contacts" in record.links:
                people, replace = self._people.linked(record.id, record.links["contacts"])
                rows, replaces = [*rows, *people], (replace,)
        return Mapped(rows=tuple(rows), replaces=replaces)

    def _own_fields(self, record: Record) -> Iterator[tuple[str, Any]]:
        for key, source in self._sources.items():
            if key in names.ACCOUNT_ONLY or (key in names.ACCOUNT_FIELDS and source.parent is not None):
                continue
            if source.association is not None:
                yield key, main_link(record.links.get(source.association, ()))
            elif names.OPPORTUNITY_FIELDS[key] == "reference":
                yield key, reference(record, source.field)
            else:
                yield key, self._value(key, source, record.values.get(source.field))

    def _value(self, key: str, source: Source, raw: Value) -> Any:
        return values.typed(raw, source, names.OPPORTUNITY_FIELDS[key], self._calendar)

    # -- gates -----------------------------------------------------------------------------------------------------------

    def _readable_gate(self, source: GateSource) -> GateSource:
        """The gate's sources that may be read."""
        hidden: dict[str, None] = {part: None for part, value in source.sources.items() if not self._readable(value)}
        return source.model_copy(update=hidden)

    def _gates(self, record: Record) -> Iterator[GateEvidence]:
        """A row for each mapped gate, an empty one too: a cleared date must not outlive the clearing."""
        for gate, source in self._gate_sources.items():
            yield GateEvidence(
                opportunity=record.id, gate=gate, dated_by=source.dated_by,
                opened_on=self._gate_date(record, source.opened_on), decided_on=self._gate_date(record, source.decided_on),
                result=_word(record, source.result), required=_word(record, source.required),
                status=None if source.result is None else values.text(record.values.get(source.result.field)),
            )  # fmt: skip

    def _gate_date(self, record: Record, source: Source | None) -> date | None:
        return None if source is None else values.local_date(record.values.get(source.field), source.field, self._calendar)

    # -- history -----------------------------------------------------------------------------------------------------------

    def history_row(self, record: Record) -> Mapped:
        """One OpportunityHistory row: stage, amount and close date as they were from that instant on."""
        if record.deleted:
            return Mapped(tombstones=(Tombstone("changes", record.id),))
        deal = reference(record, "OpportunityId")
        at = values.instant(record.values.get("CreatedDate"), "CreatedDate")
        if deal is None or at is None:
            raise RecordError("a history row names no deal or no instant", field="OpportunityId" if deal is None else "CreatedDate")
        by = reference(record, "CreatedById")
        rows = tuple(
            Change(record.id, deal, field, self._past(field, record.values[column]), at, by)
            for column, field in HISTORY_COLUMNS.items()
            if column in record.values
        )
        return Mapped(rows=rows)

    def _versions(self, record: Record) -> Iterator[Change]:
        """HubSpot's property history: one change for every version."""
        for name, versions in record.history.items():
            field = HISTORY.get(name)
            for id, version in _identified(name, versions) if field is not None else ():
                yield Change(id, record.id, str(field), self._past(str(field), version.value), version.at, version.by)

    def _decisions(self, record: Record) -> Iterator[Change]:
        """How the results of gates came about, where Salesforce tracks their fields: as mapped, or as received where nobody listed the value."""
        for gate, gate_source in self._gate_sources.items():
            source = gate_source.result
            for id, version in _identified(source.field, record.history.get(source.field, ())) if source is not None else ():
                told = values.translated(version.value, source) or values.text(version.value)  # type: ignore[arg-type]
                yield Change(id, record.id, f"{gate}.result", told, version.at, version.by)

    def _past(self, field: str, raw: Value) -> str | None:
        """A past value in canonical text. One that cannot be read is unknown: it must not keep the present from being mapped."""
        try:
            if field == "amount":
                amount = values.number(raw, field)
                return None if amount is None else values.shortest(amount)
            if field == "closes_on":
                day = values.local_date(raw, field, self._calendar)
                return None if day is None else day.isoformat()
        except RecordError:
            return None
        return values.text(raw)


def _key(record: Record, field: str | None) -> str | None:
    return None if field is None else values.text(record.values.get(field))


def _word(record: Record, source: Source | None) -> str | None:
    return None if source is None else values.translated(record.values.get(source.field), source)


def _identified(name: str, versions: Iterable[Version]) -> Iterator[tuple[str, Version]]:
    """(id, version), told apart by field, instant and order: a version that comes again is the same change, and two of one millisecond are two."""
    last: dict[str, int] = {}
    for version in versions:
        id = f"{name}@{version.at.isoformat(timespec='milliseconds').replace('+00:00', 'Z')}"
        last[id] = last.get(id, -1) + 1
        yield id + f"+{last[id]}" * bool(last[id]), version
