"""connector rollback."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli import views
from connector.cli.main import invocation
from connector.cli.output import Answer, Table, count
from connector.cli.project import opened, progress

if TYPE_CHECKING:
    from connector.rollback import Undone


def rollback(
    run: Annotated[int, typer.Argument(metavar="RUN", help="the number of a push")],
    field: Annotated[list[str] | None, typer.Option("--field", help="only this field; may be given several times")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be restored, write nothing")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> Answer:
    """Restore what was there before a push, wherever the CRM still holds what we wrote; list the rest. Pauses pushes until resumed."""
    from connector import rollback as rolling

    console = invocation().console
    with opened() as app, progress(console) as report:
        names = app.resolved.settings.privacy.names
        if not dry_run and not yes and console.terminal:
            seen = rolling.rollback(app, run, only=field or (), dry_run=True)
            console.say(_verdict(seen))
            typer.confirm(f"restore {count(len(seen.plan.updates), 'record')} of {seen.connection}?", abort=True)
        done = rolling.rollback(app, run, only=field or (), dry_run=dry_run, report=report)
    text: list[str | Table] = [_verdict(done)]
    if dry_run:
        text += ["", *views.plan(done.plan, names=names)[1:]]
    if done.pushed:
        text += ["", *views.pushed([done.pushed], names=names)]
        text.append(f"pushes of {done.connection} are paused: connector connections resume {done.connection}")
    text += [f"  left  {left.record}  {(left.name or '') if names else ''}  {left.field or 'all fields'}: {left.why}" for left in done.left]
    summary: dict[str, object] = {
        "run": done.run, "of_run": run, "records": len(done.plan.updates), "restored": done.restored, "as_before": done.as_before,
        "left": len(done.left),
    }  # fmt: skip
    failed = [o for o in (done.pushed.outcomes if done.pushed else ()) if o.status not in ("written", "unchanged")]
    refused = [{"id": o.update.reference, "status": o.status, "code": o.code, "crm_code": o.crm_code, "message": o.message} for o in failed]
    result = {"plan": done.plan.id if done.pushed else None, "left": [asdict(left) for left in done.left], "not_restored": refused}
    return Answer(summary, result, text, (), done.exit_code)


def _verdict(done: Undone) -> str:
    """The first line."""
    values = sum(len(u.changes) for u in done.plan.updates)
    if done.pushed is None:
        said = f"{count(values, 'value')} of {count(len(done.plan.updates), 'record')} would be restored" if values else "nothing to restore"
    else:
        said = f"{count(done.restored, 'value')} restored" + (f", {values - done.restored:,} not" if values > done.restored else "")
    before = f" · {done.as_before:,} are as before already" if done.as_before else ""
    left = f" · {len(done.left):,} left alone" if done.left else ""
    return f"run {done.of_run} of {done.connection}: {said}{before}{left}"
