"""What the last run found of what people change outside the state, so that the next one can tell that somebody did."""

from __future__ import annotations

from sqlalchemy import delete, select

from connector.state.audit import append
from connector.state.database import Database, Now, upsert
from connector.state.tables.columns import table
from connector.state.tables.control import Witnessed

WITNESSED = table(Witnessed)


class WitnessBook:
    """Name → digest, and a row of the audit for each that changes."""

    def __init__(self, database: Database, clock: Now) -> None:
        self._database = database
        self._clock = clock

    def known(self) -> dict[str, str]:
        with self._database.read() as db:
            return {row.name: row.digest for row in db.execute(select(WITNESSED.c.name, WITNESSED.c.digest))}

    def forget(self, prefix: str) -> None:
        """What was seen under names that begin so, as if it never had been."""
        with self._database.write() as db:
            db.execute(delete(WITNESSED).where(WITNESSED.c.name.startswith(prefix, autoescape=True)))

    def note(self, name: str, before: str | None, digest: str | None, action: str, *, with_hashes: bool) -> bool:
        """This is what stands there now (None: nothing any more), with its row in the audit. ``before``: what :meth:`known` said: of two
        processes that see the same change one records it, the other gets False."""
        now = self._clock.now()
        with self._database.write() as db:
            if db.scalar(select(WITNESSED.c.digest).where(WITNESSED.c.name == name)) != before:
                return False
            if digest is None:
                db.execute(delete(WITNESSED).where(WITNESSED.c.name == name))
            else:
                upsert(db, WITNESSED, [{"name": name, "digest": digest, "at": now}])
            append(db, now, action, name, {"before": before, "after": digest} if with_hashes else {})
        return True
