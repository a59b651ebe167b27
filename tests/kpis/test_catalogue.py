"""What holds of every KPI of the registry, whatever the company: nothing known, rows in any order, deals that do not count, another currency."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.kpis.compute import from_inputs
from connector.kpis.definition import REGISTRY, Measure
from connector.kpis.evidence import IDENTITIES, identity
from connector.kpis.inputs.tables import TABLES
from tests.kpis.changes import converted, haunted, shuffled
from tests.kpis.strategies import KINDS, Given, books

GOLDEN: Given = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="utf-8"))["inputs"]
EMPTY: Given = {**GOLDEN, "crm": {}, "files": {}, "state": {}}
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Result:
    """Every measure of a book by kpi, variant, subject and window, and its evidence."""

    measures: Mapping[Key, Measure]
    evidence: Mapping[Key, pl.DataFrame | None]


def result(source: Given) -> Result:
    book = from_inputs(copy.deepcopy(source))
    rows = [pair for kpi in REGISTRY.values() for pair in kpi.evidenced(book)]
    keys = [(m.kpi, m.variant, m.subject, m.window) for m, _ in rows]
    assert len(set(keys)) == len(keys), "two measures share kpi, variant, subject and window"
    return Result(dict(zip(keys, (m for m, _ in rows), strict=True)), dict(zip(keys, (frame for _, frame in rows), strict=True)))


def _told(m: Measure) -> dict[str, Any]:
    return {**m.as_dict(), "excluded": {why: n for why, n in m.excluded.items() if why != "void"}}


def _same(ours: Any, theirs: Any, times: float) -> bool:
    """Equal but for the last places of a float."""
    numbers = all(isinstance(side, (int, float)) and not isinstance(side, bool) for side in (ours, theirs))
    return math.isclose(ours, theirs * times, rel_tol=1e-9, abs_tol=1e-9 * times) if numbers else type(ours) is type(theirs) and ours == theirs


def differences(usual: Result, other: Result, times: float = 1.0) -> list[str]:
    """What differs, money being so many times as much; how many void deals were left out may."""
    told = [f"no longer there: {key}" for key in usual.measures.keys() - other.measures.keys()]
    told += [f"new: {key}" for key in other.measures.keys() - usual.measures.keys()]
    for key in usual.measures.keys() & other.measures.keys():
        before, after = _told(usual.measures[key]), _told(other.measures[key])
        for name, value in before.items():
            scale = times if name == "value" and str(before["unit"]).startswith("money") else 1.0
            if not _same(after[name], value, scale):
                told.append(f"{key} {name}: {value!r} became {after[name]!r}" + (f", expected {scale:g} times" if scale != 1 else ""))
    return sorted(told)


# -- nothing known ---------------------------------------------------------------------------------------------------

SUMS = {
    "open_pipeline_value", "open_pipeline_value.in_period", "weighted_pipeline_value", "weighted_pipeline_value.in_period", "pipeline_created",
    "pipeline_created.count", "pipeline_aging.bucket", "stale_pipeline_share.count", "stale_pipeline_share.past_due_count",
    "expected_arr_by_quarter_end", "active_opportunity_count", "closed_won_count", "bookings", "bookings.all_types", "new_arr", "blended_arr",
    "deal_regression_rate.transitions", "average_pilot_duration.over_limit", "qualified_meetings_per_week", "qualified_meetings_per_week.avg_4w",
    "deals_stuck_in_compliance_review.in_review", "deals_stuck_in_compliance_review.in_review_value", "deals_stuck_in_compliance_review.stuck",
    "deals_stuck_in_compliance_review.stuck_value", "kol_referred_leads", "activity_counts", "presentations_to_hcps", "hcp_workshops",
    "meetings_held", "weekly_three.weighted_funnel", "weekly_three.expected_arr", "weekly_three.in_compliance_review",
}  # fmt: skip
"""Sums and counts that need no input: 0 where there is nothing. All else is null then."""
FALLS_BACK = {"outreach_to_meeting_rate", "presentations_to_hcps"}
"""KPIs that an input makes better and that do without."""
FROM_INPUT = {
    "forecast_accuracy", "hipaa_readiness_score", "influence_score_per_persona", "gross_margin_by_product", "churn_by_segment",
    "product_adoption_score", "customer_sentiment_score", "expansion_trigger_events", "customer_health_tier", "kpi_delta_vs_baseline",
}  # fmt: skip
"""KPIs whose subjects come from the input: without it they have a row of the company that says so (catalogue R16)."""


@pytest.mark.parametrize("name", sorted(REGISTRY))
@pytest.mark.parametrize("owners", [[], [{"id": "R1", "active": True}]], ids=["nobody", "one-owner"])
def test_of_an_empty_company_sums_are_0_and_the_rest_is_unknown(name: str, owners: list[dict[str, Any]]) -> None:
    kpi = REGISTRY[name]
    found = list(kpi.measures(from_inputs(copy.deepcopy({**EMPTY, "crm": {"owners": owners}}))))
    for m in found:
        if (f"{name}.{m.variant}" if m.variant else name) in SUMS:
            assert (m.value, m.reason, m.n) == (0, None, 0), m
        else:
            assert m.value is None, m
            assert not m.n, m
            assert m.reason in ("missing_input", "no_denominator"), m
    if "company" in kpi.grain.split(", ") or name in FROM_INPUT:
        assert "company" in {m.subject for m in found}
    if found and any(need in TABLES for need in kpi.needs) and name not in FALLS_BACK:
        assert "missing_input" in {m.reason for m in found}
        assert not any(m.reason == "no_denominator" and m.unit in ("money", "count", "score", "points") for m in found), "a sum without its input"


def test_every_name_here_is_declared() -> None:
    known = {f"{name}.{variant}" if variant else name for name, kpi in REGISTRY.items() for variant in kpi.units}
    assert known >= SUMS
    assert set(REGISTRY) >= FALLS_BACK | FROM_INPUT | OPEN_DEALS | OPEN_PIPELINE


# -- any company -----------------------------------------------------------------------------------------------------

OPEN_DEALS = {
    "stale_flag", "days_in_stage", "stage_pace", "close_date_pushes", "compliance_gatekeepers_engaged", "time_in_compliance_review",
    "touchpoint_density", "buyer_engagement_score", "personas_engaged", "missing_personas", "data_health_score",
}  # fmt: skip
"""KPIs whose rows of single deals exist for open deals only."""
OPEN_PIPELINE = {
    "open_pipeline_value", "weighted_pipeline_value", "pipeline_aging", "stale_flag", "stale_pipeline_share", "active_opportunity_count",
    "deals_stuck_in_compliance_review", "data_health_score", "missing_personas", "days_in_stage",
}  # fmt: skip
"""KPIs that count nothing but open deals; of coverage and the forecast only some variants do."""


def _open_ids(source: Given) -> set[str]:
    """Deals whose last history row, or else their stage, is of no closed kind: read from the rows themselves, not through a book."""
    last: dict[str, tuple[Any, ...]] = {}
    for row in source["crm"].get("stage_history", []):
        last[row["opportunity"]] = max(last.get(row["opportunity"], ()), (row["entered_at"], row["id"], row["stage"]))
    stages = {row["id"]: last[row["id"]][2] if row["id"] in last else row.get("stage") for row in source["crm"]["opportunities"]}
    return {id for id, stage in stages.items() if KINDS.get(stage) not in ("won", "lost", "no_decision", "void", "post_sale")}


def oddities(source: Given, found: Result) -> Iterator[str]:
    """What cannot be: a value without a reason for its absence, a number without its records, a closed deal among open ones."""
    open_ids = _open_ids(source)
    for key, m in found.measures.items():
        kpi, _, subject, window = key
        if (m.value is None) != (m.reason not in (None, "censored")):
            yield f"{key}: value {m.value!r} with reason {m.reason}"
        if isinstance(m.value, float) and not math.isfinite(m.value):
            yield f"{key}: {m.value}"
        low, high = m.ci_low or 0.0, 1.0 if m.ci_high is None else m.ci_high
        if m.ci_low is not None and not (isinstance(m.value, float) and 0 <= low <= m.value + 1e-9 <= high + 2e-9 <= 1 + 2e-9):
            yield f"{key}: {m.value} outside {m.ci_low}–{m.ci_high}"
        of_deal = kpi in OPEN_DEALS and window == "asof" and subject.startswith("opportunity=")
        if of_deal and subject.removeprefix("opportunity=").partition(",")[0] not in open_ids:
            yield f"{key}: the deal is closed"
        frame = found.evidence[key]
        if frame is None:
            if m.n:
                yield f"{key}: n={m.n} without evidence"
            continue
        if frame.columns[0] not in IDENTITIES:
            yield f"{key}: evidence begins with {frame.columns[0]}"
            continue
        named = [identity(row) for row in frame.iter_rows(named=True)]
        if m.n and not named:
            yield f"{key}: n={m.n} with empty evidence"
        if kpi in OPEN_PIPELINE and any(kind == "opportunity" and id not in open_ids for kind, id in named):
            yield f"{key}: a closed deal is among the evidence"


def ghosts(found: Result) -> Iterator[str]:
    """Void and deleted deals that a number names."""
    for key, frame in found.evidence.items():
        for name in [] if frame is None else [name for name in frame.columns if name in ("opportunity", "activity")]:
            if frame is not None and frame[name].cast(pl.String).str.contains("^(void|gone)-").any():
                yield f"{key}: evidence names a deal that does not count"


@pytest.mark.property
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(source=books(), seed=st.integers(0, 999), rate=st.sampled_from(["2", "0.5", "110", "1.25", "0.8"]))
def test_what_must_not_matter_does_not(source: Given, seed: int, rate: str) -> None:
    """The same rows in another order; void and deleted deals added; all money in another currency. Together, and apart where they tell.

    One book that was changed in all three ways costs a third of three books.
    """
    usual, times = result(source), float(rate)
    assert list(oddities(source, usual)) == []
    changed = result(converted(haunted(shuffled(source, seed)), Decimal(rate)))
    together = [*differences(usual, changed, times), *ghosts(changed)]
    if together:
        apart = {
            "rows in another order": differences(usual, result(shuffled(source, seed))),
            "void and deleted deals": differences(usual, result(haunted(source))),
            "another currency": differences(usual, result(converted(source, Decimal(rate))), times),
        }
        pytest.fail("\n".join(f"{what}: {line}" for what, lines in apart.items() for line in lines) or "\n".join(together))


@pytest.mark.property
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(source=books())
def test_the_same_book_gives_the_same_numbers(source: Given) -> None:
    book = from_inputs(copy.deepcopy(source))
    first, again = ([list(kpi.measures(book)) for kpi in REGISTRY.values()] for _ in range(2))
    assert first == again
    assert first == [list(kpi.measures(from_inputs(copy.deepcopy(source)))) for kpi in REGISTRY.values()]


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_number_of_the_golden_company_has_its_records(name: str, golden_book: Any) -> None:
    bare = [m for m, frame in REGISTRY[name].evidenced(golden_book) if m.n and (frame is None or frame.is_empty())]
    assert [(m.variant, m.subject, m.window, m.n) for m in bare] == []


def test_rows_of_one_instant_are_in_the_order_of_their_ids(org: Any) -> None:
    """The last of them stays; without ids it is the last of the file."""
    for number, ids in enumerate([("b", "a"), ("a", "b"), (None, None)]):
        org.deal(f"D{number}", "demo 2026-06-01", "pilot 2026-07-01", "vac 2026-07-01")
        for row, id in zip(org.given["crm"]["stage_history"][-2:], ids, strict=True):
            row["id"] = id
    stays = org.book().visits.filter("running").select("opportunity", "stage").rows()
    assert dict(stays) == {"D0": "pilot", "D1": "vac", "D2": "vac"}
