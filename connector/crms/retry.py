"""The one retry policy towards CRMs. Beside it only alerts are tried twice, by a small one of their own."""

from __future__ import annotations

from collections.abc import Callable

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    wait_exponential_jitter,
    wait_random,
)

from connector.errors import Transient

ATTEMPTS = 5
DEADLINE = 300.0  # seconds


def policy(sleep: Callable[[float], None], *, attempts: int = ATTEMPTS, deadline: float = DEADLINE) -> Retrying:
    """Try again while ``Transient`` is raised: ``policy(clock.sleep)(function, *args)`` returns what the function returns.

    Waits what the server asked for (``Transient.wait``, plus up to a second) or else 1, 2, 4 … 60 s with jitter.
    Gives up after ``attempts`` tries, or *before* a sleep that would pass ``deadline`` seconds, with the last ``Transient``.
    """
    backoff = wait_exponential_jitter(initial=1, max=60)
    jitter = wait_random(0, 1)

    def seconds(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, Transient) and error.wait is not None:
            return error.wait + jitter(state)
        return backoff(state)

    spent = stop_any(stop_after_attempt(attempts), stop_before_delay(deadline))

    def give_up(state: RetryCallState) -> bool:
        # An injected sleep moves no monotonic clock, so what was slept is counted beside what has passed.
        return spent(state) or state.idle_for + state.upcoming_sleep >= deadline

    return Retrying(
        retry=retry_if_exception_type(Transient),
        wait=seconds,
        stop=give_up,
        sleep=sleep,
        reraise=True,
    )
