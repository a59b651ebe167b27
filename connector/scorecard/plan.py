"""A plan: for each deal and scorecard field before → after and why. Built from values, saved once, applied as it stands."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Literal

import orjson

from connector.crms.base import Value
from connector.errors import Blocked, Finding
from connector.scorecard import fields
from connector.scorecard.fields import MANIFEST, TECHNICAL, ScorecardField

ChangeKind = Literal["set", "change", "empty", "clear"]
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Desired:
    """What one deal should show. ``values``: manifest key → inside value; ``why``: key → sentences."""

    values: Mapping[str, object]
    why: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Observed:
    """What the CRM holds. ``values``: field name → wire text or None, as last pulled."""

    name: str | None
    version: str | None
    inputs_hash: str | None
    values: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of one deal. ``before`` is canonical text, ``after`` the JSON value to send.

    ``set`` fills an empty field, ``change`` alters it, ``empty`` writes an empty answer, ``clear`` loses a value that
    can no longer be computed.
    """

    key: str
    field: str
    before: str | None
    after: Value
    kind: ChangeKind
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedUpdate:
    connection: str
    object: str
    id: str
    name: str | None
    version: str | None
    inputs_hash: str | None
    changes: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """One connection's part: whose org, which mapping, how many deals were looked at and how many stay as they are."""

    connection: str
    crm: str
    org_id: str
    mapping: str
    as_of: str
    population: int
    unchanged: int
    held: int  # only weekly values differ; they wait for the week to pass
    set_aside: int = 0  # deals in an unmapped stage
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    id: str
    created_at: str
    scopes: tuple[Scope, ...]
    updates: tuple[PlannedUpdate, ...]
    invalid: tuple[Finding, ...] = ()

    def of(self, connection: str) -> tuple[PlannedUpdate, ...]:
        return tuple(u for u in self.updates if u.connection == connection)

    def counts(self) -> dict[str, int]:
        """records, values, clears, first_fills, unchanged, held."""
        kinds = Counter(change.kind for update in self.updates for change in update.changes if change.key not in TECHNICAL)
        return {
            "records": len(self.updates),
            "values": sum(kinds.values()),
            "clears": kinds["clear"],
            "first_fills": sum(all(c.kind == "set" or c.key in TECHNICAL for c in u.changes) for u in self.updates),
            "unchanged": sum(scope.unchanged for scope in self.scopes),
            "held": sum(scope.held for scope in self.scopes),
        }

    def verdict(self) -> str:
        """The first line of every plan."""
        c = self.counts()
        if not c["records"]:
            return f"No changes. {c['unchanged'] + c['held']:,} deals are as they should be."
        return (
            f"{c['records']:,} records would change, {c['clears']:,} values cleared, {c['unchanged'] + c['held']:,} records unchanged. "
            "Nothing is created or deleted."
        )


@dataclass(frozen=True, slots=True)
class Target:
    """Where one connection's scorecard goes: object and the field name of each manifest key that is switched on."""

    connection: str
    crm: str
    object: str
    field_names: Mapping[str, str]  # manifest key → field name
    stage_labels: Mapping[str, str]  # canonical stage → label
    definition: str


def updates(
    target: Target,
    desired: Mapping[str, Desired],
    observed: Mapping[str, Observed],
    last_written: Mapping[tuple[str, str], str | None],
    as_of: datetime,
) -> tuple[list[PlannedUpdate], int, int, list[Finding]]:
    """(planned updates by id, unchanged records, held records, findings for values that do not fit)."""
    planned: list[PlannedUpdate] = []
    unchanged = held = 0
    invalid: list[Finding] = []
    for id in sorted(desired.keys() & observed.keys()):
        changes, bad = _changes(target, desired[id], observed[id])
        invalid += [Finding(code="SC-E130", path=f"{target.connection}:{id}", message=message) for message in bad]
        if not changes:
            unchanged += 1
        elif _only_drift(changes, id, target, observed[id], last_written, as_of):
            held += 1
        else:
            seen = observed[id]
            whole = (*changes, *_technical(target, seen, as_of))
            planned.append(PlannedUpdate(target.connection, target.object, id, seen.name, seen.version, seen.inputs_hash, whole))
    return planned, unchanged, held, invalid


def _changes(target: Target, desired: Desired, observed: Observed) -> tuple[tuple[FieldChange, ...], list[str]]:
    found: list[FieldChange] = []
    bad: list[str] = []
    for key, name in target.field_names.items():
        field = MANIFEST[key]
        if key in TECHNICAL or key not in desired.values:
            continue
        try:
            after = fields.wire(field, _inside(field, desired.values[key], target), target.crm)
        except ValueError as error:
            bad.append(str(error))
            continue
        before = fields.text(field, observed.values.get(name))
        if fields.text(field, after) != before:
            found.append(FieldChange(key, name, before, after, "set" if before is None else "change", tuple(desired.why.get(key, ()))))
    moved = any(change.key == "stage" for change in found)
    return tuple(_with_kind(change, moved) for change in found), bad


def _inside(field: ScorecardField, value: object, target: Target) -> object:
    if field.kind == "stage" and target.crm == "salesforce" and value is not None:
        return target.stage_labels[str(value)]
    return value


def _with_kind(change: FieldChange, moved: bool) -> FieldChange:
    if change.after not in (None, ""):
        return change
    field = MANIFEST[change.key]
    answer = field.empty_is_answer or (field.of_the_stage and moved)
    return FieldChange(change.key, change.field, change.before, change.after, "empty" if answer else "clear", change.why)


def _only_drift(
    changes: tuple[FieldChange, ...],
    id: str,
    target: Target,
    observed: Observed,
    last_written: Mapping[tuple[str, str], str | None],
    as_of: datetime,
) -> bool:
    """True if nothing but weekly values differ, they are still what we wrote, and less than a week has passed since."""
    if any(MANIFEST[c.key].cadence != "weekly" or c.before is None or c.kind == "clear" for c in changes):
        return False
    if any(last_written.get((id, c.field), c.before) != c.before for c in changes):
        return False
    stamp = observed.values.get(target.field_names.get("updated_at", ""))
    return stamp is not None and as_of - datetime.fromisoformat(stamp) < WEEK


def _technical(target: Target, observed: Observed, as_of: datetime) -> tuple[FieldChange, ...]:
    """The stamp and the definition travel with another change, never alone."""
    values: dict[str, object] = {"updated_at": as_of, "definition": target.definition}
    found = []
    for key in TECHNICAL:
        if (name := target.field_names.get(key)) is None:
            continue
        after = fields.wire(MANIFEST[key], values[key], target.crm)
        before = fields.text(MANIFEST[key], observed.values.get(name))
        if fields.text(MANIFEST[key], after) != before:
            found.append(FieldChange(key, name, before, after, "set" if before is None else "change"))
    return tuple(found)


def dumps(plan: Plan) -> bytes:
    """The plan file: sorted JSON, one trailing newline."""
    return orjson.dumps(asdict(plan), option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n"


def digest(data: bytes) -> str:
    """SHA-256 of a plan file."""
    return hashlib.sha256(data).hexdigest()


def loads(data: bytes) -> Plan:
    """A plan from its file. Raises Blocked (SC-E109) if the bytes are no plan."""
    try:
        raw = orjson.loads(data)
        return Plan(
            id=raw["id"],
            created_at=raw["created_at"],
            scopes=tuple(Scope(**{**s, "findings": tuple(Finding(**f) for f in s["findings"])}) for s in raw["scopes"]),
            updates=tuple(
                PlannedUpdate(**{**u, "changes": tuple(FieldChange(**{**c, "why": tuple(c["why"])}) for c in u["changes"])}) for u in raw["updates"]
            ),
            invalid=tuple(Finding(**f) for f in raw["invalid"]),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Blocked("this file is not a plan of ours", code="SC-E109") from error
