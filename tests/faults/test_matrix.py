"""Every fault × every stream of both CRMs, and every fault of a write × the push, ends as the undisturbed run does or says why not.

``make faults`` prints the same as a table. One test a fault: a fault that passes is tried on all streams in one run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.faults import matrix, pushes
from tests.faults.bench import HS, SF, VARIANTS, Bench, Outcome, bench

pytestmark = [pytest.mark.fault, pytest.mark.no_cover]  # measured elsewhere: tracing doubles the time
CELLS = [(variant, kind) for variant, crm in VARIANTS.items() for kind in matrix.kinds_of(crm) if matrix.tried(variant, kind)]
LASTING = [(variant, kind) for variant, crm in VARIANTS.items() for kind in matrix.LASTING[crm] if variant != "salesforce bulk"]
PUSHES = [(crm, kind) for crm in (SF, HS) for kind in pushes.kinds_of(crm)]


class Held:
    """One bench at a time, kept while the tests ask for the same one: pytest would make a new one for each parameter."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._key: tuple[str, bool] | None = None
        self._bench: Bench | pushes.Push | None = None

    def take(self, variant: str, *, pushing: bool = False) -> Any:
        if self._key != (variant, pushing):
            self.close()
            made = self._open.enter_context(bench(variant))
            self._bench = pushes.Push(made) if pushing else made
            self._key = (variant, pushing)
        return self._bench

    def close(self) -> None:
        self._key = None
        self._open.close()


@pytest.fixture(scope="module")
def held() -> Iterator[Held]:
    found = Held()
    yield found
    found.close()


def wrong(found: dict[str, Outcome]) -> dict[str, str]:
    return {stream: outcome.text for stream, outcome in found.items() if not outcome.ok}


@pytest.mark.parametrize(("variant", "kind"), CELLS)
def test_a_fault_that_strikes_once(held: Held, variant: str, kind: str) -> None:
    found = matrix.once(held.take(variant), kind)
    assert not wrong(found)
    assert any(outcome.struck for outcome in found.values())


@pytest.mark.parametrize(("variant", "kind"), LASTING)
def test_a_fault_that_stays(held: Held, variant: str, kind: str) -> None:
    found = matrix.lasting(held.take(variant), kind)
    assert not wrong(found)
    assert all(outcome.struck for outcome in found.values() if outcome.text != "–")


@pytest.mark.parametrize(("crm", "kind"), PUSHES)
def test_a_fault_of_a_write(held: Held, crm: str, kind: str) -> None:
    found = held.take(crm, pushing=True).outcome(kind)
    assert found.ok, found.text


def test_the_matrix_is_whole() -> None:
    """Each kind of the desk that can hit a read or a write stands in it."""
    from connector.sandbox.faults.kinds import KINDS

    seen = {kind for _, kind in CELLS} | {kind for _, kind in PUSHES}
    apart = {"login-refused", "login-down"}  # tests/faults/test_logins.py
    switches = {kind.name for kind in KINDS.values() if kind.family == "switch"} - set(pushes.SWITCHES)  # tests/faults/test_switches.py
    assert set(KINDS) == seen | apart | switches
