"""Own snapshots of measures: what a KPI said on past days, which no CRM keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import select

from connector.state.database import Database, upsert
from connector.state.tables import Snapshots, table

SNAPSHOTS = table(Snapshots)


class MeasureBook:
    """Save and read snapshots."""

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
