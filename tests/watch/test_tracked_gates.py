"""Where a Salesforce org tracks the field of a gate without dates, the org's history dates the gate; elsewhere our own log does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connector.state.frames import sections
from tests.rig import NAME, Rig, opened


def gates(rig: Rig, deal: str) -> dict[str, tuple[Any, ...]]:
    mapped, definitions = rig.app.mapped(NAME), rig.app.definitions
    found = sections(
        rig.app.store, NAME, day=definitions.calendar.day, stage_of=mapped.stages.canonical, pipeline_of=mapped.stages.pipeline,
        ignored=mapped.stages.ignored,
    )["gates"]  # fmt: skip
    return {row["gate"]: (row["result"], row["decided_on"], row["quality"]) for row in found if row["opportunity"] == deal and row["result"]}


def test_a_tracked_gate_is_dated_by_the_org(tmp_path: Path) -> None:
    with opened("salesforce", tmp_path) as rig:
        rig.org.track_field("Budget_Approved__c")
        deal = rig.deals[0]
        rig.advance(days=1)
        rig.set("Opportunity", deal, Budget_Approved__c=True, GPO_Status__c="On contract")
        decided = rig.app.definitions.calendar.day(rig.now)
        rig.advance(days=20)
        rig.pull()
        assert gates(rig, deal) == {"budget": ("approved", decided, "system"), "procurement": ("approved", None, "none")}
        rig.advance(days=1)
        rig.set("Opportunity", deal, GPO_Status__c="Off contract")
        rig.advance(days=1)
        rig.pull()
        seen = rig.app.definitions.calendar.day(rig.now)
        assert gates(rig, deal) == {"budget": ("approved", decided, "system"), "procurement": ("denied", seen, "observed")}
        held = rig.rows("changes")
        rig.pull(full=True)
        assert rig.rows("changes") == held


def test_an_idle_pull_asks_for_no_history(tmp_path: Path) -> None:
    """The overlap brings the deals again, in versions that are known: one query, and one that asks which of them has a next step."""
    with opened("salesforce", tmp_path) as rig:
        first, idle = ({s.stream: (s.records, s.calls) for s in rig.pull().streams} for _ in range(2))
        assert idle["opportunities"][0] == first["opportunities"][0] == 3
        assert idle["opportunities"][1] == 2 < first["opportunities"][1]
