"""Saved plans and the people who decide on them: load one as it was saved, ask its guards again, approve, reject, apply what was approved."""

from __future__ import annotations

from pathlib import Path

from connector import plan_files, witness
from connector.app import App
from connector.errors import Blocked, Finding
from connector.runs import QUIET, RunReport, Stopped, kept, push, trips_of
from connector.scorecard import guards
from connector.scorecard.plan import Plan
from connector.state.plans import SavedPlan, Status
from connector.sync import PushReport, Report

LIFTED = frozenset({"SC-E102", "SC-E103", "SC-E105", "SC-E107"})
"""Guards that an approval answers."""


def load_plan(app: App, path: Path) -> Plan:
    """A saved plan from its file. Raises Blocked SC-E109 if it is not byte for byte what was saved, or no longer to be applied."""
    made, saved = plan_files.read(app, path)
    saved.still_open()
    for scope in made.scopes:
        if scope.mapping != app.definitions.version:
            raise Blocked(f"the mapping changed since plan {made.id} was made", code="SC-E109")
    return made


def check_guards(app: App, made: Plan, name: str, *, allow_large: bool, scheduled: bool = False) -> list[Finding]:
    """The guards of one connection again, just before applying. Approval answers those that are about the plan itself; without one the person
    who applies answers for a first fill, and for the share guards where ``allow_large`` says so. Quiet hours bind schedules only. What was
    answered for is recorded where nothing else stops the plan."""
    witness.look(app)
    saved = app.store.plans.get(made.id)
    answered = LIFTED if saved.status == "approved" else frozenset({"SC-E107"})
    by = saved.status if saved.status == "approved" else "who applies"
    if allow_large:
        answered |= {"SC-E102"}
    if not scheduled:
        answered |= {QUIET}
    with app.connected(name) as connected:
        info = connected.crm.check()
        connected.note()
        budget = app.budget(name, connected.crm.meter)
    trips = trips_of(app, made, name, info, budget)
    found = [t for t in trips if t.code not in answered]
    lifted = [f"{t.code} {t.message}" for t in trips if t.code in answered]
    if lifted and not found:
        detail = {"plan": made.id, "sha256": saved.sha256, "connection": name, "guards": lifted, "by": by}
        app.store.audit.add("guard.overridden", f"plan {made.id}", detail)
    return found


def approve(app: App, id: str) -> Plan:
    """A person has read the plan and lets it be applied.

    Raises Blocked where its file is another, where it is decided already, and where the cause must be mended first.
    """
    saved = app.store.plans.get(id)
    made = load_plan(app, Path(saved.path))
    mended_first = [f for scope in made.scopes for f in scope.findings if f.severity == "error" and f.code in guards.BLOCKING]
    if mended_first:
        raise Blocked(f"plan {id} cannot be approved: the cause is mended first", findings=tuple(mended_first), next_step="mend it, then plan again")
    if not app.store.plans.set_status(id, "approved", expected=("saved", "awaiting")):
        raise Blocked(f"plan {id} is {app.store.plans.get(id).status} already", next_step="connector plans list")
    return made


def reject(app: App, id: str, reason: str) -> None:
    """A person has read the plan and does not want it. Raises Blocked where it is decided already."""
    if not app.store.plans.set_status(id, "rejected", reason=reason, expected=("saved", "awaiting", "approved")):
        raise Blocked(f"plan {id} is {app.store.plans.get(id).status} already", next_step="connector plans list")


def apply_approved(app: App, name: str, *, trigger: str, report: Report | None = None, stopped: Stopped = lambda: False) -> RunReport:
    """What was approved for one connection since, before it is planned anew; a plan that is no longer valid is set aside, never half-applied."""
    done = RunReport()
    for saved in app.store.plans.find(statuses=("approved",)):
        if name not in (saved.summary or {}).get("connections", ()) or name in saved.parts or stopped():
            continue
        with kept(done, name):
            made = _still_valid(app, saved)
            if not made.of(name):
                _close(app, saved, made)
                continue
            trips = check_guards(app, made, name, allow_large=False, scheduled=True)
            if trips:
                done.pushes.append(PushReport(name, trips=tuple(trips)))
            else:
                push(app, made, names=[name], trigger=trigger, report=report, stopped=stopped, done=done)
    return done


def _close(app: App, saved: SavedPlan, made: Plan) -> None:
    """Nothing of an approved plan is left for one connection, as where its records were deleted since. Where nothing is left for any other
    either, it is over, and says so."""
    if {update.connection for update in made.updates} <= saved.parts.keys():
        whole = not made.invalid and set(saved.parts.values()) <= {"applied"}
        became: Status = "superseded" if not saved.parts else "applied" if whole else "partial"
        app.store.plans.set_status(saved.id, became, reason="nothing is left of it to be written", expected=("approved",))


def _still_valid(app: App, saved: SavedPlan) -> Plan:
    """An approved plan. Raises Blocked where it cannot be applied any more, which is said once: it is approved no longer."""
    try:
        return load_plan(app, Path(saved.path))
    except Blocked as error:
        app.store.plans.set_status(saved.id, "superseded", reason=error.message, expected=("approved",))
        raise
