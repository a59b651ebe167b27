"""connector connections list | check | pause | resume | remove."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from connector.cli.main import invocation
from connector.cli.output import Answer, Table
from connector.cli.project import command, opened

Name = Annotated[str, typer.Argument(metavar="NAME")]


def list_connections() -> Answer:
    """Every connection of the project: CRM, address, environment, paused or not."""
    with opened() as app:
        found = []
        for name in app.names():
            declared, pause = app.resolved.connection(name), app.store.connections.paused(name)
            found.append((name, declared.crm, declared.environment, declared.base_url or "", f"paused: {pause.reason}" if pause else "on"))
    table = Table(("connection", "crm", "environment", "address", "pushes"), found)
    return Answer({"connections": len(found)}, [dict(zip(table.heads, row, strict=True)) for row in found], [table])


def check_connection(name: Name) -> Answer:
    """Prove a connection: who we are, which org, its clock, what budget is left. Tries even a credential that was refused before."""
    with opened() as app, app.connected(name, despite_latch=True) as connected:
        was = app.store.connections.latched(name)
        info = connected.crm.check()
        app.store.remember_org(name, info.org_id, info.time_zone)
        connected.note()
        budget = app.budget(name, connected.crm.meter)
    lines = [f"{name} ok: {info.name} ({info.org_id}), API {info.api_version}, user {info.user_id}, {info.time_zone}, {info.currency}", budget.text()]
    if was is not None:
        lines.append(f"it was latched since {was.since:%Y-%m-%d %H:%M} UTC ({was.code}) and is free again")
    result = {**asdict(info), "budget": {**asdict(budget), "left": budget.left}, "unlatched": was is not None}
    return Answer({"connection": name, "org": info.org_id}, result, lines)


def pause(name: Name, reason: Annotated[str, typer.Option(help="why; shown by status")]) -> Answer:
    """Stop pushes of a connection before their next batch. Pulls go on."""
    with opened() as app:
        app.resolved.connection(name)
        app.store.connections.pause(name, reason)
    return Answer({"connection": name}, {"paused": True}, [f"{name} is paused: nothing is written until connector connections resume {name}"])


def resume(name: Name) -> Answer:
    """Let a paused connection push again."""
    with opened() as app:
        app.resolved.connection(name)
        was = app.store.connections.resume(name)
    return Answer({"connection": name}, {"paused": False}, [f"{name} resumed" if was else f"{name} was not paused"])


def remove(
    name: Name,
    purge: Annotated[bool, typer.Option("--purge", help="delete what the state holds of it, too")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> Answer:
    """Take a connection out of connector.toml, its schedule with it. Nothing is changed in the CRM: its fields and values stay. With --purge
    nothing of it is left in the state but its rows in the audit; one that is out of connector.toml already can still be purged.
    """
    from connector import settings_file, upkeep
    from connector.settings import FILE

    console = invocation().console
    with opened() as app:
        declared = name in app.resolved.settings.connections
        if not declared and not (purge and app.store.holds(name)):
            app.resolved.connection(name)
        if not yes and console.terminal:
            typer.confirm(f"remove {name}" + (" and delete all that the state holds of it" if purge else "") + "?", abort=True)
        rows = upkeep.forget(app, name) if purge else 0
        if declared:
            settings_file.without_connection(app.resolved.root, name)
            app.store.audit.add("connection.removed", name, {"purged": purge})
    lines = [f"{name} is no longer in {FILE}" if declared else f"{name} was not in {FILE}"]
    lines.append(f"{rows:,} rows of it are deleted" if purge else f"its data stays in the state until: {command()} connections remove {name} --purge")
    return Answer({"connection": name, "rows": rows}, {"removed": declared, "purged": purge}, lines)
