"""A mapping at work: which streams to read, and what each record becomes. Pure: no clock, no network, no state."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from connector.clock import Calendar
from connector.crms.base import Record, StreamSpec
from connector.mapping import names, streams, values
from connector.mapping.activities import ActivityMapper
from connector.mapping.deals import DealMapper
from connector.mapping.people import PeopleMapper
from connector.mapping.places import OURS, Place, places
from connector.mapping.schema import CrmMapping
from connector.mapping.sections import SectionMapper
from connector.mapping.stages import StageMap
from connector.mapping.uses import input_key
from connector.model.ladder import Ladder
from connector.model.records import Mapped, Owner, Tombstone

PREFIXES: Mapping[str, str] = MappingProxyType({"006": "opportunity", "001": "account", "003": "contact", "00Q": "lead"})
"""First three characters of a Salesforce id → what it is."""

SECTIONS = frozenset(names.SECTION_FIELDS)
TASK, EVENT, MESSAGE = "00T", "00U", "02s"


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the records of a stream stand in the state, one row or several of one id: the table, and how their ids begin there."""

    table: str
    prefix: str = ""

    def stored(self, record: str) -> str:
        """The id in the state of a record of the CRM."""
        return self.prefix + record if self.prefix.endswith(":") else record

    def record(self, stored: str) -> str:
        """The CRM's id of a stored row."""
        return stored.removeprefix(self.prefix) if self.prefix.endswith(":") else stored


class Mapper:
    """One connection's mapping.

    ``robots``: authors whose activities are ignored beside the mapping's own list, such as the connection's own user.
    """

    def __init__(
        self, mapping: CrmMapping, ladder: Ladder, calendar: Calendar, *, prefixes: Mapping[str, str] = PREFIXES, robots: Collection[str] = ()
    ) -> None:  # fmt: skip
        self.mapping = mapping
        self.stage_map = StageMap(mapping, ladder)
        self._calendar = calendar
        self._prefixes = prefixes
        self._streams = streams.streams(mapping)
        self._fingerprints: dict[str, str] = {}
        self.input_fields = streams.input_fields(mapping, self._streams)
        """The deal's fields whose change between plan and apply makes a planned update stale."""
        people = PeopleMapper(mapping, calendar)
        deals = DealMapper(mapping, calendar, people, self.input_fields)
        salesforce = mapping.crm == "salesforce"
        self._by_stream: dict[str, Callable[[Record], Mapped]] = {
            "owners": partial(_salesforce_owner if salesforce else _hubspot_owner, input_key(mapping, "owners")),
            "accounts": deals.account,
            "contacts": people.contact,
            "opportunities": deals.opportunity,
            "contact_roles": people.role if salesforce else people.sweep,
        }
        sections = SectionMapper(mapping, calendar)
        self._by_stream |= {"leads": sections.lead, "tickets": sections.ticket, "line_items": sections.line_item}
        if salesforce:
            self._by_stream["stage_history"] = deals.history_row
        self._by_stream |= self._activities(robots)
        self.places = places(mapping)
        for place in self.places.values():
            if place.grain in OURS:
                self._by_stream[place.stream] = partial(_row_of_ours, place)
            elif place.grain != "opportunity":
                self._by_stream[place.stream] = partial(_with_row, place, self._by_stream[place.stream])

    def _activities(self, robots: Collection[str]) -> dict[str, Callable[[Record], Mapped]]:
        made = ActivityMapper(self.mapping, self._calendar, self._prefixes, frozenset(robots))
        if self.mapping.crm == "salesforce":
            return {"tasks": partial(made.salesforce, "tasks"), "events": partial(made.salesforce, "events"), "emails": made.mail}
        return {stream: partial(made.hubspot, stream) for stream in ("calls", "emails", "meetings", "tasks")}

    def with_robots(self, robots: Collection[str]) -> Mapper:
        """The same, but that it ignores the activities of these authors."""
        other = copy(self)
        other._by_stream = self._by_stream | other._activities(robots)
        return other

    def streams(self) -> tuple[StreamSpec, ...]:
        """What to read, parents first: mapped fields and fixed keys, nothing else, never a denied field."""
        return self._streams

    def fingerprint(self, stream: str) -> str:
        """Changes when what is read of a stream, or what a record of it becomes, changes; stage maps and fiscal years do not count."""
        if stream not in self._fingerprints:
            spec = next(s for s in self._streams if s.name == stream)
            apart = {"stages", "scorecard", "connection", "version"}
            rules = self.mapping.model_dump_json(exclude=apart | (SECTIONS - {stream}))
            self._fingerprints[stream] = hashlib.sha256(f"{spec}{rules}{self._calendar.time_zone}".encode()).hexdigest()[:16]
        return self._fingerprints[stream]

    @property
    def history_fields(self) -> Mapping[str, str]:
        """Field of the change log → column of the deal that the last change must equal: where both come from one field of the CRM."""
        salesforce = self.mapping.crm == "salesforce"
        fixed = {"stage": "raw_stage"} if salesforce else {"stage": "raw_stage", "pipeline": "native_pipeline"}
        columns = streams.HISTORY_COLUMNS if salesforce else streams.HISTORY
        told = {field: field for column, field in columns.items() if (s := self.mapping.field(field)) is not None and s.from_ == column}
        return fixed | told

    def kept(self, stream: str) -> Kept | None:
        """Where the stream's records stand one by one, so that they can be counted; None for sets, histories and owners, whose reads are whole."""
        if stream in ("accounts", "contacts", "opportunities", *SECTIONS):
            return Kept(stream)
        if stream in ("owners", "stage_history", "contact_roles"):
            return None
        for place in self.places.values():
            if place.stream == stream:
                return Kept("scorecard_rows", f"{place.object}:")
        if self.mapping.crm == "hubspot":
            return Kept("activities", f"{stream}:")
        return Kept("activities", {"tasks": TASK, "events": EVENT, "emails": MESSAGE}[stream])

    def map(self, stream: str, record: Record) -> Mapped:
        """What one record of a stream becomes. Raises RecordError naming the field, never its value; KeyError for an unknown stream."""
        return self._by_stream[stream](record)


def _row_of_ours(place: Place, record: Record) -> Mapped:
    if record.deleted:
        return Mapped(tombstones=(Tombstone("scorecard_rows", place.id(record)),))
    return Mapped(rows=(place.row(record),))


def _with_row(place: Place, map: Callable[[Record], Mapped], record: Record) -> Mapped:
    """A record of the company's own, and beside it what it holds of our fields."""
    mapped, ours = map(record), _row_of_ours(place, record)
    return replace(mapped, rows=(*mapped.rows, *ours.rows), tombstones=(*mapped.tombstones, *ours.tombstones))


def _salesforce_owner(key: str | None, record: Record) -> Mapped:
    active = values.boolean(record.values.get("IsActive"), "IsActive")
    name = values.text(record.values.get("Name"))
    held = None if key is None else values.text(record.values.get(key))
    return Mapped(rows=(Owner(record.id, name, active is not False and not record.deleted, held, record.deleted),))


def _hubspot_owner(key: str | None, record: Record) -> Mapped:
    """An archived owner is inactive, but still owns what he owned."""
    parts = (values.text(record.values.get("firstName")), values.text(record.values.get("lastName")))
    archived = values.boolean(record.values.get("archived"), "archived") or record.deleted
    held = None if key is None else values.text(record.values.get(key))
    return Mapped(rows=(Owner(record.id, " ".join(part for part in parts if part) or None, not archived, held, False),))
