"""connector audit tail | verify | export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from connector.cli.output import Answer, Table, count
from connector.cli.project import opened

if TYPE_CHECKING:
    from connector.state.audit import Entry


def tail(limit: Annotated[int, typer.Option("--limit", "-n", help="how many rows")] = 20) -> Answer:
    """The last things that somebody planned, approved, applied, paused or rolled back."""
    with opened() as app:
        found = app.store.audit.tail(limit)
    rows = [(x.seq, x.at[:19].replace("T", " "), x.actor, x.action, x.subject, _short(x)) for x in found]
    table = Table((">row", "at (UTC)", "who", "what", "of what", "detail"), rows)
    head = found[-1].hash if found else None
    text: list[str | Table] = [table, "", f"head {head}"] if found else ["nothing was recorded yet"]
    return Answer({"rows": len(found), "head": head}, [x.as_dict() for x in found], text)


def _short(entry: Entry) -> str:
    detail = orjson.loads(entry.detail)
    return " ".join(f"{key}={value}" for key, value in detail.items() if isinstance(value, str | int) and key != "sha256")[:100]


def verify(head: Annotated[str | None, typer.Option(help="a head hash noted earlier: it must be in the chain")] = None) -> Answer:
    """Walk the whole chain: no row was changed, none is missing. With --head also that its tail was not cut since."""
    from connector.state.audit import proven

    with opened() as app:
        found = proven(app.store.audit.verify(head))
    noted = "" if head else "; note the head, and give it as --head the next time: that proves that no tail was cut"
    lines = [f"the audit chain is whole: {count(found.rows, 'row')}", f"head {found.head}{noted}"]
    return Answer({"rows": found.rows, "head": found.head}, {"head": found.head, "checked_head": head}, lines)


def export(
    after: Annotated[int, typer.Option(help="only rows behind this number, to go on where the last export ended")] = 0,
    out: Annotated[Path | None, typer.Option(help="the file to write; default: the screen")] = None,
) -> Answer:
    """The audit as JSON lines, one row each, with its hash. That it was exported is recorded too."""
    with opened() as app:
        found = app.store.audit.after(after)
        app.store.audit.add("audit.exported", "audit", {"after": after, "rows": len(found), "to": None if out is None else str(out)})
    last = found[-1].seq if found else after
    lines = [orjson.dumps(x.as_dict()).decode() for x in found]
    if out is None:
        return Answer({"rows": len(found), "last": last}, [x.as_dict() for x in found], list(lines))
    from connector.runs import write_private

    write_private(out, "".join(f"{line}\n" for line in lines).encode())
    return Answer({"rows": len(found), "last": last}, {"out": str(out)}, [f"{count(len(found), 'row')} in {out}; the next one: --after {last}"])
