"""Guards: what stops a plan from being applied without a person. Each names the figure that tripped it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector.crms.base import Grain
from connector.errors import Finding
from connector.scorecard.fields import TECHNICAL
from connector.scorecard.grains import WORDS
from connector.scorecard.plan import FieldChange, PlannedUpdate, Scope


@dataclass(frozen=True, slots=True)
class Limits:
    """[guards] of connector.toml. Shares are of the deals in the plan's population."""

    max_records_share: float = 0.25
    max_clears: int = 0
    max_field_share: float = 0.50
    unmapped_stage_share: float = 0.0
    min_pull_vs_mean: float = 0.5
    max_write_calls: int = 500


@dataclass(frozen=True, slots=True)
class Facts:
    """What the run knows beside the plan. ``first_fill``: this connection was never pushed to before."""

    production: bool = False
    first_fill: bool = False
    in_quiet_hours: bool = False
    write_batch: int = 200
    pull_vs_mean: float | None = None


BLOCKING = frozenset({"SC-E021", "SC-E024", "SC-E052", "SC-E071", "SC-E104", "SC-E153"})  # cannot be approved away: the cause is mended first


def check(scope: Scope, planned: Sequence[PlannedUpdate], limits: Limits, facts: Facts, *, allow_large: bool = False) -> list[Finding]:
    """Every guard that trips for one connection's part of a plan; empty if it may run."""
    trips = [
        *_found(scope),
        _unmapped(scope, limits),
        _short_pull(limits, facts),
        _clears(planned, limits),
        _calls(planned, limits, facts),
        _back_fill(planned, facts),
    ]
    if not allow_large:
        trips += [*_records(scope, planned, limits), *_per_field(scope, planned, limits)]
    if facts.in_quiet_hours and planned:
        trips.append(Finding(code="SC-E106", message="reps are at work: no writes in quiet hours"))
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
    calls = -(-len(planned) // facts.write_batch)
    if calls <= limits.max_write_calls:
        return None
    return Finding(code="SC-E105", message=f"{calls} write calls needed; the limit is {limits.max_write_calls}")


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
    if facts.pull_vs_mean is None or facts.pull_vs_mean >= limits.min_pull_vs_mean:
        return None
    return Finding(
        code="SC-E104", message=f"the pull brought {facts.pull_vs_mean:.0%} of what like runs bring; the limit is {limits.min_pull_vs_mean:.0%}"
    )


def _back_fill(planned: Sequence[PlannedUpdate], facts: Facts) -> Finding | None:
    if not (facts.production and facts.first_fill and planned):
        return None
    return Finding(code="SC-E107", message=f"first push of this connection: {len(planned)} records would be filled for the first time")
