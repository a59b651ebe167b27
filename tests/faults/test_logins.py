"""Faults of the sign-in, and tokens that change: the token endpoint down, refusing, and a session that ends everywhere at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.bench import SF, Bench, bench, errors_of

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def made() -> Iterator[Bench]:
    with bench(SF) as found:
        yield found


def test_a_token_endpoint_that_is_down_for_a_moment_leaves_no_trace(made: Bench) -> None:
    made.fresh()
    fault = made.world.faults.add(SF, "login-down", times=2)
    assert not errors_of(made.pull())
    assert (fault.struck, made.compared()) == (2, "same")


def test_a_refused_login_is_asked_once_and_stays_refused(made: Bench) -> None:
    made.fresh()
    fault = made.world.faults.add(SF, "login-refused", times=None)
    first, second = made.pull(), made.pull()
    assert [error.code for done in (first, second) for error in errors_of(done)] == ["SC-E051", "SC-E051"]
    assert (first.exit_code, fault.struck) == (5, 1)
    made.mended()
    assert not errors_of(made.pull())
    assert made.compared() == "same"


def test_a_session_that_ends_at_every_call_ends_in_one_error(made: Bench) -> None:
    made.fresh()
    fault = made.world.faults.add(SF, "session-ended", times=None, object="Account")
    done = made.pull()
    assert {error.code for error in errors_of(done)} == {"SC-E051"}
    assert fault.struck <= 4
    made.mended()
    assert not errors_of(made.pull())
    assert made.compared() == "same"
