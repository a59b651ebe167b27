"""Targets against measures, worked by hand. Today is 15 February 2027, FY2027-Q1."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from connector.kpis.book.book import Book
from connector.kpis.compute import compute
from connector.kpis.definition import Measure
from connector.kpis.example import Example, example
from connector.kpis.targets import Breach, breaches, covers, judge, names
from connector.model.kpi_settings import KpiSettings, Target

COVERAGE = "weighted_pipeline_coverage"


def snapshot(on: str, value: float | None, kpi: str = COVERAGE, window: str | None = "FY2027-Q1", subject: str = "company") -> dict[str, Any]:
    return {"kpi": kpi, "variant": "", "subject": subject, "window": window, "date": on, "value": value}


def book(*targets: dict[str, Any], snapshots: tuple[dict[str, Any], ...] = (), company: Example | None = None) -> Book:
    company = (company or example()).set("targets", list(targets))
    company.given["state"] = {"kpi_snapshots": list(snapshots)}
    return company.book()


def measure(value: Any, kpi: str = COVERAGE, subject: str = "company", window: str = "FY2027-Q1", unit: Any = "x", **more: Any) -> Measure:
    return Measure(**{"kpi": kpi, "variant": "", "subject": subject, "window": window, "value": value, "unit": unit, "n": 20} | more)


def only(found: list[Breach]) -> Breach:
    (breach,) = found
    return breach


def test_direction_is_which_of_the_two_limits_is_given() -> None:
    floor, ceiling = book({"kpi": COVERAGE, "at_least": 3}), book({"kpi": COVERAGE, "at_most": 3})
    assert only(breaches(floor, [measure(2.5)])).over == 0.5
    assert breaches(ceiling, [measure(2.5)]) == []
    assert breaches(floor, [measure(3.5)]) == []
    assert only(breaches(ceiling, [measure(3.5)])).over == 0.5
    assert breaches(floor, [measure(3.0)]) == breaches(ceiling, [measure(3.0)]) == []  # the limit itself is met


def test_since_is_the_first_snapshot_of_the_present_run_of_misses() -> None:
    taken = (
        snapshot("2027-01-05", 2.0), snapshot("2027-01-20", 3.2), snapshot("2027-01-25", 2.9), snapshot("2027-01-28", None),
        snapshot("2027-02-01", 2.0), snapshot("2027-02-15", 9.9), snapshot("2027-03-01", 9.9),
    )  # fmt: skip
    # The 20th was fine, so the run begins on the 25th; the unknown day does not end it; today's and tomorrow's rows do not count.
    assert only(breaches(book({"kpi": COVERAGE, "at_least": 3}, snapshots=taken), [measure(2.5)])).since == date(2027, 1, 25)
    assert only(breaches(book({"kpi": COVERAGE, "at_least": 3}), [measure(2.5)])).since == date(2027, 2, 15)


def test_a_run_goes_on_over_the_change_of_quarter_but_not_over_another_window() -> None:
    taken = (
        snapshot("2026-12-30", 2.0, window="FY2026-Q4"), snapshot("2027-01-10", 9.0, window="FY2026-Q4"), snapshot("2027-01-10", 2.0),
        snapshot("2027-01-12", 9.0, subject="owner=R1"), snapshot("2027-01-13", 9.0, kpi="win_rate"),
    )  # fmt: skip
    found = only(breaches(book({"kpi": COVERAGE, "at_least": 3}, snapshots=taken), [measure(2.5)]))
    assert found.since == date(2026, 12, 30)  # the quarter that ran on 30 December; on 10 January that label was last quarter's


@pytest.mark.parametrize(
    ("taken", "now", "no_go"),
    [
        (("2027-01-31", 1.5), 1.9, True),
        (("2027-01-31", 2.1), 1.9, False),
        (("2027-01-31", 1.5), 2.5, False),  # a miss, but above the red line now
        (("2026-12-31", 1.5), 1.9, False),  # January is missing
    ],
)  # fmt: skip
def test_a_no_go_needs_every_month_of_the_run(taken: tuple[str, float], now: float, no_go: bool) -> None:
    target = {"kpi": COVERAGE, "at_least": 3, "no_go": {"below": 2, "months": 2}}
    assert only(breaches(book(target, snapshots=(snapshot(*taken),)), [measure(now)])).no_go is no_go


def test_the_last_snapshot_of_a_month_stands_for_it() -> None:
    target = {"kpi": "stale_pipeline_share", "at_most": 0.1, "no_go": {"above": 0.2, "months": 2}}
    taken = (snapshot("2027-01-10", 0.1, "stale_pipeline_share", "asof"), snapshot("2027-01-30", 0.3, "stale_pipeline_share", "asof"))
    found = only(breaches(book(target, snapshots=taken), [measure(0.25, "stale_pipeline_share", window="asof", unit="ratio")]))
    assert (found.no_go, found.over, found.since) == (True, pytest.approx(0.15), date(2027, 1, 30))
    assert found.words == (
        "stale_pipeline_share company is 25.0 %, at most 10.0 % wanted, since 2027-01-30; no-go: above 20.0 % 2 months running"
    )  # fmt: skip


def test_it_agrees_with_the_catalogues_own_no_go() -> None:
    """Row 4 has its own variant: the same months, the same answer."""
    for value in (1.9, 2.0, 2.1):
        company = example().deal("D1", "verbal 2027-01-04", amount=1000).file(
            "quotas", {"owner_key": "R1", "period": "FY2027-Q1", "amount": 900 / value, "currency": "USD", "basis": "bookings"}
        )  # fmt: skip
        target = {"kpi": COVERAGE, "at_least": 3, "no_go": {"below": 2, "months": 2}}
        made = book(target, snapshots=(snapshot("2027-01-31", 1.5),), company=company)
        rows = compute(made, [COVERAGE])
        (own,) = [row.value for row in rows if row.variant == "no_go_breach"]
        assert only(breaches(made, rows)).no_go is own is (value < 2)


def test_unknown_is_no_breach_and_says_why() -> None:
    made = book({"kpi": COVERAGE, "at_least": 3}, {"kpi": "win_rate", "at_least": 0.3})
    verdict = judge(made, [measure(None, reason="missing_input", n=0)])
    assert (verdict.breaches, verdict.held) == ((), 0)
    assert [u.words for u in verdict.unjudged] == [
        "weighted_pipeline_coverage company cannot be judged: missing input", "win_rate company cannot be judged: there is no such value",
    ]  # fmt: skip


def test_a_lower_bound_can_break_a_ceiling_but_not_a_floor() -> None:
    kpi = "time_to_first_order_new_hire"
    row = measure(196, kpi, "owner=R2", "ALL", "days", reason="censored")
    assert only(breaches(book({"kpi": kpi, "subject": "owner=*", "at_most": 90}), [row])).over == 106
    verdict = judge(book({"kpi": kpi, "subject": "owner=*", "at_least": 300}), [row])
    assert (verdict.breaches, [u.words for u in verdict.unjudged]) == ((), [f"{kpi} owner=R2 cannot be judged: censored"])


def test_small_numbers_are_judged_and_marked_and_an_interval_says_how_sure() -> None:
    made = book({"kpi": "win_rate", "at_least": 0.5})
    unsure = measure(0.25, "win_rate", window="T12M", unit="ratio", n=4, low_n=True, ci_low=0.05, ci_high=0.70)
    sure = measure(0.25, "win_rate", window="T12M", unit="ratio", n=80, ci_low=0.17, ci_high=0.35)
    assert (only(breaches(made, [unsure])).certain, only(breaches(made, [sure])).certain) == (False, True)
    assert only(breaches(made, [unsure])).words == (
        "win_rate company is 25.0 %, at least 50.0 % wanted, since 2027-02-15; its interval still reaches it; low n (4)"
    )
    assert only(breaches(book({"kpi": COVERAGE, "at_least": 3}), [measure(2)])).certain is None


def test_each_owner_for_itself_the_worst_first() -> None:
    made = book({"kpi": COVERAGE, "subject": "owner=*", "at_least": 3}, {"kpi": "win_rate", "at_least": 0.5, "no_go": {"below": 0.4}})
    rows = [
        measure(2.9, subject="owner=R1"), measure(1.0, subject="owner=R2"), measure(4.0, subject="owner=R3"),
        measure(1.0, subject="owner=R2,segment=clinic"), measure(1.0), measure(0.3, "win_rate", window="T12M", unit="ratio"),
    ]  # fmt: skip
    verdict = judge(made, rows)
    assert [b.measure.subject for b in verdict.breaches] == ["company", "owner=R2", "owner=R1"]  # the no-go, then 2/3 and 0.1/3 short
    assert verdict.held == 1


def test_the_window_is_the_kpis_first_unless_named() -> None:
    rows = [measure(0.2, "win_rate", window=window, unit="ratio") for window in ("T12M", "FY2027-Q1", "FY2026-Q4")]
    rows[2] = measure(0.9, "win_rate", window="FY2026-Q4", unit="ratio")
    windows = {
        given: [b.measure.window for b in breaches(book({"kpi": "win_rate", "at_least": 0.5, "window": given}), rows)]
        for given in (None, "FQ", "FY2026-Q4", "T90D")
    }
    assert windows == {None: ["T12M"], "FQ": ["FY2027-Q1"], "FY2026-Q4": [], "T90D": []}


def test_the_order_of_measures_and_snapshots_is_irrelevant() -> None:
    taken = (snapshot("2027-01-05", 2.0), snapshot("2027-01-20", 2.2), snapshot("2027-02-01", 2.1))
    target = {"kpi": COVERAGE, "subject": "owner=*", "at_least": 3}
    rows = [measure(2.0, subject="owner=R1"), measure(2.0, subject="owner=R2")]
    assert breaches(book(target, snapshots=taken), rows) == breaches(book(target, snapshots=taken[::-1]), rows[::-1])


def test_subjects_of_several_dimensions() -> None:
    target = Target(kpi="x", subject="stage=*,segment=clinic", at_least=1)
    subjects = ("stage=demo,segment=clinic", "stage=demo,segment=hospital", "stage=demo", "segment=clinic")
    assert [covers(target, measure(1, "x", subject)) for subject in subjects] == [True, False, False, False]


def test_the_names_of_targets_once_each() -> None:
    made = book({"kpi": COVERAGE, "at_least": 3}, {"kpi": "win_rate", "at_least": 0.3}, {"kpi": COVERAGE, "subject": "owner=*", "at_least": 3})
    assert names(made) == (COVERAGE, "win_rate")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({}, "either at_least or at_most"),
        ({"at_least": 1, "at_most": 2}, "either at_least or at_most"),
        ({"at_least": 3, "no_go": {}}, "either below or above"),
        ({"at_least": 3, "no_go": {"above": 4}}, "at_least has below"),
        ({"at_least": 3, "no_go": {"below": 4}}, "nearer than the target"),
        ({"at_most": 3, "no_go": {"above": 2}}, "nearer than the target"),
        ({"at_least": 3, "subject": "everyone"}, "is no subject"),
        ({"at_least": 3, "window": "last year"}, "is no window"),
    ],
)
def test_a_target_that_contradicts_itself_is_refused(target: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Target(kpi=COVERAGE, **target)


def test_two_limits_of_one_kpi_are_a_target_and_its_no_go() -> None:
    twice = [Target(kpi=COVERAGE, at_least=3), Target(kpi="win_rate", at_least=0.2), Target(kpi=COVERAGE, at_least=2)]
    with pytest.raises(ValidationError, match="targets 1 and 3 say the same thing twice"):
        KpiSettings(targets=tuple(twice))
    KpiSettings(targets=(Target(kpi=COVERAGE, at_least=3), Target(kpi=COVERAGE, at_most=8)))
