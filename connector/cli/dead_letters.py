"""connector dead-letters list | show | retry | ignore."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated

import typer

from connector.cli.output import Answer, Table
from connector.cli.project import ConnectionOption, opened
from connector.errors import UsageError

Number = Annotated[int, typer.Argument(metavar="ID")]


def list_letters(connection: ConnectionOption = None) -> Answer:
    """Open dead letters: what, why, since when, how often."""
    with opened() as app:
        found = app.store.dead_letters.find(connection)
    rows = [(x.id, x.connection, x.stream, x.record, x.code, x.field or "", x.count, x.first_at.strftime("%Y-%m-%d"), x.message) for x in found]
    table = Table((">id", "connection", "stream", "record", "code", "field", ">times", "since", "message"), rows)
    return Answer({"open": len(found)}, [asdict(x) for x in found], [table] if found else ["no dead letters"])


def show(id: Number) -> Answer:
    """One dead letter."""
    with opened() as app:
        letter = app.store.dead_letters.show(id)
    return Answer({"id": id}, asdict(letter), [f"{key:<14} {value}" for key, value in asdict(letter).items() if value is not None])


def retry(
    id: Annotated[list[int] | None, typer.Argument(metavar="[ID]…")] = None,
    all: Annotated[bool, typer.Option("--all", help="every open one")] = False,
) -> Answer:
    """Read the streams of these records again on the next sync, and let refused updates be planned again."""
    if not id and not all:
        raise UsageError("name dead letters by id, or --all")
    with opened() as app:
        letters = [app.store.dead_letters.show(n) for n in id] if id else app.store.dead_letters.find()
        streams = {(x.connection, x.stream) for x in letters if x.stream != "push"}
        for connection, stream in streams:
            app.store.reset_bookmark(connection, stream)
        for letter in letters:
            app.store.dead_letters.resolve(letter.id, reason="retried by hand")
    text = f"{len(letters)} dead letters will be tried again by the next sync; {len(streams)} streams are read anew"
    return Answer({"retried": len(letters), "streams": len(streams)}, [x.id for x in letters], [text])


def ignore(
    id: Number,
    until: Annotated[str, typer.Option(help="date, such as 2026-12-31")],
    reason: Annotated[str, typer.Option(help="why")],
) -> Answer:
    """Leave one alone until a date."""
    try:
        day = date.fromisoformat(until)
    except ValueError as error:
        raise UsageError(f"--until {until!r} is not a date like 2026-12-31") from error
    with opened() as app:
        app.store.dead_letters.ignore(id, until=app.definitions.calendar.start_of(day), reason=reason)
    return Answer({"id": id}, {"id": id, "until": until}, [f"dead letter {id} is left alone until {until}"])
