"""The sandbox company as a project: freshly seeded, pulled over the wire; and what a quarter of weekly runs leaves behind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from connector import keeping, runs
from connector.app import App
from connector.cli.init import create
from connector.clock import SystemClock
from connector.kpis.book.windows import add_months
from connector.sandbox.server import serving
from connector.sandbox.world import World

CONNECTION = "sf-demo"
QUOTA = 120_000
"""Of each owner and quarter, in USD; invented."""
RUNS = (26, 27, 24, 7)
"""Days that pass before each later run of a company that has lived on."""


@contextmanager
def company(root: Path, *, lived_on: Sequence[int] = ()) -> Iterator[Path]:
    """A project on Salesforce, pulled, and where days ``lived_on`` are given: with quotas, and with the snapshots of a run after each span."""
    world = World()
    world.seed()
    with serving(world) as base_url:
        create(root, "sandbox", "medtech", port=int(base_url.rpartition(":")[2]), only="salesforce")
        _run(root)
        if lived_on:
            _give_quotas(root)
            _run(root)
        for days in lived_on:
            world.tick(days)
            _run(root)
        yield root


def _run(root: Path) -> None:
    """The legs of a run but for the push: pull, compute, keep the measures of the day."""
    with App(root, clock=SystemClock()) as app:
        done = runs.pull(app, app.names(), trigger="test")
        keeping.remember(app, runs.books(app, done, None))


def _give_quotas(root: Path) -> None:
    """What an admin would do: the file of quotas, named in kpis.yaml, and the weekly numbers switched on."""
    with App(root) as app:
        from connector.cli import kpis

        book = kpis.books(app, [CONNECTION], None)[CONNECTION]
        sellers = sorted(set(book.open_new["owner"].drop_nulls()))
        quarters = {book.calendar.fiscal_quarter(add_months(book.today, months)) for months in range(-6, 12, 3)}
    lines = ["owner_key,period,amount,currency", *(f"{owner},{quarter},{QUOTA},USD" for owner in sellers for quarter in sorted(quarters))]
    (root / "mappings" / "inputs" / "quotas.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = root / "mappings" / "kpis.yaml"
    text = re.sub(r"^  add: \[", "  add: [weekly_three, ", settings.read_text(encoding="utf-8"), flags=re.M)
    settings.write_text(re.sub(r"^inputs:$", "inputs:\n  quotas: inputs/quotas.csv", text, flags=re.M), encoding="utf-8")
