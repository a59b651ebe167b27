"""A scheduled sync that trips a guard parks its plan, and every channel hears of it once: through real HTTP and SMTP, over both sandboxes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from connector import approvals
from connector.alerts import Notice, PlanNotice, payload, subject_line, text
from connector.cli.main import main
from connector.model.waiting import Waiting
from tests.mailbox import Hook, Mailbox
from tests.pitfalls.catalogue import BOTH, SF
from tests.rig import NAME, opened
from tests.test_alerts import NOW, standing

both = pytest.mark.parametrize("crm", BOTH)
PARKED = Waiting("sf", "0007", (("SC-E102", "9 of 12 open deals (75%) would change; the limit is 25%"),), NOW, True)
BLOCKED = Waiting("sf", "0008", (("SC-E104", "the pull brought 10% of what like runs bring; the limit is 50%"),), NOW, False)


def test_what_is_said_of_a_plan() -> None:
    news = [PlanNotice("new", PARKED), PlanNotice("new", BLOCKED), PlanNotice("ended", PARKED, "approved"), Notice("new", standing())]
    assert subject_line("revops", news) == "[revops] 2 plans waiting for a person, 1 waiting no longer, 1 target missed"
    assert text(news).split("\n") == [
        "sf",
        "  waiting for a person: plan 0007, nothing of it is written",
        "    SC-E102 9 of 12 open deals (75%) would change; the limit is 25%",
        "    connector plans show 0007",
        "    connector plans approve 0007",
        "    connector plans reject 0007",
        "  waiting for a person: plan 0008, nothing of it is written; its cause is mended first",
        "    SC-E104 the pull brought 10% of what like runs bring; the limit is 50%",
        "    connector plans show 0008",
        "    connector plans reject 0008",
        "  waiting no longer: plan 0007 is approved",
        "  missed: win_rate company is 25.0 %, at least 30.0 % wanted, since 2026-11-01",
    ]
    body = payload("revops", news, values=False)
    assert body["counts"] == {"new": 1, "changed": 0, "standing": 0, "ended": 0}, "of targets"
    assert body["plans"] == [
        {
            "change": "new", "connection": "sf", "plan": "0007", "since": NOW.isoformat(),
            "guards": [{"code": "SC-E102", "message": "9 of 12 open deals (75%) would change; the limit is 25%"}],
            "next": ["connector plans show 0007", "connector plans approve 0007", "connector plans reject 0007"],
        },
        {
            "change": "new", "connection": "sf", "plan": "0008", "since": NOW.isoformat(),
            "guards": [{"code": "SC-E104", "message": "the pull brought 10% of what like runs bring; the limit is 50%"}],
            "next": ["connector plans show 0008", "connector plans reject 0008"],
        },
        {"change": "ended", "connection": "sf", "plan": "0007", "since": NOW.isoformat(), "became": "approved"},
    ]  # fmt: skip


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook().open() as made:
        yield made


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with Mailbox().open() as made:
        yield made


@pytest.fixture
def rig(crm: str, tmp_path: Path, hook: Hook, box: Mailbox) -> Iterator[Any]:
    """Its first push is through; from now on every change trips the guard on the share of records."""
    more = f"""
[alerts.webhook]
url = "{hook.url}"

[alerts.smtp]
host = "127.0.0.1"
port = {box.port}
security = "none"
from = "revops@example.com"
to = ["cro@example.com"]
"""
    with opened(crm, tmp_path, more=more) as made:
        made.advance(600)
        made.own_mappings()
        made.sync()
        settings = made.root / "connector.toml"
        settings.write_text(settings.read_text().replace("max_records_share = 1.0", "max_records_share = 0.0"), encoding="utf-8")
        made.reopen()
        yield made


def change(rig: Any, stage: str = "pilot") -> None:
    """Something is to be written."""
    rig.advance(3600)
    rig.move(rig.deals[0], stage)
    rig.advance(60)


def turn(rig: Any) -> int:
    """What the scheduler does at its next turn: pull, then what was approved, then a sync."""
    return main(["--project", str(rig.root), "run", "--once"])


def plans(hook: Hook) -> list[list[tuple[str, str]]]:
    """(change, number) of each body that tells of plans."""
    return [[(row["change"], row["plan"]) for row in body["plans"]] for body in of_plans(hook)]


def of_plans(hook: Hook) -> list[dict[str, Any]]:
    """Bodies that tell of plans; a turn of the scheduler also tells the head of the audit."""
    return [body for body in hook.bodies if body.get("plans")]


def mailed(box: Mailbox) -> list[Any]:
    return [mail for mail in box.mails if "audit" not in str(mail["Subject"])]


@both
def test_a_parked_plan_is_told_of_once_and_again_when_it_is_decided(rig: Any, hook: Hook, box: Mailbox) -> None:
    change(rig)
    assert turn(rig) == 4
    [parked] = rig.app.store.plans.find(statuses=("awaiting",))
    assert plans(hook) == [[("new", parked.id)]]
    row = of_plans(hook)[-1]["plans"][0]
    assert (row["connection"], [guard["code"] for guard in row["guards"]]) == (NAME, ["SC-E102"])
    assert "of 2 open deals" in row["guards"][0]["message"]
    assert datetime.fromisoformat(row["since"]) == parked.created_at
    assert f"connector plans approve {parked.id}" in mailed(box)[-1].get_content()
    told = len(mailed(box))
    rig.pull()
    assert (plans(hook), len(mailed(box))) == ([[("new", parked.id)]], told), "a pull in between has no news"
    approvals.approve(rig.app, parked.id)
    assert turn(rig) == 0
    assert plans(hook) == [[("new", parked.id)], [("ended", parked.id)]]
    assert of_plans(hook)[-1]["plans"][0]["became"] in ("approved", "applied")
    assert rig.app.store.plans.get(parked.id).status == "applied"
    assert f"plan {parked.id} is" in mailed(box)[-1].get_content()
    assert len(mailed(box)) == told + 1


@both
def test_a_plan_that_another_replaces_or_that_somebody_rejects_waits_no_longer(rig: Any, hook: Hook) -> None:
    change(rig)
    turn(rig)
    change(rig, "contracting")
    turn(rig)
    [[(_, first)], [(_, second), _]] = plans(hook)
    assert plans(hook)[1] == [("new", second), ("ended", first)]
    assert of_plans(hook)[-1]["plans"][1]["became"] == f"superseded: plan {second} takes its place"
    approvals.reject(rig.app, second, "Mercy Hospital asked us not to")
    rig.move(rig.deals[0], "pilot")  # back to what the CRM shows: nothing is to be written any more
    assert main(["--project", str(rig.root), "sync", "--pull-only"]) == 0
    assert plans(hook)[2] == [("ended", second)]
    assert of_plans(hook)[-1]["plans"][0]["became"] == "rejected"
    assert "Mercy" not in str(hook.bodies), "a person's words may name a deal"


@both
def test_a_channel_that_was_down_hears_of_it_later(rig: Any, hook: Hook, box: Mailbox) -> None:
    hook.answers = [404, 404]  # of the pull, which tells of a missed target, and of the sync
    change(rig)
    turn(rig)
    refused = len(hook.bodies)
    assert any(body["plans"] for body in hook.bodies), "it was tried"
    mails = len(mailed(box))
    assert main(["--project", str(rig.root), "sync", "--pull-only"]) == 0
    assert [row["change"] for row in hook.bodies[refused]["plans"]] == ["new"]
    assert len(mailed(box)) == mails, "mail had heard of it"


@both
def test_nothing_of_the_crm_goes_out(rig: Any, hook: Hook, box: Mailbox) -> None:
    """Names and values are planted where the plan holds them; a guard of the pull repeats a label of the CRM."""
    planted = "Zebrafish"
    name, gaps, object = ("Name", "KPI_Data_Gaps__c", "Opportunity") if rig.crm == SF else ("dealname", "kpi_data_gaps", "deals")
    rig.set(object, rig.deals[1], **{name: f"{planted} deal", gaps: f"{planted} gap"})
    rig.rename_stage("vac", f"{planted} stage")
    rig.move(rig.deals[1], "pilot")
    change(rig, "vac")
    assert turn(rig) == 4
    [parked] = rig.app.store.plans.find(statuses=("awaiting",))
    assert planted in Path(parked.path).read_text(), "the plan itself holds it"
    sent = str(hook.bodies) + "".join(mail.as_string() for mail in box.mails)
    assert parked.id in sent
    assert planted not in sent
