"""A push that dies at any instant: the next run knows what was written, sends none of it again, and the audit chain verifies."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from connector.sandbox.world import Asked, World
from connector.state.store import Store
from tests.pitfalls.catalogue import BOTH, HS, SF
from tests.property.death import dying
from tests.rig import NAME, opened
from tests.wire import ADDRESS, direct

MORE = "[connections.crm.limits]\nwrite_batch = 2\n"
DEALS = 8
WRITE = {SF: "/services/data/*/composite/sobjects", HS: "/crm/objects/*/deals/batch/update"}
TECHNICAL = ("kpi_updated_at", "kpi_definition", "kpi_updated_at__c", "kpi_definition__c")
POINTS = ("write", "written", "before images", "after images", "before results", "after results")


@pytest.fixture
def rig(crm: str, tmp_path: Path) -> Iterator[Any]:
    with opened(crm, tmp_path, more=MORE) as made:
        yield _furnished(made)


def _furnished(rig: Any) -> Any:
    rig.own_mappings()
    for _ in range(DEALS - 2):
        rig.open_deal(stage="demo")
    rig.advance(600)
    rig.world.journal.clear()
    return rig


def _check(rig: Any, store: Store) -> None:
    """Every open deal is written once, the ledger knows all of it, and the chain holds."""
    sent: dict[str, list[dict[str, Any]]] = {}
    for asked in rig.world.journal:
        if fnmatch(asked.path, WRITE[rig.crm]) and asked.method in ("PATCH", "POST"):
            for id, values in _records(rig.crm, asked):
                held = {k: v for one in sent.get(id, []) for k, v in one.items()}
                real = {k: v for k, v in values.items() if k.lower() not in TECHNICAL}
                assert any(held.get(k) != v for k, v in real.items()), f"{id} is sent although it holds all of it"
                sent.setdefault(id, []).append(real)
    assert len(sent) == DEALS
    assert store.ledger.pending(NAME) == []
    last = store.ledger.last_written(NAME, "Opportunity" if rig.crm == SF else "deals")
    for id, found in sent.items():
        values = rig.org.tables["Opportunity"].rows[id] if rig.crm == SF else rig.record("deals", id).values
        for name in {name for one in found for name in one}:
            assert (id, name) in last, "what was written is known"
            assert values.get(name) not in (None, "")
    assert store.audit.verify().broken is None


def _records(crm: str, asked: Asked) -> list[tuple[str, dict[str, Any]]]:
    try:
        body = json.loads(asked.body)
    except json.JSONDecodeError:
        return []  # its sender died before the body was whole: the CRM did nothing
    if crm == SF:
        return [(r["id"], {k: v for k, v in r.items() if k not in ("id", "attributes")}) for r in body["records"]]
    return [(one["id"], one["properties"]) for one in body["inputs"]]


@pytest.mark.fault
@pytest.mark.parametrize("crm", BOTH)
@pytest.mark.parametrize("point", POINTS)
def test_a_push_that_dies_is_finished_by_the_next_run(crm: str, tmp_path: Path, point: str) -> None:
    """Dies at the first, then at the second such point, then is left alone."""
    struck = 0
    world = World()
    with direct(world) as wire, opened(crm, tmp_path, more=MORE, at=(world, ADDRESS)) as rig:
        _furnished(rig)
        for nth in (0, 1):
            with dying(rig, wire, point, nth) as died:
                rig.sync()
            struck += died()
            rig.advance(900)
        assert struck == 2
        rig.sync()
        _check(rig, rig.app.store)
        rig.advance(900)
        assert rig.sync().pushes == []


class Trap(deque[Asked]):
    """A journal that kills a process when a given write call arrives: its answer finds nobody any more."""

    left = 0
    pid = 0
    struck = 0

    def append(self, asked: Asked) -> None:
        super().append(asked)
        if any(fnmatch(asked.path, path) for path in WRITE.values()) and asked.method in ("PATCH", "POST"):
            self.left -= 1
            if self.left == 0:
                os.kill(self.pid, signal.SIGKILL)
                self.struck += 1


@pytest.mark.fault
@pytest.mark.parametrize("crm", BOTH)
def test_processes_killed_with_9_while_they_write(rig: Any) -> None:
    chance = random.Random(rig.crm)
    command = [sys.executable, "-m", "connector.cli", "--project", str(rig.root), "sync", "-q"]
    trap = Trap(maxlen=10_000)
    plain, rig.world.journal = rig.world.journal, trap
    try:
        for _ in range(2):
            victim = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            trap.pid, trap.left = victim.pid, chance.randint(1, 2)
            assert victim.wait() == -signal.SIGKILL
            rig.advance(900)
        trap.left = 0
        assert subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0
        assert trap.struck == 2
        _check(rig, rig.app.store)
    finally:
        rig.world.journal = plain
