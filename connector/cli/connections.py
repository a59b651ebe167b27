"""connector connections list | check | pause | resume."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from connector.cli.output import Answer, Table
from connector.cli.project import opened

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
