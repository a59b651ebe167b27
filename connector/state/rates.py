"""Exchange rates as a connection's CRM knows them: read once a day, replaced as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import select

from connector.state.database import Database, upsert
from connector.state.tables.columns import table
from connector.state.tables.control import ExchangeRates

RATES = table(ExchangeRates)
Dated = tuple[str, date, Decimal]
"""Currency, day from which the rate holds, units of the home currency for one unit."""


@dataclass(frozen=True, slots=True)
class Known:
    """``home``: the CRM's own currency, in which the rates are told."""

    taken_at: datetime
    home: str
    rates: tuple[Dated, ...]


class RateBook:
    """One row a connection."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, connection: str) -> Known | None:
        """None where the CRM was never asked."""
        query = select(RATES.c.taken_at, RATES.c.home, RATES.c.content).where(RATES.c.connection == connection)
        with self._database.read() as db:
            row = db.execute(query).one_or_none()
        if row is None:
            return None
        return Known(row.taken_at, row.home, tuple((code, date.fromisoformat(day), Decimal(value)) for code, day, value in row.content))

    def keep(self, connection: str, home: str, rates: Sequence[Dated], at: datetime) -> None:
        """These are the rates now; what was known before is forgotten."""
        content = [[code, day.isoformat(), str(value)] for code, day, value in sorted(rates)]
        with self._database.write() as db:
            upsert(db, RATES, [{"connection": connection, "taken_at": at, "home": home, "content": content}])
