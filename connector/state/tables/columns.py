"""How values become columns, and the Core table of a declared class."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import JSON, Dialect, Table, Text, TypeDecorator
from sqlmodel import Field, SQLModel


class DecimalText(TypeDecorator[Decimal]):
    """A Decimal, digit for digit. SQLite's own NUMERIC is a float."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class WireText(TypeDecorator[Any]):
    """A JSON scalar as text, so that 10, 10.0 and "10" stay three values. SQLite would read text in a JSON column as a number."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)


def wire_column() -> Any:
    return Field(default=None, sa_type=WireText, nullable=True)


def money_column() -> Any:
    return Field(default=None, sa_type=DecimalText)


def json_column() -> Any:
    return Field(default=None, sa_type=JSON(none_as_null=True))


def key_column() -> Any:
    return Field(primary_key=True)


def table(model: type[SQLModel]) -> Table:
    """The Core table of a declared class."""
    found = SQLModel.metadata.tables[str(model.__tablename__)]
    assert isinstance(found, Table)
    return found
