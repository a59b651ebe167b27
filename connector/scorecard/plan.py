"""A plan: for each record and scorecard field before → after and why. Built from values, saved once, applied as it stands."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from dataclasses import field as default
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import orjson

from connector.crms.base import Grain, Value, WriteAction
from connector.errors import Blocked, Finding
from connector.scorecard import fields
from connector.scorecard.fields import TECHNICAL, ScorecardField
from connector.scorecard.manifests import MANIFESTS

ChangeKind = Literal["set", "change", "empty", "clear"]
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Desired:
    """What one record should show. ``values``: manifest key → inside value; ``why``: key → sentences; ``name``: of a record that the state holds
    without one; ``unknown``: keys that are empty for want of what they are made from, if they are, which is no answer."""

    values: Mapping[str, object]
    why: Mapping[str, Sequence[str]]
    name: str | None = None
    unknown: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """What the CRM holds. ``values``: field name → wire text or None, as last pulled."""

    name: str | None
    version: str | None
    inputs_hash: str | None
    values: Mapping[str, str | None]
    group: str | None = None
    pipeline: str | None = None


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of one record. ``before`` is canonical text, ``after`` the JSON value to send.

    ``set`` fills an empty field, ``change`` alters it, ``empty`` writes an empty answer, ``clear`` loses a value that
    can no longer be computed. ``healed``: what is there is not what we wrote last: somebody overwrote it.
    """

    key: str
    field: str
    before: str | None
    after: Value
    kind: ChangeKind
    why: tuple[str, ...] = ()
    healed: bool = False


def reference(grain: Grain, object: str, id: str) -> str:
    """What tells a record from all others of its connection: the id of a deal, else with the object before it."""
    return id if grain == "opportunity" else f"{object}:{id}"


@dataclass(frozen=True, slots=True)
class PlannedUpdate:
    """``group``: what the record shares a lock with in the CRM (its account); updates of one group stand side by side. ``id``: of a record of an
    object of ours its key, in the field ``key_field``; only such a record is ever made or removed (``action``)."""

    connection: str
    object: str
    id: str
    name: str | None
    version: str | None
    inputs_hash: str | None
    changes: tuple[FieldChange, ...]
    group: str | None = None
    grain: Grain = "opportunity"
    action: WriteAction = "update"
    key_field: str | None = None

    def field(self, change: FieldChange) -> ScorecardField:
        """The row of the manifest that a change is about."""
        return MANIFESTS[self.grain][change.key]

    @property
    def reference(self) -> str:
        """See :func:`reference`."""
        return reference(self.grain, self.object, self.id)

    @property
    def attempt(self) -> str:
        """A hash of what would be sent, and of the version of the record it is meant for: what the CRM refused once, it will refuse again."""
        values = {c.field: c.after for c in self.changes if c.key not in TECHNICAL}
        return hashlib.sha256(orjson.dumps([self.version, values], option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Scope:
    """One connection's part: whose org, which mapping, how many records were looked at and how many stay as they are.

    ``population``: deals; ``populations``: records of every grain.
    """

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
    quarantined: tuple[str, ...] = ()  # refused again and again; they wait until their value or their record changes
    rollback_of: int | None = None  # the run whose values this part restores
    populations: Mapping[Grain, int] = default(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """``invalid``: values that do not fit their field (path ``connection:record``); their records are left out, whole."""

    id: str
    created_at: str
    scopes: tuple[Scope, ...]
    updates: tuple[PlannedUpdate, ...]
    invalid: tuple[Finding, ...] = ()

    def of(self, connection: str) -> tuple[PlannedUpdate, ...]:
        return tuple(u for u in self.updates if u.connection == connection)

    def nameless(self) -> Plan:
        """The same with ids only, as where names of records are to be kept out of files."""
        return replace(self, updates=tuple(replace(update, name=None) for update in self.updates))

    def counts(self) -> dict[str, int]:
        """records, creates, removes, values, clears, first_fills, healed, unchanged, held, invalid, quarantined."""
        kinds = Counter(change.kind for update in self.updates for change in update.changes if change.key not in TECHNICAL)
        actions = Counter(update.action for update in self.updates)
        return {
            "records": len(self.updates),
            "creates": actions["create"],
            "removes": actions["remove"],
            "values": sum(kinds.values()),
            "clears": kinds["clear"],
            "first_fills": sum(all(c.kind == "set" or c.key in TECHNICAL for c in u.changes) for u in self.updates),
            "healed": sum(change.healed for update in self.updates for change in update.changes),
            "unchanged": sum(scope.unchanged for scope in self.scopes),
            "held": sum(scope.held for scope in self.scopes),
            "invalid": len({finding.path for finding in self.invalid}),
            "quarantined": sum(len(scope.quarantined) for scope in self.scopes),
        }

    def verdict(self) -> str:
        """The first line of every plan."""
        c = self.counts()
        left_out = [f"{c[key]:,} {word}" for key, word in (("invalid", "do not fit"), ("quarantined", "wait in quarantine")) if c[key]]
        aside = f" {' and '.join(left_out)}." if left_out else ""
        if not c["records"]:
            return f"No changes. {c['unchanged'] + c['held']:,} records are as they should be.{aside}"
        healed = f", {c['healed']:,} overwritten ones healed" if c["healed"] else ""
        made = [f"{c[key]:,} rows of ours {word}" for key, word in (("creates", "created"), ("removes", "removed")) if c[key]]
        return (
            f"{c['records'] - c['creates'] - c['removes']:,} records would change, {c['clears']:,} values cleared{healed}, "
            f"{c['unchanged'] + c['held']:,} records unchanged. {' and '.join(made) or 'Nothing is created or deleted'}.{aside}"
        )


@dataclass(frozen=True, slots=True)
class Target:
    """Where one grain of one connection goes: object and the field name of each manifest key that is switched on. ``key_field``: the object is
    ours, and its records are found by this field."""

    connection: str
    crm: str
    object: str
    field_names: Mapping[str, str]  # manifest key → field name
    stage_labels: Mapping[str, str]  # canonical stage → label
    definition: str
    grain: Grain = "opportunity"
    key_field: str | None = None

    @property
    def manifest(self) -> Mapping[str, ScorecardField]:
        return MANIFESTS[self.grain]

    @property
    def by_name(self) -> Mapping[str, ScorecardField]:
        """Name of the field → its row of the manifest."""
        return {name: self.manifest[key] for key, name in self.field_names.items()}

    def update(self, id: str, seen: Observed, changes: Sequence[FieldChange], action: WriteAction = "update") -> PlannedUpdate:
        """One record's part of a plan."""
        return PlannedUpdate(
            self.connection,
            self.object,
            id,
            seen.name,
            seen.version,
            seen.inputs_hash,
            tuple(changes),
            seen.group,
            self.grain,
            action,
            self.key_field,
        )


class Last(NamedTuple):
    """What we wrote last to a field, as canonical text, and when."""

    text: str | None
    at: datetime


Fits = Callable[[FieldChange, str | None], tuple[str, str] | None]
"""(change, pipeline of the record) → code and reason, where the CRM's field would not hold the value."""


@dataclass
class Differences:
    """``updates``: in the order of writing; ``unchanged``, ``held``: records; ``invalid``: values that do not fit."""

    updates: list[PlannedUpdate]
    unchanged: int = 0
    held: int = 0
    invalid: list[Finding] = default(default_factory=list)


def differences(
    target: Target,
    desired: Mapping[str, Desired],
    observed: Mapping[str, Observed],
    last_written: Mapping[tuple[str, str], Last],
    as_of: datetime,
    fits: Fits = lambda change, pipeline: None,
    gone: Collection[str] = (),
) -> Differences:
    """Desired − observed. A record with a value that does not fit is left out whole: a scorecard is never written in part.

    What should be and is not there is made, where the object is ours. ``gone``: keys whose records are to be removed. Updates are ordered by what
    the records share a lock with, then by id, so that one batch does not wait for another's lock; what is made and removed comes after them.
    """
    found = Differences([])
    for id in sorted(desired.keys() if target.key_field else desired.keys() & observed.keys()):
        wanted, seen = desired[id], observed.get(id)
        action: WriteAction = "create" if seen is None else "update"
        seen = replace(seen or NOTHING, name=(seen.name if seen else None) or wanted.name)
        changes, bad = _changes(target, wanted, seen)
        if action == "update":
            changes = tuple(_healing(change, last_written.get((id, change.field))) for change in changes)
        bad += [misfit for change in changes if (misfit := fits(change, seen.pipeline))]
        if bad:
            path = f"{target.connection}:{reference(target.grain, target.object, id)}"
            found.invalid += [Finding(code=code, path=path, message=message) for code, message in bad]
        elif not changes:
            found.unchanged += 1
        elif _only_drift(changes, target, seen, as_of, [last_written.get((id, change.field)) for change in changes]):
            found.held += 1
        else:
            found.updates.append(target.update(id, seen, (*changes, *_technical(target, seen, as_of)), action))
    found.updates.sort(key=lambda update: (update.action != "update", update.group or "", update.id))
    found.updates += [_removal(target, id, observed[id]) for id in sorted(gone)]
    return found


NOTHING = Observed(None, None, None, {})


def _removal(target: Target, id: str, seen: Observed) -> PlannedUpdate:
    """Of its values none is told: they are those of a record that is gone."""
    assert target.key_field is not None
    change = FieldChange("key", target.key_field, id, None, "empty", ("the deal was deleted in the CRM",))
    return target.update(id, seen, (change,), "remove")


def _changes(target: Target, desired: Desired, observed: Observed) -> tuple[tuple[FieldChange, ...], list[tuple[str, str]]]:
    found: list[FieldChange] = []
    bad: list[tuple[str, str]] = []
    for key, name in target.field_names.items():
        field = target.manifest[key]
        if key in TECHNICAL or key not in desired.values:
            continue
        try:
            after = fields.wire(field, _inside(field, desired.values[key], target), target.crm)
        except ValueError as error:
            bad.append(("SC-E130", str(error)))
            continue
        before = fields.text(field, observed.values.get(name))
        if fields.text(field, after) != before:
            found.append(FieldChange(key, name, before, after, "set" if before is None else "change", tuple(desired.why.get(key, ()))))
    moved = any(change.key == "stage" for change in found)
    return tuple(_with_kind(target.manifest[change.key], change, moved, change.key in desired.unknown) for change in found), bad


def _healing(change: FieldChange, written: Last | None) -> FieldChange:
    """``written``: what we wrote last; None where we never did."""
    return change if written is None or written.text == change.before else replace(change, healed=True)


def _inside(field: ScorecardField, value: object, target: Target) -> object:
    if field.kind == "stage" and target.crm == "salesforce" and value is not None:
        return target.stage_labels[str(value)]
    return value


def _with_kind(field: ScorecardField, change: FieldChange, moved: bool, unknown: bool) -> FieldChange:
    if change.after not in (None, ""):
        return change
    answer = not unknown and (field.empty_is_answer or (field.of_the_stage and moved))
    return replace(change, kind="empty" if answer else "clear")


def _only_drift(changes: tuple[FieldChange, ...], target: Target, observed: Observed, as_of: datetime, written: Sequence[Last | None]) -> bool:
    """True if nothing but weekly values differ, they are still what we wrote, and less than a week has passed since: by the record's own stamp,
    or by ours where it has none."""
    if any(target.manifest[c.key].cadence != "weekly" or c.before is None or c.kind == "clear" or c.healed for c in changes):
        return False
    if (name := target.field_names.get("updated_at")) is not None:
        stamp = observed.values.get(name)
        return stamp is not None and as_of - datetime.fromisoformat(stamp) < WEEK
    return all(last is not None and as_of - last.at < WEEK for last in written)


def _technical(target: Target, observed: Observed, as_of: datetime) -> tuple[FieldChange, ...]:
    """The stamp and the definition travel with another change, never alone."""
    values: dict[str, object] = {"updated_at": as_of, "definition": target.definition}
    found = []
    for key in TECHNICAL:
        if (name := target.field_names.get(key)) is None:
            continue
        after = fields.wire(target.manifest[key], values[key], target.crm)
        before = fields.text(target.manifest[key], observed.values.get(name))
        if fields.text(target.manifest[key], after) != before:
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
            scopes=tuple(
                Scope(**{**s, "findings": tuple(Finding(**f) for f in s["findings"]), "quarantined": tuple(s.get("quarantined", ()))})
                for s in raw["scopes"]
            ),
            updates=tuple(
                PlannedUpdate(**{**u, "changes": tuple(FieldChange(**{**c, "why": tuple(c["why"])}) for c in u["changes"])}) for u in raw["updates"]
            ),
            invalid=tuple(Finding(**f) for f in raw["invalid"]),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Blocked("this file is not a plan of ours", code="SC-E109") from error
