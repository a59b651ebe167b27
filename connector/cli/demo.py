"""connector demo: what ``make demo`` runs. The whole loop on the sandbox, in a project of its own, from nothing every time."""

from __future__ import annotations

import contextlib
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli import views
from connector.cli.init import SANDBOX_PORT, create
from connector.cli.main import invocation
from connector.cli.mapping import stage_map
from connector.cli.output import Answer, Table, count
from connector.cli.project import progress
from connector.cli.sync import answer as sync_answer
from connector.cli.sync import result, summary
from connector.sandbox import process

if TYPE_CHECKING:
    from connector.app import App
    from connector.errors import Finding
    from connector.kpis.cards.deal import Scorecard
    from connector.runs import RunReport
    from connector.sync import Report

ATTENTION = 6
DEAL_PAGE = {"salesforce": "sandbox/salesforce/deals", "hubspot": "sandbox/hubspot/deals"}
"""CRM → where the sandbox shows a deal as its users see it."""


def demo(
    directory: Annotated[Path, typer.Option("--directory", help="where the demo's project is made; what is there is replaced")] = Path("demo"),
    template: Annotated[str, typer.Option(help="medtech | healthtech")] = "medtech",
    port: Annotated[int | None, typer.Option(help=f"port of the sandbox; default {SANDBOX_PORT}, or any free one")] = None,
) -> Answer:
    """Start the sandbox, pull both CRMs, map, compute, plan, write back, and show each step. Under two minutes."""
    from connector import runs
    from connector.app import App

    console = invocation().console
    started = time.monotonic()
    process.down(directory / "state")
    chosen = port or _free_port()
    if directory.exists():
        _remove_project(directory)
    create(directory, "sandbox", template, port=chosen, overwrite=True)
    with progress(console) as report:
        report.step("starting the sandbox")
        running = process.up(directory / "state", chosen)
        with App(directory) as app:
            done = runs.sync_all(app, app.names(), trigger="demo", report=report)
            text = _told(app, done, report)
    seconds = time.monotonic() - started
    text += ["", *_next(directory, running.base_url, app, done), f"done in {seconds:.0f} s"]
    return Answer({**summary(done), "project": str(directory), "base_url": running.base_url}, result(done), text, _findings(done), done.exit_code)


def _free_port() -> int:
    """The usual port, or one that the system says is free."""
    for candidate in (SANDBOX_PORT, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", candidate))
            return int(probe.getsockname()[1])
    return SANDBOX_PORT


def _remove_project(directory: Path) -> None:
    """Only what a demo made: anything else in the directory is left alone."""
    for name in ("state", "mappings"):
        shutil.rmtree(directory / name, ignore_errors=True)


def _told(app: App, done: RunReport, report: Report) -> list[str | Table]:
    from connector import sync
    from connector.kpis import compute
    from connector.kpis.cards.deal import scorecards

    text: list[str | Table] = ["THE WHOLE LOOP, ON THE SANDBOX", "", "1. Pulled", views.pulled(done.pulls, every=True)]
    text += ["", "2. Mapped: the company's own stages → one ladder", *(part for p in done.pulls for part in (stage_map(app, p.connection), ""))]
    if done.made:
        text += ["", "3. Planned: desired − observed", *views.plan(done.made.plan, limit=4, names=True)]
    text += ["", "4. Written", *views.pushed(done.pushes, names=True)]
    report.step("reading the scorecards")
    for pulled in done.pulls:
        book = sync.book(app.mapped(pulled.connection), app.store, app.definitions, pulled.info.now)
        text += ["", f"5. Deals that need attention · {pulled.connection}", *_attention(app, pulled.connection, scorecards(book))]
        text += [
            "",
            f"6. KPIs · {pulled.connection}, as of {pulled.info.now:%Y-%m-%d}",
            views.measures(compute.compute(book), book.settings.calendar.currency),
        ]
    return text


def _attention(app: App, name: str, cards: Mapping[str, Scorecard]) -> Iterator[str]:
    """Stuck and stale deals first, the largest weighted amount first among equals: a line for what it is, lines for what is wrong with it."""
    worst = sorted(cards.items(), key=lambda kv: (kv[1].pace != "stuck", not kv[1].stale, -(kv[1].weighted_amount or 0), kv[0]))[:ATTENTION]
    names = {id: seen.name or "" for id, seen in app.store.observed(name).items()}
    for id, card in worst:
        days = "" if card.days_in_stage is None else f" for {count(card.days_in_stage, 'day')}"
        yield f"{id}  {names.get(id, '')} · {card.text['stage'] or 'stage not mapped'}{days} · {card.pace or 'no pace'}"
        said = {"gates": card.text["open_gates"], "buyers missing": card.text["personas_missing"], "stale": card.text["stale_reason"]}
        for what, text in said.items():
            if text:
                yield f"    {what}: {text}"


def _next(directory: Path, base_url: str, app: App, done: RunReport) -> Iterator[str]:
    at = f"connector --project {directory}"
    yield "7. Where to look next"
    for pulled in done.pulls:
        deal = next(iter(done.made.plan.of(pulled.connection)), None) if done.made else None
        if deal is not None:
            path = DEAL_PAGE[app.resolved.connection(pulled.connection).crm]
            yield f"   a deal as a rep sees it:        {base_url}/{path}/{deal.id}"
            yield f"   where its values come from:     {at} explain {deal.id}"
    yield f"   nothing left to write:          {at} sync"
    yield f"   what it cost:                   {at} status"
    yield f"   let a week pass, sync again:    {at} sandbox tick --days 7 && {at} sync"
    yield f"   your stages, your fields:       {directory}/mappings/"
    yield f"   stop the sandbox:               {at} sandbox down"


def _findings(done: RunReport) -> list[Finding]:
    return list(sync_answer(done, show_names=True).findings)
