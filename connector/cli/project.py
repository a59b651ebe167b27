"""What most verbs start with: the project that --project names, opened, options they share, and progress drawn on a terminal.

Verb modules import nothing heavy when they are loaded: help and usage errors come from the signature alone. What a verb works with is imported
by ``opened`` and inside the verb.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.main import invocation
from connector.cli.output import Console
from connector.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from connector.app import App
    from connector.sync import Report

ConnectionOption = Annotated[str | None, typer.Option("--connection", help="only this one")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="date or instant; default: the CRM's clock")]


def opened() -> App:
    """The project of this command. Use as a context manager."""
    from connector.app import App

    asked = invocation()
    return App(asked.project, env_file=asked.env_file)


def command() -> str:
    """How this project's commands begin, to be copied: with --project where it was given."""
    project = invocation().project
    return "connector" if project == Path() else f"connector --project {project}"


@contextlib.contextmanager
def progress(console: Console) -> Iterator[Report]:
    """A report that draws bars on a terminal and says one line a step otherwise."""
    from connector.sync import Report

    bars = console.progress()
    if bars is None:
        yield Report(step=console.say)
        return
    with bars:
        yield _drawn(bars)


def _drawn(bars: Progress) -> Report:
    from connector.sync import Report

    tasks: dict[str, TaskID] = {}

    def task(name: str, total: int | None) -> TaskID:
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=total)
        return tasks[name]

    def stream(connection: str, name: str, records: int) -> None:
        bars.update(task(f"{connection} {name}", None), completed=records, total=records)

    def wrote(connection: str, done: int, planned: int) -> None:
        bars.update(task(f"{connection} write", planned), completed=done)

    def step(text: str) -> None:
        task(text, None)

    return Report(stream=stream, wrote=wrote, step=step)


class Signals:
    """SIGTERM and SIGINT ask work to stop after its page or batch; the exit code is then what a shell expects."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.code = 0

    def __enter__(self) -> Signals:
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame: object) -> None:
        self.code = 128 + number
        self.stop.set()


def instant(text: str | None, app: App) -> datetime | None:
    """``--as-of``: an instant, or a date: the last moment of that local day. Raises UsageError."""
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            at = datetime.fromisoformat(text)
        except ValueError as error:
            raise UsageError(f"--as-of {text!r} is neither a date (2026-11-20) nor an instant (2026-11-20T17:00:00Z)") from error
        if at.tzinfo is None:
            raise UsageError(f"--as-of {text!r} has no time zone") from None
        return at.astimezone(UTC)
    return app.definitions.calendar.start_of(day + timedelta(days=1)) - timedelta(seconds=1)
