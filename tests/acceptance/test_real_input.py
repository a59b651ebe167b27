"""8,800 public opportunities through the Salesforce API: our numbers against a few independent lines over the CSV."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from statistics import mean, median
from typing import Any

import pytest

from connector.cli.init import create, starter_mappings
from connector.sandbox.server import serving
from connector.sandbox.world import World
from tests.acceptance.harness import Project


def day(text: str) -> date:
    return datetime.strptime(text, "%d-%m-%Y").date()


@pytest.fixture
def imported(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[Project, list[dict[str, str]]]]:
    source = shared / "data" / "crm-opportunities"
    world = World()
    world.load_csv(source)
    with serving(world) as base_url:
        root = tmp_path / "project"
        examples = starter_mappings() / "examples" / "crm-opportunities"
        create(root, "sandbox", "medtech", port=int(base_url.rpartition(":")[2]), mappings=examples, only="salesforce")
        with (source / "sales_pipeline.csv").open(newline="", encoding="utf-8-sig") as file:
            yield Project(root, base_url, world, capsys.readouterr), list(csv.DictReader(file))


def test_counts_sums_win_rate_and_cycle_agree_with_the_csv(imported: tuple[Project, list[dict[str, str]]]) -> None:
    project, rows = imported
    assert len(rows) == 8_800
    document = project.ok("sync")
    assert {s["stream"]: s["records"] for s in document["result"]["pulls"][0]["streams"]}["opportunities"] == 8_800
    names = ("open_pipeline_value", "active_opportunity_count", "win_rate", "sales_cycle_length", "closed_won_count", "bookings")
    words = [word for name in names for word in ("--kpi", name)]
    measures = project.ok("kpis", "compute", *words)["result"]["measures"]
    got = {(m["kpi"], m["variant"], m["subject"], m["window"]): m for m in measures}

    stages = Counter(r["deal_stage"] for r in rows)
    won = [r for r in rows if r["deal_stage"] == "Won"]
    closes = [day(r["close_date"]) for r in rows if r["close_date"]]
    today = datetime.fromisoformat(measures[0]["as_of"]).date()
    year_ago = today.replace(year=today.year - 1)
    recent = [r for r in rows if r["close_date"] and year_ago < day(r["close_date"]) <= today]
    recent_won = [r for r in recent if r["deal_stage"] == "Won"]
    cycles = [(day(r["close_date"]) - day(r["engage_date"])).days for r in recent_won]
    assert max(closes) <= today

    assert got["active_opportunity_count", "", "company", "asof"]["value"] == stages["Prospecting"] + stages["Engaging"]
    assert got["win_rate", "", "company", "T12M"]["value"] == pytest.approx(len(recent_won) / len(recent), rel=1e-9)
    assert got["win_rate", "", "company", "T12M"]["n"] == len(recent)
    assert got["sales_cycle_length", "won_mean", "company", "T12M"]["value"] == pytest.approx(mean(cycles), rel=1e-9)
    assert got["sales_cycle_length", "won_median", "company", "T12M"]["value"] == pytest.approx(median(cycles), rel=1e-9)
    assert got["closed_won_count", "", "company", "T12M"]["value"] == len(recent_won)
    assert got["bookings", "", "company", "T12M"]["value"] == pytest.approx(float(sum(Decimal(r["close_value"]) for r in recent_won)))
    assert sum(Decimal(r["close_value"]) for r in won) == Decimal(10_005_534)

    by_stage = stage_sums(project)
    for stage, count in stages.items():
        assert by_stage[stage] == (count, sum((Decimal(r["close_value"]) for r in rows if r["deal_stage"] == stage and r["close_value"]), Decimal(0)))


def stage_sums(project: Project) -> dict[str, tuple[int, Decimal]]:
    """Native stage → (deals, sum of amounts) as the state holds them."""
    from connector.clock import SystemClock
    from connector.state.store import Store

    sums: dict[str, Any] = defaultdict(lambda: (0, Decimal(0)))
    with Store.open(project.root / "state", SystemClock()) as store, store.database.read() as db:
        for stage, amount in db.exec_driver_sql("select raw_stage, amount from opportunities where not deleted"):
            count, total = sums[stage]
            sums[stage] = (count + 1, total + Decimal(amount or 0))
    return dict(sums)
