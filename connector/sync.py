"""One run: pull → map → store → compute → plan → apply. The only module that knows every column; it knows no concrete CRM.

Each function does one leg and can be called alone: ``pull`` by a schedule, ``plan`` by a person, ``push`` with a saved plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from connector.connected import Connected, Definitions, MappedConnection
from connector.crms.base import OrgInfo, Page, Pipeline, StreamSpec, Window
from connector.errors import Blocked, Finding, RecordError
from connector.kpis.book import Book
from connector.kpis.compute import DEFINITION_VERSION
from connector.kpis.scorecards import Scorecard, scorecards
from connector.model.records import DeadLetter, Mapped
from connector.scorecard import fields
from connector.scorecard import plan as planning
from connector.scorecard.apply import Outcome, apply, tally
from connector.scorecard.fields import KEYS, MANIFEST
from connector.scorecard.plan import Desired, Observed, Plan, PlannedUpdate, Scope, Target
from connector.state import frames, ledger
from connector.state.leases import Lease
from connector.state.store import Store

PUSH = "push"
LEDGER_STATUS: Mapping[str, Literal["written", "rejected", "skipped"]] = {
    "written": "written", "rejected": "rejected", "deferred": "rejected", "gone": "skipped",
}  # fmt: skip


@dataclass
class Report:
    """Told what happens while a run goes on; the command line draws progress with it. The default says nothing."""

    stream: Callable[[str, str, int], None] = lambda connection, stream, records: None
    step: Callable[[str], None] = lambda text: None
    wrote: Callable[[str, int, int], None] = lambda connection, done, planned: None


@dataclass(frozen=True, slots=True)
class StreamPull:
    """What one stream brought. ``calls``: API calls it cost."""

    stream: str
    object: str
    pages: int
    records: int
    upserts: int
    deleted: int
    dead_letters: int
    calls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PullReport:
    connection: str
    info: OrgInfo
    streams: tuple[StreamPull, ...]
    findings: tuple[Finding, ...] = ()
    interrupted: bool = False

    @property
    def records(self) -> int:
        return sum(s.records for s in self.streams)


@dataclass(frozen=True, slots=True)
class PushReport:
    """What became of a plan's part for one connection. ``trips``: the guards that stopped it, empty if it ran."""

    connection: str
    outcomes: tuple[Outcome, ...] = ()
    trips: tuple[Finding, ...] = ()
    calls: int = 0
    left: int = 0  # planned updates not tried: paused or stopped in between

    @property
    def counts(self) -> Mapping[str, int]:
        return tally(self.outcomes)


# -- pull -----------------------------------------------------------------------------------------------------------


def pull(
    connected: Connected,
    store: Store,
    definitions: Definitions,
    run: int,
    *,
    full: bool = False,
    only: str | None = None,
    report: Report | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> PullReport:
    """Read every stream from its bookmark on. Each page is committed with its bookmark; ``stopped`` is asked after each.

    Raises the errors of the CRM; what was committed before stays.
    """
    told = report or Report()
    info = connected.crm.check()
    store.remember_org(connected.name, info.org_id)
    mapped = MappedConnection.of(connected.name, connected.mapped.mapping, definitions, robots=(info.user_id,))
    connected = replace(connected, mapped=mapped)
    pulled: list[StreamPull] = []
    for spec in connected.mapper.streams():
        if only not in (None, spec.name):
            continue
        reader = _StreamReader(connected, store, definitions, spec, info, run, told, stopped)
        pulled.append(reader.pull(full))
        if stopped():
            return PullReport(connected.name, info, tuple(pulled), interrupted=True)
    return PullReport(connected.name, info, tuple(pulled), tuple(live_stages(connected.mapped, store, definitions, connected.crm.pipelines())))


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
            self.connected.crm.meter.calls - calls, seconds,
        )  # fmt: skip
        self.store.runs.count(self.run, pulled, complete=self.complete)
        return pulled

    def _window(self, full: bool) -> Window:
        name = self.connected.name
        bookmark = None if full else self.store.bookmark(name, self.spec.name, fingerprint=self.fingerprint)
        self.complete = bookmark is None
        return Window(
            bookmark,
            self.info.now,
            open_ids=lambda: open_ids(self.connected.mapped, self.store, self.definitions),
            known_versions=lambda ids: {} if self.complete else self.store.versions(name, "opportunities", ids),
        )

    def _save(self, page: Page, fence: int) -> None:
        mapped: list[Mapped] = []
        dead: list[DeadLetter] = []
        for record in page.records:
            try:
                mapped.append(self.connected.mapper.map(self.spec.name, record))
            except RecordError as error:
                dead.append(DeadLetter(self.spec.name, record.id, error.code, error.message, error.field))
        counts = self.store.save_page(
            self.connected.name, self.spec.name, mapped, dead, page.bookmark, run=self.run, fence=fence,
            complete_for=page.complete_for, fingerprint=self.fingerprint, records=[r.id for r in page.records],
            seen_at=self.info.now,
        )  # fmt: skip
        self.pages += 1
        self.records += len(page.records)
        self.upserts += counts.upserts
        self.deleted += counts.deleted
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


# -- compute ----------------------------------------------------------------------------------------------------------


def book(mapped: MappedConnection, store: Store, definitions: Definitions, as_of: datetime) -> Book:
    """The book of one connection at an instant, from the state alone."""
    sections = frames.sections(
        store,
        mapped.name,
        day=definitions.calendar.day,
        stage_of=mapped.stages.canonical,
        pipeline_of=mapped.stages.pipeline,
        ignored=mapped.stages.ignored,
    )
    return Book.build(
        sections,
        as_of=as_of,
        ladder=definitions.ladder,
        settings=definitions.kpis,
        inputs=definitions.inputs,
        snapshots=store.snapshots(mapped.name),
    )


# -- plan -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlanItem:
    """One connection's part of a plan to be made: whose org, the book it rests on, and findings that block it."""

    mapped: MappedConnection
    info: OrgInfo
    book: Book
    findings: Sequence[Finding] = ()


def plan(
    items: Sequence[PlanItem],
    store: Store,
    definitions: Definitions,
    *,
    id: str,
    only: Sequence[str] = (),
) -> Plan:
    """Desired − observed over the open deals of each connection, as of its book. ``only``: deal ids, for a plan of a few."""
    parts = [_part(item, store, definitions, only) for item in items]
    return Plan(
        id=id,
        created_at=store.clock.now().isoformat(),
        scopes=tuple(scope for scope, _, _ in parts),
        updates=tuple(update for _, updates, _ in parts for update in updates),
        invalid=tuple(finding for _, _, invalid in parts for finding in invalid),
    )


def _part(item: PlanItem, store: Store, definitions: Definitions, only: Sequence[str]) -> tuple[Scope, list[PlannedUpdate], list[Finding]]:
    name, as_of = item.mapped.name, item.book.as_of
    cards = scorecards(item.book)
    mapped = {id: card for id, card in cards.items() if card.stage is not None}
    desired = {id: desired_values(card) for id, card in mapped.items() if not only or id in only}
    observed = {id: Observed(seen.name, seen.version, seen.inputs_hash, seen.observed) for id, seen in store.observed(name).items() if id in desired}
    target = target_of(item.mapped, definitions)
    updates, unchanged, held, invalid = planning.updates(target, desired, observed, _last_written(store, target), as_of)
    scope = Scope(
        connection=name, crm=item.mapped.kind, org_id=item.info.org_id, mapping=definitions.version, as_of=as_of.isoformat(),
        population=len(mapped), unchanged=unchanged, held=held, set_aside=len(cards) - len(mapped), findings=tuple(item.findings),
    )  # fmt: skip
    return scope, updates, invalid


def _last_written(store: Store, target: Target) -> dict[tuple[str, str], str | None]:
    """What we wrote last, as canonical text."""
    keys = {name: key for key, name in target.field_names.items()}
    written = store.ledger.last_written(target.connection)
    return {(record, name): fields.text(MANIFEST[keys[name]], value) for (record, name), value in written.items() if name in keys}


def target_of(mapped: MappedConnection, definitions: Definitions) -> Target:
    """Where the scorecard of a connection goes."""
    return Target(
        connection=mapped.name,
        crm=mapped.kind,
        object=mapped.mapping.opportunities.object,
        field_names={key: name for key, name in mapped.mapping.scorecard.written.items() if key in MANIFEST},
        stage_labels={rung.key: rung.label for rung in definitions.ladder.ladder},
        definition=f"kpi {DEFINITION_VERSION} · map {definitions.version[:8]}",
    )


def desired_values(card: Scorecard) -> Desired:
    """A deal's scorecard as inside values of the manifest: lists as the labels a rep reads."""
    values: dict[str, object] = {}
    for key in KEYS:
        field_ = MANIFEST[key]
        if field_.kind == "list":
            text = card.text[key]
            values[key] = None if text is None else [part for part in text.split(field_.separator) if part]
        else:
            values[key] = getattr(card, key)
    return Desired(values, card.why)


# -- push -------------------------------------------------------------------------------------------------------------


def push(
    connected: Connected,
    store: Store,
    made: Plan,
    run: int,
    *,
    report: Report | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> PushReport:
    """Apply one connection's part of a saved plan, under its push lease. Rejected updates become dead letters.

    Raises Blocked (SC-E109) if the plan was made for another org.
    """
    told = report or Report()
    scope = next(s for s in made.scopes if s.connection == connected.name)
    info = connected.crm.check()
    if info.org_id != scope.org_id:
        raise Blocked(f"the plan is for org {scope.org_id}, the connection now leads to {info.org_id}", code="SC-E109")
    calls, planned = connected.crm.meter.calls, made.of(connected.name)
    outcomes: list[Outcome] = []
    with store.leases.take(connected.name, PUSH, owner=store.owner) as lease:
        for outcome in apply(
            planned,
            connected.crm,
            connected.mapper.input_fields,
            _RunLedger(store, connected.name, made.id, run, lease),
            batch_size=connected.write_batch,
            go_on=lambda: not stopped() and not store.is_paused(connected.name),
        ):
            outcomes.append(outcome)
            told.wrote(connected.name, len(outcomes), len(planned))
    return PushReport(connected.name, tuple(outcomes), calls=connected.crm.meter.calls - calls, left=len(planned) - len(outcomes))


@dataclass
class _RunLedger:
    """Before-images and results of one push, in the state. Each batch first proves that the lease is still ours."""

    store: Store
    connection: str
    plan: str
    run: int
    lease: Lease

    def before(self, batch: Sequence[PlannedUpdate]) -> None:
        images = [ledger.Image(u.object, u.id, c.field, c.before, c.after) for u in batch for c in u.changes]
        self.store.ledger.before_images(self.run, self.plan, self.connection, images, fence=self.lease.fence)

    def after(self, outcomes: Sequence[Outcome]) -> None:
        self.store.ledger.results(self.run, self.connection, [_in_ledger(o) for o in outcomes if o.status != "stale"])
        refused = [DeadLetter(PUSH, o.update.id, o.code or "SC-E129", _said(o)) for o in outcomes if o.status in ("rejected", "deferred")]
        self.store.dead_letters.add(self.connection, refused, run=self.run)
        self.store.dead_letters.mended(self.connection, PUSH, [o.update.id for o in outcomes if o.status == "written"])


def _in_ledger(outcome: Outcome) -> ledger.Outcome:
    status = LEDGER_STATUS[outcome.status]
    return ledger.Outcome(outcome.update.id, status, outcome.code, outcome.message, outcome.version)


def _said(outcome: Outcome) -> str:
    """The CRM's own code and words behind ours."""
    return f"{outcome.crm_code} {outcome.message}" if outcome.crm_code else str(outcome.message)
