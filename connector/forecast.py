"""What a pull will cost, said before it begins, and what the account's day still allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector.connected import Connected
from connector.crms.base import StreamSpec
from connector.errors import BudgetReached, CrmConfigError, MissingScope, TooLarge
from connector.state.calls import Budget
from connector.state.store import Store

LIKE_RUNS = 5


@dataclass(frozen=True, slots=True)
class Expected:
    """Calls that one part of a pull should take. ``calls`` None: nobody can say, and ``basis`` says why. ``fresh``: a stream
    that is read from nothing."""

    part: str
    calls: int | None
    basis: str
    fresh: bool = False


SIGN_IN = "sign-in, schema and counts"
"""What a pull calls outside its streams."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one connection's pull should cost. ``push``: the mean of the last pushes, None before the first."""

    connection: str
    parts: tuple[Expected, ...]
    push: int | None
    budget: Budget

    @property
    def calls(self) -> int:
        """The sum of what is known."""
        return sum(part.calls or 0 for part in self.parts)

    @property
    def fresh(self) -> bool:
        """Is a stream read from nothing? Such a pull also counts, and compares."""
        return any(part.fresh for part in self.parts)

    @property
    def whole(self) -> bool:
        """Is every part known?"""
        return all(part.calls is not None for part in self.parts)

    def text(self) -> str:
        """One line, before the run."""
        about = "about" if self.whole else "at least"
        unknown = [part.part for part in self.parts if part.calls is None]
        known = " · ".join(f"{part.part} {part.calls:,}" for part in self.parts if part.calls)
        said = f"{self.connection}: {about} {self.calls:,} calls expected" + (f" ({known})" if known else "")
        if unknown:
            said += f"; not known before the first run: {', '.join(unknown)}"
        return f"{said}; {self.budget.left:,} left today, {self.budget.reserve:,} kept for write-back"

    def refuse(self) -> None:
        """Raises BudgetReached where the day does not hold what is expected: better nothing than half."""
        if self.calls <= self.budget.left:
            return
        budget, gauge = self.budget, ""
        if budget.allocation_used is not None and budget.allocation_max:
            gauge = f"; everyone together {budget.allocation_used:,} of {budget.allocation_max:,}, where the connector stops at {budget.share:.0%}"
        raise BudgetReached(
            f"{self.connection}: this pull is expected to take {self.calls:,} calls and {budget.left:,} are left today:"
            f" {budget.used:,} of {budget.cap:,} are used, {budget.reserve:,} are kept for write-back{gauge}"
        )


def forecast(connected: Connected, store: Store, budget: Budget, *, full: bool = False, only: str | None = None) -> Forecast:
    """What a pull of these streams should cost, from like runs, or from the CRM's own count where a stream is read from nothing."""
    under = {} if full else store.reading_under(connected.name)
    parts = [_stream(connected, store, spec, under) for spec in connected.mapper.streams() if only in (None, spec.name)]
    fresh = any(part.fresh for part in parts)
    known = [s for s in store.runs.summaries(connected.name, "pull", limit=10 * LIKE_RUNS) if s.get("fresh") is fresh]
    extra = [s["calls"] - s["stream_calls"] for s in known[:LIKE_RUNS]]
    parts.append(Expected(SIGN_IN, _mean(extra), _runs(extra) if extra else "no such pull yet"))
    pushes = [s["calls"] for s in store.runs.summaries(connected.name, "push", limit=LIKE_RUNS) if "calls" in s]
    return Forecast(connected.name, tuple(parts), _mean(pushes), budget)


def _stream(connected: Connected, store: Store, spec: StreamSpec, under: Mapping[str, str | None]) -> Expected:
    """``under``: the fingerprint of the mapping under which a stream has been read so far."""
    if under.get(spec.name) != connected.mapper.fingerprint(spec.name):
        try:
            count = connected.crm.count(spec)
        except (CrmConfigError, MissingScope, TooLarge) as refused:  # the stream's own trouble: reading it will say so, and the others go on
            return Expected(spec.name, None, f"the CRM refuses to count it ({refused.code})", fresh=True)
        if count is None:
            return _like(store, connected.name, spec.name, complete=True) or Expected(spec.name, None, "the CRM cannot count it", fresh=True)
        records = count.live + (count.deleted or 0)
        return Expected(spec.name, connected.crm.cost(spec, records), f"from nothing: {records:,} records", fresh=True)
    return _like(store, connected.name, spec.name, complete=False) or Expected(spec.name, connected.crm.cost(spec, 0), "an idle read")


def _like(store: Store, connection: str, stream: str, *, complete: bool) -> Expected | None:
    calls = store.runs.call_counts(connection, stream, complete=complete, limit=LIKE_RUNS)
    return Expected(stream, _mean(calls), _runs(calls), fresh=complete) if calls else None


def _mean(calls: Sequence[int]) -> int | None:
    """Rounded up; None of nothing."""
    return -(-sum(calls) // len(calls)) if calls else None


def _runs(calls: Sequence[int]) -> str:
    return "like the last run" if len(calls) == 1 else f"mean of the last {len(calls)} like runs"
