"""Our statistics against an independent library: statsmodels, which the product does not use."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight
from statsmodels.stats.proportion import proportion_confint

from connector.kpis.stats import Curve, ever, kaplan_meier, wilson

RECORDS = st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=40)
LATE = st.lists(st.tuples(st.integers(1, 30), st.booleans(), st.integers(0, 12)), min_size=1, max_size=40)
OUTCOMES = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([True, False, None])), min_size=1, max_size=40)


def curve(records: list[tuple[int, bool]], unseen: list[int] | None = None) -> Curve:
    days, done = zip(*records, strict=True)
    return kaplan_meier(pl.Series(days), pl.Series(done), None if unseen is None else pl.Series(unseen))


def agree(ours: Curve, theirs: SurvfuncRight) -> None:
    """S(t) on and between all event times, and the quantiles where S does not touch the level (there the two take another convention)."""
    steps = dict(zip(theirs.surv_times.tolist(), theirs.surv_prob.tolist(), strict=True))
    held = {time: level for time, level in zip(ours.times, ours.survival, strict=True) if time in steps}
    assert held == pytest.approx(steps, abs=1e-12)
    levels = [1.0, *ours.survival]
    beside = [level for place, level in enumerate(levels[1:]) if ours.times[place] not in steps and level != pytest.approx(levels[place])]
    assert beside == [], "a step where no record ended"
    for q in (0.5, 0.75, 0.9):
        if not np.isclose(theirs.surv_prob, 1 - q).any():
            reached = theirs.quantile(q)
            assert ours.quantile(q) == (None if np.isnan(reached) else pytest.approx(reached))


@settings(max_examples=300, deadline=None)
@given(records=RECORDS)
@example(records=[(5, True), (5, False), (5, True), (7, False)])
@example(records=[(5, True)] * 4)
@example(records=[(0, True), (0, False), (3, True)])
def test_kaplan_meier(records: list[tuple[int, bool]]) -> None:
    ours = curve(records)
    days, done = zip(*records, strict=True)
    assert (ours.n, ours.running) == (len(records), done.count(False))
    if any(done):
        agree(ours, SurvfuncRight(np.array(days, float), np.array(done, int)))
    else:
        assert (ours.times, ours.median) == ((), None)


@pytest.mark.parametrize("done", [True, False])
def test_kaplan_meier_of_all_and_of_none_completed(done: bool) -> None:
    ours = curve([(days, done) for days in (3, 3, 8, 20)])
    assert (ours.median, ours.quantile(0.75), ours.quantile(0.9)) == ((3.0, 8.0, 20.0) if done else (None, None, None))
    assert ours.running == (0 if done else 4)


def _entered(records: list[tuple[int, bool, int]]) -> tuple[list[tuple[int, bool]], list[int]]:
    """Records that were seen at all: those that lasted longer than they had when somebody first looked."""
    seen = [(length, over, late) for length, over, late in records if late < length]
    return [(length, over) for length, over, _ in seen], [late for *_, late in seen]


@settings(max_examples=300, deadline=None)
@given(records=LATE)
@example(records=[(10, True, 0), (20, True, 0), (60, True, 50)])
@example(records=[(5, True, 4), (5, True, 0), (6, False, 5), (9, True, 5)])
def test_kaplan_meier_with_delayed_entry(records: list[tuple[int, bool, int]]) -> None:
    seen, late = _entered(records)
    if not seen:
        return
    ours = curve(seen, late)
    days, done = zip(*seen, strict=True)
    if any(done):
        agree(ours, SurvfuncRight(np.array(days, float), np.array(done, int), entry=np.array(late, float)))
    assert (ours.n, ours.running) == (len(seen), done.count(False))


def test_late_entries_all_at_the_start_change_nothing() -> None:
    records = [(10, True), (20, False), (30, True)]
    assert curve(records, [0, 0, 0]) == curve(records)


@settings(max_examples=300, deadline=None)
@given(records=OUTCOMES)
@example(records=[(90, True), (90, False), (160, True), (210, False), (30, None), (180, None), (210, None), (290, None)])
@example(records=[(4, True)] * 3)
@example(records=[(4, False)] * 3)
def test_aalen_johansen(records: list[tuple[int, bool | None]]) -> None:
    days, outcomes = zip(*records, strict=True)
    ours = ever(days, outcomes)
    if True not in outcomes:
        assert ours == 0
        return
    codes = np.array([0 if outcome is None else 1 if outcome else 2 for outcome in outcomes])
    with np.errstate(divide="ignore", invalid="ignore"):  # of their standard errors, where everybody at risk is gone at once
        theirs = CumIncidenceRight(np.array(days, float), codes)
    assert ours == pytest.approx(theirs.cinc[0][-1], abs=1e-12)


def test_nobody_is_no_probability() -> None:
    assert ever([], []) is None


@settings(max_examples=300, deadline=None)
@given(n=st.integers(1, 2000), share=st.floats(0, 1))
@example(n=1, share=0.0)
@example(n=1, share=1.0)
def test_wilson(n: int, share: float) -> None:
    hits = round(n * share)
    assert wilson(hits, n) == pytest.approx(proportion_confint(hits, n, alpha=0.05, method="wilson"), abs=1e-9)
