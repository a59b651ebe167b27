"""One machine: APScheduler jobs, kept in memory and rebuilt from settings at every start, that call the work they are given."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from connector.errors import SettingsError

EVERY = re.compile(r"every (\d+)(s|m|h)")
SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Job:
    """Work on a schedule. ``when``: a cron line with weekdays by name, or ``every 15m``; ``jitter``: like ``30s``."""

    name: str
    when: str
    work: Callable[[], None]
    jitter: str | None = None


def trigger(when: str, time_zone: str, jitter: str | None = None) -> BaseTrigger:
    """The trigger of a schedule. Raises SettingsError for a line it cannot read and for weekdays by number:
    cron counts from Sunday, APScheduler from Monday, and a job that runs on the wrong day is worse than none."""
    spread = _seconds(jitter) if jitter else None
    if EVERY.fullmatch(when):
        return IntervalTrigger(seconds=_seconds(when.removeprefix("every ")), timezone=ZoneInfo(time_zone), jitter=spread)
    fields = when.split()
    if len(fields) != 5:
        raise SettingsError(f"schedule {when!r} is neither a cron line of five fields nor like 'every 15m'")
    if re.search(r"\d", fields[4]):
        raise SettingsError(f"schedule {when!r} names weekdays by number", next_step="write mon-fri, sat, sun …")
    minute, hour, day, month, weekday = fields
    try:
        return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, timezone=ZoneInfo(time_zone), jitter=spread)
    except ValueError as error:
        raise SettingsError(f"schedule {when!r}: {error}") from error


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)(s|m|h)", text)
    if not match:
        raise SettingsError(f"{text!r} is not a duration like 30s, 15m or 2h")
    return int(match[1]) * SECONDS[match[2]]


def quiet(ranges: Sequence[str], at: datetime, time_zone: str) -> str | None:
    """``09:12 lies in the quiet hours 08:30-11:30``, where the local time of an instant lies in one of ``HH:MM-HH:MM``; else None.
    A range may pass midnight. The end is outside."""
    local = at.astimezone(ZoneInfo(time_zone)).strftime("%H:%M")
    for hours in ranges:
        start, end = hours.split("-")
        inside = start <= local < end if start <= end else (local >= start or local < end)
        if inside:
            return f"{local} ({time_zone}) lies in the quiet hours {hours}"
    return None


def run(jobs: Sequence[Job], time_zone: str, stop: threading.Event) -> None:
    """Run jobs until ``stop`` is set, then let the running ones finish. A late tick runs once, a job never beside itself."""
    scheduler = BackgroundScheduler(
        timezone=ZoneInfo(time_zone),
        executors={"default": ThreadPoolExecutor(max(2, len(jobs)))},
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )
    for job in jobs:
        scheduler.add_job(job.work, trigger(job.when, time_zone, job.jitter), id=job.name, name=job.name)
    scheduler.start()
    try:
        stop.wait()
    finally:
        scheduler.shutdown(wait=True)
