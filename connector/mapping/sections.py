"""Leads, tickets and line items: what is read only where a mapping has a section for it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from connector.clock import Calendar
from connector.crms.base import Record
from connector.mapping import names, values
from connector.mapping.people import first_link, main_link, reference
from connector.mapping.schema import CrmMapping, Source
from connector.mapping.uses import is_denied
from connector.model.records import Lead, LineItem, Mapped, Ticket, Tombstone


class SectionMapper:
    """``mapper.lead``, ``mapper.ticket`` and ``mapper.line_item`` each take one record of their stream."""

    def __init__(self, mapping: CrmMapping, calendar: Calendar) -> None:
        self._calendar = calendar
        self._sources: Mapping[str, Mapping[str, Source]] = MappingProxyType(
            {
                name: {key: s for key, s in section.fields.items() if not (s.from_ and is_denied(mapping, s.parent or section.object, s.field))}
                for name, section in mapping.sections.items()
            }
        )

    def lead(self, record: Record) -> Mapped:
        """How far it came. On HubSpot a contact is a lead by its lifecycle dates; of several deals the oldest is the one it led to."""
        if record.deleted:
            return Mapped(tombstones=(Tombstone("leads", record.id, record.merged_into),))
        return Mapped(rows=(Lead(record.id, **self._told("leads", record)),))

    def ticket(self, record: Record) -> Mapped:
        if record.deleted:
            return Mapped(tombstones=(Tombstone("tickets", record.id, record.merged_into),))
        return Mapped(rows=(Ticket(record.id, **self._told("tickets", record)),))

    def line_item(self, record: Record) -> Mapped:
        if record.deleted:
            return Mapped(tombstones=(Tombstone("line_items", record.id),))
        return Mapped(rows=(LineItem(record.id, reference(record, "OpportunityId"), **self._told("line_items", record)),))

    def _told(self, section: str, record: Record) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for key, source in self._sources[section].items():
            kind = names.SECTION_FIELDS[section][key]
            if source.association is not None:
                link = first_link if key == "opportunity" else main_link
                told[key] = link(record.links.get(source.association, ()))
            elif kind == "reference":
                told[key] = reference(record, source.field)
            else:
                told[key] = values.typed(record.values.get(source.from_ or ""), source, kind, self._calendar)
        return told
