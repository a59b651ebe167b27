"""Desired − observed: what becomes a change, an empty answer, a loss, and what waits for its week."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import Blocked
from connector.scorecard import fields, plan
from connector.scorecard.fields import KEYS, MANIFEST
from connector.scorecard.plan import Desired, Last, Observed, Plan, Scope, Target

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
LABELS = {"pilot": "Pilot", "vac": "VAC review"}
SALESFORCE = Target("sf", "salesforce", "Opportunity", {k: f.salesforce for k, f in MANIFEST.items()}, LABELS, "kpi 1 · map abc")
HUBSPOT = Target("hs", "hubspot", "deals", {k: f.hubspot for k, f in MANIFEST.items()}, LABELS, "kpi 1 · map abc")
VALUES: dict[str, object] = {
    "stage": "pilot", "stage_entered_on": date(2026, 10, 5), "stage_benchmark_days": 22, "pace": "slow", "open_gates": ["VAC since 20 Oct 2026"],
    "gate_progress": 0.5, "compliance_since": date(2026, 10, 20), "secq_received_on": None, "pilot_limit_on": None, "personas": ["CFO"],
    "personas_missing": [], "last_buyer_activity": date(2026, 11, 1), "touch_density": 1.25, "regressions": 0, "close_pushes": 1,
    "stale_reason": [], "win_chance": 0.545, "win_chance_n": 7, "data_gaps": [], "pilot_started_on": date(2026, 9, 1), "pilot_ended_on": None,
    "blended_arr": Decimal("125000.50"),
}  # fmt: skip


def held_by(target: Target, values: dict[str, object], updated: str = "2026-11-19T06:00:00Z") -> dict[str, str | None]:
    """What the CRM would hold after these values were written."""
    held = {}
    for key, value in values.items():
        field = MANIFEST[key]
        inside = LABELS[str(value)] if key == "stage" and target.crm == "salesforce" and value else value
        held[target.field_names[key]] = fields.text(field, fields.wire(field, inside, target.crm))
    return held | {target.field_names["updated_at"]: updated, target.field_names["definition"]: target.definition}


def planned(target: Target, desired: dict[str, object], observed: dict[str, str | None], last: dict[tuple[str, str], str | None] | None = None):  # type: ignore[no-untyped-def]
    seen = {"1": Observed("Deal", "v1", "h", observed)}
    written = {at: Last(text, NOW - timedelta(days=8)) for at, text in (last or {}).items()}
    found = plan.differences(target, {"1": Desired(desired, {})}, seen, written, NOW)
    return found.updates, found.unchanged, found.held, found.invalid


@pytest.mark.parametrize("target", [SALESFORCE, HUBSPOT], ids=["salesforce", "hubspot"])
def test_what_was_written_is_not_written_again(target: Target) -> None:
    assert planned(target, VALUES, held_by(target, VALUES)) == ([], 1, 0, [])


@pytest.mark.parametrize("target", [SALESFORCE, HUBSPOT], ids=["salesforce", "hubspot"])
def test_a_first_fill_sets_what_has_a_value_and_the_stamp_travels_along(target: Target) -> None:
    [update], *_ = planned(target, VALUES, {})
    assert {c.kind for c in update.changes} == {"set"}
    keys = {c.key for c in update.changes}
    assert keys == {k for k in KEYS if VALUES[k] not in (None, [])} | {"updated_at", "definition"}


def test_an_empty_answer_is_no_loss() -> None:
    [update], *_ = planned(SALESFORCE, VALUES | {"open_gates": [], "compliance_since": None}, held_by(SALESFORCE, VALUES))
    assert {c.key: c.kind for c in update.changes if c.key not in fields.TECHNICAL} == {"open_gates": "empty", "compliance_since": "empty"}


def test_a_benchmark_that_lost_its_cases_is_a_clear_unless_the_stage_moved() -> None:
    lost = VALUES | {"stage_benchmark_days": None, "pace": None}
    [update], *_ = planned(SALESFORCE, lost, held_by(SALESFORCE, VALUES))
    assert {c.kind for c in update.changes if c.key in ("stage_benchmark_days", "pace")} == {"clear"}
    [moved], *_ = planned(SALESFORCE, lost | {"stage": "vac"}, held_by(SALESFORCE, VALUES))
    assert {c.kind for c in moved.changes if c.key in ("stage_benchmark_days", "pace")} == {"empty"}


def test_weekly_values_wait_for_their_week_or_for_another_change() -> None:
    drifted = VALUES | {"win_chance": 0.6, "touch_density": 1.1}
    assert planned(SALESFORCE, drifted, held_by(SALESFORCE, VALUES))[2] == 1
    assert planned(SALESFORCE, drifted, held_by(SALESFORCE, VALUES, updated="2026-11-12T06:00:00Z"))[2] == 0
    [update], *_ = planned(SALESFORCE, drifted | {"close_pushes": 2}, held_by(SALESFORCE, VALUES))
    assert {"win_chance", "touch_density", "close_pushes"} <= {c.key for c in update.changes}


def test_an_overwritten_weekly_value_is_healed_at_once() -> None:
    held = held_by(SALESFORCE, VALUES) | {"KPI_Win_Chance__c": "1"}
    [update], _, waiting, _ = planned(SALESFORCE, VALUES, held, {("1", "KPI_Win_Chance__c"): "54"})
    assert waiting == 0
    assert [(c.before, c.after, c.healed) for c in update.changes if c.key == "win_chance"] == [("1", 54, True)]
    assert not any(c.healed for c in update.changes if c.key != "win_chance")


def test_a_value_that_does_not_fit_is_invalid_and_leaves_its_record_out_whole() -> None:
    labels = {"pilot": "P" * 41}
    target = Target("sf", "salesforce", "Opportunity", SALESFORCE.field_names, labels, "d")
    updates, _, _, [finding] = planned(target, VALUES, {})
    assert (finding.code, finding.path) == ("SC-E130", "sf:1")
    assert updates == []


@given(st.fixed_dictionaries({k: st.sampled_from([VALUES[k], None if MANIFEST[k].kind != "list" else []]) for k in KEYS}))
@pytest.mark.property
def test_applying_a_plan_leaves_nothing_to_plan(values: dict[str, object]) -> None:
    for target in (SALESFORCE, HUBSPOT):
        updates, *_ = planned(target, values, held_by(target, VALUES, updated="2026-01-01T00:00:00Z"))
        held = held_by(target, VALUES)
        for change in (c for u in updates for c in u.changes):
            held[change.field] = fields.text(MANIFEST[change.key], change.after)
        assert planned(target, values, held)[0] == []


def test_a_plan_file_is_read_back_as_it_was() -> None:
    updates, *_ = planned(SALESFORCE, VALUES, {})
    scope = Scope("sf", "salesforce", "00D", "abc", NOW.isoformat(), 1, 0, 0)
    made = Plan("0001", NOW.isoformat(), (scope,), tuple(updates))
    assert plan.loads(plan.dumps(made)) == made
    assert made.verdict().startswith("1 records would change, 0 values cleared")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"id": 1}', b"nonsense"])
def test_a_file_that_is_no_plan_is_refused(data: bytes) -> None:
    with pytest.raises(Blocked) as caught:
        plan.loads(data)
    assert caught.value.code == "SC-E109"


COMPANION = Target(
    "sf", "salesforce", "KPI_Scorecard__c", {"key": "KPI_Key__c", "deal": "KPI_Opportunity__c", "pace": "KPI_Pace__c"}, LABELS, "d", "companion",
    "KPI_Key__c",
)  # fmt: skip
CONTACTS = Target("sf", "salesforce", "Contact", {"kol_score": "KPI_KOL_Score__c", "kol_last_touch": "KPI_KOL_Last_Touch__c"}, LABELS, "d", "contact")


def test_a_row_of_ours_is_made_where_there_is_none_and_removed_with_its_deal() -> None:
    rows = {id: Observed(None, "v", None, {"KPI_Key__c": id, "KPI_Opportunity__c": id, "KPI_Pace__c": "Slow"}) for id in ("d1", "d9")}
    desired = {id: Desired({"key": id, "deal": id, "pace": "slow"}, {}, f"Deal {id}") for id in ("d1", "d2")}
    found = plan.differences(COMPANION, desired, rows, {}, NOW, gone={"d9"})
    assert [(u.action, u.id, u.key_field, u.name) for u in found.updates] == [
        ("create", "d2", "KPI_Key__c", "Deal d2"), ("remove", "d9", "KPI_Key__c", None),
    ]  # fmt: skip
    assert {c.field: c.after for c in found.updates[0].changes} == {"KPI_Key__c": "d2", "KPI_Opportunity__c": "d2", "KPI_Pace__c": "Slow"}
    assert all(c.before is None and c.kind == "set" for c in found.updates[0].changes)
    assert [(c.field, c.before, c.after) for c in found.updates[1].changes] == [("KPI_Key__c", "d9", None)]
    scope = Scope("sf", "salesforce", "00D", "abc", NOW.isoformat(), 2, found.unchanged, 0)
    made = Plan("0001", NOW.isoformat(), (scope,), tuple(found.updates))
    assert plan.loads(plan.dumps(made)) == made
    assert made.verdict() == "0 records would change, 0 values cleared, 1 records unchanged. 1 rows of ours created and 1 rows of ours removed."


def test_nothing_is_made_of_a_record_that_is_the_companys_own() -> None:
    assert plan.differences(CONTACTS, {"c1": Desired({"kol_score": 80}, {})}, {}, {}, NOW).updates == []


@pytest.mark.parametrize(("days", "due"), [(1, False), (6, False), (7, True), (30, True)])
def test_a_record_without_a_stamp_waits_its_week_by_our_own_ledger(days: int, due: bool) -> None:
    seen = {"c1": Observed(None, "v", None, {"KPI_KOL_Score__c": "70", "KPI_KOL_Last_Touch__c": "2026-11-01"})}
    desired = {"c1": Desired({"kol_score": 80, "kol_last_touch": date(2026, 11, 1)}, {})}
    found = plan.differences(CONTACTS, desired, seen, {("c1", "KPI_KOL_Score__c"): Last("70", NOW - timedelta(days=days))}, NOW)
    assert (len(found.updates), found.held) == ((1, 0) if due else (0, 1))
    [healed] = plan.differences(CONTACTS, desired, seen, {("c1", "KPI_KOL_Score__c"): Last("75", NOW)}, NOW).updates
    assert healed.changes[0].healed
