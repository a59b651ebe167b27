"""connector apply."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli import views
from connector.cli.main import invocation
from connector.cli.output import Answer, Table, aligned, clean
from connector.cli.plan import plan_path
from connector.cli.project import Signals, opened, progress
from connector.cli.sync import result, summary
from connector.errors import Blocked, Finding, UsageError

if TYPE_CHECKING:
    from connector.runs import RunReport
    from connector.scorecard.plan import Plan


def apply(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="number, or a plan file")],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    allow_large: Annotated[bool, typer.Option("--allow-large", help="lift the two share guards for this plan")] = False,
    on_stale: Annotated[str, typer.Option(help="skip | fail: what a record changed since the plan does")] = "skip",
) -> Answer:
    """Write exactly a saved plan: re-read each batch, skip what changed since, report each rejected record with the CRM's reason."""
    from connector import approvals, runs
    from connector.runs import Made, RunReport, kept

    if on_stale not in ("skip", "fail"):
        raise UsageError(f"--on-stale {on_stale!r} is neither skip nor fail")
    console = invocation().console
    with opened() as app, Signals() as signals:
        path = plan_path(app, plan)
        made = approvals.load_plan(app, path)
        done, trips = RunReport(), dict[str, list[Finding]]()
        for scope in made.scopes:
            with kept(done, scope.connection):  # one that cannot be reached does not hold up the others
                trips[scope.connection] = approvals.check_guards(app, made, scope.connection, allow_large=allow_large)
        if tripped := [t for found in trips.values() for t in found]:
            raise Blocked(f"plan {made.id} is stopped by {len(tripped)} guard(s)", findings=tuple(tripped), next_step="see the guards above")
        names = app.resolved.settings.privacy.names
        for line in views.plan(made, limit=0, names=names):  # before it acts, with --yes too
            for part in aligned(line) if isinstance(line, Table) else (line,):
                console.say(clean(part))
        if not yes and console.terminal:
            typer.confirm(f"write {len(made.updates)} records?", abort=True)
        done.made = Made(made, path, "", trips)
        if reached := list(trips):
            with progress(console) as report:
                runs.push(app, made, names=reached, report=report, stopped=signals.stop.is_set, done=done, fail_on_stale=on_stale == "fail")
    stale = any(o.status == "stale" for p in done.pushes for o in p.outcomes)
    code = 4 if stale and on_stale == "fail" else done.exit_code
    text = [verdict(made, done), *views.pushed(done.pushes, names=names)]
    return Answer(summary(done), result(done), text, [f.error.finding() for f in done.failures], signals.code or code)


def verdict(made: Plan, done: RunReport) -> str:
    """The first line: planned, and what became of it."""
    statuses = Counter(o.status for push in done.pushes for o in push.outcomes)
    left = sum(push.left for push in done.pushes)
    parts = [f"{n:,} {word}" for word, n in statuses.most_common()] + ([f"{left:,} not tried"] if left else [])
    return " · ".join((f"plan {made.id}: {len(made.updates):,} planned", *parts))
