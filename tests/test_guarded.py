"""Guards end to end, on both CRMs: what trips one parks the plan with its figure, nothing is written, and a person's answer lets it through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector import approvals, runs
from connector.errors import Finding
from tests.pitfalls.catalogue import BOTH, SF
from tests.rig import NAME, opened
from tests.scorecards import OBJECT, STAGE, held

both = pytest.mark.parametrize("crm", BOTH)


@pytest.fixture
def rig(crm: str, tmp_path: Path) -> Iterator[Any]:
    with opened(crm, tmp_path) as made:
        made.own_mappings()
        made.advance(600)
        yield made


def setting(rig: Any, old: str, new: str) -> None:
    """One line of connector.toml, from the next opening on."""
    place = rig.root / "connector.toml"
    assert old in place.read_text()
    place.write_text(place.read_text().replace(old, new))
    rig.reopen()


def tripped(rig: Any) -> Finding:
    """The one guard that stops the next sync; nothing is written."""
    before = {deal: held(rig, deal) for deal in rig.deals}
    done = rig.sync()
    assert done.exit_code == 4
    assert [push.outcomes for push in done.pushes] == [()]
    assert {deal: held(rig, deal) for deal in rig.deals} == before
    [found] = done.pushes[0].trips
    return found


def approved(rig: Any) -> Any:
    """What a schedule makes of the plan that waits, once a person has approved it."""
    [waiting] = rig.app.store.plans.find(statuses=("awaiting",))
    approvals.approve(rig.app, waiting.id)
    return approvals.apply_approved(rig.app, NAME, trigger="schedule")


def overridden(rig: Any) -> list[str]:
    return [guard for row in rig.app.store.audit.after(0) if row.action == "guard.overridden" for guard in row.as_dict()["detail"]["guards"]]


@both
def test_a_field_switched_on_later_is_a_back_fill(rig: Any) -> None:
    """The first push waits, and so does the first fill of a field that this connection has never written; both say which fields."""
    setting(rig, 'environment = "sandbox"', 'environment = "production"')
    mapping = rig.root / "mappings" / f"{rig.crm}.yaml"
    whole = mapping.read_text()
    name = re.search(r"(?m)^\s+stage:\s*(KPI_Stage__c|kpi_stage)\s*$", whole)
    assert name is not None
    mapping.write_text(whole.replace(name[0], ""))
    rig.reopen()
    first = tripped(rig)
    assert first.code == "SC-E107"
    assert first.message.startswith("first push of this connection: 2 records")
    assert f"{STAGE[rig.crm]} on" not in first.message
    assert not approved(rig).failures
    assert overridden(rig) == [f"SC-E107 {first.message}"]
    mapping.write_text(whole)
    rig.reopen()
    rig.advance(900)
    later = tripped(rig)
    assert (later.code, later.message) == (
        "SC-E107", f"never written before, and now to be filled: {STAGE[rig.crm]} on 2 of 2 open deals; the limit is 5%",
    )  # fmt: skip
    assert not approved(rig).failures
    assert all(STAGE[rig.crm] in held(rig, deal) for deal in rig.deals[:2])
    rig.advance(900)
    rig.open_deal(name="One more")
    rig.advance(60)
    assert rig.sync().exit_code == 0, "a field that was written once is filled like any other"


@both
def test_the_account_s_day_does_not_hold_the_push(rig: Any) -> None:
    """Refused beforehand, with figures; not half-written. Approval does not make the day longer, the next day does."""
    setting(rig, "[guards]", f"[connections.{NAME}.limits]\ndaily_calls = 1000\nstop_at_share = 0.999\n\n[guards]")
    rig.sync()
    rig.advance(900)
    rig.move(rig.deals[0], "pilot")
    rig.advance(60)
    done = runs.pull(rig.app, [NAME])
    rig.app.store.calls.add(NAME, 999 - rig.app.calls_today(NAME))
    done.budgets[NAME] = rig.app.budget(NAME)
    made = runs.plan(rig.app, done, runs.books(rig.app, done))
    [found] = made.trips[NAME]
    assert found.code == "SC-E078"
    assert re.match(r"writing 1 records takes \d+ calls \(1 to write, \d+ to sign in and to re-read\) and 1 are left today: ", found.message)
    assert "999 of 1,000" in found.message
    approvals.approve(rig.app, made.plan.id)
    again = approvals.apply_approved(rig.app, NAME, trigger="schedule")
    assert [push.outcomes for push in again.pushes] == []
    assert again.failures[0].error.code == "SC-E078", "not even a check fits in"
    rig.advance(days=2)
    later = approvals.apply_approved(rig.app, NAME, trigger="schedule")
    assert {o.status for push in later.pushes for o in push.outcomes} == {"written"}


@both
@pytest.mark.parametrize("more", ["", "write_batch = 2\n", "bulk_write_above = 1\n"])
def test_the_cost_of_a_push_is_what_the_meter_shows(crm: str, more: str, tmp_path: Path) -> None:
    if "bulk" in more and crm != SF:
        return
    with opened(crm, tmp_path, more=f"[connections.{NAME}.limits]\n{more}") as rig:
        for n in range(5):
            rig.open_deal(name=f"More {n}", stage="demo")
        rig.advance(600)
        done = runs.pull(rig.app, [NAME])
        made = runs.plan(rig.app, done, runs.books(rig.app, done))
        assert len(made.plan.updates) == 7
        told = runs.cost(rig.app, made.plan, NAME)
        before = rig.app.calls_today(NAME)
        pushed = runs.push(rig.app, made.plan)
        assert {o.status for o in pushed.pushes[0].outcomes} == {"written"}
        spent = rig.app.calls_today(NAME) - before
        assert told.calls - (9 if "bulk" in more else 1) <= spent <= told.calls, "a small job is looked at less often than a large one"
        assert told.writes == {"": 1, "write_batch = 2\n": 4, "bulk_write_above = 1\n": 16}[more]


@both
def test_too_many_write_calls(rig: Any) -> None:
    setting(rig, "[guards]", f"[connections.{NAME}.limits]\nwrite_batch = 1\n\n[guards]\nmax_write_calls = 1")
    found = tripped(rig)
    assert (found.code, found.message) == ("SC-E105", "2 write calls needed for 2 records; the limit is 1")


@both
def test_share_of_records_and_of_a_field(rig: Any) -> None:
    setting(rig, "max_records_share = 1.0", "max_records_share = 0.4")
    rig.sync()
    rig.advance(3600)
    rig.move(rig.deals[0], "pilot")
    rig.advance(60)
    found = tripped(rig)
    assert (found.code, found.message) == ("SC-E102", "1 of 2 open deals (50%) would change; the limit is 40%")
    setting(rig, "max_records_share = 0.4", "max_records_share = 1.0")
    setting(rig, "max_field_share = 1.0", "max_field_share = 0.4")
    done = rig.sync()
    assert {t.code for t in done.pushes[0].trips} == {"SC-E102"}
    assert f"{STAGE[rig.crm]} would change on 1 of 2 open deals; the limit is 40%" in [t.message for t in done.pushes[0].trips]


@both
def test_a_value_that_can_no_longer_be_computed(rig: Any) -> None:
    setting(rig, "max_clears = 100000", "max_clears = 0")
    rig.sync()
    density = {"salesforce": "KPI_Win_Chance__c", "hubspot": "kpi_win_chance"}[rig.crm]
    rig.set(OBJECT[rig.crm], rig.deals[0], **{density: 42})
    rig.advance(900)
    found = tripped(rig)
    assert found.code == "SC-E103"
    assert found.message == f"1 values can no longer be computed and would be cleared ({rig.deals[0]} {density}); the limit is 0"


@both
def test_quiet_hours_pass_by_themselves(rig: Any) -> None:
    setting(rig, "[guards]", f'[schedules.{NAME}]\nquiet_hours = ["09:00-10:00"]\n\n[guards]')  # the rig begins at 9:00 in New York
    found = tripped(rig)
    assert found.code == "SC-E106"
    assert re.search(r"09:1\d \(America/New_York\) lies in the quiet hours 09:00-10:00", found.message)
    assert rig.app.store.plans.find(statuses=("awaiting",)) == [], "nobody need approve"
    rig.advance(3600)
    assert rig.sync().exit_code == 0


@both
def test_a_pull_that_brought_too_little(rig: Any) -> None:
    setting(rig, "min_pull_vs_mean = 0.0", "min_pull_vs_mean = 0.5")
    rig.sync()
    for deal in rig.deals[1:]:
        rig.purge(deal)
    rig.advance(900)
    done = rig.sync(full=True)
    [found] = done.pushes[0].trips
    assert found.code == "SC-E104"
    assert re.search(r"brought \d deals where like runs bring 3 in the mean \(\d+%\); the limit is 50%", found.message)
