"""connector run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.main import invocation
from connector.cli.output import Answer, Console, count
from connector.cli.project import Signals, opened
from connector.cli.sync import verdict
from connector.errors import ConnectorError, worst

if TYPE_CHECKING:
    from connector.app import App
    from connector.runs import RunReport
    from connector.schedule import Job


DAILY = "41 3 * * *"


def run(once: Annotated[bool, typer.Option("--once", help="every job once, now, then stop")] = False) -> Answer:
    """Pull and push on the schedules of connector.toml until stopped, and once a day delete what is kept no longer and prove the audit.

    SIGTERM finishes the page or batch and releases the leases."""
    from connector import schedule

    console = invocation().console
    codes: list[int] = []
    with opened() as app, Signals() as signals:
        jobs = [job for name in app.names() for job in _jobs(app, name, signals.stop, console, codes)]
        jobs.append(_upkeep(app, console, codes))
        app.store  # noqa: B018 - opened (and migrated) before the first job, so that a broken state ends the process here
        zone = app.definitions.kpis.calendar.time_zone
        if once:
            for job in jobs:
                job.work()
        else:
            for job in jobs:
                console.say(f"{job.name}: {job.when}")
            schedule.run(jobs, zone, signals.stop)
    text = f"{count(len(jobs), 'job')} {'done' if once else 'stopped'}"
    code = signals.code or (worst(codes) if once else 0)
    return Answer({"jobs": len(jobs)}, [job.name for job in jobs], [text], (), code)


def _jobs(app: App, name: str, stop: threading.Event, console: Console, codes: list[int]) -> list[Job]:
    """Pull and push of one connection. ``codes`` takes the exit code of each job that ends."""
    from connector import approvals, runs
    from connector.schedule import Job
    from connector.settings import Schedule

    plan = app.resolved.settings.schedules.get(name, Schedule())
    turn = threading.Lock()  # a push that falls due while a pull works waits for it; the lease would send it away

    def pull() -> None:
        with turn:
            done = runs.pull_all(app, [name], trigger="schedule", stopped=stop.is_set)
        codes.append(_said(console, f"{name} pull", done))

    def push() -> None:
        with turn:
            first = approvals.apply_approved(app, name, trigger="schedule", stopped=stop.is_set)
            if first.pushes or first.failures:
                codes.append(_said(console, f"{name} approved", first))
            done = runs.sync_all(app, [name], trigger="schedule", stopped=stop.is_set)
        codes.append(_said(console, f"{name} push", done))

    return [
        Job(f"{name} pull", plan.pull, _guarded(console, f"{name} pull", pull, codes), plan.jitter),
        Job(f"{name} push", plan.push, _guarded(console, f"{name} push", push, codes), plan.jitter),
    ]


def _upkeep(app: App, console: Console, codes: list[int]) -> Job:
    """Once a day, at an hour that is nobody's: old data goes, the audit proves itself."""
    from connector import upkeep
    from connector.schedule import Job

    def work() -> None:
        done = upkeep.daily(app)
        console.say(f"upkeep: {done.text()}")
        for finding in done.findings:
            console.say(f"upkeep: {finding.code} {finding.message}")

    return Job("upkeep", DAILY, _guarded(console, "upkeep", work, codes))


def _guarded(console: Console, what: str, work: Callable[[], None], codes: list[int]) -> Callable[[], None]:
    """A job never takes the scheduler down: what it raises is said, and already stands in the ledger of runs."""

    def safely() -> None:
        from connector.state.audit import acting

        try:
            with acting("schedule"):
                work()
        except ConnectorError as error:
            console.say(f"{what}: {error.code} {error.message}")
            codes.append(error.exit_code)

    return safely


def _said(console: Console, what: str, done: RunReport) -> int:
    """Say how a job went; its exit code."""
    console.say(f"{what}: {verdict(done)}")
    for failure in done.failures:
        console.say(f"{what}: {failure.error.code} {failure.error.message}")
    for finding in done.findings:
        console.say(f"{what}: {finding.code} {finding.message}")
    return done.exit_code
