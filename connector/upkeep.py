"""What nobody should have to think of: old data goes, what was deleted in the CRM goes from plans too, the audit proves itself once a day."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path

from connector import alerts
from connector.alerts import Announcement
from connector.app import App
from connector.crms.base import Grain
from connector.errors import CODES, Blocked, ConnectorError, Finding, LeaseHeld, SettingsError, Undelivered
from connector.files import write_private
from connector.scorecard import plan as planning
from connector.scorecard.plan import Plan, PlannedUpdate
from connector.state.audit import Verdict, proven
from connector.state.plans import SavedPlan
from connector.state.retention import Gone, Spans
from connector.sync import PUSH

Change = Callable[[Plan], Plan]
TABLES: Mapping[Grain, str] = {"opportunity": "opportunities", "companion": "opportunities", "account": "accounts", "contact": "contacts"}
"""Grain → the table that knows which of its records are gone."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge took, or would. ``plan_files``: saved plans; ``audit``: its rows."""

    gone: Gone
    plan_files: tuple[str, ...] = ()
    audit: int = 0

    def counts(self) -> dict[str, int]:
        return {**asdict(self.gone), "plan_files": len(self.plan_files), "audit": self.audit}


def purge(app: App, *, older_than: timedelta | None = None, dry_run: bool = False) -> Purged:
    """What [retention] no longer keeps. ``older_than``: sooner than that says, except for the audit, which keeps its own time."""
    kept = app.resolved.settings.retention

    def sooner(span: timedelta) -> timedelta:
        return span if older_than is None else min(span, older_than)

    spans = Spans(sooner(kept.runs), sooner(kept.before_images), sooner(kept.dead_letters))
    now = app.clock.now()
    files = [path for saved in app.store.plans.decided_before(now - spans.before_images) if (path := _own_file(app, saved)) is not None]
    gone = app.store.retention.purge(spans, dry_run=dry_run)
    if files and not dry_run:
        for path in files:
            path.unlink(missing_ok=True)
        app.store.audit.add("plans.purged", "plans", {"files": [path.name for path in files]})
    old = now - kept.audit
    return Purged(gone, tuple(path.name for path in files), app.store.audit.old(old) if dry_run else app.store.audit.purge(old))


def _own_file(app: App, saved: SavedPlan) -> Path | None:
    """The file of a plan where it lies in the state; what a person saved elsewhere is that person's."""
    path = Path(saved.path)
    mine = (app.resolved.state_dir / "plans").resolve()
    return path if path.is_file() and path.resolve().is_relative_to(mine) else None


def scrub(app: App, name: str) -> list[str]:
    """Records of a connection that the CRM no longer has go from what pushes say of them and from saved plans, whose files get another hash,
    recorded with the one before. Returns the plans that were rewritten."""
    places = app.mapped(name).mapper.places
    gone = {
        planning.reference(grain, places[grain].object, id)
        for grain, table in TABLES.items()
        if grain in places
        for id in app.store.census.gone(name, table)
    }
    gone |= app.store.census.gone(name, "opportunities")  # a plan of before the companion
    app.store.dead_letters.gone(name, PUSH, sorted(gone))
    return _without(app, lambda plan: _scrubbed(plan, name, gone), "records deleted in the CRM") if gone else []


def _without(app: App, change: Change, why: str) -> list[str]:
    """Rewrite the plan files that ``change`` makes different. The hash first: a crash in between is mended by the next time."""
    done = []
    for saved in app.store.plans.find(limit=-1):
        path = _own_file(app, saved)
        if path is None:
            continue
        before = path.read_bytes()
        try:
            made = planning.loads(before)
        except Blocked:  # no plan of ours any more: it is refused as it stands
            continue
        changed = change(made)
        if changed == made:
            continue
        after = planning.dumps(changed)
        if planning.digest(before) == saved.sha256:
            app.store.plans.rewritten(saved.id, planning.digest(after), why)
        write_private(path, after)
        done.append(saved.id)
    return done


def _scrubbed(made: Plan, name: str, gone: set[str]) -> Plan:
    """What is to be written to records that are gone goes. That their companion be removed stays, which holds its key and no value; a removal
    with values, as a rollback makes it, has been applied by the run that planned it."""
    updates = tuple(replace(u, name=None) if _bare(u) else u for u in made.updates if u.connection != name or u.reference not in gone or _bare(u))
    invalid = tuple(f for f in made.invalid if not (f.path and f.path.partition(":")[0] == name and f.path.partition(":")[2] in gone))
    return replace(made, updates=updates, invalid=invalid)


def _bare(update: PlannedUpdate) -> bool:
    """A removal that tells nothing but which record it is of."""
    return update.action == "remove" and all(change.key == "key" for change in update.changes)


def forget(app: App, name: str) -> int:
    """Everything that the state holds of a connection goes, plan files with it; its rows in the audit stay, and its lease numbers, which must
    not come twice. Returns how many rows went. Raises LeaseHeld while somebody works on it."""
    held = app.store.leases.held(name)
    if held:
        raise LeaseHeld(f"another process works on {name} ({held[0].stream})")
    for saved in app.store.plans.find(limit=-1):
        path = _own_file(app, saved)
        if path is not None and set((saved.summary or {}).get("connections", ())) == {name}:
            path.unlink(missing_ok=True)
    _without(app, lambda plan: _part_of(plan, lambda connection: connection != name), f"{name} was removed")
    app.store.plans.forget(name)
    app.store.witness.forget(f"connections.{name}.")
    rows = app.store.forget(name)
    app.store.audit.add("connection.purged", name, {"rows": rows})
    app.store.database.checkpoint()
    return rows


def _part_of(made: Plan, wanted: Callable[[str], bool]) -> Plan:
    return replace(
        made,
        scopes=tuple(scope for scope in made.scopes if wanted(scope.connection)),
        updates=tuple(update for update in made.updates if wanted(update.connection)),
        invalid=tuple(f for f in made.invalid if not f.path or wanted(f.path.partition(":")[0])),
    )


# -- once a day ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Upkeep:
    """One day's work. ``findings``: channels that did not take the head of the audit."""

    purged: Purged
    verdict: Verdict
    findings: tuple[Finding, ...] = ()

    def text(self) -> str:
        """One line; the head in it is what a later ``audit verify --head`` is held against."""
        gone = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in self.purged.counts().items() if n)
        return f"purged {gone or 'nothing'}; audit head {self.verdict.head} ({self.verdict.rows:,} rows)"


def daily(app: App) -> Upkeep:
    """Purge, scrub what a crash left unscrubbed, prove the audit chain, and tell its head to the log and to every channel: a chain cannot show by
    itself that its tail was cut.

    Raises StateError SC-E185 where it is broken, after the channels were told that.
    """
    purged = purge(app)
    for name in app.resolved.settings.connections:
        try:
            scrub(app, name)
        except ConnectorError as error:  # a mapping that does not load stops every run and says so there; the audit is proven all the same
            log.warning("not scrubbed", extra={"connection": name, "error": error.message})
    verdict = app.store.audit.verify()
    if verdict.broken is not None:
        why: dict[str, str | int] = {"row": verdict.broken, "why": str(verdict.why)}
        log.error("audit chain broken", extra=why)
        _announce(app, Announcement("audit_broken", f"the audit chain is broken at row {verdict.broken}", why))
        proven(verdict)
    log.info("audit head", extra={"head": verdict.head, "rows": verdict.rows})
    head = Announcement("audit_head", f"audit head {verdict.head}", {"head": verdict.head, "rows": verdict.rows})
    return Upkeep(purged, verdict, tuple(_announce(app, head)))


def _announce(app: App, said: Announcement) -> list[Finding]:
    """To every channel of connector.toml; what fails is a finding."""
    found = []
    for channel in alerts.channels(app.resolved.settings.alerts, app.resolved.smtp_password, app.clock.sleep):
        try:
            remark = channel.announce(app.resolved.settings.project.name, said)
        except (Undelivered, SettingsError) as error:
            remark = error.message
        if remark:
            step = CODES["SC-W099"].next_step
            found.append(Finding("SC-W099", f"{channel.name}: {said.kind} not delivered to all: {remark}", "warning", next=step))
            log.warning("announcement not delivered", extra={"channel": channel.name, "where": channel.where, "kind": said.kind})
    return found
