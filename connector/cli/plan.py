"""connector plan, plans list | show | approve | reject."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli import views
from connector.cli.main import invocation
from connector.cli.output import Answer, Table, count
from connector.cli.project import AsOf, ConnectionOption, Signals, command, instant, opened, progress
from connector.errors import StateError, worst

if TYPE_CHECKING:
    from connector.app import App
    from connector.runs import Made, RunReport


def plan(
    connection: ConnectionOption = None,
    out: Annotated[Path | None, typer.Option(help="where to save it; default state/plans/NUMBER.json")] = None,
    id: Annotated[list[str] | None, typer.Option("--id", help="these deals only")] = None,
    limit: Annotated[int, typer.Option(help="how many deals to show")] = views.SHOWN,
    explain: Annotated[bool, typer.Option("--explain", help="show every deal with its reasons")] = False,
    detailed_exitcode: Annotated[bool, typer.Option("--detailed-exitcode", help="exit 2 if anything would change")] = False,
    as_of: AsOf = None,
) -> Answer:
    """Read what changed, compute, and save what would be written: per field and per deal before → after and why."""
    from connector import runs

    with opened() as app, Signals() as signals, progress(invocation().console) as report:
        done = runs.pull(app, app.names(connection), report=report, stopped=signals.stop.is_set)
        if not done.pulls:
            return _failed(done)
        made = runs.plan(app, done, runs.books(app, done, instant(as_of, app)), only=id or (), out=out)
        names = app.resolved.settings.privacy.names
    changes = bool(made.plan.updates)
    text: list[str | Table] = [*views.plan(made.plan, limit=limit, every=explain, names=names, warnings=False), *_guards(made)]
    if changes:
        text.append(f"saved. Apply exactly this with:  {command()} apply {made.plan.id if out is None else out}")
    code = worst((done.exit_code, 2 if changes and detailed_exitcode else 0))
    findings = [*(f for p in done.pulls for f in p.findings), *done.findings] + [f.error.finding() for f in done.failures]
    trips = {name: [asdict(t) for t in found] for name, found in made.trips.items()}
    counts = made.plan.counts()
    return Answer(dict(counts), {"plan": str(made.path), "id": made.plan.id, "sha256": made.sha256, "guards": trips}, text, findings, code)


def _failed(done: RunReport) -> Answer:
    return Answer(findings=[f.error.finding() for f in done.failures], exit_code=done.exit_code, text=["no connection could be read"])


def _guards(made: Made) -> list[str]:
    if not made.plan.updates:
        return []
    lines = [f"guard {name}: {trip.code} {trip.message}" for name, found in made.trips.items() for trip in found]
    return ["", *(lines or ["guards ok"])]


def list_plans(limit: Annotated[int, typer.Option(help="how many")] = 20) -> Answer:
    """Saved plans, newest first."""
    with opened() as app:
        found = app.store.plans.find(limit=limit)
    rows = [(p.id, p.created_at.strftime("%Y-%m-%d %H:%M"), p.status, (p.summary or {}).get("records", ""), p.reason or "") for p in found]
    table = Table(("plan", "made (UTC)", "status", ">records", "why it waits"), rows)
    text: list[str | Table] = [count(len(found), "plan"), "", table] if found else ["no plan yet: connector plan"]
    return Answer({"plans": len(found)}, [asdict(p) for p in found], text)


def show(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="number, or a plan file")],
    all: Annotated[bool, typer.Option("--all", help="every deal")] = False,
) -> Answer:
    """One saved plan, as it will be applied."""
    from connector.scorecard import plan as planning

    with opened() as app:
        path = plan_path(app, plan)
        made, names = planning.loads(_read(path)), app.resolved.settings.privacy.names
    if not names:  # it may have been saved while they were shown
        made = made.nameless()
    return Answer(dict(made.counts()), asdict(made), views.plan(made, every=all, names=names))


def approve(plan: Annotated[str, typer.Argument(metavar="PLAN", help="number")]) -> Answer:
    """A person has read the plan: it may be applied although guards tripped. The next scheduled push of its connections applies it."""
    from connector import approvals

    with opened() as app:
        number = _number(plan)
        made = approvals.approve(app, number)
    text = f"plan {number} is approved: {count(len(made.updates), 'record')}. Now:  {command()} apply {number}   (or the next scheduled push)"
    return Answer({"plan": number, "records": len(made.updates)}, {"plan": number, "status": "approved"}, [text])


def reject(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="number")],
    reason: Annotated[str, typer.Option(help="why; kept with the plan and in the audit")],
) -> Answer:
    """A person has read the plan and does not want it: it can no longer be applied."""
    from connector import approvals

    with opened() as app:
        number = _number(plan)
        approvals.reject(app, number, reason)
    return Answer({"plan": number}, {"plan": number, "status": "rejected"}, [f"plan {number} is rejected: {reason}"])


def _number(plan: str) -> str:
    return plan.zfill(4) if plan.isdigit() else plan


def plan_path(app: App, plan: str) -> Path:
    """The file of a plan given by number or by path. Raises StateError SC-E184 for an unknown number."""
    given = Path(plan)
    if given.suffix == ".json" or given.is_file():
        return given
    return Path(app.store.plans.get(_number(plan)).path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StateError(f"plan {path} cannot be read: {error.strerror}", code="SC-E184", next_step="connector plans list") from error
