"""connector dead-letters list | show | retry | ignore."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.output import Answer, Table
from connector.cli.project import ConnectionOption, opened
from connector.errors import CODES, UsageError

if TYPE_CHECKING:
    from connector.state.dead_letters import Letter

Number = Annotated[int, typer.Argument(metavar="ID")]


def list_letters(
    connection: ConnectionOption = None,
    group: Annotated[str | None, typer.Option(help="code | owner: count them by error, or by the deal's owner")] = None,
) -> Answer:
    """Open dead letters: what, why, since when, how often. Codes SC-E123 and SC-E130 of push are ours (not sent), the others the CRM's."""
    if group not in (None, "code", "owner"):
        raise UsageError(f"--group {group!r} is neither code nor owner")
    with opened() as app:
        found = app.store.dead_letters.find(connection)
        owners = {name: app.store.owner_names(name) for name in {x.connection for x in found}} if group == "owner" else {}
    if group and found:
        return _grouped(found, lambda x: x.code if group == "code" else owners[x.connection].get(x.record, "nobody known"), group)
    rows = [(x.id, x.connection, x.stream, x.record, x.code, x.field or "", x.count, x.first_at.strftime("%Y-%m-%d"), x.message) for x in found]
    table = Table((">id", "connection", "stream", "record", "code", "field", ">times", "since", "message"), rows)
    return Answer({"open": len(found)}, [asdict(x) for x in found], [table] if found else ["no dead letters"])


def _grouped(found: Sequence[Letter], key: Callable[[Letter], str], group: str) -> Answer:
    """How many of each, the most first, with what a code means and what to do."""
    counts = Counter(key(letter) for letter in found)
    said = {name: CODES[name] for name in counts if name in CODES}
    more = {name: (code.meaning, code.next_step) for name, code in said.items()}
    rows = [(name, n, *more.get(name, ("", ""))) for name, n in counts.most_common()]
    heads = (group, ">dead letters", "meaning", "next step") if group == "code" else (group, ">dead letters")
    table = Table(heads, [row[: len(heads)] for row in rows])
    return Answer({"open": len(found)}, dict(counts.most_common()), [table])


def show(id: Number) -> Answer:
    """One dead letter."""
    with opened() as app:
        letter = app.store.dead_letters.show(id)
    return Answer({"id": id}, asdict(letter), [f"{key:<14} {value}" for key, value in asdict(letter).items() if value is not None])


def retry(
    id: Annotated[list[int] | None, typer.Argument(metavar="[ID]…")] = None,
    all: Annotated[bool, typer.Option("--all", help="every open one")] = False,
    code: Annotated[str | None, typer.Option("--code", help="every open one of this error, such as SC-E121")] = None,
) -> Answer:
    """Read the streams of these records again on the next sync, and let refused updates be planned again, quarantined ones too."""
    if bool(id) + all + (code is not None) != 1:
        raise UsageError("name dead letters by id, or by --code, or --all")
    with opened() as app:
        letters = [app.store.dead_letters.show(n) for n in id] if id else app.store.dead_letters.find()
        letters = [letter for letter in letters if code in (None, letter.code)]
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
