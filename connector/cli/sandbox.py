"""connector sandbox up | down | seed | tick | reset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from connector.cli.init import SANDBOX_PORT
from connector.cli.main import invocation
from connector.cli.output import Answer
from connector.errors import ConnectorError
from connector.sandbox import process
from connector.sandbox.errors import SandboxError

T = TypeVar("T")
Port = Annotated[int, typer.Option(help="port on 127.0.0.1")]
_BARE = "CRMs in which nobody has provisioned the scorecard"


def up(
    port: Port = SANDBOX_PORT,
    latency_ms: Annotated[int, typer.Option(help="delay of every answer")] = 0,
    foreground: Annotated[bool, typer.Option("--foreground", help="stay, and stop with Ctrl-C")] = False,
    bare: Annotated[bool, typer.Option("--bare-scorecard", help=_BARE)] = False,
) -> Answer:
    """Start the sandbox: a seeded Salesforce org and HubSpot portal on loopback. Returns when it answers."""
    if foreground:
        from connector.sandbox.server import serve

        serve("127.0.0.1", port, latency_ms=latency_ms, bare=bare)
        return Answer(text=["sandbox stopped"])
    found = said(lambda: process.up(state_dir(), port, latency_ms=latency_ms, bare=bare))
    word = "already up" if found.already else "up"
    text = f"sandbox {word} at {found.base_url}, its clock at {found.health['now']}: {_counts(found.health)}"
    return Answer(summary={"base_url": found.base_url, "already": found.already}, result=asdict(found), text=[text])


def down() -> Answer:
    """Stop the sandbox. What lived in it is gone: it keeps nothing on disk."""
    stopped = said(lambda: process.down(state_dir()))
    return Answer(summary={"stopped": stopped}, text=["sandbox stopped" if stopped else "no sandbox was running"])


def seed(
    source: Annotated[Path | None, typer.Option("--from", help="directory of CSV files: accounts, sales_pipeline, sales_teams, products")] = None,
    bare: Annotated[bool | None, typer.Option("--bare-scorecard/--with-scorecard", help=f"{_BARE}; default: as it was started")] = None,
) -> Answer:
    """Fill the sandbox again: with its own business, or with the deals of outside CSV files (Salesforce org only)."""
    found = _control("seed", **{"from": str(source.resolve()) if source else None, "bare": bare})
    return Answer(
        summary=dict(found), result=found, text=[f"seeded {'from ' + str(source) if source else 'with its own business'}: {_counts(found)}"]
    )


def tick(days: Annotated[int, typer.Option(min=1, help="how many days pass")] = 1) -> Answer:
    """Let the business live on: deals move, regress, close, activities happen."""
    found = _control("tick", days=days)
    return Answer(summary=dict(found), result=found, text=[f"{days} day{'s' if days > 1 else ''} passed; it is now {found['now']}: {_counts(found)}"])


def reset() -> Answer:
    """Back to the first day; everything written since is gone."""
    found = _control("reset")
    return Answer(summary=dict(found), result=found, text=[f"reset to {found['now']}: {_counts(found)}"])


def token(
    login: Annotated[str, typer.Option("--as", help="admin, integration, rep, or a user name of the org")] = "integration",
) -> Answer:
    """An access token of one of the sandbox org's users, on standard output alone: to be piped on. The sandbox takes it, nothing else does."""
    found = said(lambda: process.ask(base_url(), "POST", "salesforce/token", {"as": login}))
    return Answer(summary={"username": found["username"]}, result=found, text=[str(found["access_token"])])


def state_dir() -> Path:
    """Where the sandbox's pid file and log lie: the project's state directory."""
    return invocation().project / "state"


def _control(action: str, **body: Any) -> Mapping[str, Any]:
    return said(lambda: process.control(base_url(), action, **body))


def base_url() -> str:
    """Where the project's sandbox listens. Raises SandboxError if none is running."""
    running = process.status(state_dir())
    if running is None:
        raise SandboxError("no sandbox is running", "connector sandbox up")
    return running.base_url


def said(act: Callable[[], T]) -> T:
    """Run something of the sandbox, its errors said as ours."""
    try:
        return act()
    except SandboxError as error:
        raise ConnectorError(error.message, code="SC-E050", next_step=error.next_step) from error


def _counts(found: Mapping[str, Any]) -> str:
    parts = []
    for crm in ("salesforce", "hubspot"):
        counts = found.get(crm) or {}
        parts.append(f"{crm} {counts.get('opportunities', counts.get('deals', 0)):,} deals")
    return ", ".join(parts)
