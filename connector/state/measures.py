"""Own snapshots of measures: what a KPI said on past days, which no CRM keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import and_, delete, exists, func, or_, select

from connector.state.database import Database, upsert
from connector.state.tables.columns import table
from connector.state.tables.control import Snapshots

SNAPSHOTS = table(Snapshots)


DAILY = timedelta(days=100)
"""How long every day is kept; see :meth:`MeasureBook.prune`."""


class MeasureBook:
    """Save, read and thin out snapshots."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, connection: str, on: date, measures: Iterable[Mapping[str, Any]]) -> int:
        """Keep one value per measure and day, the last one of a day counts. Returns how many.

        A measure has kpi and subject, may have variant, window, value, ci_low, ci_high, n. None of them need be set.
        """
        rows = [
            {
                "connection": connection, "kpi": measure["kpi"], "variant": measure.get("variant") or "", "subject": measure["subject"],
                "window": measure.get("window") or "", "on": on, "value": _number(measure.get("value")),
                "ci_low": _number(measure.get("ci_low")), "ci_high": _number(measure.get("ci_high")), "n": measure.get("n"),
            }
            for measure in measures
        ]  # fmt: skip
        with self._database.write() as db:
            upsert(db, SNAPSHOTS, rows)
        return len(rows)

    def taken(self, connection: str, on: date) -> bool:
        """Whether there are snapshots of a day."""
        query = select(SNAPSHOTS.c.kpi).where(SNAPSHOTS.c.connection == connection, SNAPSHOTS.c.on == on).limit(1)
        with self._database.read() as db:
            return db.execute(query).first() is not None

    def prune(self, connection: str, today: date, keep: Sequence[date] = ()) -> int:
        """Thin out what is older than 100 days: of every measure and month the first and the last snapshot stay. Returns how many went.

        The last of a month is what no-gos go by, the first of a quarter what a forecast is judged by. ``keep``: days (of the baseline) of
        which the last snapshot on or before them stays as well.
        """
        other = SNAPSHOTS.alias("other")
        same = and_(*(other.c[column] == SNAPSHOTS.c[column] for column in ("connection", "kpi", "variant", "subject", "window")))
        month = func.strftime("%Y-%m", other.c.on) == func.strftime("%Y-%m", SNAPSHOTS.c.on)
        gone = [
            SNAPSHOTS.c.connection == connection,
            SNAPSHOTS.c.on < today - DAILY,
            exists().where(same, month, other.c.on > SNAPSHOTS.c.on),
            exists().where(same, month, other.c.on < SNAPSHOTS.c.on),
        ]
        gone += [or_(SNAPSHOTS.c.on > day, exists().where(same, other.c.on > SNAPSHOTS.c.on, other.c.on <= day)) for day in keep]
        with self._database.write() as db:
            return db.execute(delete(SNAPSHOTS).where(*gone)).rowcount

    def read(self, connection: str, *, kpis: Sequence[str] = (), since: date | None = None) -> list[dict[str, Any]]:
        """Rows {kpi, variant, subject, window, date, value, ci_low, ci_high, n}, oldest first; window None where a measure has none."""
        query = select(SNAPSHOTS).where(SNAPSHOTS.c.connection == connection)
        if kpis:
            query = query.where(SNAPSHOTS.c.kpi.in_(kpis))
        if since is not None:
            query = query.where(SNAPSHOTS.c.on >= since)
        order = (SNAPSHOTS.c.on, SNAPSHOTS.c.kpi, SNAPSHOTS.c.variant, SNAPSHOTS.c.subject, SNAPSHOTS.c.window)
        with self._database.read() as db:
            rows = db.execute(query.order_by(*order)).all()
        return [
            {
                "kpi": row.kpi, "variant": row.variant, "subject": row.subject, "window": row.window or None, "date": row.on,
                "value": row.value, "ci_low": row.ci_low, "ci_high": row.ci_high, "n": row.n,
            }
            for row in rows
        ]  # fmt: skip


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
