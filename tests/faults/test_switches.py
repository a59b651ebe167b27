"""Faults that the org or the portal has itself: index lag, late commits, ten thousand records of one instant, limits that are really counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.sandbox.faults.kinds import HUBSPOT, SALESFORCE
from tests.rig import opened

pytestmark = pytest.mark.fault


def test_what_the_index_did_not_show_is_read_later(tmp_path: Path) -> None:
    with opened(HUBSPOT, tmp_path) as rig:
        rig.pull()
        rig.world.faults.add(HUBSPOT, "index-lag", seconds=20)
        rig.advance(3600)
        rig.edit(rig.deals[0], amount=4321)
        rig.pull()
        rig.settle()
        rig.assert_same()


def test_what_commits_late_is_read_later(tmp_path: Path) -> None:
    with opened(SALESFORCE, tmp_path) as rig:
        rig.pull()
        rig.advance(3600)
        fault = rig.world.faults.add(SALESFORCE, "late-commits", seconds=45)
        rig.edit(rig.deals[0], amount=4321)
        rig.pull()
        rig.advance(60)
        rig.pull()
        rig.world.faults.clear(fault.number)
        rig.settle()
        rig.assert_same()


@pytest.mark.parametrize("crm", [SALESFORCE, HUBSPOT])
def test_the_days_calls_are_used_up(crm: str, tmp_path: Path) -> None:
    from connector.errors import BudgetReached

    with opened(crm, tmp_path) as rig:
        rig.world.faults.add(crm, "daily-limit")
        with pytest.raises(BudgetReached):
            rig.pull()
        rig.world.faults.clear()
        rig.pull()
        rig.assert_same()


def test_a_lost_scope_is_named(tmp_path: Path) -> None:
    with opened(HUBSPOT, tmp_path) as rig:
        rig.world.faults.add(HUBSPOT, "denied-scope", parameters={"scope": "crm.objects.contacts.read"})
        failures = rig.pull().failures
        assert {failure.error.code for failure in failures} == {"SC-E052"}
        assert all("crm.objects.contacts.read" in failure.error.message for failure in failures)
        rig.world.faults.clear()
        rig.pull()
        rig.assert_same()


@pytest.mark.parametrize("crm", [SALESFORCE, HUBSPOT])
def test_short_pages_lose_nothing(crm: str, tmp_path: Path) -> None:
    with opened(crm, tmp_path) as rig:
        for number in range(5):
            rig.open_deal(rig.accounts[number % 3])
        rig.world.faults.add(crm, "small-pages", parameters={"size": 1 if crm == SALESFORCE else 199})
        rig.pull()
        rig.world.faults.clear()
        rig.assert_same()


def test_many_edits_of_one_instant_are_all_read(tmp_path: Path) -> None:
    """The 10,000 and more are tests/pitfalls' business; here the desk's own switch makes them, in small."""
    with opened(HUBSPOT, tmp_path) as rig:
        rig.pull()
        rig.advance(60)
        rig.world.faults.add(HUBSPOT, "same-instant", object="companies", parameters={"count": 230})
        rig.settle()
        assert len(rig.rows("accounts")) == 230
        rig.assert_same()
