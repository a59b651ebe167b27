"""The token bucket and the cap of the day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector.clock import FixedClock
from connector.crms.base import Meter
from connector.crms.budget import DailyCap, TokenBucket
from connector.errors import BudgetReached

START = datetime(2026, 11, 20, 18, tzinfo=UTC)


class Ticking(FixedClock):
    """A clock whose sleep moves a monotonic reading as well, as a real one does."""

    def __init__(self) -> None:
        super().__init__(START)
        self.seconds = 0.0

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.seconds += seconds

    def monotonic(self) -> float:
        return self.seconds


def test_a_full_bucket_lets_a_burst_through_and_then_paces() -> None:
    clock = Ticking()
    bucket = TokenBucket(rate=4, capacity=4, clock=clock, monotonic=clock.monotonic)
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0]
    assert [bucket.take() for _ in range(4)] == pytest.approx([0.25] * 4)
    assert clock.seconds == pytest.approx(1)


def test_no_second_sees_more_calls_than_burst_and_rate() -> None:
    clock = Ticking()
    bucket = TokenBucket(rate=4, capacity=4, clock=clock, monotonic=clock.monotonic)
    at = []
    for _ in range(40):
        bucket.take()
        at.append(clock.seconds)
    for first in at:
        assert sum(first <= other < first + 1 for other in at) <= 8


def test_time_that_passes_fills_the_bucket_but_never_over() -> None:
    clock = Ticking()
    bucket = TokenBucket(rate=2, capacity=3, clock=clock, monotonic=clock.monotonic)
    for _ in range(3):
        bucket.take()
    clock.seconds += 60
    assert [bucket.take() for _ in range(4)] == pytest.approx([0, 0, 0, 0.5])


def test_a_clock_that_only_pretends_to_sleep_is_believed() -> None:
    clock = FixedClock(START)
    bucket = TokenBucket(rate=1, capacity=1, clock=clock, monotonic=lambda: 0.0)
    assert [bucket.take() for _ in range(4)] == pytest.approx([0, 1, 1, 1])
    assert clock.now() == START + timedelta(seconds=3)


def test_a_server_that_says_full_empties_the_bucket() -> None:
    clock = Ticking()
    bucket = TokenBucket(rate=10, capacity=100, clock=clock, monotonic=clock.monotonic)
    bucket.drain()
    assert bucket.take() == pytest.approx(0.1)


def test_stated_limits_are_adopted() -> None:
    clock = Ticking()
    bucket = TokenBucket(rate=10, capacity=100, clock=clock, monotonic=clock.monotonic)
    bucket.adopt(rate=1, capacity=2)
    assert [bucket.take() for _ in range(3)] == pytest.approx([0, 0, 1])


@pytest.mark.parametrize(("rate", "capacity"), [(0, 1), (-1, 1), (1, 0)])
def test_a_bucket_that_never_lets_anything_through_is_refused(rate: float, capacity: float) -> None:
    with pytest.raises(ValueError, match="bucket"):
        TokenBucket(rate, capacity, FixedClock(START))


def test_the_own_cap_counts_earlier_runs() -> None:
    meter = Meter(calls=4)
    cap = DailyCap(meter, cap=10, used=5)
    cap.check(writing=True)
    meter.calls = 5
    with pytest.raises(BudgetReached, match="10 calls made of the 10"):
        cap.check(writing=True)


def test_what_others_spend_meanwhile_counts() -> None:
    meter = Meter(calls=1)
    cap = DailyCap(meter, cap=10, used=8, stop_at_share=1.0)
    cap.check()
    meter.elsewhere = 9
    with pytest.raises(BudgetReached, match="10 calls made of the 10"):
        cap.check()
    meter.elsewhere = 2  # a new day began, or an old quarter of an hour rolled out of it
    cap.check()


def test_of_the_own_cap_too_writes_keep_a_reserve() -> None:
    meter = Meter(calls=8)
    cap = DailyCap(meter, cap=10, stop_at_share=0.8)
    with pytest.raises(BudgetReached, match=r"8 calls made of the 10 .*; 2 are kept for write-back"):
        cap.check()
    cap.check(writing=True)
    meter.pushing = True  # a push reads again what it is about to write
    cap.check()
    meter.calls = 10
    with pytest.raises(BudgetReached):
        cap.check()


def test_reads_stop_at_the_share_and_writes_keep_a_reserve() -> None:
    meter = Meter(allocation_used=800, allocation_max=1000)
    cap = DailyCap(meter, stop_at_share=0.8)
    with pytest.raises(BudgetReached, match="800 of its 1000"):
        cap.check()
    cap.check(writing=True)
    meter.allocation_used = 1000
    with pytest.raises(BudgetReached):
        cap.check(writing=True)


def test_without_a_gauge_nothing_is_guessed() -> None:
    DailyCap(Meter(calls=10**6)).check()
