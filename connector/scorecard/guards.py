"""Guards: what stops a plan from being applied without a person. Each names the figure that tripped it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector.crms.base import Grain, PushCost
from connector.errors import Finding
from connector.scorecard.fields import TECHNICAL
from connector.scorecard.manifests import WORDS
from connector.scorecard.plan import FieldChange, PlannedUpdate, Scope

NO_CALLS = PushCost(0, 0)


@dataclass(frozen=True, slots=True)
class Limits:
    """[guards] of connector.toml. Shares are of the deals in the plan's population."""

    max_records_share: float = 0.25
    max_backfill_share: float = 0.05
    max_clears: int = 0
    max_field_share: float = 0.50
    unmapped_stage_share: float = 0.0
    min_pull_vs_mean: float = 0.5
    max_write_calls: int = 500


@dataclass(frozen=True, slots=True)
class Facts:
    """What the run knows beside the plan.

    ``written``: fields that this connection has written before; ``quiet``: the hour and the quiet hours it lies in; ``cost``: calls of the
    push; ``left``: calls that the account's day still holds for it (None: nobody knows), ``day`` those figures in words; ``pulled``: rows
    of the last pull, ``usual`` the mean of the like ones before it, None where there is nothing to compare.
    """

    production: bool = False
    written: frozenset[str] = frozenset()
    quiet: str | None = None
    cost: PushCost = NO_CALLS
    left: int | None = None
    day: str = ""
    pulled: int = 0
    usual: float | None = None


BLOCKING = frozenset({"SC-E021", "SC-E024", "SC-E052", "SC-E071", "SC-E104", "SC-E153"})  # cannot be approved away: the cause is mended first


def check(scope: Scope, planned: Sequence[PlannedUpdate], limits: Limits, facts: Facts) -> list[Finding]:
    """Every guard that trips for one connection's part of a plan; empty if it may run."""
    trips = [
        *_found(scope),
        _unmapped(scope, limits),
        _short_pull(limits, facts),
        _clears(planned, limits),
        _calls(planned, limits, facts),
        _day(planned, facts),
        _back_fill(scope, planned, limits, facts),
        *_records(scope, planned, limits),
        *_per_field(scope, planned, limits),
    ]
    if facts.quiet and planned:
        trips.append(Finding(code="SC-E106", message=f"reps are at work: {facts.quiet}"))
    return [trip for trip in trips if trip]


def _populations(scope: Scope) -> Mapping[Grain, int]:
    """Deals. Figures of accounts and reps are new with every deal that moves and every month that begins: no share of them is too large."""
    known = scope.populations or {"opportunity": scope.population}
    return {grain: population for grain, population in known.items() if grain in ("opportunity", "companion")}


def _alters(update: PlannedUpdate, change: FieldChange) -> bool:
    """A value that is there would change or go. What only drifts, and was let wait its week, is due work and no mass change."""
    drifts = change.kind == "change" and not change.healed and update.field(change).cadence == "weekly"
    return change.kind != "set" and change.key not in TECHNICAL and not drifts


def _records(scope: Scope, planned: Sequence[PlannedUpdate], limits: Limits) -> list[Finding]:
    found = []
    for grain, population in _populations(scope).items():
        touched = sum(u.action == "remove" or any(_alters(u, c) for c in u.changes) for u in planned if u.grain == grain)
        if touched > limits.max_records_share * population:
            what = f"{touched} of {population} {WORDS[grain]}s" + (f" ({touched / population:.0%})" if population else "")
            found.append(Finding(code="SC-E102", message=f"{what} would change; the limit is {limits.max_records_share:.0%}"))
    return found


def _per_field(scope: Scope, planned: Sequence[PlannedUpdate], limits: Limits) -> list[Finding]:
    found, limit = [], f"the limit is {limits.max_field_share:.0%}"
    for grain, population in _populations(scope).items():
        altered = Counter(c.field for u in planned if u.grain == grain and u.action == "update" for c in u.changes if _alters(u, c))
        for name, n in sorted(altered.items()):
            if n > limits.max_field_share * population:
                message = f"{name} would change on {n} of {population} {WORDS[grain]}s; {limit}"
                found.append(Finding(code="SC-E102", path=name, message=message))
    return found


def _clears(planned: Sequence[PlannedUpdate], limits: Limits) -> Finding | None:
    lost = [(u.id, c.field) for u in planned for c in u.changes if c.kind == "clear"]
    if len(lost) <= limits.max_clears:
        return None
    examples = ", ".join(f"{id} {name}" for id, name in lost[:3])
    return Finding(
        code="SC-E103", message=f"{len(lost)} values can no longer be computed and would be cleared ({examples}); the limit is {limits.max_clears}"
    )


def _calls(planned: Sequence[PlannedUpdate], limits: Limits, facts: Facts) -> Finding | None:
    if facts.cost.writes <= limits.max_write_calls:
        return None
    needed = f"{facts.cost.writes:,} write calls needed for {len(planned):,} records"
    return Finding(code="SC-E105", message=f"{needed}; the limit is {limits.max_write_calls:,}")


def _day(planned: Sequence[PlannedUpdate], facts: Facts) -> Finding | None:
    """Better nothing than half: whoever approves the plan cannot make the day longer."""
    cost = facts.cost
    if not planned or facts.left is None or cost.calls <= facts.left:
        return None
    needed = f"{cost.calls:,} calls ({cost.writes:,} to write, {cost.reads:,} to sign in and to re-read)"
    return Finding(code="SC-E078", message=f"writing {len(planned):,} records takes {needed} and {facts.left:,} are left today: {facts.day}")


def _found(scope: Scope) -> list[Finding]:
    """What the pull found and what must be mended before anything is written, the first of each kind: a live stage that nobody mapped,
    a stream that cannot be read, records that are missing."""
    first: dict[str, Finding] = {}
    for finding in scope.findings:
        if finding.severity == "error":
            first.setdefault(finding.code, Finding(code=finding.code, message=finding.message, next=finding.next))
    return list(first.values())


def _unmapped(scope: Scope, limits: Limits) -> Finding | None:
    whole = scope.population + scope.set_aside
    if any(finding.code == "SC-E024" and finding.severity == "error" for finding in scope.findings):
        return None  # said by name already
    if scope.set_aside <= limits.unmapped_stage_share * whole:
        return None
    return Finding(code="SC-E024", message=f"{scope.set_aside} of {whole} open deals are in a stage that is not mapped")


def _short_pull(limits: Limits, facts: Facts) -> Finding | None:
    if not facts.usual or facts.pulled / facts.usual >= limits.min_pull_vs_mean:
        return None
    figures = f"{facts.pulled:,} deals where like runs bring {facts.usual:,.0f} in the mean ({facts.pulled / facts.usual:.0%})"
    return Finding(code="SC-E104", message=f"the pull brought {figures}; the limit is {limits.min_pull_vs_mean:.0%}")


def _back_fill(scope: Scope, planned: Sequence[PlannedUpdate], limits: Limits, facts: Facts) -> Finding | None:
    """The first push of a connection, however small; later a field that nobody has seen filled yet, where it would be on many deals at once."""
    if not facts.production or not planned:
        return None
    known = scope.populations or {"opportunity": scope.population}
    fills = Counter(
        (u.grain, c.field) for u in planned for c in u.changes if c.kind == "set" and c.key not in TECHNICAL and c.field not in facts.written
    )
    many = [(name, n, known.get(grain, 0), WORDS[grain]) for (grain, name), n in sorted(fills.items())]
    many = [one for one in many if not facts.written or one[1] > limits.max_backfill_share * one[2]]
    if facts.written and not many:
        return None
    if not facts.written:
        first = f"first push of this connection: {len(planned):,} records would be filled for the first time"
        named = ", ".join(f"{name} on {n:,}" for name, n, _, _ in many)
        return Finding(code="SC-E107", message=f"{first} ({named})" if named else first)
    named = ", ".join(f"{name} on {n:,} of {population:,} {word}s" for name, n, population, word in many)
    limit = f"the limit is {limits.max_backfill_share:.0%}"
    return Finding(code="SC-E107", message=f"never written before, and now to be filled: {named}; {limit}")
