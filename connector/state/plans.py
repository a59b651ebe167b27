"""Saved plans: which exist, where their file is, what its hash was, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Integer, cast, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from connector.errors import Blocked, StateError
from connector.state.audit import append
from connector.state.database import Database, Now
from connector.state.tables.columns import table
from connector.state.tables.control import Plans

PLANS = table(Plans)
Status = Literal["saved", "awaiting", "approved", "applied", "partial", "rejected", "superseded"]
OPEN: tuple[Status, ...] = ("saved", "awaiting", "approved", "partial")
"""What a plan may be while something of it is still to be written."""


class NumberTaken(StateError):
    """Another process has saved a plan under this number since it was given out."""


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """``id`` is text of at least four digits; ``reason``: why it waits, or why it was rejected; ``decided_at``: when its status last changed."""

    id: str
    created_at: datetime
    as_of: datetime | None
    status: str
    path: str
    sha256: str
    summary: Mapping[str, Any] | None
    reason: str | None
    decided_at: datetime | None = None

    def still_open(self) -> SavedPlan:
        """Itself. Raises Blocked SC-E109 where it is no longer to be applied."""
        if self.status not in OPEN:
            raise Blocked(f"plan {self.id} is {self.status} already", code="SC-E109")
        return self

    @property
    def guards(self) -> Mapping[str, Sequence[Sequence[str]]]:
        """Connection → (code, words) of each guard because of which its part waited when it was made."""
        return dict((self.summary or {}).get("guards", {}))

    @property
    def parts(self) -> Mapping[str, str]:
        """Connection → applied or partial, of those whose part has been tried."""
        return dict((self.summary or {}).get("parts", {}))


class PlanBook:
    """Number, save and look up plans."""

    def __init__(self, database: Database, clock: Now) -> None:
        self._database = database
        self._clock = clock

    def next_id(self) -> str:
        """The number after the highest saved one. Two processes may be told the same; :meth:`save` lets only one have it."""
        with self._database.read() as db:
            highest = db.scalar(select(func.max(cast(PLANS.c.id, Integer)))) or 0
        return f"{highest + 1:04d}"

    def save(
        self,
        id: str,
        *,
        path: str,
        sha256: str,
        as_of: datetime | None = None,
        status: Status = "saved",
        summary: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> SavedPlan:
        """Raises NumberTaken where another plan has the number."""
        plan = SavedPlan(id, self._clock.now(), as_of, status, path, sha256, None if summary is None else dict(summary), reason)
        values = {name: getattr(plan, name) for name in SavedPlan.__slots__}
        try:
            with self._database.write() as db:
                db.execute(insert(PLANS).values(values))
                append(
                    db,
                    plan.created_at,
                    "plan.saved",
                    f"plan {id}",
                    {"plan": id, "sha256": sha256, "status": status, "waits": reason, **(summary or {})},
                )
        except IntegrityError as error:
            raise NumberTaken(f"plan {id} exists already", next_step="make the plan again") from error
        return plan

    def get(self, id: str) -> SavedPlan:
        """Raises StateError SC-E184 for an unknown number."""
        with self._database.read() as db:
            row = db.execute(select(PLANS).where(PLANS.c.id == id)).mappings().first()
        if row is None:
            raise StateError(f"no plan {id}", code="SC-E184", next_step="connector plans list")
        return SavedPlan(**row)

    def find(self, *, statuses: Sequence[Status] = (), limit: int = 100) -> list[SavedPlan]:
        """Newest first."""
        query = select(PLANS).order_by(cast(PLANS.c.id, Integer).desc()).limit(limit)
        if statuses:
            query = query.where(PLANS.c.status.in_(statuses))
        with self._database.read() as db:
            return [SavedPlan(**row) for row in db.execute(query).mappings()]

    def decided_before(self, cutoff: datetime) -> list[SavedPlan]:
        """Plans of which nothing more is to come since then: applied, rejected, superseded, or saved and left."""
        over = func.coalesce(PLANS.c.decided_at, PLANS.c.created_at) < cutoff
        with self._database.read() as db:
            rows = db.execute(select(PLANS).where(over, PLANS.c.status.not_in(("awaiting", "approved"))).order_by(PLANS.c.id)).mappings()
            return [SavedPlan(**row) for row in rows]

    def forget(self, connection: str) -> None:
        """Rows stay, so that no number comes twice, without what they say of a connection; one that is about nothing else is over."""
        for saved in self.find(limit=-1):
            named = list((saved.summary or {}).get("connections", ()))
            if connection not in named:
                continue
            others = [name for name in named if name != connection]
            said = [part for part in (saved.reason or "").split("; ") if part.partition(":")[0] in others]
            values = {"summary": {**(saved.summary or {}), "connections": others} if others else None, "reason": "; ".join(said) or None}
            with self._database.write() as db:
                db.execute(update(PLANS).where(PLANS.c.id == saved.id).values(**values, status=saved.status if others else "superseded"))

    def rewritten(self, id: str, sha256: str, why: str) -> None:
        """The file of a plan is about to be another: its new hash, and both in the audit."""
        with self._database.write_durably() as db:
            before = db.scalar(select(PLANS.c.sha256).where(PLANS.c.id == id))
            db.execute(update(PLANS).where(PLANS.c.id == id).values(sha256=sha256))
            append(db, self._clock.now(), "plan.scrubbed", f"plan {id}", {"plan": id, "before": before, "sha256": sha256, "why": why})

    def supersede(self, newer: str, connections: Sequence[str]) -> list[str]:
        """Older plans of the same connections that still await approval need none any more: ``newer`` holds what they did, as of now."""
        older = [
            p.id for p in self.find(statuses=("awaiting",)) if p.id != newer and set((p.summary or {}).get("connections", ())) <= set(connections)
        ]
        return [id for id in older if self.set_status(id, "superseded", reason=f"plan {newer} takes its place", expected=("awaiting",))]

    def part(self, id: str, connection: str, became: Literal["applied", "partial"]) -> Mapping[str, str]:
        """One connection's part of a plan has been tried; all that have, as :attr:`SavedPlan.parts`."""
        with self._database.write() as db:
            summary = db.scalar(select(PLANS.c.summary).where(PLANS.c.id == id)) or {}
            parts: dict[str, str] = {**summary.get("parts", {}), connection: became}
            db.execute(update(PLANS).where(PLANS.c.id == id).values(summary={**summary, "parts": parts}))
        return parts

    def set_status(self, id: str, status: Status, *, reason: str | None = None, expected: Sequence[Status] = ()) -> bool:
        """True if changed. ``expected``: only from one of these, so that of two who decide at once one wins. A reason is kept if none is given.

        Raises StateError SC-E184 for an unknown number.
        """
        query = update(PLANS).where(PLANS.c.id == id)
        if expected:
            query = query.where(PLANS.c.status.in_(expected))
        values: dict[str, Any] = {"status": status, "decided_at": self._clock.now(), **({} if reason is None else {"reason": reason})}
        with self._database.write() as db:
            changed = db.execute(query.values(values)).rowcount == 1
            if changed:
                sha256 = db.scalar(select(PLANS.c.sha256).where(PLANS.c.id == id))
                append(db, self._clock.now(), f"plan.{status}", f"plan {id}", {"plan": id, "sha256": sha256, "reason": reason})
        if not changed:
            self.get(id)
        return changed
