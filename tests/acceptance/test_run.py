"""It runs by itself: the scheduler keeps both CRMs' scorecards right over days of the sandbox's business, and stops cleanly."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime

import pytest

from connector.clock import SystemClock
from connector.state.store import Store
from tests.acceptance.harness import Project

DAYS = 3
PATIENCE = 90.0


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, "the scheduler did not get there"
        time.sleep(0.5)


def pushed_as_of(project: Project, at: datetime) -> bool:
    """Both connections have finished a pull that began at this instant of the CRM's clock or later, and a push or a plan after it."""
    with Store.open(project.root / "state", SystemClock()) as store:
        for name in ("sf-demo", "hs-demo"):
            done = [r for r in store.runs.recent(name, kinds=("pull",), limit=50) if r.status == "ok" and r.trigger == "schedule" and r.summary]
            if not any(datetime.fromisoformat(r.summary["as_of"]) >= at for r in done if r.summary):
                return False
        plans = store.plans.find(limit=50)
        return len([p for p in plans if p.status in ("applied", "partial")]) >= 2


@pytest.mark.fault
def test_days_pass_and_the_scorecards_follow(project: Project) -> None:
    settings = project.root / "connector.toml"
    text = re.sub(r'pull = ".*"', 'pull = "every 4s"', settings.read_text())
    settings.write_text(re.sub(r'push = ".*"', 'push = "every 5s"', text))
    command = [sys.executable, "-m", "connector.cli", "--project", str(project.root), "run"]
    scheduler = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for((project.root / "state" / "connector.db").exists)
        for _ in range(DAYS):
            wait_for(lambda: pushed_as_of(project, project.world.clock.now))
            project.world.tick(1)
        wait_for(lambda: pushed_as_of(project, project.world.clock.now))
        wait_for(lambda: nothing_left(project))
    finally:
        scheduler.send_signal(signal.SIGTERM)
        _, err = scheduler.communicate(timeout=60)
    assert scheduler.returncode == 143, err
    assert "Traceback" not in err
    with Store.open(project.root / "state", SystemClock()) as store:
        assert store.leases.held() == []
        kinds = {r.status for name in ("sf-demo", "hs-demo") for r in store.runs.recent(name, limit=200)}
        # partial: the business edited a deal between plan and write; blocked: the plan of this test held the lease just then
        assert "failed" not in kinds, (kinds, err)
        rows = store.ledger.of_record("sf-demo", next(iter(store.observed("sf-demo"))))
        assert all(row.status == "written" for row in rows)


def nothing_left(project: Project) -> bool:
    """A plan made now would change nothing: asked of the state, not of the scheduler."""
    code, document = project.run("plan")
    return code == 0 and document["summary"]["records"] == 0
