"""Records with their property history, and how instants are spelt."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from connector.sandbox.hubspot.schema import ObjectType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def millis(at: datetime) -> int:
    """Epoch milliseconds of an aware instant, cut to the millisecond."""
    return (at - _EPOCH) // _MS


@lru_cache(maxsize=16_384)
def stamp(at: int) -> str:
    """``2026-11-20T16:02:11.204Z``; a whole second has no milliseconds, as in real portals."""
    text = (_EPOCH + at * _MS).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{at % 1000:03d}Z" if at % 1000 else f"{text}Z"


def parse_stamp(text: str) -> int:
    """Epoch milliseconds from ISO text (a naive one is UTC) or from digits. Raises ValueError."""
    if text.removeprefix("-").isdigit():
        return int(text)
    at = datetime.fromisoformat(text)
    return millis(at if at.tzinfo else at.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Source:
    """Who set a value. ``type`` is open text in HubSpot: CRM_UI, API, CALCULATED …"""

    type: str
    id: str | None = None
    user: int | None = None
    label: str | None = None


CALCULATED = Source("CALCULATED")
MERGE = Source("MERGE_OBJECTS")
CONNECTOR = Source("API", "8425001", label="KPI Connector")
WORKFLOW = Source("AUTOMATION_PLATFORM", "workflowId:5001")
ADMIN = Source("CRM_UI", "userId:1000001", 1000001)


def person(user: int) -> Source:
    """A user at the screen."""
    return Source("CRM_UI", f"userId:{user}", user)


class Version(NamedTuple):
    """One value that a property had from ``at`` (epoch ms) on."""

    value: str
    at: int
    source: Source

    def wire(self) -> dict[str, object]:
        """As ``propertiesWithHistory`` shows it; optional keys are absent."""
        shown: dict[str, object] = {"value": self.value, "timestamp": stamp(self.at), "sourceType": self.source.type}
        if self.source.id is not None:
            shown["sourceId"] = self.source.id
        if self.source.label is not None:
            shown["sourceLabel"] = self.source.label
        if self.source.user is not None:
            shown["updatedByUserId"] = self.source.user
        return shown


@dataclass(slots=True)
class Record:
    """``values``: property → text, "" when cleared, absent when never set. ``history``: oldest first.
    ``stamps``: every instant (ms) at which the modified date moved; the last one is the present."""

    kind: ObjectType
    number: int
    values: dict[str, str]
    history: dict[str, list[Version]] = field(default_factory=dict)
    stamps: list[int] = field(default_factory=list)
    archived_at: int | None = None

    @property
    def id(self) -> str:
        return str(self.number)

    @property
    def stamp(self) -> int:
        return self.stamps[-1]

    def put(self, name: str, value: str, at: int, source: Source) -> None:
        """Set a value and remember it. Versions stay in order of time even if told late."""
        versions = self.history.setdefault(name, [])
        versions.append(Version(value, at, source))
        if len(versions) > 1 and versions[-2].at > at:
            versions.sort(key=lambda version: version.at)
        self.values[name] = versions[-1].value

    def move_stamp(self, at: int) -> None:
        """The modified date moves to ``at``."""
        self.stamps.append(at)
        self.values[self.kind.modified] = stamp(at)

    def as_of(self, at: int) -> tuple[int, dict[str, str]] | None:
        """(stamp, values) as they stood at ``at``; None if the record did not exist."""
        then = next((moved for moved in reversed(self.stamps) if moved <= at), None)
        if then is None:
            return None
        kept = {name: self.values[name] for name in (self.kind.created, "hs_object_id") if name in self.values}
        kept[self.kind.modified] = stamp(then)
        for name, versions in self.history.items():
            value = next((version.value for version in reversed(versions) if version.at <= at), None)
            if value is not None:
                kept[name] = value
        return then, kept

    def wire(self, names: list[str], portal_id: int, values: dict[str, str] | None = None) -> dict[str, object]:
        """The record with the properties named; null where never set."""
        values = self.values if values is None else values
        shown: dict[str, object] = {
            "id": self.id,
            "properties": {name: values.get(name) for name in names},
            "createdAt": values[self.kind.created],
            "updatedAt": values[self.kind.modified],
            "archived": self.archived_at is not None,
        }
        if self.archived_at is not None:
            shown["archivedAt"] = stamp(self.archived_at)
        shown["url"] = f"https://app.hubspot.com/contacts/{portal_id}/record/{self.kind.type_id}/{self.id}"
        return shown
