"""connector sync."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli import views
from connector.cli.main import invocation
from connector.cli.output import Answer, Table, count
from connector.cli.project import AsOf, ConnectionOption, Signals, instant, opened, progress
from connector.errors import UsageError

if TYPE_CHECKING:
    from connector.app import App
    from connector.forecast import Forecast
    from connector.runs import RunReport

FINE = frozenset({"written", "unchanged"})


def sync(
    connection: ConnectionOption = None,
    stream: Annotated[str | None, typer.Option(help="only this stream (implies --pull-only)")] = None,
    pull_only: Annotated[bool, typer.Option("--pull-only", help="read, write nothing to the CRM")] = False,
    full: Annotated[bool, typer.Option("--full", help="read everything again")] = False,
    id: Annotated[list[str] | None, typer.Option("--id", help="plan and write these deals only")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="pull and plan, apply nothing")] = False,
    as_of: AsOf = None,
) -> Answer:
    """Pull, compute, plan and, where every guard allows, apply. A second sync right after writes nothing."""
    from connector import runs

    console = invocation().console
    with opened() as app, Signals() as signals, progress(console) as report:
        names = app.names(connection)
        if stream:
            _known_stream(app, names, stream)
        stopped = signals.stop.is_set
        if pull_only or stream:
            done = runs.pull_all(app, names, full=full, stream=stream, report=report, stopped=stopped)
        else:
            at = instant(as_of, app)
            done = runs.sync_all(app, names, full=full, as_of=at, only=id or (), dry_run=dry_run, report=report, stopped=stopped)
        show_names = app.resolved.settings.privacy.names
    return answer(done, show_names=show_names, signal=signals.code)


def _known_stream(app: App, names: Sequence[str], stream: str) -> None:
    """Raises UsageError where no connection has this stream: a word that matches nothing is a typing error, never an empty pull."""
    known = sorted({spec.name for name in names for spec in app.mapped(name).mapper.streams()})
    if stream not in known:
        raise UsageError(f"no stream {stream!r}; known: {', '.join(known)}")


def answer(done: RunReport, *, show_names: bool, signal: int = 0) -> Answer:
    """A run as a verb says it: verdict, what was pulled, what changes, what was written, what failed."""
    text: list[str | Table] = [verdict(done)]
    if (table := views.pulled(done.pulls)).rows:
        text += ["", table]
    if (costs := Table(("connection", "stream", ">expected", ">calls", "because"), list(_costs(done)))).rows:
        text += ["", costs]
    if compared := views.compared(done.pulls):
        text += ["", *compared]
    if done.made:
        text += ["", *views.plan(done.made.plan, names=show_names, warnings=False)]
    if done.made and done.made.plan.updates and done.pushes:
        text += ["", *views.pushed(done.pushes, names=show_names)]
    if missed := views.missed(done.missed):
        text += ["", missed]
    findings = [*(f for p in done.pulls for f in p.findings), *done.findings, *(f.error.finding() for f in done.failures)]
    return Answer(summary(done), result(done), text, findings, signal or done.exit_code)


def _costs(done: RunReport) -> Iterator[tuple[object, ...]]:
    """Connection by connection what was expected beside what it cost: the streams that cost something, the rest, the whole."""
    for expected in done.forecasts:
        real = _real(done, expected.connection)
        for part in expected.parts:
            if part.calls or real.get(part.part):
                yield expected.connection, part.part, _number(part.calls), _number(real.get(part.part)), part.basis
        about = f"{'' if expected.whole else 'at least '}{expected.calls:,}"
        yield expected.connection, "together", about, _number(done.costs.get(expected.connection)), f"{expected.budget.left:,} were left today"


def _real(done: RunReport, connection: str) -> dict[str, int]:
    """What each part of a forecast cost in the end; empty where the pull did not end."""
    from connector.forecast import SIGN_IN

    streams = {s.stream: s.calls for p in done.pulls if p.connection == connection for s in p.streams}
    return {**streams, SIGN_IN: done.costs[connection] - sum(streams.values())} if connection in done.costs else streams


def _number(calls: int | None) -> str:
    return "?" if calls is None else f"{calls:,}"


def verdict(done: RunReport) -> str:
    """The first line."""
    records = sum(p.records for p in done.pulls)
    written = sum(p.counts["written"] for p in done.pushes)
    refused = sum(o.status not in FINE for p in done.pushes for o in p.outcomes)
    healed = sum(len(p.healed) for p in done.pushes)
    parts = [f"{count(records, 'record')} pulled from {count(len(done.pulls), 'connection')}"]
    if done.made:
        parts.append(f"{count(written, 'deal')} written" if done.pushes or not done.made.plan.updates else "nothing written")
    if healed:
        parts.append(f"{count(healed, 'overwritten value')} healed")
    if refused:
        parts.append(f"{refused} not")
    for what, names in stopped(done).items():
        if names:
            parts.append(f"{what}: {', '.join(names)}")
    if done.failures:
        parts.append(f"failed: {', '.join(f.connection for f in done.failures)}")
    return " · ".join(parts)


def stopped(done: RunReport) -> dict[str, list[str]]:
    """``waiting``: connections whose part of the plan waits, for a person or for the end of quiet hours; ``blocked``: those that cannot be
    written though nothing is to be written now."""
    found: dict[str, list[str]] = {"waiting": [], "blocked": []}
    for push in done.pushes:
        if push.trips:
            found["blocked" if done.made and not done.made.plan.of(push.connection) else "waiting"].append(push.connection)
    return found


def summary(done: RunReport) -> dict[str, object]:
    """The totals, the same in --json and in text."""
    counts = done.made.plan.counts() if done.made else {}
    return {
        "pulled": sum(p.records for p in done.pulls),
        "calls": sum(done.costs.values()) + sum(p.calls for p in done.pushes),
        "expected_calls": sum(f.calls for f in done.forecasts),
        "dead_letters": sum(s.dead_letters for p in done.pulls for s in p.streams),
        "written": sum(p.counts["written"] for p in done.pushes),
        "not_written": sum(o.status not in FINE for p in done.pushes for o in p.outcomes),
        "changed": sum(p.changed for p in done.pulls),
        "targets_missed": sum(map(len, done.missed.values())),
        **stopped(done),
        "failed": [f.connection for f in done.failures],
        **counts,
        "healed": sum(len(p.healed) for p in done.pushes) if done.pushes else counts.get("healed", 0),
    }


def forecast(done: RunReport, expected: Forecast) -> dict[str, object]:
    """What a pull was expected to cost, part by part, and what it did cost; null where nobody can say, or where it did not end."""
    real, budget = _real(done, expected.connection), expected.budget
    return {
        "connection": expected.connection,
        "expected": expected.calls,
        "whole": expected.whole,
        "calls": done.costs.get(expected.connection),
        "push": expected.push,
        "parts": [{**asdict(part), "expected": part.calls, "calls": real.get(part.part)} for part in expected.parts],
        "budget": {**asdict(budget), "reserve": budget.reserve, "left": budget.left},
    }


def result(done: RunReport) -> dict[str, object]:
    """Everything, for programs."""
    return {
        "forecast": [forecast(done, f) for f in done.forecasts],
        "pulls": [
            {
                "connection": p.connection,
                "org": p.info.org_id,
                "as_of": p.info.now,
                "streams": [asdict(s) for s in p.streams],
                "streams_failed": {f.stream: f.error.code for f in p.failures},
                "reconciled": [asdict(r) for r in p.reconciled],
            }
            for p in done.pulls
        ],
        "targets_missed": {name: [standing.as_dict() for standing in found] for name, found in done.missed.items()},
        "plan": None if done.made is None else {"plan": str(done.made.path), "id": done.made.plan.id, "sha256": done.made.sha256},
        "pushes": [
            {
                "connection": p.connection,
                "counts": p.counts,
                "calls": p.calls,
                "trips": [asdict(t) for t in p.trips],
                "not_written": [
                    {"id": o.update.reference, "status": o.status, "code": o.code, "crm_code": o.crm_code, "message": o.message}
                    for o in p.outcomes
                    if o.status not in FINE
                ],
                "healed": [{"id": id, "field": field} for id, field in p.healed],
            }
            for p in done.pushes
        ],
    }
