"""The one retry policy: who is tried again, how long it waits, when it gives up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connector.crms import retry
from connector.errors import CrmConfigError, Transient


class Failing:
    """Fails as often as told, then answers."""

    def __init__(self, times: int, error: Callable[[], Exception]) -> None:
        self.left, self.error, self.calls = times, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error()
        return "done"


def test_a_transient_fault_is_tried_again_with_growing_waits() -> None:
    slept: list[float] = []
    work = Failing(4, lambda: Transient("503"))
    assert retry.policy(slept.append)(work) == "done"
    assert work.calls == 5
    for base, wait in zip((1, 2, 4, 8), slept, strict=True):
        assert base <= wait <= base + 1


def test_the_wait_that_the_server_asks_for_is_kept() -> None:
    slept: list[float] = []
    assert retry.policy(slept.append)(Failing(1, lambda: Transient("429", wait=7))) == "done"
    assert 7 <= slept[0] <= 8


def test_no_wait_asked_for_is_not_the_same_as_none() -> None:
    slept: list[float] = []
    retry.policy(slept.append)(Failing(1, lambda: Transient("429", wait=0)))
    assert 0 <= slept[0] <= 1


def test_it_gives_up_with_the_last_fault() -> None:
    work = Failing(9, lambda: Transient("still 503"))
    with pytest.raises(Transient, match="still 503"):
        retry.policy(lambda _: None)(work)
    assert work.calls == retry.ATTEMPTS


def test_it_never_sleeps_past_the_deadline() -> None:
    slept: list[float] = []
    with pytest.raises(Transient):
        retry.policy(slept.append)(Failing(9, lambda: Transient("come back tomorrow", wait=3600)))
    assert slept == []


def test_what_was_slept_counts_towards_the_deadline() -> None:
    slept: list[float] = []
    with pytest.raises(Transient):
        retry.policy(slept.append, attempts=99)(Failing(99, lambda: Transient("wait", wait=100)))
    assert 200 <= sum(slept) <= 300


def test_other_errors_are_raised_at_once() -> None:
    work = Failing(1, lambda: CrmConfigError("no such field"))
    with pytest.raises(CrmConfigError):
        retry.policy(lambda _: None)(work)
    assert work.calls == 1
