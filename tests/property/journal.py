"""The ledger of a push, on the real state, of a process that dies where it is told to."""

from __future__ import annotations

from collections.abc import Sequence

from connector.scorecard.apply import Outcome
from connector.scorecard.plan import PlannedUpdate
from connector.state import ledger
from connector.state.store import Store
from connector.sync import LEDGER_STATUS


class Died(BaseException):
    """The process is dead."""


class Journal:
    """``dies``: ``before the write``, ``after the write``, or empty: not at all."""

    def __init__(self, store: Store, connection: str, run: int, dies: str) -> None:
        self.store, self.connection, self.run, self.dies = store, connection, run, dies

    def before(self, batch: Sequence[PlannedUpdate]) -> None:
        images = [ledger.Image(u.object, u.id, c.field, c.before, c.after, u.grain, u.action) for u in batch for c in u.changes]
        self.store.ledger.before_images(self.run, "0001", self.connection, images, fence=None)
        if self.dies == "before the write":
            raise Died

    def still_ours(self) -> None:
        """Nobody else works on this state."""

    def after(self, outcomes: Sequence[Outcome]) -> None:
        if self.dies == "after the write":
            raise Died
        told = [ledger.Outcome(o.update.object, o.update.id, LEDGER_STATUS[o.status], o.code, made=o.made) for o in outcomes if o.status != "stale"]
        self.store.ledger.results(self.run, self.connection, told)
