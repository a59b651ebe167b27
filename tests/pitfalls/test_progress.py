"""Loops: every page and every run gets further, whatever the stamps look like."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pitfalls.catalogue import BOTH, HS

both = pytest.mark.parametrize("crm", BOTH)
CROWD = 10_400


@both
@pytest.mark.pitfall("15")
def test_more_than_10000_in_one_millisecond_terminates(rig: Any) -> None:
    """A bulk edit stamps 10,400 records with one instant, between two pulls: all of them are read, each once."""
    rig.pull(stream="tasks")
    rig.advance(600)
    _many_tasks(rig, CROWD)
    pulled = rig.pull(stream="tasks").streams[0]
    assert len(_tasks(rig)) == CROWD
    assert pulled.records <= 2 * CROWD


@both
@pytest.mark.pitfall("16")
def test_window_restart_makes_progress(rig: Any) -> None:
    """12,600 records over three instants: the window is restarted inside a crowd and goes on behind it."""
    rig.pull(stream="tasks")
    for _ in range(3):
        rig.advance(60)
        _many_tasks(rig, 4_200)
    rig.pull(stream="tasks")
    assert len(_tasks(rig)) == 12_600


@both
@pytest.mark.pitfall("17")
def test_same_second_does_not_repeat_the_job(rig: Any) -> None:
    """Pulls at one and the same instant: each ends, costs no more than the one before, and brings no row twice."""
    rig.pull()
    before, costs = rig.rows("opportunities"), []
    for _ in range(4):
        costs.append(sum(stream.calls for stream in rig.pull().streams))
        assert rig.rows("opportunities") == before
    assert costs == sorted(costs, reverse=True)


def _tasks(rig: Any) -> set[str]:
    ids = [row["id"] for row in rig.rows("activities") if row["kind"] == "task"]
    assert len(ids) == len(set(ids))
    return set(ids)


def _many_tasks(rig: Any, count: int) -> None:
    """Tasks of one instant, by the CRM's own bulk means."""
    if rig.crm == HS:
        rig.portal.create_many("tasks", ({"hs_timestamp": "2026-11-01T12:00:00Z", "hs_task_status": "NOT_STARTED"} for _ in range(count)))
    else:
        for _ in range(count):
            rig.org.insert("Task", {"Status": "Open", "ActivityDate": "2026-11-01", "OwnerId": rig.owners[0]})
