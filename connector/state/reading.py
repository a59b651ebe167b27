"""Whole tables as plain rows, fast: past SQLAlchemy's per-value types, one pass per column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import JSON, Boolean, Connection, Date
from sqlmodel import UTCDateTime

from connector.state.tables.canonical import CANONICAL
from connector.state.tables.columns import DecimalText

Row = dict[str, Any]


@lru_cache(maxsize=16384)
def _day(text: str) -> date:
    return date.fromisoformat(text)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


KINDS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (UTCDateTime, _instant),
    (Date, _day),
    (DecimalText, lru_cache(maxsize=16384)(Decimal)),
    (Boolean, bool),
    (JSON, orjson.loads),
)
"""Column type → how its stored text or number becomes a value. Text is itself."""


def read(db: Connection, name: str, connection: str, columns: Sequence[str], order: Sequence[str]) -> list[Row]:
    """The rows of one connection of a canonical table, typed, with these columns, in this order."""
    target = CANONICAL[name]
    wanted, sorting = (", ".join(f'"{column}"' for column in names) for names in (columns, order))
    query = f'SELECT {wanted} FROM "{name}" WHERE connection = ? ORDER BY {sorting}'
    found = db.exec_driver_sql(query, (connection,)).all()
    if not found:
        return []
    typed = [_typed(target.c[column].type, values) for column, values in zip(columns, zip(*found, strict=True), strict=True)]
    return [dict(zip(columns, values, strict=True)) for values in zip(*typed, strict=True)]


def _typed(kind: object, values: Sequence[Any]) -> Sequence[Any]:
    for declared, convert in KINDS:
        if isinstance(kind, declared):
            return [None if value is None else convert(value) for value in values]
    return values
