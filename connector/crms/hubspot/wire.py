"""Values on HubSpot's wire: every property is text or null, instants are text or epoch milliseconds, ids are digits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from connector.clock import parse_instant
from connector.crms.base import Value, Version

Raw = Mapping[str, Any]
"""One record as HubSpot sent it: id, properties, createdAt, updatedAt, archived …"""


OBJECTS: Mapping[str, tuple[str, str]] = {
    "contacts": ("contact", "0-1"), "companies": ("company", "0-2"), "deals": ("deal", "0-3"), "tickets": ("ticket", "0-5"),
    "calls": ("call", "0-48"), "emails": ("email", "0-49"), "meetings": ("meeting", "0-47"), "tasks": ("task", "0-27"), "leads": ("lead", "0-136"),
}  # fmt: skip
"""Object type → its singular and its number; HubSpot takes all three, in any case."""
_PLAIN = {word: name for name, words in OBJECTS.items() for word in (name, *words)}


def plain(object: str) -> str:
    """The one name that this package knows an object type by; a custom type as it stands.

    >>> plain("COMPANY"), plain("0-3"), plain("2-3604285")
    ('companies', 'deals', '2-3604285')
    """
    return _PLAIN.get(object.lower(), object)


def stamp_property(object: str) -> str:
    """The name of the modified date: contacts spell it without the prefix."""
    return "lastmodifieddate" if object == "contacts" else "hs_lastmodifieddate"


def millis(at: datetime) -> int:
    """Epoch milliseconds, without passing through a float."""
    delta = at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def instant(ms: int) -> datetime:
    """The aware UTC instant of epoch milliseconds, exactly."""
    return datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)


def version_text(ms: int) -> str:
    """One spelling of a stamp, whatever the answer used: reads and writes must agree to be compared."""
    return instant(ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def stamp(raw: Raw, object: str) -> int:
    """The modified date in epoch milliseconds: the property, or ``updatedAt`` where it is absent."""
    properties = raw.get("properties") or {}
    text = properties.get(stamp_property(object)) or properties.get("hs_lastmodifieddate") or raw.get("updatedAt")
    return millis(parse_instant(str(text)))


def versions(entries: list[Raw]) -> tuple[Version, ...]:
    """HubSpot's newest-first history as ours: oldest first, one entry for each (instant, value).

    Entries 1 ms apart are two changes. ``sourceId`` may hold an e-mail address and is not kept.
    """
    told: dict[tuple[datetime, str | None], Version] = {}
    for entry in reversed(entries):
        value = None if entry.get("value") is None else str(entry["value"])
        at = parse_instant(str(entry["timestamp"]))
        by = str(entry["updatedByUserId"]) if entry.get("updatedByUserId") is not None else entry.get("sourceType")
        told.setdefault((at, value), Version(value, at, by))
    return tuple(sorted(told.values(), key=lambda version: version.at))


def text(value: Value) -> str:
    """A value as HubSpot takes it: text; numbers as the shortest decimal, booleans in words, None as ``""`` (which clears)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return str(value)


def same(sent: str, held: object) -> bool:
    """Whether the CRM holds what was sent: ``""`` and null agree, ``"3600.0"`` is 3600, instants agree in any spelling."""
    got = "" if held is None else str(held)
    if sent == got:
        return True
    if not sent or not got:
        return False
    try:
        if Decimal(sent) == Decimal(got):
            return True
    except InvalidOperation:
        pass
    try:
        return parse_instant(sent) == parse_instant(got)
    except ValueError:
        return False
