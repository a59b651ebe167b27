"""connector audit tail | verify | export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from connector.cli.output import Answer, Table, count
from connector.cli.project import opened
from connector.errors import UsageError

if TYPE_CHECKING:
    from connector.state.audit import Entry


def tail(limit: Annotated[int, typer.Option("--limit", "-n", help="how many rows")] = 20) -> Answer:
    """The last things that somebody planned, approved, applied, paused or rolled back."""
    with opened() as app:
        found = app.store.audit.tail(limit)
    rows = [(x.seq, x.at[:19].replace("T", " "), x.actor, x.address or "", x.action, x.subject, _short(x)) for x in found]
    table = Table((">row", "at (UTC)", "who", "from", "what", "of what", "detail"), rows)
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
    after: Annotated[int | None, typer.Option(help="only rows behind this number, to go on where the last export ended")] = None,
    out: Annotated[Path | None, typer.Option(help="the file to write; default: the screen")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on behind the last row of the file, and append to it")] = False,
) -> Answer:
    """The audit as JSON lines, one row each, with its hash. That it was exported is recorded too, and is part of the next export."""
    from connector import audit_file

    if resume and (out is None or after is not None):
        raise UsageError("--resume goes on with the file that --out names, so it needs --out and no --after")
    with opened() as app:
        begin = audit_file.resumable(out, app.store.audit) if resume and out is not None else after or 0
        found = app.store.audit.after(begin)
        if out is not None:
            audit_file.save(out, found, append=resume)
        app.store.audit.add("audit.exported", "audit", {"after": begin, "rows": len(found), "to": None if out is None else str(out)})
    last = found[-1].seq if found else begin
    summary: dict[str, object] = {"rows": len(found), "after": begin, "last": last}
    if out is None:
        return Answer(summary, [x.as_dict() for x in found], [orjson.dumps(x.as_dict()).decode() for x in found])
    text = f"{count(len(found), 'row')} behind {begin} in {out}; to go on: connector audit export --out {out} --resume"
    return Answer(summary, {"out": str(out)}, [text])
