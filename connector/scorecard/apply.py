"""Apply exactly a saved plan: batch by batch re-read, leave alone what changed since, keep before-images, write, account for every record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from connector.crms.base import Crm, Record, Update, WriteResult, inputs_hash
from connector.scorecard import fields
from connector.scorecard.fields import MANIFEST, TECHNICAL
from connector.scorecard.plan import FieldChange, PlannedUpdate

OutcomeStatus = Literal["written", "unchanged", "stale", "rejected", "gone", "deferred"]
STATUSES: tuple[OutcomeStatus, ...] = ("written", "unchanged", "stale", "rejected", "gone", "deferred")
FINE = frozenset({"written", "unchanged"})
"""What leaves nothing to be told about: the CRM holds what was planned."""
LOCKED = "SC-E122"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one planned update. ``unchanged``: the CRM held the planned values already; nothing was sent.

    ``after``: field → canonical text that the CRM now holds, if written.
    """

    update: PlannedUpdate
    status: OutcomeStatus
    code: str | None = None
    crm_code: str | None = None
    message: str | None = None
    version: str | None = None

    @property
    def after(self) -> dict[str, str | None]:
        return {c.field: fields.text(MANIFEST[c.key], c.after) for c in self.update.changes}


class Ledger(Protocol):
    """Where before-images and results go. ``before`` is durable before the first byte of the batch is sent."""

    def before(self, batch: Sequence[PlannedUpdate]) -> None: ...

    def after(self, outcomes: Sequence[Outcome]) -> None: ...


def apply(
    planned: Sequence[PlannedUpdate],
    crm: Crm,
    input_fields: Sequence[str],
    ledger: Ledger,
    *,
    batch_size: int,
    go_on: Callable[[], bool] = lambda: True,
) -> Iterator[Outcome]:
    """One outcome per planned update, in plan order within a batch. Stops before the next batch when ``go_on`` says no.

    Records that another process keeps locked come alone after all others: their before-images are there already, and their rows stay
    pending until then.
    """
    writer = _Writer(crm, input_fields, ledger)
    locked: list[PlannedUpdate] = []
    stopped = False
    for batch in _batches(planned, batch_size):
        if stopped := not go_on():
            break
        for outcome in writer.batch(batch):
            if outcome.code == LOCKED and outcome.status == "rejected":
                locked.append(outcome.update)
            else:
                yield outcome
    for update in locked:
        yield writer.alone(update, try_again=not stopped and go_on())


def _batches(planned: Sequence[PlannedUpdate], size: int) -> Iterator[tuple[PlannedUpdate, ...]]:
    for start in range(0, len(planned), size):
        yield tuple(planned[start : start + size])


@dataclass
class _Writer:
    crm: Crm
    input_fields: Sequence[str]
    ledger: Ledger

    def batch(self, batch: Sequence[PlannedUpdate]) -> list[Outcome]:
        """Re-read, leave out, before-images, write, account. What was locked is not accounted for yet."""
        outcomes, due = self._due(batch)
        if due:
            self.ledger.before(due)
            outcomes |= self._sent(due)
        ordered = [outcomes[u.id] for u in batch]
        self.ledger.after([o for o in ordered if o.code != LOCKED])
        return ordered

    def alone(self, update: PlannedUpdate, *, try_again: bool) -> Outcome:
        """One record that was locked: read again, since its turn was long ago."""
        outcome = Outcome(update, "rejected", LOCKED, "UNABLE_TO_LOCK_ROW", "another process kept the record locked")
        if try_again:
            refused, due = self._due([update])
            outcome = refused[update.id] if refused else self._sent(due)[update.id]
        self.ledger.after([outcome])
        return outcome

    def _due(self, batch: Sequence[PlannedUpdate]) -> tuple[dict[str, Outcome], list[PlannedUpdate]]:
        """(what is not to be written, with the reason; what is, with the fields that differ)."""
        managed = {c.field for u in batch for c in u.changes}
        now = self.crm.fetch(batch[0].object, [u.id for u in batch], sorted({*managed, *self.input_fields}))
        outcomes: dict[str, Outcome] = {}
        due = []
        for update in batch:
            refusal = _refusal(update, now.get(update.id), self.input_fields)
            if refusal is None:
                due.append(_differing(update, now[update.id]))
            else:
                outcomes[update.id] = refusal
        return outcomes, due

    def _sent(self, due: Sequence[PlannedUpdate]) -> dict[str, Outcome]:
        updates = [Update(u.object, u.id, {c.field: c.after for c in u.changes}, u.group) for u in due]
        results = {r.id: r for r in self.crm.write(updates)}
        return {u.id: _outcome(u, results[u.id]) for u in due}


def _refusal(update: PlannedUpdate, record: Record | None, input_fields: Sequence[str]) -> Outcome | None:
    """Why this record must not be written now, if so: it is gone, it holds everything already, or it changed since the plan in a way that matters."""
    if record is None or record.deleted:
        return Outcome(update, "gone", code="SC-E128", message="the record was deleted or merged since the plan")
    held = {c.field: fields.text(MANIFEST[c.key], record.values.get(c.field)) for c in update.changes}
    of_weight = [c for c in update.changes if c.key not in TECHNICAL] or update.changes  # a rollback may have the stamp alone to restore
    if all(held[c.field] == _wanted(c) for c in of_weight):
        return Outcome(update, "unchanged", version=record.version)
    overwritten = [c.field for c in update.changes if held[c.field] not in (c.before, _wanted(c))]
    if overwritten:
        return Outcome(update, "stale", code="SC-E108", message=f"{', '.join(overwritten)} changed since the plan")
    if inputs_hash(record.values, input_fields) != update.inputs_hash:  # not the version: two edits can share a second
        return Outcome(update, "stale", code="SC-E108", message="the deal changed since the plan")
    return None


def _differing(update: PlannedUpdate, record: Record) -> PlannedUpdate:
    """The same with the fields only that do not hold the wanted value yet."""
    differ = tuple(c for c in update.changes if fields.text(MANIFEST[c.key], record.values.get(c.field)) != _wanted(c))
    return update if len(differ) == len(update.changes) else replace(update, changes=differ)


def _wanted(change: FieldChange) -> str | None:
    return fields.text(MANIFEST[change.key], change.after)


def _outcome(update: PlannedUpdate, result: WriteResult) -> Outcome:
    return Outcome(update, result.status, result.code, result.crm_code, result.message, result.version)


def tally(outcomes: Sequence[Outcome]) -> Mapping[str, int]:
    """planned, then how many of each status."""
    return {"planned": len(outcomes), **{status: sum(o.status == status for o in outcomes) for status in STATUSES}}
