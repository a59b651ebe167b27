"""One page, one transaction: rows, replaced sets, tombstones, dead letters, observations and the bookmark land together or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from connector.model.records import KEYS, TABLES, CanonicalRecord, ContactRole, GateEvidence, Mapped, Opportunity, Replace, Tombstone, columns
from connector.state import dead_letters, observations
from connector.state.database import chunks, upsert
from connector.state.tables.canonical import CANONICAL, ContactRoles, Contacts, Opportunities
from connector.state.tables.columns import table
from connector.state.tables.control import Bookmarks, Writes

BOOKMARKS = table(Bookmarks)
CONTACTS = table(Contacts)
DEALS = table(Opportunities)
ROLES = table(ContactRoles)
WRITES = table(Writes)

KEPT_BY_A_TOMBSTONE = frozenset({"connection", "id", "opportunity", "kind", "modified_at"})
"""What stays of a record that is gone: its identity, and the stamp by which an older page is told from a newer one."""
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
COLUMNS = {name: columns(name) for name in TABLES}
SCRUBBED = {"opportunities": ("opportunity", "companion"), "accounts": ("account",), "contacts": ("contact",)}
"""Table → grains whose writes lose their values with a record of it: ids of two objects may be the same."""
BURIED = ("owners", "accounts", "contacts", "opportunities", "activities", "leads", "tickets", "line_items", "scorecard_rows")
DEAL_STREAMS = ("push", "opportunities")
"""Streams whose dead letters name deals by their id."""


@dataclass(frozen=True, slots=True)
class PageCounts:
    """What a page did. ``stale``: records left alone because the state holds a newer version; ``resolved``: dead letters that now map;
    ``echoes``: deals whose inputs and scorecard values are those that the state holds; ``changed``: rows that are not as the state held them,
    those that went among them."""

    upserts: int = 0
    deleted: int = 0
    stale: int = 0
    dead_letters: int = 0
    resolved: int = 0
    observations: int = 0
    echoes: int = 0
    changed: int = 0


Key = tuple[Any, ...]


def _identity(names: tuple[str, ...]) -> Callable[[object], Key]:
    if len(names) > 1:
        return attrgetter(*names)
    get = attrgetter(names[0])
    return lambda row: (get(row),)


IDENTITY = {name: _identity(keys) for name, keys in KEYS.items()}


@dataclass(slots=True)
class Batch:
    """A page's records folded in order, so that the last word on a row, a set or a tombstone is the one that counts."""

    rows: dict[str, dict[Key, CanonicalRecord]] = field(default_factory=dict)
    replaces: dict[Replace, None] = field(default_factory=dict)
    tombstones: dict[tuple[str, str], Tombstone] = field(default_factory=dict)
    stale: int = 0
    records: set[str] = field(default_factory=set)
    _by_set: dict[tuple[str, str, str | None], list[Key]] = field(default_factory=dict)
    _set_columns: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, page: Sequence[Mapped], complete_for: Sequence[str], stored: Mapping[str, datetime]) -> Batch:
        """``stored``: modified_at of the deals that the state holds; an older version, with all that came with it, is left out."""
        batch = cls()
        for mapped in page:
            for replace in mapped.replaces:
                batch._set_columns.setdefault(replace.table, set()).add(replace.column)
        newest = dict(stored)
        for mapped in page:
            if _is_stale(mapped, newest):
                batch.stale += 1
            else:
                batch._add(mapped)
        for opportunity in complete_for:
            batch.replaces.setdefault(Replace("contact_roles", "opportunity", opportunity))
        return batch

    def _add(self, mapped: Mapped) -> None:
        for replace in mapped.replaces:
            self.replaces[replace] = None
            self.records.add(replace.value)
            for key in self._by_set.pop((replace.table, replace.column, replace.value), ()):
                self.rows[replace.table].pop(key, None)
        for row in mapped.rows:
            if getattr(row, "deleted", False) and row.TABLE != "owners":
                self._bury(Tombstone(row.TABLE, row.id, getattr(row, "merged_into", None)))  # type: ignore[union-attr]
            else:
                self._put(row)
        for tombstone in mapped.tombstones:
            self._bury(tombstone)

    def _put(self, row: CanonicalRecord) -> None:
        key = IDENTITY[row.TABLE](row)
        self.rows.setdefault(row.TABLE, {})[key] = row
        for column in self._set_columns.get(row.TABLE, ()):
            self._by_set.setdefault((row.TABLE, column, getattr(row, column)), []).append(key)
        self.records.add(getattr(row, "opportunity", None) or "")
        identity = getattr(row, "id", None)
        if identity is not None:
            self.records.add(identity)
            self.tombstones.pop((row.TABLE, identity), None)

    def _bury(self, tombstone: Tombstone) -> None:
        self.records.add(tombstone.id)
        self.tombstones[tombstone.table, tombstone.id] = tombstone
        buffered = self.rows.get(tombstone.table, {})
        if KEYS[tombstone.table] == ("id",):
            buffered.pop((tombstone.id,), None)
            return
        for key in [key for key, row in buffered.items() if getattr(row, "id", None) == tombstone.id]:
            del buffered[key]

    def of_type(self, name: str) -> Iterator[CanonicalRecord]:
        yield from self.rows.get(name, {}).values()

    @property
    def size(self) -> int:
        return sum(len(rows) for rows in self.rows.values())


def _is_stale(mapped: Mapped, newest: dict[str, datetime]) -> bool:
    for row in mapped.rows:
        if isinstance(row, Opportunity) and row.modified_at is not None:
            known = newest.get(row.id)
            if known is not None and row.modified_at < known:
                return True
            newest[row.id] = row.modified_at
    return False


def stored_stamps(connection: Connection, name: str, page: Sequence[Mapped]) -> dict[str, datetime]:
    """modified_at of the deals of this page, as the state holds them."""
    ids = sorted({row.id for mapped in page for row in mapped.rows if isinstance(row, Opportunity)})
    found: dict[str, datetime] = {}
    for some in chunks(ids):
        query = select(DEALS.c.id, DEALS.c.modified_at).where(DEALS.c.connection == name, DEALS.c.id.in_(some), DEALS.c.modified_at.is_not(None))
        found.update({row.id: row.modified_at for row in connection.execute(query)})
    return found


def changed(connection: Connection, name: str, batch: Batch) -> int:
    """Rows of a batch that are not as the state holds them, new ones and those that go among them. Ask before storing.

    Of deals what is read of them and our own fields count, not the stamp: an edit that nobody maps and our own write coming back change nothing.
    From what the CRM holds of our fields elsewhere nothing is computed.
    """
    different = 0
    for kind, rows in batch.rows.items():
        if kind == "scorecard_rows":
            continue
        if kind == "opportunities":
            different += len(rows) - _known(connection, name, {row.id: row for row in rows.values() if isinstance(row, Opportunity)})
            continue
        held = _rows_held(connection, name, kind, {key[0] for key in rows})
        for key, row in rows.items():
            found = held.get(tuple(part or "" for part in key))
            different += found is None or any(found[column] != value for column, value in _values(row).items())
    for kind, id in batch.tombstones:
        target = CANONICAL[kind]
        live = (target.c.deleted.is_(False),) if "deleted" in target.c else ()
        query = select(func.count()).select_from(target).where(target.c.connection == name, target.c.id == id, *live)
        different += bool(connection.scalar(query))
    return different


def _rows_held(connection: Connection, name: str, kind: str, first: Iterable[Any]) -> dict[Key, Mapping[str, Any]]:
    """Key → row of a table, of those whose first part of the key is one of ``first``."""
    target, keys = CANONICAL[kind], KEYS[kind]
    held: dict[Key, Mapping[str, Any]] = {}
    for some in chunks(sorted(first)):
        for row in connection.execute(select(target).where(target.c.connection == name, target.c[keys[0]].in_(some))).mappings():
            held[tuple(row[key] for key in keys)] = dict(row)
    return held


def echoes(connection: Connection, name: str, page: Sequence[Mapped]) -> int:
    """Deals of a page that say nothing new: what the connector reads of them, and its own fields, are as the state holds them. Ask before storing."""
    return _known(connection, name, {row.id: row for mapped in page for row in mapped.rows if isinstance(row, Opportunity)})


def _known(connection: Connection, name: str, deals: Mapping[str, Opportunity]) -> int:
    """How many of these deals say nothing new."""
    coming = {id: row for id, row in deals.items() if row.inputs_hash is not None}
    found = 0
    for some in chunks(sorted(coming)):
        query = select(DEALS.c.id, DEALS.c.inputs_hash, DEALS.c.observed).where(
            DEALS.c.connection == name, DEALS.c.id.in_(some), DEALS.c.deleted.is_(False)
        )
        for held in connection.execute(query):
            row = coming[held.id]
            found += not row.deleted and row.inputs_hash == held.inputs_hash and _same(row.observed, held.observed)
    return found


def _same(one: Mapping[str, str | None], other: Mapping[str, str | None]) -> bool:
    """The same values, however they are spelt: 29.0 is 29, an instant has milliseconds or none."""
    return one.keys() == other.keys() and all(_plain(value) == _plain(other[name]) for name, value in one.items())


def _plain(value: str | None) -> str | None:
    if value is None or value == "":
        return None
    if INSTANT.match(value):
        return value[:19]
    try:
        return str(Decimal(value).normalize())
    except InvalidOperation:
        return value


class Stored(NamedTuple):
    """What storing a batch did: rows deleted, observations logged, rows that are other than before."""

    gone: int
    logged: int
    changed: int


def store(connection: Connection, name: str, batch: Batch, run: int | None, now: datetime) -> Stored:
    """Write a batch."""
    different = changed(connection, name, batch)
    gates = (row for row in batch.of_type("gates") if isinstance(row, GateEvidence))
    created = {row.id: row.created_at for row in batch.of_type("opportunities") if isinstance(row, Opportunity)}
    told = {row.opportunity for row in batch.of_type("contact_roles") if isinstance(row, ContactRole)}
    unread = observations.unread(connection, name, sorted(told), created, now)
    logged = observations.record(connection, name, gates, created, run, now)
    first_seen = _first_seen(connection, name, batch)
    gone = left = _replace(connection, name, batch)
    for kind, rows in batch.rows.items():
        values = [{"connection": name, **_values(row)} for row in rows.values()]
        if kind == "contact_roles":
            for value in values:
                on_deal = (value["opportunity"], value["contact"])
                value["first_seen"] = first_seen[on_deal] if on_deal in first_seen else None if value["opportunity"] in unread else now
        upsert(connection, CANONICAL[kind], values)
    gone += entomb(connection, name, batch.tombstones.values(), now)
    return Stored(gone, logged, different + left)


def _values(row: CanonicalRecord) -> dict[str, Any]:
    values = {column: getattr(row, column) for column in COLUMNS[row.TABLE]}
    if row.TABLE == "activities":
        values["opportunity"] = values["opportunity"] or ""
        values["participants"] = list(values["participants"])
    elif "observed" in values:
        values["observed"] = dict(values["observed"])
    return values


def _first_seen(connection: Connection, name: str, batch: Batch) -> dict[tuple[str, str], datetime | None]:
    """(deal, contact) → since when the contact is on the deal, None: from the beginning. Those that the state has never seen there are absent.

    Who was on a deal before it was merged into this one has been on it since then, and so has who was on it as another contact.
    """
    told = {(row.opportunity, row.contact) for row in batch.of_type("contact_roles") if isinstance(row, ContactRole)}
    deals = {deal for deal, _ in told}
    heirs = {gone.id: gone.merged_into for gone in batch.tombstones.values() if gone.table == "opportunities" and gone.merged_into in deals}
    held: dict[tuple[str, str], datetime | None] = {}
    for some in chunks(sorted(deals | set(heirs))):
        query = select(ROLES.c.opportunity, ROLES.c.contact, ROLES.c.first_seen).where(ROLES.c.connection == name, ROLES.c.opportunity.in_(some))
        for row in connection.execute(query):
            _earlier(held, (heirs.get(row.opportunity) or row.opportunity, row.contact), row.first_seen)
    if held:
        survivors = _merged_contacts(connection, name, {contact for deal, contact in told if (deal, contact) not in held})
        for (deal, contact), seen in list(held.items()):
            if contact in survivors:
                _earlier(held, (deal, survivors[contact]), seen)
    return held


def _earlier(held: dict[tuple[str, str], datetime | None], on_deal: tuple[str, str], seen: datetime | None) -> None:
    before = held.get(on_deal, seen)
    held[on_deal] = None if before is None or seen is None else min(before, seen)


def _merged_contacts(connection: Connection, name: str, survivors: Iterable[str]) -> dict[str, str]:
    """Merged contact → survivor, of these survivors."""
    found: dict[str, str] = {}
    for some in chunks(sorted(survivors)):
        query = select(CONTACTS.c.id, CONTACTS.c.merged_into).where(CONTACTS.c.connection == name, CONTACTS.c.merged_into.in_(some))
        found.update({row.id: row.merged_into for row in connection.execute(query)})
    return found


def _replace(connection: Connection, name: str, batch: Batch) -> int:
    """Empty the sets that the batch replaces. Returns how many rows went for good, not those that come back at once.

    The roles of a deal are those that hang on it as records or associations: contacts named by its own lookups come and go with its fields.
    """
    sets: dict[tuple[str, str], list[str]] = {}
    for replace in batch.replaces:
        sets.setdefault((replace.table, replace.column), []).append(replace.value)
    gone = 0
    for (kind, column), values in sets.items():
        target = CANONICAL[kind]
        keys = KEYS[kind]
        coming = {tuple(getattr(row, key) or "" for key in keys) for row in batch.of_type(kind)}
        for some in chunks(values):
            where = [target.c.connection == name, target.c[column].in_(some)]
            if (kind, column) == ("contact_roles", "opportunity"):
                where.append(ROLES.c.role.is_distinct_from(ROLES.c.id))  # a lookup's id is its role
            held = connection.execute(select(*(target.c[key] for key in keys)).where(*where)).all()
            gone += sum(tuple(row) not in coming for row in held)
            if held:
                connection.execute(delete(target).where(*where))
    return gone


def entomb(connection: Connection, name: str, tombstones: Iterable[Tombstone], now: datetime) -> int:
    """Records that are gone: their values are scrubbed, here, in the ledger and in what was said of refused updates. Returns how many."""
    by_table: dict[str, list[Tombstone]] = {}
    for tombstone in tombstones:
        by_table.setdefault(tombstone.table, []).append(tombstone)
    gone = 0
    for kind, found in by_table.items():
        if kind == "changes":
            statement = delete(CANONICAL[kind]).where(CANONICAL[kind].c.connection == name, CANONICAL[kind].c.id == bindparam("gone"))
            connection.execute(statement, [{"gone": tombstone.id} for tombstone in found])
        elif kind in BURIED:
            _bury(connection, name, kind, found)
        else:
            raise ValueError(f"a row of {kind} has no id of its own: replace its set instead of burying it")
        if kind in SCRUBBED:
            _scrub_ledger(connection, name, SCRUBBED[kind], [tombstone.id for tombstone in found])
        if kind == "opportunities":
            dead_letters.scrub(connection, name, DEAL_STREAMS, [tombstone.id for tombstone in found], now)
        if kind == "scorecard_rows":  # under whose ids, object first, pushes speak of all that is no deal
            dead_letters.scrub(connection, name, ("push",), [tombstone.id for tombstone in found], now)
        gone += len(found)
    return gone


def _bury(connection: Connection, name: str, kind: str, tombstones: Sequence[Tombstone]) -> None:
    """Mark as deleted and scrub the values. A record never seen before is kept as a tombstone too: others may be merged through it."""
    target = CANONICAL[kind]
    blank: dict[str, Any] = {column.name: None for column in target.columns if column.name not in KEPT_BY_A_TOMBSTONE}
    blank["deleted"] = True
    if kind == "owners":
        blank.pop("name")  # a colleague who left still closed the deals that he closed
        blank["active"] = False
    if "observed" in blank:
        blank["observed"] = {}
    if kind == "activities":
        blank["participants"] = []
        statement = update(target).where(target.c.connection == name, target.c.id == bindparam("gone")).values(blank)
        connection.execute(statement, [{"gone": tombstone.id} for tombstone in tombstones])
        return
    merged = "merged_into" in blank
    fresh = [
        {"connection": name, "id": tombstone.id, **blank, **({"merged_into": tombstone.merged_into} if merged else {})} for tombstone in tombstones
    ]
    changing = {column: insert(target).excluded[column] for column in blank}
    connection.execute(insert(target).on_conflict_do_update(index_elements=["connection", "id"], set_=changing), fresh)


def _scrub_ledger(connection: Connection, name: str, grains: Sequence[str], ids: Sequence[str]) -> None:
    for some in chunks(ids):
        where = (WRITES.c.connection == name, WRITES.c.grain.in_(grains), WRITES.c.record.in_(some), WRITES.c.scrubbed.is_(False))
        connection.execute(update(WRITES).where(*where).values(before=None, after=None, scrubbed=True))


def set_bookmark(connection: Connection, name: str, stream: str, bookmark: Mapping[str, str], fingerprint: str | None, now: datetime) -> None:
    """The bookmark of a stream, in the transaction of the rows it stands for."""
    row = {"connection": name, "stream": stream, "bookmark": dict(bookmark), "fingerprint": fingerprint, "updated_at": now}
    upsert(connection, BOOKMARKS, [row])
