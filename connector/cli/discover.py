"""connector discover."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.mapping import look
from connector.cli.output import Answer, Table, count
from connector.cli.project import ConnectionOption, opened
from connector.errors import UsageError

if TYPE_CHECKING:
    from connector.app import App
    from connector.errors import Finding


def discover(
    connection: ConnectionOption = None,
    of: Annotated[str | None, typer.Option("--object", help="list this object's fields instead of the pipelines")] = None,
) -> Answer:
    """What the CRM offers, as the connection's user sees it: pipelines with their stages and what each is mapped to, or an object's fields.

    Without --object also: what differs from the schema accepted so far, and from then on the present one is the accepted one.
    """
    with opened() as app:
        names = app.names(connection)
        if of:
            if len(names) > 1:
                raise UsageError(f"--object needs --connection: one of {', '.join(names)}")
            return _fields(app, names[0], of)
        tables, result = {}, {}
        findings: list[Finding] = []
        for name in names:
            differs, now = look(app, name)
            findings += differs
            app.store.schemas.accept(name, now, app.clock.now())
            app.store.audit.add("schema.accepted", name, {"objects": sorted(now), "differences": len(differs)})
            tables[name], result[name] = _stages(app, name)
    missing = {name: sum(row[-1] == "NOT MAPPED" for row in table.rows) for name, table in tables.items()}
    said = " · ".join(f"{name} {count(len(table.rows), 'stage')}, {missing[name] or 'none'} not mapped" for name, table in tables.items())
    text: list[str | Table] = [said]
    for table in tables.values():
        text += ["", table]
    if findings:
        text += ["", f"{count(len(findings), 'difference')} from the schema accepted so far; this one is accepted now"]
    summary: dict[str, object] = {
        "stages": sum(len(t.rows) for t in tables.values()), "unmapped": sum(missing.values()), "differences": len(findings),
    }  # fmt: skip
    return Answer(summary, result, text, findings)


def _stages(app: App, name: str) -> tuple[Table, list[dict[str, object]]]:
    """Every stage of every pipeline and what becomes of it; the same for programs."""
    with app.connected(name) as connected:
        pipelines = connected.crm.pipelines()
        stages = connected.mapped.stages
    rows = []
    for p in pipelines:
        pipeline = p.id if p.label in (p.id, "") else f"{p.label} ({p.id})"
        for s in p.stages:
            live = s.active and p.active
            fate = "ignored" if stages.ignored(p.id, s.id) else stages.canonical(p.id, s.id) or ("NOT MAPPED" if live else "–")
            state = ("closed, won" if s.won else "closed") if s.closed else "open"
            chance = "" if s.probability is None else f"{s.probability:.0%}"
            rows.append((pipeline, s.id, s.label if s.label != s.id else "", state if live else "inactive", chance, fate))
    labels = any(row[2] for row in rows)
    heads = (f"{name}: pipeline", "stage", "label", "state", ">chance", "mapped to")
    if not labels:  # Salesforce names stages by their text
        heads, rows = (*heads[:2], *heads[3:]), [(*row[:2], *row[3:]) for row in rows]  # type: ignore[assignment, misc]
    return Table(heads, rows), [asdict(p) for p in pipelines]


def _fields(app: App, name: str, of: str) -> Answer:
    with app.connected(name) as connected:
        found = sorted(connected.crm.discover(of).values(), key=lambda f: f.name.lower())
    rows = [
        (f.name, f.label, f.type, "yes" if f.writable else "no", "calculated" if f.calculated else "", len(f.options) or "")
        for f in found
    ]  # fmt: skip
    table = Table(("field", "label", "type", "writable", "", ">options"), rows)
    text: list[str | Table] = [f"{name}: {of} has {count(len(found), 'field')}", "", table]
    return Answer({"connection": name, "object": of, "fields": len(found)}, [asdict(f) for f in found], text)
