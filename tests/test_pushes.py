"""What a push leaves alone: closed deals unless asked for, updates refused again and again; what it does first: ask about what a crash left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector import sync
from connector.cli.main import main
from connector.state.ledger import Image
from tests.pitfalls.catalogue import BOTH, HS, SF
from tests.rig import NAME, opened
from tests.scorecards import OBJECT, PACE, REASON, STAGE, held, refuse

both = pytest.mark.parametrize("crm", BOTH)


@pytest.fixture
def rig(crm: str, tmp_path: Path) -> Iterator[Any]:
    with opened(crm, tmp_path) as made:
        made.advance(600)
        yield made


def outcomes(done: Any) -> dict[str, str]:
    return {o.update.id: o.status for push in done.pushes for o in push.outcomes}


@both
def test_a_refusal_that_repeats_is_quarantined_until_something_changes(rig: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rig.own_mappings()
    bad = rig.deals[0]
    refuse(rig, bad)
    for _ in range(3):
        assert outcomes(rig.sync())[bad] == "rejected"
        rig.advance(900)
    quiet = rig.sync()
    assert quiet.made.plan.scopes[0].quarantined == (bad,)
    assert bad not in outcomes(quiet)
    assert "1 wait in quarantine" in quiet.made.plan.verdict()
    assert [x.record for x in rig.app.store.dead_letters.find(NAME)] == [bad], "still there to be seen"
    rig.set(OBJECT[rig.crm], bad, **{"Description" if rig.crm == SF else "dealname": "the record changed"})
    rig.advance(900)
    assert outcomes(rig.sync())[bad] == "rejected", "the record changed: it is tried again"
    for _ in range(3):
        rig.advance(900)
        rig.sync()
    assert bad not in outcomes(rig.sync())
    assert main(["--project", str(rig.root), "dead-letters", "list", "--group", "code", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"] == {"SC-E121": 1}
    assert main(["--project", str(rig.root), "dead-letters", "list", "--group", "owner", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"] == {"Ada Berg": 1}
    assert main(["--project", str(rig.root), "dead-letters", "retry", "--code", "SC-E121", "--json"]) == 0
    capsys.readouterr()
    rig.org.rules.clear() if rig.crm == SF else rig.portal.rules.clear()
    rig.advance(900)
    assert outcomes(rig.sync())[bad] == "written", "retried by hand"


@both
@pytest.mark.parametrize("days", [0, 3])
def test_closed_deals_are_written_only_where_asked_for_and_for_so_long(rig: Any, days: int) -> None:
    mapping = rig.own_mappings() / f"{rig.crm}.yaml"
    text = mapping.read_text(encoding="utf-8")
    assert "closed_days: 0" in text
    mapping.write_text(text.replace("closed_days: 0", f"closed_days: {days}"), encoding="utf-8")
    rig.reopen()
    deal, early = rig.deals[0], rig.deals[1]
    rig.sync()
    stage = held(rig, deal)[STAGE[rig.crm]]
    rig.set(OBJECT[rig.crm], deal, **{REASON[rig.crm]: "late"})
    rig.move(deal, "lost")
    rig.advance(900)
    done = rig.sync()
    if not days:
        assert deal not in outcomes(done)
        assert held(rig, deal)[STAGE[rig.crm]] == stage
        return
    assert outcomes(done)[deal] == "written"
    now = held(rig, deal)
    assert now[STAGE[rig.crm]] == {SF: "Closed lost", HS: "closed_lost"}[rig.crm]
    assert REASON[rig.crm] not in now
    assert PACE[rig.crm] not in now
    rig.advance(900)
    assert deal not in outcomes(rig.sync()), "written once"
    rig.move(early, "lost")
    rig.advance(days=days)
    assert early not in outcomes(rig.sync()), "closed too long ago"


@both
def test_what_a_crash_left_open_is_asked_of_the_crm(rig: Any) -> None:
    """One record was written and its result never noted, one was never sent, one has been edited since."""
    rig.sync()
    written, unsent, edited = rig.deals[0], rig.deals[1], rig.open_deal(stage="demo")
    store, name = rig.app.store, STAGE[rig.crm]
    there = {deal: held(rig, deal).get(name) for deal in (written, unsent, edited)}
    images = [
        Image(OBJECT[rig.crm], written, name, "lead", there[written]), Image(OBJECT[rig.crm], unsent, name, there[unsent], "lead"),
        Image(OBJECT[rig.crm], edited, name, "lead", "demo"),
    ]  # fmt: skip
    rig.set(OBJECT[rig.crm], edited, **{name: "pilot"})
    store.ledger.before_images(99, "0009", NAME, images, fence=None)
    rig.advance(900)
    rig.pull()
    assert {w.record: w.status for w in store.ledger.of_run(99)} == {written: "written", unsent: "skipped", edited: "unknown"}
    assert store.ledger.pending(NAME) == []
    assert [row.action for row in store.audit.tail(50)].count("batch.settled") == 1


@both
def test_what_somebody_typed_after_a_crash_is_not_taken_for_ours(rig: Any) -> None:
    """One field tells that the whole record was written; the other has been edited since, and is seen as it is, so that the next run heals it."""
    rig.sync()
    deal, store = rig.deals[0], rig.app.store
    stage, reason = (held(rig, deal).get(name[rig.crm]) for name in (STAGE, REASON))
    rig.set(OBJECT[rig.crm], deal, **{REASON[rig.crm]: "typed by somebody"})
    rig.advance(900)
    rig.pull()
    images = [Image(OBJECT[rig.crm], deal, STAGE[rig.crm], "lead", stage), Image(OBJECT[rig.crm], deal, REASON[rig.crm], "as before", reason)]
    store.ledger.before_images(99, "0009", NAME, images, fence=None)
    with rig.app.connected(NAME) as connected:
        sync.settle(connected, store, 99)
    assert {w.status for w in store.ledger.of_run(99)} == {"written"}
    assert store.observed(NAME)[deal].observed[REASON[rig.crm]] == "typed by somebody"
    assert (deal, REASON[rig.crm]) in rig.sync().pushes[0].healed
    assert held(rig, deal).get(REASON[rig.crm]) == reason


@both
def test_the_audit_through_the_command_line(rig: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rig.own_mappings()
    rig.sync()
    base = ["--project", str(rig.root)]
    assert main([*base, "audit", "verify", "--json"]) == 0
    head = json.loads(capsys.readouterr().out)["summary"]["head"]
    out = tmp_path / "audit.jsonl"
    assert main([*base, "audit", "export", "--out", str(out), "--json"]) == 0
    last = json.loads(capsys.readouterr().out)["summary"]["last"]
    assert main([*base, "audit", "export", "--after", str(last), "--json"]) == 0
    rest = json.loads(capsys.readouterr().out)["result"]
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["seq"] for row in (*rows, *rest)] == list(range(1, len(rows) + len(rest) + 1)), "no gap, no double"
    assert out.stat().st_mode & 0o777 == 0o600
    assert main([*base, "audit", "verify", "--head", head, "--json"]) == 0
    capsys.readouterr()
    assert main([*base, "audit", "verify", "--head", "0" * 64, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "SC-E185"
    push = next(row for row in rows if row["action"] == "batch.written")
    assert {"run", "plan", "sha256", "mapping", "records"} <= set(push["detail"]), "leads to a run, a plan and a mapping"
