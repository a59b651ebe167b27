"""The first leg of a run: read every stream, keep what it brings, look whether the CRM still says the same of itself.

Each page is committed with its bookmark. A stream that cannot be read as it is mapped does not stop the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from connector import reconcile, watch
from connector.connected import Connected, Definitions, MappedConnection
from connector.crms.base import Field, OrgInfo, Page, Pipeline, StreamSpec, Window
from connector.errors import CODES, ConnectorError, CrmConfigError, Finding, MissingScope, RecordError, TooLarge, worst
from connector.model.records import DeadLetter, Mapped
from connector.reconcile import Reconciler
from connector.state.census import Reconciled
from connector.state.store import Store

OF_DEALS = ("stage_history", "contact_roles")
RATES_EVERY = timedelta(hours=23)  # daily; a run is not punctual


@dataclass
class Report:
    """Told what happens while a run goes on; the command line draws progress with it. The default says nothing."""

    stream: Callable[[str, str, int], None] = lambda connection, stream, records: None
    step: Callable[[str], None] = lambda text: None
    wrote: Callable[[str, int, int], None] = lambda connection, done, planned: None


@dataclass(frozen=True, slots=True)
class StreamPull:
    """What one stream brought. ``calls``: API calls it cost; ``echoes``: deals of it that hold what the state knew already, most of all
    our own writes coming back; ``changed``: rows that are other than the state held them."""

    stream: str
    object: str
    pages: int
    records: int
    upserts: int
    deleted: int
    dead_letters: int
    calls: int
    seconds: float
    echoes: int = 0
    changed: int = 0


@dataclass(frozen=True, slots=True)
class StreamFailure:
    """One stream that could not be read as it is mapped; the others went on, and what was stored of it stays."""

    stream: str
    error: ConnectorError

    def findings(self) -> tuple[Finding, ...]:
        return self.error.findings or (self.error.finding(),)


@dataclass(frozen=True, slots=True)
class PullReport:
    connection: str
    info: OrgInfo
    streams: tuple[StreamPull, ...]
    findings: tuple[Finding, ...] = ()
    interrupted: bool = False
    failures: tuple[StreamFailure, ...] = ()
    reconciled: tuple[Reconciled, ...] = ()
    fields: Mapping[str, Mapping[str, Field]] = field(default_factory=dict)  # object → its fields, as the connection's user sees them
    pipelines: tuple[Pipeline, ...] = ()

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """What keeps this connection from being written to."""
        return tuple(f for f in self.findings if f.severity == "error")

    @property
    def exit_code(self) -> int:
        """Of the failed streams; 3 where something was left out."""
        partial = any(s.dead_letters for s in self.streams) or any(f.code == "SC-E071" for f in self.findings)
        return worst([*(f.error.exit_code for f in self.failures), 3 if partial else 0])

    @property
    def records(self) -> int:
        return sum(s.records for s in self.streams)

    @property
    def changed(self) -> int:
        """Rows that are not as the state held them: what is worth computing anew. What an overlap or a daily sweep read again is not."""
        return sum(s.changed for s in self.streams)


@dataclass
class Pull:
    """One pull of one connection, stream by stream."""

    connected: Connected
    store: Store
    definitions: Definitions
    info: OrgInfo
    number: int
    full: bool
    only: str | None
    report: Report
    stopped: Callable[[], bool]
    pulled: list[StreamPull] = field(default_factory=list)
    failures: list[StreamFailure] = field(default_factory=list)
    reconciled: list[Reconciled] = field(default_factory=list)
    compared: dict[str, Reconciled] = field(default_factory=dict)
    fields: Mapping[str, Mapping[str, Field]] = field(default_factory=dict)
    pipelines: tuple[Pipeline, ...] = ()

    def run(self) -> PullReport:
        specs = [spec for spec in self.connected.mapper.streams() if self.only in (None, spec.name)]
        self.compared = self.store.census.compared(self.connected.name)
        seen = watch.schema(self.connected, self.store, specs)
        self.fields = seen.live
        for spec in specs:
            self._stream(spec, seen.broken.get(spec.name))
            if self.stopped():
                return self._told((), interrupted=True)
        self.pipelines = pipelines = self.connected.crm.pipelines()
        stages = watch.stages(self.connected.mapped, self.store, pipelines)
        unmapped = live_stages(self.connected.mapped, self.store, self.definitions, pipelines)
        watch.remember(self.connected, self.store, (seen, stages), self.info.now)
        unread = self._rates()
        failed = [finding for failure in self.failures for finding in failure.findings()]
        return self._told((*unmapped, *dict.fromkeys(failed), *self._missing(), *seen.findings, *stages.findings, *unread, *self._histories()))

    def _told(self, findings: Sequence[Finding], *, interrupted: bool = False) -> PullReport:
        name = self.connected.name
        if not interrupted and self.only is None:
            self.store.census.keep(name, findings)
        return PullReport(
            name, self.info, tuple(self.pulled), tuple(findings), interrupted, tuple(self.failures), tuple(self.reconciled),
            self.fields, self.pipelines,
        )  # fmt: skip

    def _stream(self, spec: StreamSpec, broken: ConnectorError | None) -> None:
        """Read it and compare it with the CRM's own count, where that is due. What concerns this stream alone does not stop the others."""
        if broken is not None:
            self.failures.append(StreamFailure(spec.name, broken))
            return
        reader = _StreamReader(self.connected, self.store, self.definitions, spec, self.info, self.number, self.report, self.stopped)
        try:
            self.pulled.append(reader.pull(self.full))
            if not self.stopped():
                self._reconcile(spec, reader)
        except (CrmConfigError, MissingScope, TooLarge) as error:
            self.failures.append(StreamFailure(spec.name, error))

    def _reconcile(self, spec: StreamSpec, reader: _StreamReader) -> None:
        reconciler = Reconciler(self.connected, self.store, self.info.now, self.full)
        if not reconciler.due(self.compared.get(spec.name), complete=reader.complete):
            return
        calls = self.connected.crm.meter.calls
        found = reconciler.compare(spec, partial(self._again, reader))
        if found is None:
            return
        self.reconciled.append(found)
        self.compared[spec.name] = found
        spent = self.connected.crm.meter.calls - calls
        last = self.pulled[-1]
        self.pulled[-1] = replace(
            last, pages=reader.pages, records=reader.records, upserts=reader.upserts, deleted=reader.deleted + found.gone,
            dead_letters=reader.dead, calls=last.calls + spent, changed=reader.changed + found.gone,
        )  # fmt: skip
        self.store.runs.count(self.number, self.pulled[-1], complete=reader.complete)

    def _again(self, reader: _StreamReader, ids: Sequence[str], fence: int | None) -> None:
        """Records by id; before deals what other streams bring of them, whose stamps may lie long before those streams' bookmarks. A run
        that dies in between leaves the deals missing."""
        for spec in self.connected.mapper.streams() if reader.spec.name == "opportunities" else ():
            if spec.name in OF_DEALS and spec.object != reader.spec.object:
                other = replace(reader, spec=spec, pages=0, records=0, upserts=0, deleted=0, dead=0, changed=0)
                with self.store.leases.take(self.connected.name, spec.name, owner=self.store.owner) as lease:
                    other.again(ids, lease.fence)
        reader.again(ids, fence)

    def _rates(self) -> list[Finding]:
        """Once a day, where deals have a currency of their own."""
        name, known = self.connected.name, self.store.rates.known(self.connected.name)
        fresh = known is not None and not self.full and self.info.now - known.taken_at < RATES_EVERY
        if fresh or self.only is not None or "currency" not in self.connected.mapped.mapping.opportunities.fields:
            return []
        try:
            told = self.connected.crm.rates()
        except (CrmConfigError, MissingScope) as error:
            return [Finding("SC-W077", f"{name}: {error.message}", "warning", next=CODES["SC-W077"].next_step)]
        day = self.definitions.calendar.day
        dated = [(rate.currency, day(rate.since) if isinstance(rate.since, datetime) else rate.since, rate.value) for rate in told]
        self.store.rates.keep(name, self.info.currency, dated, self.info.now)
        return []

    def _missing(self) -> list[Finding]:
        read = {spec.name for spec in self.connected.mapper.streams()}
        found = [reconcile.finding(self.connected.name, one) for name, one in sorted(self.compared.items()) if name in read]
        return [finding for finding in found if finding is not None]

    def _histories(self) -> list[Finding]:
        """Asked where something moved, or where the last run found fault. Only whole runs can tell."""
        if self.only is not None or self.failures:
            return []
        moved = any(s.upserts for s in self.pulled if s.stream in ("opportunities", "stage_history"))
        if not moved and not any(f.code == "SC-W072" for f in self.store.census.kept(self.connected.name)):
            return []
        return watch.histories(self.connected.mapped, self.store, self.info.now)


@dataclass
class _StreamReader:
    """One stream of one run."""

    connected: Connected
    store: Store
    definitions: Definitions
    spec: StreamSpec
    info: OrgInfo
    run: int
    report: Report
    stopped: Callable[[], bool]
    pages: int = 0
    records: int = 0
    upserts: int = 0
    deleted: int = 0
    dead: int = 0
    echoes: int = 0
    changed: int = 0
    complete: bool = False

    @property
    def fingerprint(self) -> str:
        """Changes when the mapping of this stream does: then the stream is read again from the beginning."""
        return self.connected.mapper.fingerprint(self.spec.name)

    def pull(self, full: bool) -> StreamPull:
        """Under the stream's lease: pages from the bookmark to the run's start, each saved before the next is read."""
        started, calls = self.store.clock.now(), self.connected.crm.meter.calls
        with self.store.leases.take(self.connected.name, self.spec.name, owner=self.store.owner) as lease:
            for page in self.connected.crm.read(self.spec, self._window(full)):
                self._save(page, lease.fence)
                self.report.stream(self.connected.name, self.spec.name, self.records)
                if self.stopped():
                    break
        seconds = (self.store.clock.now() - started).total_seconds()
        pulled = StreamPull(
            self.spec.name, self.spec.object, self.pages, self.records, self.upserts, self.deleted, self.dead,
            self.connected.crm.meter.calls - calls, seconds, self.echoes, self.changed,
        )  # fmt: skip
        self.store.runs.count(self.run, pulled, complete=self.complete)
        return pulled

    def again(self, ids: Sequence[str], fence: int | None) -> None:
        """Records by id, saved beside the bookmark as it stands. Nothing where the stream is still to be read from nothing."""
        bookmark = self.store.bookmark(self.connected.name, self.spec.name, fingerprint=self.fingerprint)
        if bookmark is not None:
            for records in self.connected.crm.again(self.spec, ids):
                self._save(Page(tuple(records), bookmark), fence)

    def _window(self, full: bool) -> Window:
        name = self.connected.name
        bookmark = None if full else self.store.bookmark(name, self.spec.name, fingerprint=self.fingerprint)
        self.complete = bookmark is None
        return Window(
            bookmark,
            self.info.now,
            open_ids=lambda: open_ids(self.connected.mapped, self.store, self.definitions),
            deal_ids=lambda: [id for id, _, _ in self.store.deal_stages(name)],
            linked=self._linked,
            known_versions=lambda ids: {} if self.complete else self.store.versions(name, "opportunities", ids),
        )

    def _linked(self, deals: Sequence[str]) -> dict[str, set[str]]:
        kept = self.connected.mapper.kept(self.spec.name)
        if kept is None:
            return {}
        held = self.store.linked(self.connected.name, kept.table, deals, kept.prefix)
        return {deal: {kept.record(id) for id in ids} for deal, ids in held.items()}

    def _save(self, page: Page, fence: int | None) -> None:
        mapped: list[Mapped] = []
        dead: list[DeadLetter] = []
        aside: list[str] | None = None if self.connected.mapper.kept(self.spec.name) is None else []
        for record in page.records:
            try:
                mapped.append(self.connected.mapper.map(self.spec.name, record))
                if aside is not None and not (mapped[-1].rows or mapped[-1].tombstones):
                    aside.append(record.id)
            except RecordError as error:
                dead.append(DeadLetter(self.spec.name, record.id, error.code, error.message, error.field))
        counts = self.store.save_page(
            self.connected.name, self.spec.name, mapped, dead, page.bookmark, run=self.run, fence=fence,
            complete_for=page.complete_for, fingerprint=self.fingerprint, records=[r.id for r in page.records],
            seen_at=self.info.now, aside=aside,
        )  # fmt: skip
        self.pages += 1
        self.records += len(page.records)
        self.upserts += counts.upserts
        self.deleted += counts.deleted
        self.echoes += counts.echoes
        self.changed += counts.changed
        self.dead += len(dead)


def open_ids(mapped: MappedConnection, store: Store, definitions: Definitions) -> list[str]:
    """Ids of deals whose stage is open or unmapped, in pipelines that are not ignored."""
    return [id for id, pipeline, stage in store.deal_stages(mapped.name) if _is_open(mapped, definitions, pipeline, stage)]


def _is_open(mapped: MappedConnection, definitions: Definitions, pipeline: str | None, stage: str | None) -> bool:
    if mapped.stages.ignored(pipeline, stage):
        return False
    return definitions.ladder.stage_class(mapped.stages.canonical(pipeline, stage)) == "open"


def live_stages(mapped: MappedConnection, store: Store, definitions: Definitions, pipelines: Sequence[Pipeline]) -> list[Finding]:
    """Live stages and pipelines that nobody mapped (SC-E024), with the number of open deals that sit in them."""
    open_deals = [(p, s) for _, p, s in store.deal_stages(mapped.name) if p and s and _is_open(mapped, definitions, p, s)]
    return mapped.stages.unmapped(pipelines, Counter(open_deals))
