"""A plan of two connections, of which each has a schedule of its own."""

from __future__ import annotations

from connector.cli.main import main
from connector.clock import SystemClock
from connector.sandbox.hubspot.oauth import SYNC
from connector.state.store import Store
from tests.acceptance.harness import Project

DEALS = {"hs-demo": "deals", "sf-demo": "Opportunity"}


def test_each_schedule_applies_its_part_of_an_approved_plan(project: Project) -> None:
    """Neither takes the other's part, and the plan is applied when both have."""
    number = project.ok("plan")["result"]["id"]
    project.ok("plans", "approve", number)
    project.ok("connections", "pause", "hs-demo", "--reason", "training day")
    main(["--project", str(project.root), "run", "--once"])
    project.say()
    assert parts(project, number) == ("approved", {"sf-demo": "applied"})
    project.ok("connections", "resume", "hs-demo")
    assert main(["--project", str(project.root), "run", "--once"]) == 0
    project.say()
    assert parts(project, number) == ("applied", {"hs-demo": "applied", "sf-demo": "applied"})
    with Store.open(project.root / "state", SystemClock()) as store:
        for name, object in DEALS.items():
            record = min(record for record, _ in store.ledger.last_written(name, object))
            assert {write.plan for write in store.ledger.of_record(name, record)} == {number}
    project.ok("audit", "verify")


def test_a_connection_that_cannot_sign_in_does_not_hold_up_the_other(project: Project) -> None:
    """Neither on schedule nor by hand; its own part waits, and the failure is told of the connection that has it."""
    number = project.ok("plan")["result"]["id"]
    project.ok("plans", "approve", number)
    project.world.portal.tokens.revoke(SYNC)
    assert main(["--project", str(project.root), "run", "--once"]) == 5
    project.say()
    assert parts(project, number) == ("approved", {"sf-demo": "applied"})
    second = project.run("plan", "--connection", "sf-demo")
    assert second[1]["summary"]["records"] == 0
    code, document = project.run("apply", number, "--yes")
    assert (code, document["summary"]["failed"], document["result"]["pushes"]) == (5, ["hs-demo"], [])
    assert parts(project, number) == ("approved", {"sf-demo": "applied"})


def parts(project: Project, number: str) -> tuple[str, dict[str, str]]:
    """What became of a plan, and of each connection's part."""
    with Store.open(project.root / "state", SystemClock()) as store:
        saved = store.plans.get(number)
        return saved.status, dict(saved.parts)
