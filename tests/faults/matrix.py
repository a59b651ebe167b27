"""The fault matrix: every kind of fault × every stream, and every kind of fault of a write × the push."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from connector.sandbox.faults.kinds import KINDS
from connector.sandbox.faults.rules import Fault
from tests.faults.bench import HS, SF, Bench, Outcome, Target, attempt, told

READ = tuple(kind for kind in KINDS.values() if kind.family in ("answer", "wire", "headers") and not kind.name.startswith("login-"))
STOPPING: Mapping[str, frozenset[str]] = {
    "calls-used-up": frozenset({"SC-E078"}), "daily-limit-answer": frozenset({"SC-E078"}), "missing-scopes": frozenset({"SC-E052"}),
    "version-retired": frozenset({"SC-E055", "SC-E021"}), "not-found": frozenset({"SC-E021", "SC-E055"}),
}  # fmt: skip
"""Faults that no second try mends → the codes that say so. Any other fault that strikes once must leave no trace at all."""
SHRINKING: Mapping[str, frozenset[str]] = dict.fromkeys(("query-timeout", "query-complicated", "uri-too-long", "too-large"), frozenset({"SC-E073"}))
"""Mended by asking for less, where there is less to ask for: a query of a few stages cannot be halved, and says so."""
WHOLE = frozenset({"SC-E050", "SC-E051", "SC-E070", "SC-E078"})
"""Codes that end the whole run; the others end the stream that they concern."""
LASTING: Mapping[str, Mapping[str, frozenset[str]]] = {
    SF: {
        "session-ended": frozenset({"SC-E051"}), "unavailable": frozenset({"SC-E070"}), "reset": frozenset({"SC-E050", "SC-E070"}),
        "truncated-body": frozenset({"SC-E070"}), "query-timeout": frozenset({"SC-E073"}), "uri-too-long": frozenset({"SC-E073"}),
    },
    HS: {
        "unavailable": frozenset({"SC-E070"}), "reset": frozenset({"SC-E050", "SC-E070"}), "truncated-body": frozenset({"SC-E070"}),
        "uri-too-long": frozenset({"SC-E073"}),
    },
}  # fmt: skip
"""Faults tried for ever: the run must give up with one of these codes, and the next one be whole. HubSpot's ended session ends a run
even if it strikes but once, so it is not here."""
BULK = ("session-ended", "unavailable", "server-error", "maintenance-page", "not-found")


def stopping(crm: str, kind: str) -> frozenset[str] | None:
    """The codes of a fault that ends a run even if it strikes but once. A static HubSpot token that expired cannot be renewed."""
    return frozenset({"SC-E051"}) if (crm, kind) == (HS, "session-ended") else STOPPING.get(kind)


def kinds_of(crm: str) -> tuple[str, ...]:
    return tuple(kind.name for kind in READ if crm in kind.crms)


def tried(variant: str, kind: str) -> bool:
    """By Bulk only what differs from REST there is tried: what happens to bodies and jobs. The rest is the same code."""
    return variant != "salesforce bulk" or KINDS[kind].family == "wire" or kind in BULK


def places(target: Target) -> tuple[int, ...]:
    """After how many of its calls: the first, the middle, the last."""
    return tuple(dict.fromkeys((0, target.calls // 2, target.calls - 1)))


# -- once ------------------------------------------------------------------------------------------------------------------


def once(bench: Bench, kind: str) -> dict[str, Outcome]:
    """Stream → what one strike (the first, the middle, the last call) did. Faults that pass are tried on all streams in one run:
    if that ends equal, each did; if not, and where the fault ends a run, see :func:`_ending`."""
    wanted = stopping(bench.crm, kind)
    if wanted is not None:
        return _ending(bench, kind, 1 if wanted & WHOLE else None, wanted)
    bench.fresh()
    ordered = {target: _orders(bench, kind, target) for target in bench.targets}
    done = attempt(bench.pull)
    if not isinstance(done, str) and not told(done)[0] and bench.compared(kind) == "same":
        return {target.stream: _passed(faults) for target, faults in ordered.items()}
    return _ending(bench, kind, 1, SHRINKING.get(kind))


def lasting(bench: Bench, kind: str) -> dict[str, Outcome]:
    """Stream → what the fault did that does not end."""
    return _ending(bench, kind, None, LASTING[bench.crm][kind])


def _ending(bench: Bench, kind: str, times: int | None, wanted: frozenset[str] | None) -> dict[str, Outcome]:
    """A fault that ends single streams is tried on all of them in one run, one that ends the run on one stream after the other in
    one state. Where either does not end well, each stream is tried by itself, from nothing: that says what is wrong."""
    found: dict[str, Outcome] = {}
    if wanted is not None:
        if not wanted & WHOLE:
            found = _side_by_side(bench, kind, times, wanted)
        found |= _in_turn(bench, kind, [target for target in bench.targets if target.stream not in found], times, wanted)
    return {target.stream: found.get(target.stream) or _alone(bench, kind, target, times, wanted) for target in bench.targets}


def _side_by_side(bench: Bench, kind: str, times: int | None, wanted: frozenset[str]) -> dict[str, Outcome]:
    """All streams (not the connection's own calls) in one run, each of which must fail by itself and leave the others alone.
    Empty where the fault ended the whole run."""
    bench.fresh()
    streams = [target for target in bench.targets if not target.stream.startswith("(")]
    faults = {target.stream: bench.order(kind, *_reading(bench, kind, target), times) for target in streams}
    done = attempt(bench.pull)
    if isinstance(done, str) or done.failures:
        return {}
    failed = {failure.stream: failure.error for pull in done.pulls for failure in pull.failures}
    struck = {stream: fault.struck if fault is not None else 0 for stream, fault in faults.items()}
    bench.mended()
    again = attempt(bench.pull)
    if isinstance(again, str) or told(again)[0]:
        return {}
    result = bench.compared(kind)
    if result != "same" or (failed and done.exit_code == 0):
        return {}
    outcomes = {}
    for stream, times_struck in struck.items():
        error = failed.get(stream)
        if times_struck and error is None:
            outcomes[stream] = Outcome("same" if times else "nothing was said", times is not None, times_struck)
        elif times_struck and error is not None:
            outcomes[stream] = Outcome(f"{error.code} then same", error.code in wanted and bool(error.message), times_struck)
    return outcomes


def _reading(bench: Bench, kind: str, target: Target) -> tuple[Target, int]:
    """Where and after how many calls a stream itself is read: what is asked before (how many records, which fields) may be refused without
    harm. Pipelines are the connection's affair although deals stand in their address. Less is asked for by every call."""
    if bench.crm == HS and target.path is None:
        target = replace(target, path="/crm/objects/*")
    if kind in SHRINKING:
        return target, 0
    return target, 1 if bench.crm == HS else target.calls // 2


def _orders(bench: Bench, kind: str, target: Target, times: int | None = 1) -> list[Fault]:
    found = (bench.order(kind, target, after, times) for after in places(target))
    return [fault for fault in found if fault is not None]


def _passed(faults: list[Fault]) -> Outcome:
    struck = sum(fault.struck for fault in faults)
    return Outcome("same", True, struck) if struck else Outcome("–", True, 0)


def _in_turn(bench: Bench, kind: str, targets: Sequence[Target], times: int | None, wanted: frozenset[str]) -> dict[str, Outcome]:
    """A run for each stream, which stops at its first call; the next run finds what the runs before have stored. Then one without a
    fault. Empty where anything is not as it must be."""
    bench.fresh()
    found: dict[str, Outcome] = {}
    for target in targets:
        fault = bench.order(kind, target, 0, times)
        done = attempt(bench.pull)
        bench.mended()
        struck = fault.struck if fault is not None else 0
        codes, clear = told(done) if not isinstance(done, str) else (done, False)
        if codes and not (struck and clear and set(codes.split()) <= wanted):
            return {}
        if struck and not codes and kind not in SHRINKING:
            return {}
        found[target.stream] = Outcome(f"{codes} then same" if codes else "same", True, struck) if struck else Outcome("–", True, 0)
    again = attempt(bench.pull)
    return found if not isinstance(again, str) and not told(again)[0] and bench.compared(kind) == "same" else {}


def _alone(bench: Bench, kind: str, target: Target, times: int | None, wanted: frozenset[str] | None) -> Outcome:
    """One stream, one place after the other; the worst of them."""
    found = [_strike(bench, kind, target, after, times, wanted) for after in ((0,) if wanted else places(target))]
    return min(found, key=lambda outcome: (outcome.ok, not outcome.struck, outcome.text == "same"))


def _strike(bench: Bench, kind: str, target: Target, after: int, times: int | None, wanted: frozenset[str] | None) -> Outcome:
    """A run with the fault, then one without it."""
    bench.fresh()
    fault = bench.order(kind, target, after, times)
    done = attempt(bench.pull)
    struck = fault.struck if fault is not None else 0
    bench.mended()
    if not struck:
        return Outcome("–", True, 0)
    if isinstance(done, str):
        return Outcome(done, False, struck)
    codes, clear = told(done)
    if codes and not clear:
        return Outcome(f"{codes}, exit {done.exit_code}", False, struck)
    if not codes:
        result = bench.compared(kind)
        return Outcome(result, result == "same", struck)
    again = attempt(bench.pull)
    if isinstance(again, str) or told(again)[0]:
        return Outcome(f"{codes} then {again if isinstance(again, str) else told(again)[0]}", False, struck)
    result = bench.compared(kind)
    expected = wanted is not None and set(codes.split()) <= wanted
    return Outcome(f"{codes} then {result}", expected and result == "same", struck)


# -- a table ---------------------------------------------------------------------------------------------------------------


def read_rows(bench: Bench) -> Iterator[tuple[str, dict[str, Outcome]]]:
    """(fault, stream → outcome) of every fault of a read."""
    for kind in kinds_of(bench.crm):
        if tried(bench.variant, kind):
            yield kind, once(bench, kind)
    for kind in LASTING[bench.crm] if bench.variant == bench.crm else ():
        yield f"{kind} for ever", lasting(bench, kind)
