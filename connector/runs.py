"""Runs: the legs of ``sync`` over the connections of a project, each recorded, guarded, and kept from stopping the others."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

from connector import keeping, plan_files, sync, upkeep, witness
from connector.app import App
from connector.connected import Connected
from connector.crms.base import OrgInfo, PushCost, PushPart
from connector.errors import Blocked, ConnectorError, Finding, worst
from connector.forecast import Forecast, forecast
from connector.kpis.book.book import Book
from connector.model.standing import Standing
from connector.schedule import quiet
from connector.scorecard import guards
from connector.scorecard import plan as planning
from connector.scorecard.apply import FINE
from connector.scorecard.fits import Shape
from connector.scorecard.plan import Plan
from connector.state.calls import Budget
from connector.state.plans import OPEN
from connector.state.runs import Kind, Status
from connector.sync import PlanItem, PullReport, PushReport, Report

Stopped = Callable[[], bool]
log = logging.getLogger(__name__)
QUIET = "SC-E106"


@dataclass(frozen=True, slots=True)
class Failure:
    """One connection that could not do its part; the others went on."""

    connection: str
    error: ConnectorError


@dataclass
class Made:
    """A plan on disk. ``trips``: connection → guards that stop it."""

    plan: Plan
    path: Path
    sha256: str
    trips: Mapping[str, Sequence[Finding]]

    @property
    def parked(self) -> Mapping[str, Sequence[Finding]]:
        """Connection → the guards because of which its part awaits a person: what somebody has to be told."""
        return parked_of(self.plan, self.trips)


@dataclass
class RunReport:
    """What one run over the project did. ``costs``: connection → calls of its pull, sign-in and all, beside its forecast; ``budgets``:
    its account's day after that.

    ``missed``: connection → targets missed, the worst first; ``findings``: what did not go well beside the work itself.
    """

    pulls: list[PullReport] = field(default_factory=list)
    forecasts: list[Forecast] = field(default_factory=list)
    costs: dict[str, int] = field(default_factory=dict)
    budgets: dict[str, Budget] = field(default_factory=dict)
    made: Made | None = None
    pushes: list[PushReport] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    missed: dict[str, list[Standing]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """The highest in the order 5, 4, 1, 3, 2, 0."""
        codes = {failure.error.exit_code for failure in self.failures}
        codes |= {4 for push in self.pushes if push.trips}
        codes |= {3 for push in self.pushes if any(o.status not in FINE for o in push.outcomes) or push.left}
        codes |= {4} if self.made and self.made.plan.invalid else set()
        codes |= {pull.exit_code for pull in self.pulls}
        return worst(codes)


def parked_of(made: Plan, trips: Mapping[str, Sequence[Finding]]) -> dict[str, Sequence[Finding]]:
    """See :attr:`Made.parked`."""
    return {name: found for name, found in trips.items() if found and made.of(name) and not _passes(found)}


def _passes(trips: Sequence[Finding]) -> bool:
    """Nothing but the hour is against it: the next run plans anew, and nobody need approve."""
    return bool(trips) and all(trip.code == QUIET for trip in trips)


def pull(
    app: App,
    names: Sequence[str],
    *,
    full: bool = False,
    stream: str | None = None,
    trigger: str = "cli",
    report: Report | None = None,
    stopped: Stopped = lambda: False,
) -> RunReport:
    """Pull each connection; a failure of one is kept and the next goes on.

    Says beforehand what each should cost; one that the account's day does not hold fails with BudgetReached before it begins.
    """
    done, told = RunReport(), report or Report()
    witness.look(app)
    for name in names:
        with kept(done, name), recorded(app, name, "pull", trigger) as run, app.connected(name) as connected:
            info = connected.crm.check()
            app.store.remember_org(name, info.org_id, info.time_zone)
            connected.note()
            expected = forecast(connected, app.store, app.budget(name, connected.crm.meter), full=full, only=stream)
            done.forecasts.append(expected)
            told.step(expected.text())
            log.info("calls expected", extra={"connection": name, "run": run.id, "calls": expected.calls, "left": expected.budget.left})
            expected.refuse()
            telling = noted(told, connected, run.id)
            sync.settle(connected, app.store, run.id)
            pulled = sync.pull(connected, app.store, app.definitions, run.id, info=info, full=full, only=stream, report=telling, stopped=stopped)
            done.pulls.append(pulled)
            if any(read.deleted for read in pulled.streams):
                upkeep.scrub(app, name)
            for read in pulled.streams:
                log.info("stream read", extra={"connection": name, "run": run.id, **asdict(read)})
            run.status = "interrupted" if pulled.interrupted else "partial" if pulled.exit_code else "ok"
            connected.note()
            done.costs[name], done.budgets[name] = connected.crm.meter.calls, app.budget(name, connected.crm.meter)
            run.summary = {
                "as_of": pulled.info.now.isoformat(), "records": pulled.records, "changed": pulled.changed,
                "calls": done.costs[name], "findings": len(pulled.findings),
                "stream_calls": sum(s.calls for s in pulled.streams), "expected": expected.calls, "whole": expected.whole,
                "fresh": expected.fresh, "stream": stream,
                "streams_failed": {f.stream: f.error.code for f in pulled.failures},
            }  # fmt: skip
        if stopped():
            break
    return done


def books(app: App, done: RunReport, as_of: datetime | None = None) -> dict[str, Book]:
    """Connection → its book after the pull, as of its CRM's clock unless said otherwise."""
    return {p.connection: sync.book(app.mapped(p.connection), app.store, app.definitions, as_of or p.info.now) for p in done.pulls}


def plan(
    app: App,
    done: RunReport,
    known: Mapping[str, Book],
    *,
    only: Sequence[str] = (),
    out: Path | None = None,
) -> Made:
    """Plan what the connections just pulled need; save the file (0600) with its hash; ask the guards. Nothing is written to a CRM."""
    items = [PlanItem(app.mapped(p.connection), p.info, known[p.connection], p.blocking, _shapes(app, p)) for p in done.pulls]
    made = sync.plan(items, app.store, app.definitions, only=only)
    if not app.resolved.settings.privacy.names:
        made = made.nameless()
    done.findings += [finding for scope in made.scopes for finding in scope.findings if finding.severity == "warning"]
    trips = {item.mapped.name: trips_of(app, made, item.mapped.name, item.info, done.budgets[item.mapped.name]) for item in items}
    parked = parked_of(made, trips)
    reason = "; ".join(f"{n}: {t.message}" for n, found in trips.items() for t in found) or None
    guards_ = {name: [[trip.code, keeping.said(trip)] for trip in found] for name, found in parked.items()}
    summary = {**made.counts(), "connections": [scope.connection for scope in made.scopes], "guards": guards_}
    saved = plan_files.save(app, made, summary, status="awaiting" if parked else "saved", reason=reason, out=out)
    done.made = Made(*saved, trips)
    if not only:
        app.store.plans.supersede(done.made.plan.id, list(trips))
    return done.made


def _shapes(app: App, pulled: PullReport) -> dict[str, Shape]:
    """What each object holds; the options of deals differ by record type."""
    deal = app.mapping(pulled.connection).opportunities.object
    return {object: Shape.of(found, pulled.pipelines if object == deal else ()) for object, found in pulled.fields.items()}


def trips_of(app: App, made: Plan, name: str, info: OrgInfo, budget: Budget) -> list[Finding]:
    """What the guards say of one connection's part of a plan, now. ``budget``: its account's day, with the CRM's own gauge."""
    scope = next(s for s in made.scopes if s.connection == name)
    declared = app.resolved.settings
    production = app.resolved.connection(name).environment == "production"
    hours = declared.schedules[name].quiet_hours if name in declared.schedules else ()
    limits = guards.Limits(**{name: getattr(declared.guards, name) for name in guards.Limits.__slots__})
    pulled, usual = _pulled(app, name)
    facts = guards.Facts(
        production=production,
        written=frozenset(app.store.ledger.fields_written(name)),
        quiet=quiet(hours, info.now, app.definitions.kpis.calendar.time_zone),
        cost=cost(app, made, name),
        left=budget.left_to_push,
        day=budget.text(),
        pulled=pulled,
        usual=usual,
    )
    found = guards.check(scope, made.of(name), limits, facts)
    approval = declared.guards.require_approval
    if made.of(name) and (approval == "always" or (approval == "production" and production)):
        found.append(Finding(code="SC-E107", message=f"require_approval = {approval!r}: a person applies this plan"))
    return found


def cost(app: App, made: Plan, name: str) -> PushCost:
    """Calls that one connection's part of a plan will take. Nothing is sent to learn it."""
    planned = made.of(name)
    if not planned:
        return PushCost(0, 0)
    fields = {change.field for update in planned for change in update.changes} | set(app.mapped(name).mapper.input_fields)
    of_object = Counter(update.object for update in planned)
    alike = Counter((update.object, update.action, update.key_field) for update in planned)
    with app.connected(name) as connected:
        parts = [PushPart(object, n, connected.batch_of(of_object[object]), key is not None) for (object, _, key), n in alike.items()]
        return connected.crm.push_cost(parts, sorted(fields))


def _pulled(app: App, name: str) -> tuple[int, float | None]:
    """Deals of the last complete pull, and the mean of the complete ones before it; None where there is nothing to compare."""
    last = app.store.runs.last(name, kinds=("pull", "sync"))
    if last is None or not any(s.stream == "opportunities" and s.complete for s in last.streams):
        return 0, None
    now = next(s.records for s in last.streams if s.stream == "opportunities")
    before = app.store.runs.row_counts(name, "opportunities", complete=True, before=last.id)
    return now, sum(before) / len(before) if before else None


def push(
    app: App,
    made: Plan,
    *,
    names: Sequence[str] = (),
    trigger: str = "cli",
    report: Report | None = None,
    stopped: Stopped = lambda: False,
    done: RunReport | None = None,
    fail_on_stale: bool = False,
) -> RunReport:
    """Apply a plan connection by connection, under leases, and mark it applied. A part that was applied already stays as it is.
    ``fail_on_stale``: stop at the first record that changed since."""
    done = done or RunReport()
    pushes: list[PushReport] = []
    for scope in made.scopes:
        name = scope.connection
        if (names and name not in names) or app.store.plans.get(made.id).parts.get(name) == "applied":
            continue
        sync.keep_misfits(app.store, made, name)
        if not made.of(name):
            continue
        with kept(done, name), recorded(app, name, "push", trigger) as run, app.connected(name) as connected:
            _not_paused(app, name)
            connected.crm.meter.pushing = True
            current, sha256 = _undecided(app, made)
            telling = noted(report or Report(), connected, run.id)
            pushed = sync.push(
                connected, app.store, current, run.id, report=telling, stopped=lambda: stopped() or _rejected(app, made), sha256=sha256,
                fail_on_stale=fail_on_stale,
            )  # fmt: skip
            pushes.append(pushed)
            done.failures += [Failure(name, error) for error in pushed.refused]
            run.status = "ok" if all(o.status in FINE for o in pushed.outcomes) and not pushed.left else "partial"
            run.summary = {**pushed.counts, "healed": len(pushed.healed), "calls": pushed.calls, "plan": made.id}
    done.pushes += pushes
    _account(app, made, pushes)
    return done


def _undecided(app: App, made: Plan) -> tuple[Plan, str]:
    """(a plan that is still to be applied, its hash), without records that have been deleted in the CRM since it was read. Raises Blocked SC-E109
    where somebody has decided otherwise, or changed its file."""
    saved = app.store.plans.get(made.id).still_open()
    if saved.sha256 == planning.digest(planning.dumps(made)):
        return made, saved.sha256
    return plan_files.read(app, Path(saved.path))[0], saved.sha256


def _rejected(app: App, made: Plan) -> bool:
    return app.store.plans.get(made.id).status == "rejected"


def _account(app: App, made: Plan, pushes: Sequence[PushReport]) -> None:
    """What the plan has become by these pushes. Where the part of another connection still waits, for a person or its turn, the plan does."""
    parts: Mapping[str, str] = {}
    for pushed in pushes:
        whole = all(o.status in FINE for o in pushed.outcomes) and not pushed.left
        parts = app.store.plans.part(made.id, pushed.connection, "applied" if whole else "partial")
    due = {update.connection for update in made.updates}
    if pushes and (due <= parts.keys() or app.store.plans.get(made.id).status not in ("awaiting", "approved")):
        whole = not made.invalid and all(parts.get(name) == "applied" for name in due)
        app.store.plans.set_status(made.id, "applied" if whole else "partial", expected=OPEN)


def sync_all(
    app: App,
    names: Sequence[str],
    *,
    full: bool = False,
    as_of: datetime | None = None,
    only: Sequence[str] = (),
    dry_run: bool = False,
    trigger: str = "cli",
    report: Report | None = None,
    stopped: Stopped = lambda: False,
) -> RunReport:
    """Pull, plan and, for every connection whose guards all pass, apply. A tripped connection's plan is parked, the others go on."""
    told = report or Report()
    done = pull(app, names, full=full, trigger=trigger, report=told, stopped=stopped)
    if stopped() or not done.pulls:
        return done
    told.step("computing KPIs")
    known = books(app, done, as_of)
    made = plan(app, done, known, only=only)
    if dry_run:
        return done
    free = [p.connection for p in done.pulls if not made.trips[p.connection]]
    done.pushes += [PushReport(n, trips=tuple(t)) for n, t in made.trips.items() if t and (made.plan.of(n) or _blocks(t))]
    if free:
        push(app, made.plan, names=free, trigger=trigger, report=told, stopped=stopped, done=done)
    if not made.plan.updates:
        app.store.plans.set_status(made.plan.id, "applied")
    if as_of is None:
        _keep(app, done, known)
    return done


def pull_all(
    app: App,
    names: Sequence[str],
    *,
    full: bool = False,
    stream: str | None = None,
    trigger: str = "cli",
    report: Report | None = None,
    stopped: Stopped = lambda: False,
) -> RunReport:
    """Pull, and keep the day's measures. Where nothing changed and the day is kept already nothing is computed: they are what they were,
    and what has changed in kpis.yaml shows with the next push, or the next day."""
    done = pull(app, names, full=full, stream=stream, trigger=trigger, report=report, stopped=stopped)
    if stopped():
        return done
    day = app.definitions.calendar.day
    fresh = [p for p in done.pulls if p.changed or not app.store.measures.taken(p.connection, day(p.info.now))]
    _keep(app, done, books(app, RunReport(pulls=fresh)))
    return done


def _keep(app: App, done: RunReport, known: Mapping[str, Book]) -> None:
    """Measures and missed targets of what was read whole, and whoever is to be told. A stream that failed would make a drop of what is none."""
    whole = {p.connection for p in done.pulls if not (p.failures or p.interrupted)}
    keeping.remember(app, {name: book for name, book in known.items() if name in whole})
    done.missed = {p.connection: app.store.alerts.standing(p.connection) for p in done.pulls}
    done.findings += keeping.tell(app, [p.connection for p in done.pulls])


def _blocks(trips: Sequence[Finding]) -> bool:
    return any(t.code in guards.BLOCKING for t in trips)


def noted(told: Report, connected: Connected, run: int) -> Report:
    """The same report, which after each page and batch also tells the state what was called, so that other processes see it."""

    def stream(connection: str, name: str, records: int) -> None:
        connected.note()
        log.debug("page saved", extra={"connection": connection, "run": run, "stream": name, "records": records})
        told.stream(connection, name, records)

    def wrote(connection: str, done: int, planned: int) -> None:
        connected.note()
        told.wrote(connection, done, planned)

    return replace(told, stream=stream, wrote=wrote)


@dataclass
class _Recorded:
    id: int
    status: Status = "ok"
    summary: Mapping[str, object] | None = None


@contextlib.contextmanager
def recorded(app: App, name: str, kind: Kind, trigger: str) -> Iterator[_Recorded]:
    """A run in the ledger of runs: finished with what it became, whatever happens."""
    if not app.store.leases.held(name):  # nobody works on it: a run that says so died
        app.store.runs.interrupt_dead(name)
    run = _Recorded(app.store.runs.start(name, kind, trigger))
    about = {"connection": name, "run": run.id, "kind": kind}
    log.info("run started", extra={**about, "trigger": trigger})
    try:
        yield run
    except ConnectorError as error:
        status: Status = "blocked" if error.exit_code == 4 else "failed"
        log.info("run ended", extra={**about, "status": status, "code": error.code})
        app.store.runs.finish(run.id, status, error_code=error.code, error_message=error.message)
        raise
    except BaseException as error:
        log.info("run ended", extra={**about, "status": "interrupted", "cause": type(error).__name__})
        app.store.runs.finish(run.id, "interrupted")
        raise
    log.info("run ended", extra={**about, "status": run.status, **(run.summary or {})})
    app.store.runs.finish(run.id, run.status, summary=run.summary)


@contextlib.contextmanager
def kept(done: RunReport, name: str) -> Iterator[None]:
    """One bad connection does not stop another: its error is kept."""
    try:
        yield
    except ConnectorError as error:
        done.failures.append(Failure(name, error))


def _not_paused(app: App, name: str) -> None:
    pause = app.store.connections.paused(name)
    if pause is not None:
        raise Blocked(f"{name} is paused: {pause.reason}", next_step=f"connector connections resume {name}")
