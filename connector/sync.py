"""One run: pull → map → store → compute → plan → apply. The only module that knows every column; it knows no concrete CRM.

Each function does one leg and can be called alone: ``pull`` by a schedule, ``plan`` by a person, ``push`` with a saved plan.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Literal

from connector import grains
from connector.connected import Connected, Definitions, MappedConnection
from connector.crms.base import OrgInfo, Record, Value
from connector.errors import Blocked, Finding, LeaseHeld, MissingScope
from connector.kpis.book.book import Book
from connector.model.records import DeadLetter
from connector.pulls import Pull, PullReport, Report, StreamPull, live_stages, open_ids
from connector.scorecard import fields
from connector.scorecard import plan as planning
from connector.scorecard.apply import FINE, Outcome, apply, tally
from connector.scorecard.fields import ScorecardField
from connector.scorecard.fits import NO_RIGHT, Shape, without_right
from connector.scorecard.manifests import MANIFESTS
from connector.scorecard.plan import Plan, PlannedUpdate, Scope
from connector.state import frames, ledger
from connector.state.leases import Lease
from connector.state.store import Store

__all__ = ["PullReport", "Report", "StreamPull", "live_stages", "open_ids"]  # of the pull leg, for those who know the conductor only
PUSH = "push"
QUARANTINE_AFTER = 3
"""Refusals of the very same update, of the very same version of a record, after which it is sent no more until one of the two changes."""
GONE_SINCE: Mapping[str, tuple[Literal["written", "skipped", "unknown"], str]] = {
    "update": ("unknown", "the record is gone: nobody can tell whether our value had arrived"),
    "create": ("skipped", "not made: a crash came before"), "remove": ("written", "the record is gone"),
}  # fmt: skip
"""What a record that is not there says about a write whose result nobody knew."""
LEDGER_STATUS: Mapping[str, Literal["written", "rejected", "skipped", "pending"]] = {
    "written": "written", "unchanged": "skipped", "rejected": "rejected", "deferred": "pending", "gone": "skipped",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PushReport:
    """What became of a plan's part for one connection. ``trips``: the guards that stopped it, empty if it ran; ``refused``: objects on which the
    credential may not write, while the others were written."""

    connection: str
    outcomes: tuple[Outcome, ...] = ()
    trips: tuple[Finding, ...] = ()
    calls: int = 0
    left: int = 0  # planned updates not tried: paused or stopped in between
    refused: tuple[MissingScope, ...] = ()

    @property
    def healed(self) -> tuple[tuple[str, str], ...]:
        """(reference of the record, field) of values that somebody had overwritten and that are ours again."""
        written = [o for o in self.outcomes if o.status == "written"]
        return tuple((o.update.reference, change.field) for o in written for change in o.update.changes if change.healed)

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
    info: OrgInfo | None = None,
    full: bool = False,
    only: str | None = None,
    report: Report | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> PullReport:
    """Read every stream from its bookmark on. Each page is committed with its bookmark; ``stopped`` is asked after each.

    First the schema is looked at: a stream whose field is gone, hidden or of another kind is left out, and so is one that the CRM refuses
    by itself. ``info``: what a check of just now said, which the state has been told. Raises the errors of the CRM that concern more than
    one stream; what was committed before stays.
    """
    told = report or Report()
    if info is None:
        info = connected.crm.check()
        store.remember_org(connected.name, info.org_id, info.time_zone)
    connected = replace(connected, mapped=connected.mapped.with_robots((info.user_id,)))
    return Pull(connected, store, definitions, info, run, full, only, told, stopped).run()


# -- compute ----------------------------------------------------------------------------------------------------------


def book(mapped: MappedConnection, store: Store, definitions: Definitions, as_of: datetime, windows: Sequence[str] = ()) -> Book:
    """The book of one connection at an instant, from the state alone. The CRM's exchange rates serve where its currency is the reporting one.

    ``windows``: labels of windows beside the usual ones.
    """
    known = store.rates.known(mapped.name)
    home = definitions.kpis.calendar.currency
    rates = [{"currency": code, "date": day, "rate": value} for code, day, value in known.rates] if known and known.home == home else []
    sections = frames.sections(
        store,
        mapped.name,
        day=definitions.calendar.day,
        stage_of=mapped.stages.canonical,
        pipeline_of=mapped.stages.pipeline,
        ignored=mapped.stages.ignored,
    )
    first = store.runs.first(mapped.name, kinds=("pull",))
    return Book.build(
        sections,
        as_of=as_of,
        ladder=definitions.ladder,
        settings=definitions.kpis,
        inputs=definitions.inputs,
        rates=rates,
        snapshots=store.snapshots(mapped.name),
        extra_windows=windows,
        pilot_link=mapped.mapping.opportunities.pilot_link,
        observed_since=None if first is None else definitions.calendar.day(first.started_at),
    )


# -- plan -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlanItem:
    """One connection's part of a plan to be made: whose org, the book it rests on, findings that block it, what the CRM's objects hold."""

    mapped: MappedConnection
    info: OrgInfo
    book: Book
    findings: Sequence[Finding] = ()
    shapes: Mapping[str, Shape] = field(default_factory=dict)


def plan(
    items: Sequence[PlanItem],
    store: Store,
    definitions: Definitions,
    *,
    only: Sequence[str] = (),
) -> Plan:
    """Desired − observed over every grain of each connection, as of its book, without a number yet. ``only``: deal ids, for a plan of a few."""
    parts = [_part(item, store, definitions, only) for item in items]
    return Plan(
        id="",
        created_at=store.clock.now().isoformat(),
        scopes=tuple(scope for scope, _, _ in parts),
        updates=tuple(update for _, updates, _ in parts for update in updates),
        invalid=tuple(finding for _, _, invalid in parts for finding in invalid),
    )


def _part(item: PlanItem, store: Store, definitions: Definitions, only: Sequence[str]) -> tuple[Scope, list[PlannedUpdate], list[Finding]]:
    name, as_of = item.mapped.name, item.book.as_of
    waiting = store.dead_letters.quarantined(name, PUSH, QUARANTINE_AFTER)
    found = grains.parts(item.mapped, item.info.currency, item.shapes, item.book, store, definitions, only)
    updates: list[PlannedUpdate] = []
    invalid: list[Finding] = []
    findings = list(item.findings)
    unchanged = held = 0
    for part in found:
        target, shape = part.target, item.shapes.get(part.target.object, Shape())
        written = grains.last_written(store, target)
        differ = planning.differences(target, part.desired, part.observed, written, as_of, shape.misfit, part.gone)
        updates += differ.updates
        invalid += differ.invalid
        unchanged, held = unchanged + differ.unchanged, held + differ.held
        findings += [*part.findings, *without_right(target, shape)]
    held_back = tuple(u.reference for u in updates if u.reference in waiting and waiting[u.reference].attempt == u.attempt)
    scope = Scope(
        connection=name, crm=item.mapped.kind, org_id=item.info.org_id, mapping=definitions.version, as_of=as_of.isoformat(),
        population=sum(part.population for part in found if part.target.grain in grains.DEALS), unchanged=unchanged, held=held,
        set_aside=sum(part.set_aside for part in found), findings=tuple(findings), quarantined=held_back,
        populations={part.target.grain: part.population for part in found},
    )  # fmt: skip
    return scope, [u for u in updates if u.reference not in held_back], invalid


# -- push -------------------------------------------------------------------------------------------------------------


def push(
    connected: Connected,
    store: Store,
    made: Plan,
    run: int,
    *,
    report: Report | None = None,
    stopped: Callable[[], bool] = lambda: False,
    sha256: str | None = None,
    fail_on_stale: bool = False,
    despite_pause: bool = False,
    input_fields: Sequence[str] | None = None,
) -> PushReport:
    """Apply one connection's part of a saved plan, under its push lease. Rejected updates become dead letters.

    ``sha256``: of the plan's file, for the audit; ``fail_on_stale``: no further batch once a record is found changed; ``despite_pause``: a
    rollback, which has paused the connection itself; ``input_fields``: those whose change makes a record stale (default: all that are mapped).

    Raises Blocked (SC-E109) if the plan was made for another org.
    """
    told = report or Report()
    scope = next(s for s in made.scopes if s.connection == connected.name)
    info = connected.crm.check()
    if info.org_id != scope.org_id:
        raise Blocked(f"the plan is for org {scope.org_id}, the connection now leads to {info.org_id}", code="SC-E109")
    calls, planned = connected.crm.meter.calls, made.of(connected.name)
    outcomes: list[Outcome] = []
    refused: list[MissingScope] = []
    inputs = connected.mapper.input_fields if input_fields is None else input_fields
    about = {"plan": made.id, "sha256": sha256, "mapping": scope.mapping}

    def go_on() -> bool:
        stale = fail_on_stale and any(outcome.status == "stale" for outcome in outcomes)
        no_right = any(outcome.code == NO_RIGHT for outcome in outcomes)  # of a field: every further record would be refused too
        return not stale and not no_right and not stopped() and (despite_pause or not store.is_paused(connected.name))

    with store.leases.take(connected.name, PUSH, owner=store.owner) as lease:
        _settle(connected, store, run)
        planned = tuple(_without_written(planned, store.ledger.written_by(made.id, connected.name)))
        log = _RunLedger(store, connected.name, made.id, run, lease, about)
        for _, alike in groupby(planned, key=lambda update: update.object):
            mine = list(alike)
            try:
                for outcome in apply(mine, connected.crm, inputs, log, batch_size=connected.batch_of(len(mine)), go_on=go_on):
                    outcomes.append(outcome)
                    told.wrote(connected.name, len(outcomes), len(planned))
            except MissingScope as error:
                refused.append(error)
    left = len(planned) - len(outcomes)
    done = PushReport(connected.name, tuple(outcomes), calls=connected.crm.meter.calls - calls, left=left, refused=tuple(refused))
    healed: dict[str, list[str]] = {}
    for record, name in done.healed:
        healed.setdefault(record, []).append(name)
    store.audit.add("push.ended", f"{connected.name} run {run}", {"run": run, **about, **done.counts, "left": done.left, "healed": healed})
    return done


def _without_written(planned: Sequence[PlannedUpdate], written: Set[tuple[str, str, str]]) -> Iterator[PlannedUpdate]:
    """What an earlier try of the same plan has not written yet: what came over it since may be newer than the plan."""
    for update in planned:
        left = tuple(c for c in update.changes if (update.object, update.id, c.field) not in written)
        if len(left) == len(update.changes):
            yield update
        elif any(c.key not in fields.TECHNICAL for c in left):
            yield replace(update, changes=left)


def keep_misfits(store: Store, made: Plan, connection: str) -> None:
    """Values that were not sent because they would not fit are ours to mend: kept with the refusals of the CRM, under codes of their own."""
    mine = [(finding, finding.path.partition(":")[2]) for finding in made.invalid if finding.path and finding.path.startswith(f"{connection}:")]
    store.dead_letters.add(connection, [DeadLetter(PUSH, record, f.code, f"not sent: {f.message}") for f, record in mine])


def settle(connected: Connected, store: Store, run: int) -> None:
    """After a process that died between before-images and results: ask the CRM what arrived. Leaves alone what a live process is writing."""
    if not store.ledger.pending(connected.name):
        return
    with contextlib.suppress(LeaseHeld), store.leases.take(connected.name, PUSH, owner=store.owner):
        _settle(connected, store, run)


def _settle(connected: Connected, store: Store, run: int) -> None:
    """Under the push lease. A record is written as a whole or not at all, so one field that holds what only we would have written tells of all."""
    pending = store.ledger.pending(connected.name)
    if not pending:
        return
    places = {place.object: place for place in connected.mapper.places.values()}
    found: list[ledger.Settled] = []
    for object in sorted({write.object for write in pending}):
        mine: dict[str, list[ledger.Write]] = {}
        for write in pending:
            if write.object == object:
                mine.setdefault(write.record, []).append(write)
        place = places.get(object)
        names = sorted({write.field for writes in mine.values() for write in writes if place is not None and write.field in place.kinds})
        now = connected.crm.fetch(object, sorted(mine), names, place.key_field if place is not None else None)
        for record, writes in mine.items():
            known = {name: MANIFESTS[place.grain][key] for key, name in place.fields.items()} if place is not None else {}
            found += settled(writes, now.get(record), known)
    store.ledger.settle(run, connected.name, found)


def settled(writes: Sequence[ledger.Write], record: Record | None, keys: Mapping[str, ScorecardField]) -> list[ledger.Settled]:
    """What one record says about the pending writes to it. ``keys``: field → its row of the manifest."""
    action = writes[0].action
    if record is None:
        status, why = GONE_SINCE[action]
        return [ledger.Settled(w, status, why) for w in writes]
    if action == "remove":
        return [ledger.Settled(w, "skipped", "not removed: a crash came before") for w in writes]

    def text(write: ledger.Write, value: Value) -> str | None:
        return fields.text(keys[write.field], value) if write.field in keys else ledger.wire_text(value)

    held = {w.id: text(w, record.values.get(w.field)) for w in writes}
    told = [w for w in writes if text(w, w.before) != text(w, w.after)]
    if any(held[w.id] == text(w, w.after) for w in told):
        return [ledger.Settled(w, "written", "found written after a crash", held[w.id]) for w in writes]
    return [
        ledger.Settled(w, "skipped", "not sent: a crash came before")
        if held[w.id] == text(w, w.before)
        else ledger.Settled(w, "unknown", "edited since a crash: nobody can tell whether our value had arrived")
        for w in writes
    ]


@dataclass
class _RunLedger:
    """Before-images and results of one push, in the state. Each batch first proves that the lease is still ours."""

    store: Store
    connection: str
    plan: str
    run: int
    lease: Lease
    about: Mapping[str, object]

    def before(self, batch: Sequence[PlannedUpdate]) -> None:
        images = [ledger.Image(u.object, u.id, c.field, c.before, c.after, u.grain, u.action) for u in batch for c in u.changes]
        self.store.ledger.before_images(self.run, self.plan, self.connection, images, fence=self.lease.fence)

    def still_ours(self) -> None:
        self.store.ledger.still_ours(self.connection, fence=self.lease.fence)

    def after(self, outcomes: Sequence[Outcome]) -> None:
        self.store.ledger.results(self.run, self.connection, [_in_ledger(o) for o in outcomes if o.status != "stale"], self.about)
        refused = [
            DeadLetter(PUSH, o.update.reference, o.code or "SC-E129", _said(o), attempt=o.update.attempt if o.status == "rejected" else None)
            for o in outcomes
            if o.status in ("rejected", "deferred")
        ]
        self.store.dead_letters.add(self.connection, refused, run=self.run)
        self.store.dead_letters.mended(self.connection, PUSH, [o.update.reference for o in outcomes if o.status in FINE])


def _in_ledger(o: Outcome) -> ledger.Outcome:
    status, reference = LEDGER_STATUS[o.status], o.update.reference
    return ledger.Outcome(o.update.object, o.update.id, status, o.code, o.message, o.version, o.made, o.took, reference)


def _said(outcome: Outcome) -> str:
    """The CRM's own code and words behind ours."""
    return f"{outcome.crm_code} {outcome.message}" if outcome.crm_code else str(outcome.message)
