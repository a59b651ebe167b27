"""Our own history of gates, for CRMs that keep none: every change of a status or result, and every attempt that a new one replaced.

Fields of a log entry: ``<gate>.status`` and ``<gate>.result`` hold the value from ``first_seen`` on;
``<gate>.attempt`` holds, as JSON, the attempt that ended when its fields were overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, select

from connector.model.records import GateEvidence
from connector.state.database import chunks, upsert
from connector.state.tables.canonical import Gates, Opportunities
from connector.state.tables.columns import table
from connector.state.tables.control import Observations, Runs

DEALS = table(Opportunities)
GATES = table(Gates)
OBSERVATIONS = table(Observations)
RUNS = table(Runs)
RESULTS = frozenset({"approved", "denied", "tabled", "withdrawn"})
DAY = timedelta(days=1)


class Entry(NamedTuple):
    """The latest log entry of a field. ``source``: sync (we saw it change) or baseline (it was there when we first looked)."""

    value: str | None
    first_seen: datetime
    source: str


def outcome(result: str | None, status: str | None) -> str | None:
    """The result of a gate: as mapped, else a status that is a result by its own name."""
    if result is not None:
        return result
    return status.lower() if status is not None and status.lower() in RESULTS else None


def record(
    connection: Connection, name: str, rows: Iterable[GateEvidence], created: Mapping[str, datetime | None], run: int | None, now: datetime
) -> int:
    """Log what these rows change, before they replace the stored ones. Returns the number of entries.

    ``created``: created_at of the deals that come with the rows. A value found on a deal, or for a gate, that was never read
    before is a baseline: when it came about is unknown, and the day of the first sync is not an answer.
    """
    fresh = {(row.opportunity, row.gate): row for row in rows}
    if not fresh:
        return 0
    deals = sorted({opportunity for opportunity, _ in fresh})
    stored = _stored(connection, name, deals)
    latest = _latest(connection, name, deals)
    new_deals = unread(connection, name, deals, created, now)
    new_gates = _first_read(connection, name, sorted({gate for _, gate in fresh}), run, now)
    entries: list[dict[str, Any]] = []
    for (opportunity, gate), row in fresh.items():
        before = stored.get((opportunity, gate))
        baseline = before is None and (opportunity in new_deals or gate in new_gates)
        for field, value in ((f"{gate}.status", row.status), (f"{gate}.result", outcome(row.result, row.status))):
            seen = latest.get((opportunity, field))
            if (seen is None and value is not None) or (seen is not None and seen.value != value):
                source = "baseline" if baseline and seen is None else "sync"
                entries.append(_entry(name, opportunity, field, value, source, now, seen))
        if before is not None and _ended(before, row):
            field = f"{gate}.attempt"
            attempt = _attempt(before, latest.get((opportunity, f"{gate}.result")))
            entries.append(_entry(name, opportunity, field, attempt, "sync", now, latest.get((opportunity, field))))
    upsert(connection, OBSERVATIONS, entries)
    return len(entries)


def unread(connection: Connection, name: str, deals: Sequence[str], created: Mapping[str, datetime | None], now: datetime) -> set[str]:
    """Deals that the state does not hold yet, but for those that were created within the last day: theirs is a change we saw."""
    known: set[str] = set()
    for some in chunks(deals):
        known.update(connection.scalars(select(DEALS.c.id).where(DEALS.c.connection == name, DEALS.c.id.in_(some))))
    young = {id for id, at in created.items() if at is not None and at > now - DAY}
    return set(deals) - known - young


def _first_read(connection: Connection, name: str, gates: Sequence[str], run: int | None, now: datetime) -> set[str]:
    """Gates that this very run reads for the first time on this connection: its first pull, or the first under a new mapping.

    ``now`` is one instant throughout a run, so what an earlier run saw lies before it.
    """
    if run is None:
        return set()
    fields = [f"{gate}.{what}" for gate in gates for what in ("status", "result")]
    earlier = select(OBSERVATIONS.c.field).distinct().where(OBSERVATIONS.c.connection == name, OBSERVATIONS.c.field.in_(fields))
    known = {field.rpartition(".")[0] for field in connection.scalars(earlier.where(OBSERVATIONS.c.first_seen < now))}
    return set(gates) - known


def _entry(name: str, opportunity: str, field: str, value: str | None, source: str, now: datetime, seen: Entry | None) -> dict[str, Any]:
    # Two changes within one tick of the clock are still two entries, in order.
    at = now if seen is None or now > seen.first_seen else seen.first_seen + timedelta(microseconds=1)
    return {"connection": name, "opportunity": opportunity, "field": field, "first_seen": at, "value": value, "source": source}


def _ended(before: Mapping[str, Any], row: GateEvidence) -> bool:
    """Has a decided attempt been overwritten: by another result or none, or by a submission after its decision?"""
    old = outcome(before["result"], before["status"])
    if old is None:
        return False
    if outcome(row.result, row.status) != old:
        return True
    decided: date | None = before["decided_on"]
    return decided is not None and row.opened_on is not None and row.opened_on != before["opened_on"] and row.opened_on >= decided


def _attempt(before: Mapping[str, Any], seen: Entry | None) -> str:
    """The attempt as JSON: opened_on, decided_on, result, dated_by, and seen_at, the instant at which we saw the result come about."""
    attempt = {
        "opened_on": before["opened_on"],
        "decided_on": before["decided_on"],
        "result": outcome(before["result"], before["status"]),
        "dated_by": before["dated_by"],
        "seen_at": seen.first_seen if seen is not None and seen.source == "sync" else None,
    }
    return orjson.dumps(attempt).decode()


def _stored(connection: Connection, name: str, deals: Sequence[str]) -> dict[tuple[str, str], Mapping[str, Any]]:
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for some in chunks(deals):
        query = select(GATES).where(GATES.c.connection == name, GATES.c.opportunity.in_(some))
        found.update({(row["opportunity"], row["gate"]): row for row in map(dict, connection.execute(query).mappings())})
    return found


def _latest(connection: Connection, name: str, deals: Sequence[str]) -> dict[tuple[str, str], Entry]:
    found: dict[tuple[str, str], Entry] = {}
    for some in chunks(deals):
        query = select(OBSERVATIONS).where(OBSERVATIONS.c.connection == name, OBSERVATIONS.c.opportunity.in_(some))
        for row in connection.execute(query.order_by(OBSERVATIONS.c.first_seen)):
            found[row.opportunity, row.field] = Entry(row.value, row.first_seen, row.source)
    return found
