"""Does the state hold what the CRM has? Counts first; where they differ, ids; where these differ, the records themselves.

After a complete read of a stream, and once a week. A record that left no trace (purged, erased) becomes a tombstone. One that the CRM
has and the state has not is read by id at once; where that does not bring it, or where so many are missing that only a full read will
do, it is a finding, which blocks pushes until a later comparison finds it. What moved during the run is neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connector.connected import Connected
from connector.crms.base import Count, Record, StreamSpec
from connector.errors import CrmConfigError, Finding, MissingScope, TooLarge
from connector.mapping.apply import Kept
from connector.state.census import Reconciled
from connector.state.store import Store

EVERY = timedelta(days=7)
PUNCTUAL = timedelta(hours=1)  # a weekly run is not
YOUNG = timedelta(hours=1)  # the slowest index and the longest transaction: what changed since may rightly not have been read yet
MOST = 2_000  # missing records of which is asked whether they are there, one comparison
READ = 1_000  # missing records that are read by id; beyond, a full read is the cheaper and the surer way
MANY, SHARE = 20, 0.25  # more than both: rather a permission that was lost than so many records
EXAMPLES = 5
Again = Callable[[Sequence[str], int | None], None]
"""Reads records of a stream by id and keeps them, under the fence of its lease."""


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Comparisons of one connection in one run; ``now`` is the CRM's clock at the run's start. ``full``: a person asked to read everything
    again, and so accepts that a great part of it may be gone."""

    connected: Connected
    store: Store
    now: datetime
    full: bool = False

    def due(self, last: Reconciled | None, *, complete: bool) -> bool:
        """After a complete read, where nobody ever compared (``last``), once a week, and on every run while something is missing."""
        return complete or last is None or last.missing > 0 or last.vanished > 0 or self.now - last.at >= EVERY - PUNCTUAL

    def compare(self, spec: StreamSpec, again: Again) -> Reconciled | None:
        """Compare one stream, bury what is gone, read what is missing, note the outcome. None where the CRM cannot count it or the state
        keeps no records of it.

        Raises the errors of the CRM, and LeaseHeld where somebody else works on the stream.
        """
        kept = self.connected.mapper.kept(spec.name)
        count = self.connected.crm.count(spec) if kept is not None else None
        if kept is None or count is None:
            return None
        name = self.connected.name
        with self.store.leases.take(name, spec.name, owner=self.store.owner) as lease:
            held = self.store.census.held(name, spec.name, kept.table, kept.prefix)
            found = Reconciled(spec.name, self.now, count.live, len(held))
            if self._differs(kept, count, len(held)):
                there = {kept.stored(id) for ids in self.connected.crm.ids(spec) for id in ids}
                gone = self._gone(spec, kept, sorted(held - there))
                absent = self._missing(spec, kept, sorted(there - held))
                missing = self._still_missing(spec, kept, absent, again, lease.fence)
                vanished = gone if not self.full and len(gone) > max(MANY, SHARE * len(held)) else []
                if not vanished:
                    self.store.census.bury(name, spec.name, kept.table, gone, [kept.record(id) for id in gone], fence=lease.fence)
                buried = len(gone) - len(vanished)
                examples = tuple(kept.record(id) for id in (missing or vanished)[:EXAMPLES])
                brought = len(absent) - len(missing)
                found = replace(
                    found, held=len(held) - buried + brought, gone=buried, brought=brought, missing=len(missing), vanished=len(vanished),
                    examples=examples,
                )  # fmt: skip
        self.store.census.note(name, found)
        return found

    def _differs(self, kept: Kept, count: Count, held: int) -> bool:
        """By the live records; where deals, accounts and the like are in the CRM's bin that we hold alive, by these too: one lost and one gone
        make equal counts. Of activities deleted before they were read the state keeps nothing."""
        if count.live != held:
            return True
        return count.deleted is not None and kept.table != "activities" and count.deleted > self.store.census.deleted(self.connected.name, kept.table)

    def _gone(self, spec: StreamSpec, kept: Kept, suspects: Sequence[str]) -> list[str]:
        """Those that the CRM, asked by id, no longer knows: an id that merely came too late for the walk is still there."""
        still: set[str] = set()
        for ids, found in self._asked(spec, kept, suspects):
            still.update(id for id in ids if kept.record(id) in found)
        return [id for id in suspects if id not in still]

    def _missing(self, spec: StreamSpec, kept: Kept, suspects: Sequence[str]) -> list[str]:
        """Those that are there and are old enough that a read should have brought them. Beyond what is asked again, all count."""
        missing: list[str] = []
        for ids, found in self._asked(spec, kept, suspects[:MOST]):
            missing += [id for id in ids if (record := found.get(kept.record(id))) is not None and self._settled(record)]
        return missing + list(suspects[MOST:])

    def _still_missing(self, spec: StreamSpec, kept: Kept, missing: Sequence[str], again: Again, fence: int | None) -> Sequence[str]:
        """Reads them by id. Those that are not held then either: too many, or refused, or absent from the answer."""
        if not missing or len(missing) > READ:
            return missing
        try:
            again([kept.record(id) for id in missing], fence)
        except (CrmConfigError, MissingScope, TooLarge):  # what belongs to them cannot be read: its own stream says why
            return missing
        held = self.store.census.held(self.connected.name, spec.name, kept.table, kept.prefix)
        return [id for id in missing if id not in held]

    def _settled(self, record: Record) -> bool:
        return record.modified_at is None or record.modified_at <= self.now - YOUNG

    def _asked(self, spec: StreamSpec, kept: Kept, suspects: Sequence[str]) -> Iterator[tuple[Sequence[str], dict[str, Record]]]:
        for start in range(0, len(suspects), 500):
            ids = suspects[start : start + 500]
            yield ids, dict(self.connected.crm.fetch(spec.object, [kept.record(id) for id in ids], ()))


def finding(connection: str, found: Reconciled) -> Finding | None:
    """SC-E071 where records are missing, or where so many are gone at once that nothing was buried; with both counts and examples."""
    number = found.missing or found.vanished
    if not number:
        return None
    more = f" and {number - len(found.examples)} more" if number > len(found.examples) else ""
    said = f"{connection}: the CRM counts {found.live:,} {found.stream}, the state holds {found.held:,}"
    again = f"connector sync --full --connection {connection}"
    if found.missing:
        return Finding("SC-E071", f"{said}; {number:,} missing: {', '.join(found.examples)}{more}", next=again)
    message = f"{said}; {number:,} are no longer shown and were left alone: {', '.join(found.examples)}{more}"
    return Finding("SC-E071", message, next=f"check what the connection's user may see; if they are really gone: {again}")
