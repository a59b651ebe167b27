"""connector status."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connector.cli.output import Answer, Table
from connector.cli.project import opened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connector.app import App
    from connector.model.standing import Standing
    from connector.state.census import Reconciled
    from connector.state.runs import Run


@dataclass(frozen=True, slots=True)
class State:
    """One connection as the ledger knows it. ``rows``: table → rows kept; ``calls_today``: API calls of the account's day, through
    every connection that leads to it, of which reads may spend all but ``reserve``."""

    crm: str
    org: str | None
    paused: str | None
    latched: str | None
    last_pull: Run | None
    last_push: Run | None
    rows: Mapping[str, int]
    calls_today: int
    daily_calls: int
    reserve: int
    budget_share: float

    @property
    def word(self) -> str:
        """paused, latched, or what became of the last pull."""
        if self.paused or self.latched:
            return "paused" if self.paused else "latched"
        return self.last_pull.status if self.last_pull else "never pulled"


def status() -> Answer:
    """Each connection: how it is, its last pull and push, targets it misses, what the last pull cost per stream, what waits for a person."""
    with opened() as app:
        states = {name: _state(app, name) for name in app.names()}
        letters = app.store.dead_letters.find()
        waiting = app.store.plans.find(statuses=("awaiting",))
        now = app.clock.now()
        findings = [finding for name in states for finding in app.store.census.kept(name)]
        compared = {name: app.store.census.compared(name) for name in states}
        missed = {name: app.store.alerts.standing(name) for name in states}
    rows = [
        (n, s.word, _run("pull", s.last_pull, now), _run("push", s.last_push, now), f"{s.calls_today:,} of {s.daily_calls:,} ({s.budget_share:.0%})")
        for n, s in states.items()
    ]
    lines: list[str | Table] = [_verdict(states, len(letters), len(waiting)), ""]
    lines.append(Table(("connection", "state", "last pull", "last push", ">calls today"), rows))
    lines += [f"{name} is paused: {s.paused} → connector connections resume {name}" for name, s in states.items() if s.paused]
    lines += [f"{name} is latched: {s.latched} → connector connections check {name}" for name, s in states.items() if s.latched]
    lines += [f"{name}: {cost}" for name, s in states.items() if (cost := _cost(s.last_pull))]
    lines += [f"{name}: {said}" for name, found in compared.items() if (said := _compared(list(found.values())))]
    if any(missed.values()):
        lines += ["", *(f"{name}: {_missed(standing)}" for name, found in missed.items() for standing in found)]
    streams = _streams(states)
    if streams.rows:
        lines += ["", streams]
    if letters:
        lines += ["", f"dead letters: {len(letters)} → connector dead-letters list"]
    if waiting:
        lines += ["", f"plans awaiting approval: {', '.join(p.id for p in waiting)} → connector plans show {waiting[0].id}"]
    result = {name: asdict(state) | {"targets_missed": [s.as_dict() for s in missed[name]]} for name, state in states.items()}
    summary: dict[str, object] = {
        "connections": len(states), "dead_letters": len(letters), "plans_awaiting": len(waiting), "targets_missed": sum(map(len, missed.values())),
    }  # fmt: skip
    return Answer(summary, result, lines, findings)


def _missed(standing: Standing) -> str:
    """One missed target, and the day it was last judged on."""
    return f"{'NO-GO' if standing.no_go else 'target missed'}: {standing.words} (as of {standing.on})"


def _compared(found: Sequence[Reconciled]) -> str:
    """When the state was last compared with the CRM's own counts, and where it fell short."""
    off = [f"{r.stream} {r.held:,} of {r.live:,}" for r in found if r.missing or r.vanished]
    if not found:
        return ""
    said = f"counts differ: {', '.join(off)}" if off else f"{len(found)} streams agree with the CRM's own counts"
    return f"{said} (compared {min(r.at for r in found):%Y-%m-%d} or later)"


def _verdict(states: Mapping[str, State], letters: int, waiting: int) -> str:
    bad = [f"{name} {state.word}" for name, state in states.items() if state.word != "ok"]
    count = f"{len(states)} connection{'' if len(states) == 1 else 's'}"
    parts = [f"{count}: {', '.join(bad)}" if bad else f"{count} ok"]
    parts.append(f"{letters or 'no'} dead letter{'' if letters == 1 else 's'}")
    parts.append(f"{waiting or 'no'} plan{'' if waiting == 1 else 's'} awaiting approval")
    return " · ".join(parts)


def _state(app: App, name: str) -> State:
    pause, latch = app.store.connections.paused(name), app.store.connections.latched(name)
    declared, budget = app.resolved.connection(name), app.budget(name)
    return State(
        crm=declared.crm,
        org=app.store.connections.org_id(name),
        paused=pause.reason if pause else None,
        latched=f"{latch.code} since {latch.since:%Y-%m-%d %H:%M} UTC: {latch.message}" if latch else None,
        last_pull=app.store.runs.last(name, kinds=("pull",)),
        last_push=app.store.runs.last(name, kinds=("push",)),
        rows=app.store.counts(name),
        calls_today=budget.used,
        daily_calls=budget.cap,
        reserve=budget.reserve,
        budget_share=round(budget.used_share, 4),
    )


def _run(kind: str, run: Run | None, now: datetime) -> str:
    if run is None:
        return "–"
    summary = run.summary or {}
    what = f"{summary.get('records', 0):,} records" if kind == "pull" else f"{summary.get('written', 0):,} of {summary.get('planned', 0):,} written"
    if run.error_code:
        what = f"{run.error_code} {run.error_message}"
    word = "" if run.status == "ok" else f"{run.status}, "
    return f"{_ago(now - run.started_at)} ago: {word}{what}"


def _ago(passed: timedelta) -> str:
    seconds = int(passed.total_seconds())
    hours = seconds // 3600
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{hours} h" if hours < 48 else f"{hours // 24} d"


def _cost(run: Run | None) -> str | None:
    """What the last pull cost beside what it was expected to."""
    if run is None or run.summary is None or "expected" not in run.summary:
        return None
    calls, expected = run.summary["calls"], run.summary["expected"]
    return f"the last pull took {calls:,} calls, {'' if run.summary['whole'] else 'at least '}{expected:,} were expected"


def _streams(states: Mapping[str, State]) -> Table:
    rows = [
        (name, s.stream, f"{s.records:,}", f"{s.upserts:,}", s.calls, f"{s.seconds:.1f}")
        for name, state in states.items()
        if state.last_pull
        for s in state.last_pull.streams
    ]
    return Table(("last pull of", "stream", ">records", ">rows kept", ">calls", ">seconds"), rows)
