"""A CRM in a dict: the fake that tests use, and the shortest reading of what the protocol asks of an adapter.

It has two sides. The protocol's side is what the connector calls. The other side (``put``, ``edit``, ``delete``, ``merge``
…) is what people do in the CRM. Stamps come from the clock, history and links are kept, pages are read when asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from connector.clock import Clock, parse_instant
from connector.crms.base import (
    Bookmark,
    Count,
    Field,
    Link,
    Meter,
    OrgInfo,
    Page,
    Pipeline,
    PushCost,
    PushPart,
    Rate,
    Record,
    Rule,
    StreamSpec,
    Update,
    Value,
    Version,
    Window,
    WriteResult,
)
from connector.crms.manifest import Manifest, managed, refuse_outside
from connector.errors import ConnectorError, CrmConfigError

Schema = Mapping[str, Mapping[str, Field]]
AFTER = {"swept": "sweep_after", "refreshed": "refresh_after"}
"""When a daily sweep was last done → the place where one that was interrupted goes on."""


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """``schema``: object → field name → Field. ``sweeps``: object → the field that names its parent, for sets that leave
    no trace when a member goes (contact roles): they are read whole once a day, and of closed deals too, which the other CRMs
    do once a week. ``sweep_every`` is also how often the fields of ``StreamSpec.refresh`` are read again."""

    schema: Schema
    pipelines: tuple[Pipeline, ...] = ()
    sweeps: Mapping[str, str] = field(default_factory=dict)
    org_id: str = "memory"
    name: str = "In memory"
    time_zone: str = "UTC"
    currency: str = "USD"
    rates: tuple[Rate, ...] = ()
    page_size: int = 100
    write_batch: int = 100
    overlap: timedelta = timedelta(minutes=10)
    lag: timedelta = timedelta(minutes=5)
    sweep_every: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was made: what was asked of which object."""

    verb: str  # check | discover | pipelines | read | count | ids | fetch | write
    object: str = ""
    fields: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


@dataclass
class _Row:
    id: str
    stamp: datetime
    values: dict[str, Value]
    history: dict[str, list[Version]] = field(default_factory=dict)
    links: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    deleted: bool = False
    merged_into: str | None = None


class MemoryCrm:
    """Implements base.Crm. ``calls`` lists every call in order; ``faults`` are raised, one for each call, before it does anything."""

    kind = "memory"

    def __init__(self, settings: MemorySettings, clock: Clock, manifest: Manifest | None = None) -> None:
        self.meter = Meter()
        self.calls: list[Call] = []
        self.faults: deque[ConnectorError] = deque()
        self._settings = settings
        self._clock = clock
        self._manifest = managed(manifest or {})
        self._rows: dict[str, dict[str, _Row]] = {object_: {} for object_ in settings.schema}
        self._refusals: dict[tuple[str, str], WriteResult] = {}
        self._serial = 0

    # -- what people do in the CRM -------------------------------------------------------------------------------

    def put(self, object_: str, values: Mapping[str, Value], *, id: str | None = None, at: datetime | None = None) -> str:
        """A new record; ``at`` backdates its stamp, as a transaction does that commits late. Answers with its id."""
        self._serial += 1
        identity = id or f"{object_}-{self._serial:06}"
        row = _Row(identity, at or self._clock.now(), {})
        self._rows[object_][identity] = row
        self._set(object_, row, values, by=None)
        return identity

    def edit(self, object_: str, id: str, values: Mapping[str, Value], *, by: str | None = None) -> None:
        row = self._rows[object_][id]
        row.stamp = self._clock.now()
        self._set(object_, row, values, by)

    def recalculate(self, object_: str, id: str, values: Mapping[str, Value]) -> None:
        """What a formula does when something elsewhere changes: the values move, the stamp and the history do not."""
        self._rows[object_][id].values.update(values)

    def link(self, object_: str, id: str, to: str, other: str, *labels: str) -> None:
        """Associate two records, with labels. An association moves no stamp."""
        self._rows[object_][id].links.setdefault(to, {}).setdefault(other, set()).update(labels)

    def unlink(self, object_: str, id: str, to: str, other: str) -> None:
        self._rows[object_][id].links[to].pop(other)

    def delete(self, object_: str, id: str) -> None:
        row = self._rows[object_][id]
        row.deleted, row.stamp = True, self._clock.now()

    def restore(self, object_: str, id: str) -> None:
        row = self._rows[object_][id]
        row.deleted, row.stamp = False, self._clock.now()

    def merge(self, object_: str, loser: str, winner: str) -> None:
        self.delete(object_, loser)
        self._rows[object_][loser].merged_into = winner
        self._rows[object_][winner].stamp = self._clock.now()

    def vanish(self, object_: str, id: str) -> None:
        """A hard delete: no trace is left."""
        del self._rows[object_][id]

    def refuse(self, object_: str, id: str, code: str, crm_code: str, message: str) -> None:
        """From now on writes to this record are rejected."""
        self._refusals[object_, id] = WriteResult(id, "rejected", code, crm_code, message)

    def allow(self, object_: str, id: str) -> None:
        """From now on they are not."""
        del self._refusals[object_, id]

    def holds(self, object_: str, id: str) -> Mapping[str, Value]:
        """The values that a record has now."""
        return dict(self._rows[object_][id].values)

    def _set(self, object_: str, row: _Row, values: Mapping[str, Value], by: str | None) -> None:
        for name, value in values.items():
            if name not in self._settings.schema[object_]:
                raise KeyError(f"{object_} has no field {name}")
            if name not in row.values or row.values[name] != value:
                row.history.setdefault(name, []).append(Version(None if value is None else str(value), row.stamp, by))
            row.values[name] = value

    # -- what the connector calls ----------------------------------------------------------------------------------

    def now(self) -> datetime:
        return self._clock.now()

    def check(self) -> OrgInfo:
        self._call(Call("check"))
        s = self._settings
        return OrgInfo(s.org_id, s.name, "user", "1", s.time_zone, s.currency, self.now(), calls_used=self.meter.calls, sandbox=True)

    def discover(self, object: str) -> Mapping[str, Field]:
        self._call(Call("discover", object))
        return self._schema(object)

    def pipelines(self) -> tuple[Pipeline, ...]:
        self._call(Call("pipelines"))
        return self._settings.pipelines

    def rates(self) -> tuple[Rate, ...]:
        """Those of the settings."""
        self._call(Call("rates"))
        return self._settings.rates

    def rules(self, object: str) -> tuple[Rule, ...]:
        """None: here every write that fits the schema is taken."""
        self._schema(object)
        return ()

    def read(self, stream: StreamSpec, window: Window) -> Iterator[Page]:
        """See Crm.read. Bookmarks: ``through``; inside a window ``until``, ``from``, ``stamp``, ``id``; for sweeps ``swept``,
        ``sweep_after``, and for those of ``refresh`` ``refreshed``, ``refresh_after``."""
        self._known(stream.object, (*stream.fields, *stream.history, *stream.presence))
        mark = dict(window.bookmark or {})
        sweeps = [done for done, wanted in (("swept", stream.object in self._settings.sweeps), ("refreshed", bool(stream.refresh))) if wanted]
        keep = {name: mark[name] for done in sweeps for name in (done, AFTER[done]) if name in mark}
        for done in sweeps:
            keep.setdefault(done, window.until.isoformat())
        if "until" in mark:
            for page in self._window(stream, mark, keep):
                yield page
                mark = dict(page.bookmark)
        fresh = {"until": window.until.isoformat()}
        if "through" in mark:
            fresh["from"] = (parse_instant(mark["through"]) - self._settings.overlap).isoformat()
        yield from self._window(stream, fresh, keep)
        for done in sweeps:
            if AFTER[done] in keep or window.until - parse_instant(keep[done]) >= self._settings.sweep_every:
                yield from self._sweep(stream, window, done, {**self._through(window.until), **keep})
                keep = {name: text for name, text in keep.items() if name != AFTER[done]} | {done: window.until.isoformat()}

    def count(self, stream: StreamSpec) -> Count | None:
        self._known(stream.object, ())
        self._call(Call("count", stream.object))
        gone = sum(row.deleted for row in self._rows[stream.object].values())
        return Count(len(self._rows[stream.object]) - gone, gone)

    def ids(self, stream: StreamSpec) -> Iterator[Sequence[str]]:
        self._known(stream.object, ())
        live = sorted(identity for identity, row in self._rows[stream.object].items() if not row.deleted)
        for start in range(0, max(1, len(live)), self._settings.page_size):
            self._call(Call("ids", stream.object))
            yield tuple(live[start : start + self._settings.page_size])

    def cost(self, stream: StreamSpec, records: int) -> int:
        self._known(stream.object, ())
        return max(1, -(-records // self._settings.page_size))

    def push_cost(self, parts: Sequence[PushPart], fields: Sequence[str]) -> PushCost:
        sizes = [size for part in parts for size in part.batches]
        return PushCost(len(sizes), sum(-(-size // self._settings.write_batch) for size in sizes))

    def fetch(self, object: str, ids: Sequence[str], fields: Sequence[str], key_field: str | None = None) -> Mapping[str, Record]:
        self._known(object, fields)
        self._call(Call("fetch", object, tuple(fields), tuple(ids)))
        stream = StreamSpec("fetch", object, tuple(fields))
        rows = {identity: self._found(object, identity, key_field) for identity in ids}
        return {identity: _record(stream, row) for identity, row in rows.items() if row and not row.deleted}

    def again(self, stream: StreamSpec, ids: Sequence[str]) -> Iterator[Sequence[Record]]:
        self._known(stream.object, (*stream.fields, *stream.history, *stream.presence))
        parent = self._settings.sweeps.get(stream.object, "")
        for start in range(0, len(ids), self._settings.page_size):
            chunk = tuple(ids[start : start + self._settings.page_size])
            self._call(Call("read", stream.object, stream.fields, chunk))
            rows = (row for row in self._rows[stream.object].values() if not row.deleted)
            yield tuple(_record(stream, row) for row in rows if (row.values.get(parent) if parent else row.id) in chunk)

    def write(self, updates: Sequence[Update]) -> Iterator[WriteResult]:
        refuse_outside(self._manifest, updates)
        return self._written(list(updates))

    def close(self) -> None:
        """Nothing is held open."""

    def _call(self, call: Call) -> None:
        if self.faults:
            raise self.faults.popleft()
        self.meter.calls += 1
        self.calls.append(call)

    def _schema(self, object_: str) -> Mapping[str, Field]:
        if object_ not in self._settings.schema:
            raise CrmConfigError(f"no object {object_!r}")
        return self._settings.schema[object_]

    def _known(self, object_: str, names: Sequence[str]) -> None:
        unknown = sorted(set(names) - set(self._schema(object_)))
        if unknown:
            raise CrmConfigError(f"{object_} has no field {unknown[0]!r}")

    def _through(self, until: datetime) -> dict[str, str]:
        return {"through": (until - self._settings.lag).isoformat()}

    def _window(self, stream: StreamSpec, mark: Bookmark, keep: Bookmark) -> Iterator[Page]:
        """Pages of one window; each is looked up when it is asked for, so that a record edited meanwhile moves on to a later read."""
        until = parse_instant(mark["until"])
        low = (parse_instant(mark["from"]) if "from" in mark else datetime.min.replace(tzinfo=UTC), "")
        after = (parse_instant(mark["stamp"]), mark["id"]) if "stamp" in mark else low
        while True:
            self._call(Call("read", stream.object, (*stream.fields, *stream.history)))
            due = sorted(
                (row.stamp, row.id)
                for row in self._rows[stream.object].values()
                if row.stamp <= until and (row.stamp, row.id) > after and (row.stamp, row.id) >= low
            )
            size = self._settings.page_size
            rows = [self._rows[stream.object][identity] for _, identity in due[:size]]
            records = tuple(_record(stream, row) for row in rows)
            if len(due) <= size:
                yield Page(records, {**self._through(until), **keep})
                return
            after = due[size - 1]
            yield Page(records, {"until": mark["until"], "stamp": after[0].isoformat(), "id": after[1], **keep})

    def _sweep(self, stream: StreamSpec, window: Window, done: str, mark: dict[str, str]) -> Iterator[Page]:
        """Once a day: the members of all deals (``swept``), or the open deals themselves (``refreshed``)."""
        parent = self._settings.sweeps.get(stream.object, "") if done == "swept" else ""
        after = mark.pop(AFTER[done], "")
        parents = sorted(identity for identity in (window.deal_ids if parent else window.open_ids)() if identity > after)
        for start in range(0, len(parents), self._settings.page_size):
            chunk = parents[start : start + self._settings.page_size]
            self._call(Call("read", stream.object, stream.fields, tuple(chunk)))
            rows = [row for row in self._rows[stream.object].values() if not row.deleted and (row.values.get(parent) if parent else row.id) in chunk]
            whole = tuple(chunk) if parent else ()
            yield Page(tuple(_record(stream, row) for row in rows), {**mark, AFTER[done]: chunk[-1]}, complete_for=whole)
        yield Page((), {**mark, done: window.until.isoformat()})

    def _written(self, updates: list[Update]) -> Iterator[WriteResult]:
        for start in range(0, len(updates), self._settings.write_batch):
            batch = updates[start : start + self._settings.write_batch]
            fields = tuple(sorted({name for update in batch for name in update.values}))
            self._call(Call("write", batch[0].object, fields, tuple(update.id for update in batch)))
            yield from [self._write_one(update) for update in batch]

    def _found(self, object_: str, id: str, key_field: str | None) -> _Row | None:
        """A record by its id, or a live one by its key."""
        if key_field is None:
            return self._rows[object_].get(id)
        return next((row for row in self._rows[object_].values() if not row.deleted and row.values.get(key_field) == id), None)

    def _write_one(self, update: Update) -> WriteResult:
        row = self._found(update.object, update.id, update.key_field)
        refusal = self._refusals.get((update.object, update.id)) or self._refusal(update)
        if refusal:
            return refusal
        if row is None and update.key_field is not None:
            made = self.put(update.object, {update.key_field: update.id, **update.values})
            return WriteResult(update.id, "written", version=self._clock.now().isoformat(), made=made)
        if row is None or row.deleted:
            return WriteResult(update.id, "gone", "SC-E128", "NOT_FOUND", "no such record")
        row.stamp = self._clock.now()
        if update.action == "remove":
            row.deleted = True
            return WriteResult(update.id, "written")
        self._set(update.object, row, update.values, by="user")
        return WriteResult(update.id, "written", version=row.stamp.isoformat())

    def _refusal(self, update: Update) -> WriteResult | None:
        """What the schema itself refuses: a field that is not there or not writable, a text too long, an option not offered."""
        for name, value in update.values.items():
            known = self._settings.schema[update.object].get(name)
            options = {option.value for option in known.options} if known else set()
            if known is None:
                code, word = "SC-E154", "NO_FIELD"
            elif not known.writable:
                code, word = "SC-E124", "READ_ONLY"
            elif known.length and isinstance(value, str) and len(value) > known.length:
                code, word = "SC-E129", "TOO_LONG"
            elif known.restricted and value is not None and value not in options:
                code, word = "SC-E123", "NOT_OFFERED"
            else:
                continue
            return WriteResult(update.id, "rejected", code, word, f"{name}: {word}")
        return None


def _record(stream: StreamSpec, row: _Row) -> Record:
    values: dict[str, Value] = {name: row.values.get(name) for name in stream.fields}
    filled: dict[str, Value] = {name: row.values.get(name) not in (None, "") for name in stream.presence}
    return Record(
        id=row.id,
        values={**values, **filled},
        version=row.stamp.isoformat(),
        modified_at=row.stamp,
        deleted=row.deleted,
        merged_into=row.merged_into,
        history={name: tuple(row.history.get(name, ())) for name in stream.history},
        links={to: tuple(Link(i, tuple(sorted(labels))) for i, labels in sorted(row.links.get(to, {}).items())) for to in stream.links},
    )


def fields_of(**kinds: Field) -> dict[str, Field]:
    """A schema from keywords whose Fields carry no names yet: ``fields_of(Name=Field("", "", "text", True))``."""
    return {name: replace(kind, name=name, label=kind.label or name) for name, kind in kinds.items()}
