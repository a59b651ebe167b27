"""rollback RUN [--field] [--dry-run] [--json], the pause afterwards, connections resume, audit verify."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.cli.main import main
from tests.cli import parked
from tests.cli.conftest import Run
from tests.pitfalls.catalogue import BOTH
from tests.rig import NAME
from tests.scorecards import GAPS, OBJECT, STAGE, held

both = pytest.mark.parametrize("crm", BOTH)


@pytest.fixture
def rig(crm: str, tmp_path: Path) -> Iterator[Any]:
    with parked.project(crm, tmp_path, guarded=False) as made:
        yield made


@pytest.fixture
def say(rig: Any, run: Run) -> parked.Call:
    return parked.caller(rig, run)


def pushed(rig: Any, say: parked.Call) -> str:
    """A sync that writes; the number of its push."""
    rig.advance(900)
    code, document = say("sync")
    assert code == 0, document
    assert document["summary"]["written"] > 0
    return str(rig.app.store.runs.last(NAME, kinds=("push",)).id)


def scorecards(rig: Any) -> dict[str, dict[str, Any]]:
    return {deal: held(rig, deal) for deal in rig.deals}


@both
def test_a_dry_run_says_and_a_rollback_does_the_same(rig: Any, say: parked.Call) -> None:
    rig.set(OBJECT[rig.crm], rig.deals[0], **{GAPS[rig.crm]: "typed by somebody"})
    before = scorecards(rig)
    run = pushed(rig, say)
    ours = scorecards(rig)
    code, dry = say("rollback", run, "--dry-run")
    assert (code, scorecards(rig), rig.app.store.is_paused(NAME)) == (0, ours, False)
    assert (dry["summary"]["run"], dry["result"]["plan"]) == (None, None)
    code, done = say("rollback", run)
    assert (code, scorecards(rig)) == (0, before)
    assert done["summary"]["records"] == dry["summary"]["records"] == sum(ours[deal] != before[deal] for deal in rig.deals)
    assert (done["summary"]["of_run"], done["summary"]["left"], done["result"]["left"]) == (int(run), 0, [])
    assert done["summary"]["restored"] == len(rig.app.store.ledger.of_run(done["summary"]["run"]))
    assert str(rig.app.store.plans.get(done["result"]["plan"]).status) == "applied"
    code, again = say("rollback", run)
    assert (code, again["summary"]["records"], again["summary"]["as_before"]) == (0, 0, done["summary"]["restored"])
    parked.chain_holds(say)


@both
def test_pushes_are_paused_until_somebody_resumes_them(rig: Any, say: parked.Call, capsys: pytest.CaptureFixture[str]) -> None:
    run = pushed(rig, say)
    ours = scorecards(rig)
    main(["--project", str(rig.root), "rollback", run, "--yes"])
    said = capsys.readouterr().out
    assert f"pushes of {NAME} are paused: connector connections resume {NAME}" in said
    empty = scorecards(rig)
    assert f"rollback of run {run}" in say("status")[1]["result"][NAME]["paused"]
    for _ in range(2):  # a sync by hand, and the scheduler's turn: the pull goes on, nothing is written
        rig.advance(900)
        code, stopped = say("sync")
        assert code == 4
        assert f"connector connections resume {NAME}" in str(stopped)
        assert parked.turn(rig) == 4
        capsys.readouterr()
        assert scorecards(rig) == empty
    code, _ = say("connections", "resume", NAME)
    assert code == 0
    rig.advance(900)
    assert parked.turn(rig) == 0
    capsys.readouterr()
    stage = STAGE[rig.crm]
    assert {deal: held.get(stage) for deal, held in scorecards(rig).items()} == {deal: held.get(stage) for deal, held in ours.items()}
    actions = parked.chain_holds(say)
    assert [a for a in actions if a.startswith(("rollback", "connection."))] == ["connection.paused", "rollback.began", "connection.resumed"]


@both
def test_what_somebody_changed_since_is_listed_and_exits_3(rig: Any, say: parked.Call) -> None:
    run = pushed(rig, say)
    deal, gaps = rig.deals[1], GAPS[rig.crm]
    rig.set(OBJECT[rig.crm], deal, **{gaps: "typed by somebody"})
    code, dry = say("rollback", run, "--dry-run")
    code_done, done = say("rollback", run)
    assert (code, code_done) == (3, 3)
    assert dry["result"]["left"] == done["result"]["left"]
    assert [(left["record"], left["field"]) for left in done["result"]["left"]] == [(deal, gaps)]
    assert "somebody else" in done["result"]["left"][0]["why"]
    assert held(rig, deal) == {gaps: "typed by somebody"}
    parked.chain_holds(say)


@both
def test_single_fields_by_key_or_by_name(rig: Any, say: parked.Call) -> None:
    run = pushed(rig, say)
    ours, stage = scorecards(rig), STAGE[rig.crm]
    assert say("rollback", run, "--field", "stage")[0] == 0
    assert scorecards(rig) == {deal: {name: value for name, value in held.items() if name != stage} for deal, held in ours.items()}
    code, rest = say("rollback", run, "--field", GAPS[rig.crm], "--field", stage)
    assert code == 0
    assert {GAPS[rig.crm], stage}.isdisjoint(name for held in scorecards(rig).values() for name in held)
    assert rest["summary"]["as_before"] > 0, "the stage is as before already"
    code, unknown = say("rollback", run, "--field", "amount")
    assert (code, unknown["error"]["code"]) == (64, "SC-E002")
    parked.chain_holds(say)


@both
def test_runs_that_cannot_be_rolled_back(rig: Any, say: parked.Call) -> None:
    pushed(rig, say)
    code, pull = say("rollback", str(rig.app.store.runs.first(NAME, kinds=("pull",)).id))
    assert (code, pull["error"]["code"]) == (4, "SC-E100")
    code, unknown = say("rollback", "4711")
    assert (code, unknown["error"]["code"]) == (1, "SC-E184")
    assert not rig.app.store.is_paused(NAME), "a command that does nothing pauses nothing"
    assert say("rollback", "many")[0] == 64
