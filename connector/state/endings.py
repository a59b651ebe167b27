"""Does the history of each deal end at what the deal says now?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import select

from connector.state.database import Database
from connector.state.tables.canonical import Changes, Opportunities
from connector.state.tables.columns import table

DEALS = table(Opportunities)
CHANGES = table(Changes)


@dataclass(frozen=True, slots=True)
class Ending:
    """A deal whose last change of a field is not its present value, both as canonical text."""

    opportunity: str
    field: str
    present: str | None
    last: str | None
    pipeline: str | None


def off(database: Database, connection: str, fields: Mapping[str, str], *, settled_by: datetime) -> list[Ending]:
    """Live deals whose history ends elsewhere. ``fields``: field of the change log → column of the deal.

    Left out: deals without history of the field, deals that moved after ``settled_by``, and deals whose history is newer than themselves
    (they were read first; the next run reads them again).
    """
    if not fields:
        return []
    changes = (
        select(CHANGES.c.opportunity, CHANGES.c.field, CHANGES.c.value, CHANGES.c.at)
        .where(CHANGES.c.connection == connection, CHANGES.c.field.in_(list(fields)))
        .order_by(CHANGES.c.at, CHANGES.c.id)
    )
    columns = [DEALS.c[column] for column in dict.fromkeys(fields.values()) if column != "native_pipeline"]
    deals = (
        select(DEALS.c.id, DEALS.c.modified_at, DEALS.c.native_pipeline, *columns)
        .where(DEALS.c.connection == connection, DEALS.c.deleted.is_(False), DEALS.c.merged_into.is_(None), DEALS.c.modified_at <= settled_by)
        .order_by(DEALS.c.id)
    )
    with database.read() as db:
        last = {(row.opportunity, row.field): row for row in db.execute(changes)}
        rows = list(db.execute(deals).mappings())
    found: list[Ending] = []
    for deal in rows:
        for field, column in fields.items():
            change = last.get((deal["id"], field))
            if change is not None and change.at <= deal["modified_at"] and _plain(field, change.value) != _plain(field, deal[column]):
                found.append(Ending(deal["id"], field, _plain(field, deal[column]), _plain(field, change.value), deal["native_pipeline"]))
    return found


def _plain(field: str, value: Any) -> str | None:
    """One spelling of a value, whichever side it comes from."""
    if value is None or value == "":
        return None
    if isinstance(value, date):
        return value.isoformat()
    if field == "closes_on":
        return str(value)[:10]
    if field == "amount":
        try:
            return str(Decimal(str(value)).normalize())
        except InvalidOperation:
            return str(value)
    return str(value)
