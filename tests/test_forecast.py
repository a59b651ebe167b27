"""What a pull should cost is said before it begins, and what the day does not hold is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector import runs
from connector.errors import BudgetReached
from connector.forecast import SIGN_IN, Expected, Forecast
from connector.state.calls import Budget
from connector.sync import Report, StreamPull
from tests.rig import NAME, Rig, opened


@pytest.fixture(params=["salesforce", "hubspot"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with opened(request.param, tmp_path) as made:
        yield made


def test_reads_may_spend_what_both_measures_leave() -> None:
    budget = Budget(used=1_000, cap=20_000, share=0.8)
    assert (budget.reserve, budget.left) == (4_000, 15_000)
    assert Budget(1_000, 20_000, 0.8, allocation_used=79_000, allocation_max=100_000).left == 1_000
    assert Budget(19_000, 20_000, 0.8).left == 0
    assert Budget(1_000, 20_000, 0.8, 50_000, 100_000).used_share == 0.5


def test_what_the_day_does_not_hold_is_refused_with_its_figures() -> None:
    parts = (Expected("opportunities", 180, "from nothing: 90,000 records"), Expected("tasks", None, "the CRM cannot count it"))
    expected = Forecast("sf", parts, None, Budget(15_900, 20_000, 0.8))
    with pytest.raises(BudgetReached) as caught:
        expected.refuse()
    assert caught.value.code == "SC-E078"
    for figure in ("180", "100 are left", "15,900 of 20,000", "4,000 are kept for write-back"):
        assert figure in caught.value.message
    Forecast("sf", parts, None, Budget(15_820, 20_000, 0.8)).refuse()
    assert expected.text().startswith("sf: at least 180 calls expected (opportunities 180); not known before the first run: tasks; 100 left today")


def test_forecast_of_calls(rig: Rig) -> None:
    """A first pull from the CRM's own counts, an idle one from like runs; both said before, and beside what it cost."""
    said: list[str] = []
    for pull in range(3):
        rig.world.journal.clear()
        done = runs.pull(rig.app, [NAME], report=Report(step=said.append))
        assert not done.failures
        (expected,) = done.forecasts
        assert said[pull] == expected.text()
        by_part = {part.part: part for part in expected.parts}
        assert all(part.basis for part in expected.parts)
        if pull == 0:
            assert expected.fresh
            assert "records" in by_part["opportunities"].basis
            assert by_part[SIGN_IN].calls is None
        rig.advance(900)
    assert expected.whole
    assert not expected.fresh
    assert by_part["opportunities"].basis == "like the last run"
    assert expected.calls == pytest.approx(done.costs[NAME], abs=3)
    summary = rig.app.store.runs.recent(NAME)[0].summary
    assert summary is not None
    assert (summary["calls"], summary["expected"]) == (done.costs[NAME], expected.calls)


def test_a_full_pull_is_counted_not_remembered(rig: Rig) -> None:
    rig.pull()
    for n in range(3):
        rig.open_deal(name=f"Later {n}")
    rig.advance(900)
    done = runs.pull(rig.app, [NAME], full=True)
    (expected,) = done.forecasts
    part = next(part for part in expected.parts if part.part == "opportunities")
    assert part.basis == "from nothing: 6 records"
    read = next(s for s in done.pulls[0].streams if s.stream == "opportunities")
    assert part.calls is not None
    assert part.calls == pytest.approx(read.calls, abs=4)


def test_nothing_is_read_that_the_day_does_not_hold(rig: Rig) -> None:
    rig.pull()
    place = rig.root / "connector.toml"
    place.write_text(place.read_text() + f"\n[connections.{NAME}.limits]\ndaily_calls = 1000\n")
    rig.reopen()
    rig.app.store.calls.add(NAME, 790 - rig.app.calls_today(NAME))
    rig.open_deal(name="Waits for tomorrow")
    rig.advance(900)
    done = runs.pull(rig.app, [NAME])
    assert done.exit_code == 4
    assert done.failures[0].error.code == "SC-E078"
    assert "kept for write-back" in done.failures[0].error.message
    run = rig.app.store.runs.recent(NAME)[0]
    assert (run.status, run.error_code, run.streams) == ("blocked", "SC-E078", ())
    rig.advance(days=2)
    rig.pull()
    rig.assert_same()


def test_the_mean_is_that_of_the_last_five(rig: Rig) -> None:
    rig.pull()
    for calls in (100, 100, 1, 2, 3, 4, 6):
        run = rig.app.store.runs.start(NAME, "pull", "test")
        rig.app.store.runs.count(run, StreamPull("opportunities", "x", 1, 1, 1, 0, 0, calls, 0.1))
        rig.app.store.runs.finish(run, "ok")
    rig.advance(900)
    (expected,) = runs.pull(rig.app, [NAME], stream="opportunities").forecasts
    assert expected.parts[0] == Expected("opportunities", 4, "mean of the last 5 like runs")
