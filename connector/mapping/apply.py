"""A mapping at work: which streams to read, and what each record becomes. Pure: no clock, no network, no state."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from connector.clock import Calendar
from connector.crms.base import Record, StreamSpec
from connector.mapping import streams, values
from connector.mapping.activities import ActivityMapper
from connector.mapping.deals import DealMapper
from connector.mapping.people import PeopleMapper
from connector.mapping.schema import CrmMapping
from connector.mapping.stages import StageMap
from connector.model.ladder import Ladder
from connector.model.records import Mapped, Owner

PREFIXES: Mapping[str, str] = MappingProxyType({"006": "opportunity", "001": "account", "003": "contact", "00Q": "lead"})
"""First three characters of a Salesforce id → what it is."""


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
        people = PeopleMapper(mapping, calendar)
        deals = DealMapper(mapping, calendar, people)
        activities = ActivityMapper(mapping, calendar, prefixes, frozenset(robots))
        self._streams = streams.streams(mapping)
        salesforce = mapping.crm == "salesforce"
        self._by_stream: dict[str, Callable[[Record], Mapped]] = {
            "owners": _salesforce_owner if salesforce else _hubspot_owner,
            "accounts": deals.account,
            "contacts": people.contact,
            "opportunities": deals.opportunity,
            "contact_roles": people.role if salesforce else people.sweep,
        }
        if salesforce:
            self._by_stream["stage_history"] = deals.history_row
        engage = activities.salesforce if salesforce else activities.hubspot
        for stream in ("tasks", "events") if salesforce else ("calls", "emails", "meetings", "tasks"):
            self._by_stream[stream] = lambda record, stream=stream: engage(stream, record)  # type: ignore[misc]

    def streams(self) -> tuple[StreamSpec, ...]:
        """What to read, parents first: mapped fields and fixed keys, nothing else, never a denied field."""
        return self._streams

    @property
    def input_fields(self) -> tuple[str, ...]:
        """The deal's fields whose change between plan and apply makes a planned update stale."""
        return streams.input_fields(self.mapping)

    def fingerprint(self, stream: str) -> str:
        """Changes when what is read of a stream, or what a record of it becomes, changes; stage maps and fiscal years do not count."""
        spec = next(s for s in self._streams if s.name == stream)
        rules = self.mapping.model_dump_json(exclude={"stages", "scorecard", "connection", "version"})
        return hashlib.sha256(f"{spec}{rules}{self._calendar.time_zone}".encode()).hexdigest()[:16]

    def map(self, stream: str, record: Record) -> Mapped:
        """What one record of a stream becomes. Raises RecordError naming the field, never its value; KeyError for an unknown stream."""
        return self._by_stream[stream](record)


def _salesforce_owner(record: Record) -> Mapped:
    active = values.boolean(record.values.get("IsActive"), "IsActive")
    name = values.text(record.values.get("Name"))
    return Mapped(rows=(Owner(record.id, name, active is not False and not record.deleted, record.deleted),))


def _hubspot_owner(record: Record) -> Mapped:
    """An archived owner is inactive, but still owns what he owned."""
    parts = (values.text(record.values.get("firstName")), values.text(record.values.get("lastName")))
    archived = values.boolean(record.values.get("archived"), "archived") or record.deleted
    return Mapped(rows=(Owner(record.id, " ".join(part for part in parts if part) or None, not archived, False),))
