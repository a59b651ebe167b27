"""What check says beforehand of rules that may refuse a push."""

from __future__ import annotations

from pathlib import Path

from connector.cli.mapping import live_findings
from connector.errors import CODES
from connector.sandbox.faults.kinds import HUBSPOT
from tests.rig import NAME, opened


def test_a_rule_on_a_scorecard_field_is_named(tmp_path: Path) -> None:
    with opened(HUBSPOT, tmp_path) as rig:
        before = live_findings(rig.app, NAME)
        rig.portal.add_rule("deals", "kpi_stage", "MAX_LENGTH", "4")
        rig.portal.add_rule("companies", "name", "MAX_LENGTH", "40")  # nothing is written there
        (found,) = (finding for finding in live_findings(rig.app, NAME) if finding not in before)
    assert (found.code, found.severity, found.next) == ("SC-W155", "warning", CODES["SC-W155"].next_step)
    assert "MAX_LENGTH 4 on deals.kpi_stage" in found.message
