"""Take a push back: the values that were there before it, wherever the CRM still holds what we wrote.

**Still ours** is a value that equals the last one that we wrote to that field of that record, by whichever run: what a later push of ours
wrote over it is ours too, and what anybody else wrote since is not. Such a field gets what was there before the run that is rolled back; where
that is there already, nothing is to be done, so that a second rollback of a run finds no work. All others are left alone and listed. A record
of ours that the run made is removed again if all of it is still ours, and one that it removed stays away: the deal behind it is gone.

A rollback is a plan like any other, saved with its hash and applied with before-images, by a run of its own that can be rolled back in turn.
It pauses the pushes of the connection first: the next one would write the same values again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from connector import grains, plan_files, sync
from connector.app import App
from connector.connected import Connected
from connector.crms.base import Crm, OrgInfo, Record, inputs_hash
from connector.errors import Blocked, UsageError
from connector.mapping.names import nearest
from connector.runs import noted, recorded
from connector.scorecard import fields
from connector.scorecard import plan as planning
from connector.scorecard.apply import FINE
from connector.scorecard.plan import FieldChange, Last, Observed, Plan, PlannedUpdate, Scope, Target
from connector.state.ledger import Write
from connector.state.store import Store
from connector.sync import PushReport, Report

WRITTEN = frozenset({"written", "unknown"})
"""Rows of the ledger whose value the CRM holds, or may."""
IDENTITY = frozenset({"key", "deal", "user", "period", "currency"})
"""Keys that say what a record of ours is of."""


@dataclass(frozen=True, slots=True)
class Left:
    """One value that is not restored, and why. ``field`` None: the whole record."""

    record: str
    name: str | None
    field: str | None
    why: str


@dataclass
class Undone:
    """What a rollback found and did. ``plan``: what it restores; ``pushed`` None: nothing was written, as in a dry run."""

    of_run: int
    connection: str
    plan: Plan
    left: list[Left]
    as_before: int = 0
    run: int | None = None
    pushed: PushReport | None = None

    @property
    def restored(self) -> int:
        """Values that are as they were, by this rollback."""
        done = [o for o in self.pushed.outcomes if o.status in FINE] if self.pushed else []
        return sum(len(o.update.changes) for o in done)

    @property
    def exit_code(self) -> int:
        """3 where something could not be restored."""
        failed = self.pushed is not None and (self.pushed.left > 0 or any(o.status not in FINE for o in self.pushed.outcomes))
        return 3 if self.left or failed else 0


def rollback(app: App, run: int, *, only: Sequence[str] = (), dry_run: bool = False, report: Report | None = None) -> Undone:
    """Restore what one push (or rollback) replaced. ``only``: these fields, by CRM name or manifest key.

    Raises UsageError for an unknown field, StateError SC-E184 for an unknown run, Blocked for one that wrote nothing.
    """
    found = app.store.runs.get(run)
    writes = [w for w in app.store.ledger.of_run(run) if w.status != "rejected"]
    kept = app.resolved.settings.retention.before_images
    expired = all(w.status == "expired" for w in writes) and (writes or found.started_at < app.clock.now() - kept)
    if expired and found.kind in ("push", "rollback"):
        raise Blocked(f"run {run} can no longer be rolled back: what was there before is kept for {kept.days} days", next_step="connector audit tail")
    if found.kind not in ("push", "rollback") or not writes:
        raise Blocked(f"run {run} ({found.kind}) wrote nothing that could be rolled back", next_step="connector plans list")
    if dry_run:
        with app.connected(found.connection) as connected:
            return _planned(app, connected, run, only)
    with recorded(app, found.connection, "rollback", "cli") as own, app.connected(found.connection) as connected:
        sync.settle(connected, app.store, own.id)
        undone = _planned(app, connected, run, only)
        undone.run = own.id
        if undone.plan.updates:
            _push(app, connected, undone, own.id, report or Report())
        own.status = "partial" if undone.exit_code else "ok"
        own.summary = {"of_run": run, "restored": undone.restored, "left": len(undone.left), "plan": undone.plan.id}
    return undone


def _push(app: App, connected: Connected, undone: Undone, run: int, report: Report) -> None:
    """Pause, save the plan, write."""
    name, made = undone.connection, undone.plan
    app.store.connections.pause(name, f"rollback of run {undone.of_run}")
    summary = {**made.counts(), "connections": [name]}
    made, _, sha256 = plan_files.save(app, made, summary, reason=f"rollback of run {undone.of_run}")
    undone.plan = made
    begun = {"run": run, "of_run": undone.of_run, "plan": made.id, "sha256": sha256, "left": len(undone.left)}
    app.store.audit.add("rollback.began", f"{name} run {undone.of_run}", begun)
    connected.crm.meter.pushing = True
    told = noted(report, connected, run)
    undone.pushed = sync.push(connected, app.store, made, run, report=told, sha256=sha256, despite_pause=True, input_fields=())
    done = all(o.status in FINE for o in undone.pushed.outcomes)
    app.store.plans.set_status(made.id, "applied" if done and not undone.pushed.left else "partial")


# -- what can be restored --------------------------------------------------------------------------------------------------


def _planned(app: App, connected: Connected, run: int, only: Sequence[str]) -> Undone:
    info, name = connected.crm.check(), connected.name
    targets = {target.object: target for target in grains.targets(connected.mapped, app.definitions).values()}
    chosen = _chosen(only, targets)
    writes = [w for w in app.store.ledger.of_run(run, connection=name) if not chosen or w.field in chosen]
    undone = Undone(run, name, Plan("", "", (), ()), [])
    updates = changes_of(undone, writes, connected.crm, app.store, targets, whole=not chosen)
    if not app.resolved.settings.privacy.names:
        undone.left = [replace(left, name=None) for left in undone.left]
    undone.plan = _plan(app, connected, info, run, updates, len({(write.object, write.record) for write in writes}))
    return undone


def changes_of(
    undone: Undone, writes: Sequence[Write], crm: Crm, store: Store, targets: Mapping[str, Target], *, whole: bool = True
) -> list[PlannedUpdate]:
    """What the CRM's present values leave to restore of these writes of one run, in the order of writing; all else is noted in ``undone``.

    ``targets``: by object; ``whole``: every field of the run, so that records that it made may be removed.
    """
    images: dict[str, dict[str, dict[str, Write]]] = {}
    for write in writes:
        if write.status in WRITTEN and write.action != "remove":
            images.setdefault(write.object, {}).setdefault(write.record, {}).setdefault(write.field, write)  # the first is that before the run
    known = store.observed(undone.connection)
    updates: list[PlannedUpdate] = []
    for object, mine in sorted(images.items()):
        if object not in targets:
            undone.left += [Left(record, None, None, f"the mapping writes no {object} any more") for record in sorted(mine)]
            continue
        target = targets[object]
        last, by_name = grains.last_written(store, target), target.by_name
        wanted = sorted({field for found in mine.values() for field in found if field in by_name})
        now = crm.fetch(object, sorted(mine), wanted, target.key_field)
        for record, found in sorted(mine.items()):
            seen = known.get(record) if target.grain in grains.DEALS else None
            one = _One(target, record, seen.name if seen else None, now.get(record), found, last, whole)
            if (update := one.update(undone, seen.group if seen else None)) is not None:
                updates.append(update)
    return sorted(updates, key=lambda u: (u.object, u.action, u.group or "", u.id))


def _chosen(only: Sequence[str], targets: Mapping[str, Target]) -> frozenset[str]:
    """The fields named, by CRM name or key. Raises UsageError for one that is no scorecard field: it would silently match nothing."""
    by_name = {name for target in targets.values() for name in target.by_name}
    found: set[str] = set()
    for word in only:
        named = {word} & by_name or {target.field_names[word] for target in targets.values() if word in target.field_names}
        if not named:
            near = nearest(word, by_name)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"{word!r} is no scorecard field of this connection{hint}", next_step=f"one of {', '.join(sorted(by_name))}")
        found |= named
    return frozenset(found)


@dataclass
class _One:
    """One record of a rollback: what it holds now, and the images of the run."""

    target: Target
    record: str
    name: str | None
    now: Record | None
    images: Mapping[str, Write]
    last: Mapping[tuple[str, str], Last]
    whole: bool

    def update(self, undone: Undone, group: str | None) -> PlannedUpdate | None:
        """What is to be written; None where nothing is."""
        made = any(image.action == "create" for image in self.images.values())
        if self.now is None:
            if made:
                undone.as_before += len(self.images)
            else:
                undone.left.append(Left(self.record, self.name, None, "the record was deleted or merged since"))
            return None
        seen = Observed(self.name, self.now.version, inputs_hash(self.now.values, ()), {}, group)
        reasons = {field: why for field, image in self.images.items() if (why := self._why_not(self.now, field, image))}
        undone.left += [Left(self.record, self.name, field, why) for field, why in reasons.items()]
        if made and self.whole and not reasons:
            return self.target.update(self.record, seen, [self._change(self.now, image, None) for image in self.images.values()], "remove")
        changes = []
        for field, image in self.images.items():
            if field in reasons or (made and field in self._identity):
                continue
            known = self.target.by_name[field]
            before = fields.text(known, image.before)
            if fields.text(known, self.now.values.get(field)) == before:
                undone.as_before += 1
            else:
                changes.append(self._change(self.now, image, before))
        return self.target.update(self.record, seen, changes) if changes else None

    @property
    def _identity(self) -> frozenset[str]:
        """They stay as long as the record does."""
        return frozenset(name for key, name in self.target.field_names.items() if key in IDENTITY)

    def _change(self, now: Record, image: Write, before: str | None) -> FieldChange:
        known = self.target.by_name[image.field]
        held = fields.text(known, now.values.get(image.field))
        kind: planning.ChangeKind = "empty" if before is None else "set" if held is None else "change"
        return FieldChange(known.key, image.field, held, fields.sent(known, before, self.target.crm), kind, (f"as before run {image.run}",))

    def _why_not(self, now: Record, field: str, image: Write) -> str | None:
        known = self.target.by_name.get(field)
        if known is None:
            return "the mapping does not name this field any more, so it may not be written"
        if image.scrubbed:
            return "the record was deleted once, and its values with it"
        text = fields.text(known, now.values.get(field))
        if text == fields.text(known, image.before):
            return None
        last = self.last.get((self.record, field))
        ours = last.text if last is not None else fields.text(known, image.after)
        return None if text == ours else "somebody else has changed it since"


def _plan(app: App, connected: Connected, info: OrgInfo, run: int, updates: Sequence[PlannedUpdate], population: int) -> Plan:
    scope = Scope(
        connection=connected.name, crm=connected.mapped.kind, org_id=info.org_id, mapping=app.definitions.version, as_of=info.now.isoformat(),
        population=population, unchanged=population - len(updates), held=0, rollback_of=run,
    )  # fmt: skip
    made = Plan("", app.clock.now().isoformat(), (scope,), tuple(updates))
    return made if app.resolved.settings.privacy.names else made.nameless()
