"""Apply exactly a saved plan: batch by batch re-read, leave alone what changed since, keep before-images, write, account for every record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Literal, Protocol

from connector.crms.base import Crm, Record, Update, WriteResult, inputs_hash
from connector.scorecard import fields
from connector.scorecard.fields import TECHNICAL
from connector.scorecard.plan import PlannedUpdate

OutcomeStatus = Literal["written", "unchanged", "stale", "rejected", "gone", "deferred"]
STATUSES: tuple[OutcomeStatus, ...] = ("written", "unchanged", "stale", "rejected", "gone", "deferred")
FINE = frozenset({"written", "unchanged"})
"""What leaves nothing to be told about: the CRM holds what was planned."""
LOCKED = "SC-E122"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one planned update. ``unchanged``: the CRM held the planned values already; nothing was sent. ``made``: the id of a record
    that was made; ``took``: of a rejected one the fields that the CRM took all the same.

    ``after``: field → canonical text that the CRM now holds, if written.
    """

    update: PlannedUpdate
    status: OutcomeStatus
    code: str | None = None
    crm_code: str | None = None
    message: str | None = None
    version: str | None = None
    made: str | None = None
    took: frozenset[str] = frozenset()

    @property
    def after(self) -> dict[str, str | None]:
        return {c.field: fields.text(self.update.field(c), c.after) for c in self.update.changes}


Due = tuple[PlannedUpdate, Record | None]
"""An update to be sent, and what the CRM holds; None: the record is to be made."""


class Ledger(Protocol):
    """Where before-images and results go. ``before`` is durable before the first byte of the batch is sent; ``still_ours`` raises where another
    process has taken over since, and may have settled what is pending."""

    def before(self, batch: Sequence[PlannedUpdate]) -> None: ...

    def still_ours(self) -> None: ...

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
    """One outcome per planned update, in plan order within a batch. Stops before the next batch when ``go_on`` says no. ``input_fields``: of a
    deal, whose change makes its update stale; of the other grains nothing is read but our own fields.

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
    """Of one object and one kind of write each."""
    for _, alike in groupby(planned, key=lambda update: (update.object, update.action)):
        while batch := tuple(islice(alike, size)):
            yield batch


@dataclass
class _Writer:
    crm: Crm
    input_fields: Sequence[str]
    ledger: Ledger

    def batch(self, batch: Sequence[PlannedUpdate]) -> list[Outcome]:
        """Re-read, leave out, before-images, write, account. What was locked is not accounted for yet."""
        outcomes, due = self._due(batch)
        if due:
            self.ledger.before([update for update, _ in due])
            outcomes |= self._sent(due)
        ordered = [outcomes[u.id] for u in batch]
        self.ledger.after([o for o in ordered if o.code != LOCKED])
        return ordered

    def alone(self, update: PlannedUpdate, *, try_again: bool) -> Outcome:
        """One record that was locked: read again, since its turn was long ago."""
        outcome = Outcome(update, "rejected", LOCKED, "UNABLE_TO_LOCK_ROW", "another process kept the record locked")
        if try_again:
            settled, due = self._due([update])
            self.ledger.still_ours()
            outcome = settled[update.id] if settled else self._sent(due)[update.id]
        self.ledger.after([outcome])
        return outcome

    def _due(self, batch: Sequence[PlannedUpdate]) -> tuple[dict[str, Outcome], list[Due]]:
        """(what is not to be written, with the reason; what is, with the fields that differ, and the record that is there)."""
        first = batch[0]
        inputs = self.input_fields if first.grain == "opportunity" else ()
        managed = {c.field for u in batch for c in u.changes}
        now = self.crm.fetch(first.object, [u.id for u in batch], sorted({*managed, *inputs}), first.key_field)
        outcomes: dict[str, Outcome] = {}
        due: list[Due] = []
        for update in batch:
            held = now.get(update.id)
            settled = _without(update, held, inputs)
            if settled is None:
                due.append((_differing(update, held), held))
            else:
                outcomes[update.id] = settled
        return outcomes, due

    def _sent(self, due: Sequence[Due]) -> dict[str, Outcome]:
        updates = [_update(planned, held) for planned, held in due]
        results = {result.id: result for result in self.crm.write(updates)}
        return {planned.id: _outcome(planned, results[sent.id]) for (planned, _), sent in zip(due, updates, strict=True)}


def _update(planned: PlannedUpdate, held: Record | None) -> Update:
    """What is sent: to the record that is there, by its own id; a record is made only where none is."""
    if planned.action == "remove":
        assert held is not None
        return Update(planned.object, held.id, {}, planned.group, "remove")
    values = {c.field: c.after for c in planned.changes}
    if held is None:
        made = {name: value for name, value in values.items() if name != planned.key_field}
        return Update(planned.object, planned.id, made, planned.group, "create", planned.key_field)
    return Update(planned.object, held.id, values, planned.group)


def _without(update: PlannedUpdate, record: Record | None, input_fields: Sequence[str]) -> Outcome | None:
    """What becomes of this record without a write, if so: it is gone, it holds everything already, or it changed since the plan in a way
    that matters."""
    if record is None or record.deleted:
        if update.action == "create":
            return None
        if update.action == "remove":
            return Outcome(update, "unchanged")
        return Outcome(update, "gone", code="SC-E128", message="the record was deleted or merged since the plan")
    held = {c.field: fields.text(update.field(c), record.values.get(c.field)) for c in update.changes}
    if update.action == "remove":
        edited = [c.field for c in update.changes if held[c.field] != c.before]
        return Outcome(update, "stale", code="SC-E108", message=f"{', '.join(edited)} changed since the plan") if edited else None
    wanted = {c.field: fields.text(update.field(c), c.after) for c in update.changes}
    of_weight = [c for c in update.changes if c.key not in TECHNICAL] or update.changes  # a rollback may have the stamp alone to restore
    if all(held[c.field] == wanted[c.field] for c in of_weight):
        return Outcome(update, "unchanged", version=record.version)
    overwritten = [c.field for c in update.changes if held[c.field] not in (c.before, wanted[c.field])]
    if overwritten:
        return Outcome(update, "stale", code="SC-E108", message=f"{', '.join(overwritten)} changed since the plan")
    if update.grain == "opportunity" and inputs_hash(record.values, input_fields) != update.inputs_hash:
        return Outcome(update, "stale", code="SC-E108", message="the deal changed since the plan")  # the version tells less: edits share a second
    return None


def _differing(update: PlannedUpdate, record: Record | None) -> PlannedUpdate:
    """The same with the fields only that do not hold the wanted value yet."""
    if record is None or update.action == "remove":
        return update
    differ = tuple(c for c in update.changes if fields.text(update.field(c), record.values.get(c.field)) != fields.text(update.field(c), c.after))
    return update if len(differ) == len(update.changes) else replace(update, changes=differ)


def _outcome(update: PlannedUpdate, result: WriteResult) -> Outcome:
    return Outcome(update, result.status, result.code, result.crm_code, result.message, result.version, result.made, result.took)


def tally(outcomes: Sequence[Outcome]) -> Mapping[str, int]:
    """planned, then how many of each status."""
    return {"planned": len(outcomes), **{status: sum(o.status == status for o in outcomes) for status in STATUSES}}
