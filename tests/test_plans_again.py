"""A plan between being made and being applied: planned twice at once, decided on meanwhile, tried before. On both CRMs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector import approvals, runs
from connector.app import App
from connector.cli.main import main
from connector.connected import Connected
from connector.state.plans import PlanBook
from connector.sync import Report
from tests.pitfalls.catalogue import BOTH
from tests.rig import NAME, opened
from tests.scorecards import OBJECT, STAGE, STAMP, allow, held, refuse

both = pytest.mark.parametrize("crm", BOTH)


@pytest.fixture
def rig(crm: str, tmp_path: Path) -> Iterator[Any]:
    with opened(crm, tmp_path) as made:
        made.own_mappings()
        made.advance(600)
        yield made


def planned(rig: Any) -> runs.Made:
    """A saved plan of everything, not applied."""
    done = runs.sync_all(rig.app, [NAME], dry_run=True)
    assert done.made is not None
    return done.made


def apply(rig: Any, plan: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = main(["--project", str(rig.root), "apply", plan, "--yes", "--json"])
    return code, json.loads(capsys.readouterr().out)


@both
def test_a_second_try_writes_only_what_the_first_has_not(rig: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Even without the stamp by which a newer write shows: what came over the first try is newer than the plan."""
    mapping = rig.root / "mappings" / f"{rig.crm}.yaml"
    mapping.write_text(_without_stamp(mapping.read_text(encoding="utf-8"), STAMP[rig.crm]), encoding="utf-8")
    rig.reopen()
    first, second = rig.deals[:2]
    rig.sync()
    before = held(rig, first)[STAGE[rig.crm]]
    for deal in (first, second):
        rig.move(deal, "contracting")
    rig.advance(600)
    refuse(rig, second)
    made = rig.sync().made
    assert rig.app.store.plans.get(made.plan.id).status == "partial"
    ours = held(rig, first)[STAGE[rig.crm]]
    assert ours != before
    rig.set(OBJECT[rig.crm], first, **{STAGE[rig.crm]: before})  # somebody prefers what was there
    allow(rig)
    code, document = apply(rig, made.plan.id, capsys)
    assert (code, document["summary"]["written"]) == (0, 1)
    assert held(rig, first)[STAGE[rig.crm]] == before
    assert held(rig, second)[STAGE[rig.crm]] == ours
    assert rig.app.store.plans.get(made.plan.id).status == "applied"


def _without_stamp(mapping: str, name: str) -> str:
    [line] = [line for line in mapping.splitlines() if line.strip().startswith("updated_at:") and name in line]
    return mapping.replace(line, "    updated_at: null")


@both
def test_two_who_plan_at_once_get_two_plans(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, numbers, others = PlanBook.next_id, list[str](), list[Any]()

    def slow(book: PlanBook) -> str:
        number = plain(book)
        numbers.append(number)
        if not others:  # between the number and the saving another process makes a whole plan
            others.append(None)
            with App(rig.root, environment={}, clock=rig.clock) as app:
                done = runs.sync_all(app, [NAME], dry_run=True)
            others[0] = done.made
        return number

    monkeypatch.setattr(PlanBook, "next_id", slow)
    made = planned(rig)
    [other] = others
    assert (other.plan.id, made.plan.id) == (numbers[0], f"{int(numbers[0]) + 1:04d}")
    assert len(other.plan.updates) == len(made.plan.updates) > 0
    for one in (other, made):
        assert approvals.load_plan(rig.app, one.path) == one.plan
    assert sorted(path.name for path in made.path.parent.iterdir()) == [other.path.name, made.path.name]


@both
def test_a_plan_rejected_while_somebody_reads_it_is_not_written(rig: Any) -> None:
    made = planned(rig)
    loaded = approvals.load_plan(rig.app, made.path)
    assert approvals.check_guards(rig.app, loaded, NAME, allow_large=True) == []
    approvals.reject(rig.app, made.plan.id, "not today")
    done = runs.push(rig.app, loaded)
    assert (done.exit_code, [f.error.code for f in done.failures]) == (4, ["SC-E109"])
    assert held(rig, rig.deals[0]) == {}
    assert rig.app.store.plans.get(made.plan.id).status == "rejected"


@both
def test_a_deal_deleted_while_a_plan_is_read_does_not_hold_up_the_others(rig: Any) -> None:
    """Its deletion has taken it from the plan's file, whose hash is another now."""
    made = planned(rig)
    gone, other = rig.deals[:2]
    assert {gone, other} <= {update.id for update in made.plan.updates}
    rig.delete(gone)
    rig.advance(days=1)
    rig.pull()
    assert rig.app.store.plans.get(made.plan.id).sha256 != made.sha256
    done = runs.push(rig.app, made.plan)
    assert (done.exit_code, done.failures) == (0, [])
    assert {o.update.id: o.status for push in done.pushes for o in push.outcomes}.keys() == {u.id for u in made.plan.updates} - {gone}
    assert held(rig, other) != {}
    made.path.write_bytes(made.path.read_bytes() + b" ")
    assert rig.app.store.plans.get(made.plan.id).status == "applied"


@both
def test_a_plan_rejected_while_it_is_written_stops_before_the_next_batch(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = planned(rig)
    monkeypatch.setattr(Connected, "batch_of", lambda connected, records: 1)
    told = Report(wrote=lambda connection, done, of: approvals.reject(rig.app, made.plan.id, "stop") if done == 1 else None)
    done = runs.push(rig.app, made.plan, report=told)
    [pushed] = done.pushes
    assert ([o.status for o in pushed.outcomes], pushed.left) == (["written"], len(made.plan.updates) - 1)
    assert pushed.left > 0
    assert rig.app.store.plans.get(made.plan.id).status == "rejected"
