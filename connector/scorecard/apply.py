"""Apply exactly a saved plan: batch by batch re-read, leave alone what changed since, keep before-images, write, account for every record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from connector.crms.base import Crm, Record, Update, WriteResult, inputs_hash
from connector.scorecard import fields
from connector.scorecard.fields import MANIFEST
from connector.scorecard.plan import PlannedUpdate

OutcomeStatus = Literal["written", "stale", "rejected", "gone", "deferred"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one planned update. ``after``: field → canonical text that the CRM now holds, if written."""

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
    """One outcome per planned update, in plan order within a batch. Stops before the next batch when ``go_on`` says no."""
    for batch in _batches(planned, batch_size):
        if not go_on():
            return
        outcomes = _apply_batch(batch, crm, input_fields, ledger)
        yield from outcomes


def _batches(planned: Sequence[PlannedUpdate], size: int) -> Iterator[tuple[PlannedUpdate, ...]]:
    for start in range(0, len(planned), size):
        yield tuple(planned[start : start + size])


def _apply_batch(batch: Sequence[PlannedUpdate], crm: Crm, input_fields: Sequence[str], ledger: Ledger) -> list[Outcome]:
    managed = sorted({c.field for u in batch for c in u.changes})
    wanted = sorted({*managed, *input_fields})
    now = crm.fetch(batch[0].object, [u.id for u in batch], wanted)
    outcomes = {u.id: refusal for u in batch if (refusal := _refusal(u, now.get(u.id), input_fields))}
    sound = [u for u in batch if u.id not in outcomes]
    if sound:
        ledger.before(sound)
        results = {r.id: r for r in crm.write([Update(u.object, u.id, {c.field: c.after for c in u.changes}) for u in sound])}
        outcomes |= {u.id: _outcome(u, results[u.id]) for u in sound}
    ordered = [outcomes[u.id] for u in batch]
    ledger.after(ordered)
    return ordered


def _refusal(update: PlannedUpdate, record: Record | None, input_fields: Sequence[str]) -> Outcome | None:
    """Why this record must not be written now, if so: it is gone, or it changed since the plan in a way that matters."""
    if record is None or record.deleted:
        return Outcome(update, "gone", code="SC-E128", message="the record was deleted or merged since the plan")
    overwritten = [c.field for c in update.changes if fields.text(MANIFEST[c.key], record.values.get(c.field)) != c.before]
    if overwritten:
        return Outcome(update, "stale", code="SC-E108", message=f"{', '.join(overwritten)} changed since the plan")
    if inputs_hash(record.values, input_fields) != update.inputs_hash:  # not the version: two edits can share a second
        return Outcome(update, "stale", code="SC-E108", message="the deal changed since the plan")
    return None


def _outcome(update: PlannedUpdate, result: WriteResult) -> Outcome:
    return Outcome(update, result.status, result.code, result.crm_code, result.message, result.version)


def tally(outcomes: Sequence[Outcome]) -> Mapping[str, int]:
    """planned, written, stale, rejected, gone, deferred."""
    counted = {status: sum(o.status == status for o in outcomes) for status in ("written", "stale", "rejected", "gone", "deferred")}
    return {"planned": len(outcomes), **counted}
