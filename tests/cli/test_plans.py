"""plans list | show | approve | reject, and what the scheduler makes of it at its next turn."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli import parked
from tests.cli.conftest import Run
from tests.pitfalls.catalogue import BOTH, SF
from tests.rig import NAME
from tests.scorecards import STAGE, held

both = pytest.mark.parametrize("crm", BOTH)


@pytest.fixture
def rig(crm: str, tmp_path: Path) -> Iterator[Any]:
    with parked.project(crm, tmp_path) as made:
        yield made


@pytest.fixture
def say(rig: Any, run: Run) -> parked.Call:
    return parked.caller(rig, run)


def waiting(rig: Any, say: parked.Call, stage: str = "pilot") -> str:
    """A scheduled sync whose plan waits; its number."""
    parked.move(rig, rig.deals[0], stage)
    before = held(rig, rig.deals[0])
    assert parked.turn(rig) == 4
    assert held(rig, rig.deals[0]) == before, "nothing is half-written"
    code, listed = say("plans", "list")
    assert code == 0
    [number] = [plan["id"] for plan in listed["result"] if plan["status"] == "awaiting"]
    return str(number)


def status(say: parked.Call, number: str) -> str:
    return str(next(plan["status"] for plan in say("plans", "list")[1]["result"] if plan["id"] == number))


@both
def test_a_plan_is_shown_approved_once_and_applied_at_the_next_turn(rig: Any, say: parked.Call) -> None:
    number, deal = waiting(rig, say), rig.deals[0]
    code, shown = say("plans", "show", str(int(number)))  # without its zeros
    assert (code, shown["result"]["id"]) == (0, number)
    assert [update["id"] for update in shown["result"]["updates"]] == [deal]
    assert any(change["why"] for change in shown["result"]["updates"][0]["changes"])
    code, stopped = say("apply", number)
    assert (code, stopped["error"]["code"]) == (4, "SC-E100")
    assert [finding["code"] for finding in stopped["findings"]] == ["SC-E102"]
    code, approved = say("plans", "approve", number)
    assert (code, approved["result"]) == (0, {"plan": number, "status": "approved"})
    code, twice = say("plans", "approve", number)
    assert (code, twice["error"]["code"]) == (4, "SC-E100")
    assert "approved already" in twice["error"]["message"]
    before = held(rig, deal)
    assert parked.turn(rig) == 0
    assert held(rig, deal)[STAGE[rig.crm]] != before[STAGE[rig.crm]]
    assert status(say, number) == "applied"
    code, gone = say("plans", "reject", number, "--reason", "too late")
    assert (code, gone["error"]["code"]) == (4, "SC-E100")
    actions = parked.chain_holds(say)
    assert [a for a in actions if a.startswith("plan.")][-4:] == ["plan.approved", "plan.applied", "plan.saved", "plan.applied"]
    parked.tamper(rig)
    code, broken = say("audit", "verify")
    assert (code, broken["error"]["code"]) == (1, "SC-E185")


@both
def test_a_rejected_plan_is_never_applied(rig: Any, say: parked.Call) -> None:
    number, deal = waiting(rig, say), rig.deals[0]
    code, rejected = say("plans", "reject", number, "--reason", "not in this quarter")
    assert (code, rejected["result"]["status"]) == (0, "rejected")
    assert next(plan for plan in say("plans", "list")[1]["result"] if plan["id"] == number)["reason"] == "not in this quarter"
    for verb in (("plans", "approve", number), ("apply", number)):
        code, refused = say(*verb)
        assert (code, refused["error"]["code"]) == (4, "SC-E109"), refused
    before = held(rig, deal)
    assert parked.turn(rig) == 4, "the change is still there, and planned anew"
    assert held(rig, deal) == before
    assert status(say, number) == "rejected"
    parked.chain_holds(say)


@both
def test_a_superseded_plan_is_never_applied(rig: Any, say: parked.Call) -> None:
    number, deal = waiting(rig, say), rig.deals[0]
    newer = waiting(rig, say, "contracting")
    assert newer != number
    assert status(say, number) == "superseded"
    code, refused = say("plans", "approve", number)
    assert (code, refused["error"]["code"]) == (4, "SC-E109")
    assert "superseded" in refused["error"]["message"]
    assert say("plans", "approve", newer)[0] == 0
    assert parked.turn(rig) == 0
    writes = [write for write in rig.app.store.ledger.of_record("crm", deal) if write.plan in (number, newer)]
    assert {write.plan for write in writes} == {newer}
    parked.chain_holds(say)


@both
def test_a_plan_that_passes_takes_the_place_of_one_that_waits(rig: Any, say: parked.Call) -> None:
    """The deal goes back: nothing is to be written, and nobody is asked to approve what would be wrong now."""
    at_first = "discovery"
    number = waiting(rig, say)
    parked.move(rig, rig.deals[0], at_first)
    rig.advance(60)
    settings = rig.root / "connector.toml"
    settings.write_text(settings.read_text().replace("max_records_share = 0.0", "max_records_share = 1.0"), encoding="utf-8")
    assert parked.turn(rig) == 0
    assert status(say, number) == "superseded"


@both
def test_a_file_that_is_not_the_plan_is_refused(rig: Any, say: parked.Call) -> None:
    number = waiting(rig, say)
    path = Path(rig.app.store.plans.get(number).path)
    data = path.read_bytes()
    made = json.loads(data)
    made["updates"][0]["changes"][0]["after"] = "forged"
    path.write_text(json.dumps(made), encoding="utf-8")
    for verb in (("plans", "approve", number), ("apply", number)):
        code, refused = say(*verb)
        assert (code, refused["error"]["code"]) == (4, "SC-E109"), refused
    path.write_bytes(data)
    assert say("plans", "approve", number)[0] == 0
    path.write_bytes(data.replace(b"SC", b"SX") + b" ")  # after the approval
    before = held(rig, rig.deals[0])
    assert parked.turn(rig) == 4
    assert held(rig, rig.deals[0]) == before
    assert status(say, number) == "superseded", "said once, not at every turn"
    path.unlink()
    code, missing = say("plans", "show", number)
    assert (code, missing["error"]["code"]) == (1, "SC-E184")
    code, unknown = say("plans", "approve", "4711")
    assert (code, unknown["error"]["code"]) == (1, "SC-E184")
    assert say("plans", "reject", number)[0] == 64, "a rejection says why"
    parked.chain_holds(say)


@both
def test_an_approved_plan_of_which_nothing_is_left_is_approved_no_longer(rig: Any, say: parked.Call) -> None:
    """All its deals are deleted before the next push, and taken from it."""
    number, deal = waiting(rig, say), rig.deals[0]
    assert say("plans", "approve", number)[0] == 0
    rig.delete(deal)
    rig.advance(days=1)
    parked.turn(rig)
    assert say("plans", "show", number)[1]["result"]["updates"] == []
    assert status(say, number) == "superseded"
    assert [a for a in parked.chain_holds(say) if a.startswith("plan.")].count("plan.superseded") == 1
    parked.turn(rig)
    assert [a for a in parked.chain_holds(say) if a.startswith("plan.")].count("plan.superseded") == 1


def new_stage(rig: Any, deal: str) -> None:
    """An admin makes a stage, and a deal moves there."""
    if rig.crm == SF:
        rig.org.add_stage("Committee", 35, pipelines=("Capital_Equipment",))
        rig.set("Opportunity", deal, StageName="Committee")
    else:
        rig.portal.add_stage(rig.record("deals", deal).values["pipeline"], "4711", "Committee", 0.7)
        rig.set("deals", deal, dealstage="4711")


@both
def test_what_must_be_mended_first_cannot_be_approved(rig: Any, say: parked.Call) -> None:
    """A live stage that nobody mapped: an approval would write scorecards of a company that is known in part only."""
    new_stage(rig, rig.deals[1])
    number = waiting(rig, say)
    code, refused = say("plans", "approve", number)
    assert (code, refused["error"]["code"]) == (4, "SC-E100")
    assert "mended first" in refused["error"]["message"]
    assert "SC-E024" in [finding["code"] for finding in refused["findings"]]
    assert status(say, number) == "awaiting"


@both
def test_a_connection_that_is_blocked_without_anything_to_write_says_so(rig: Any, say: parked.Call) -> None:
    """Nothing waits for an answer then, and no plan is to be approved."""
    parked.move(rig, rig.deals[0], "deferred")
    rig.sync()
    mapping = rig.root / "mappings" / f"{rig.crm}.yaml"
    mapping.write_text(re.sub(r'(?m)^\s+"(Deferred|168402355)":.*\n', "", mapping.read_text(encoding="utf-8")), encoding="utf-8")
    rig.advance(60)
    code, blocked = say("sync")
    assert (code, blocked["summary"]["waiting"], blocked["summary"]["blocked"]) == (4, [], [NAME])
