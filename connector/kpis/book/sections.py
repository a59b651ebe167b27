"""The sections of a book and their columns (schema: kpis/golden.md section 2), and how their values become typed frames.

A section is rows (mappings) or a Polars frame. Values come typed (from the state) or as JSON text and numbers (from a file).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import polars as pl

from connector.clock import parse_instant
from connector.errors import InputError
from connector.kpis.book.money import MONEY, PLACES

Section = Sequence[Mapping[str, Any]] | pl.DataFrame
INSTANT = pl.Datetime("us", "UTC")

DEAL_DATES = (
    "proposal_sent_on", "loi_signed_on", "security_questionnaire_received_on", "security_questionnaire_completed_on", "contract_sent_on",
    "contract_signed_on", "first_case_on", "go_live_on", "pilot_started_on", "pilot_ended_on",
)  # fmt: skip

_SCHEMAS: dict[str, dict[str, str]] = {
    "accounts": {"text": "id name segment territory region parent merged_into key", "flag": "reference"},
    "owners": {"text": "id name key", "flag": "active"},
    "opportunities": {
        "text": "id name account owner pipeline deal_type currency lead_source product lost_reason segment territory stage raw_stage key",
        "money": "amount arr capital_amount projected_pull_through",
        "number": "probability contract_years",
        "instant": "created_at",
        "date": "closes_on " + " ".join(DEAL_DATES),
        "flag": "has_next_step primary_contact deleted standard_terms baa",
        "map": "dimensions",
    },
    "stage_history": {"text": "opportunity raw_stage stage id quality", "instant": "entered_at"},
    "closes_on_history": {"text": "opportunity by", "instant": "at", "date": "old new"},
    "owner_history": {"text": "opportunity owner", "instant": "at"},
    "amount_history": {"text": "opportunity", "instant": "at", "money": "amount"},
    "splits": {"text": "opportunity owner", "number": "share"},
    "gates": {"text": "opportunity gate result required quality", "date": "opened_on decided_on"},
    "contacts": {"text": "id account title role persona key"},
    "opportunity_contacts": {"text": "opportunity contact persona stance", "date": "added_on"},
    "activities": {
        "text": "id kind direction topic owner contact outcome created_by opportunity account",
        "date": "on due_on completed_on",
        "instant": "at",
        "list": "participants",
    },
    "leads": {"text": "id lead_source opportunity", "date": "mql_on sql_on sqo_on"},
    "tickets": {"text": "id account severity", "date": "opened_on"},
}


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


@lru_cache(maxsize=8192)
def _day_of_text(text: str) -> date:
    return date.fromisoformat(text)


def _day(value: Any) -> date | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        raise ValueError("an instant where a date is expected")
    return value if isinstance(value, date) else _day_of_text(value)


def _instant(value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("an instant without a time zone")
        return value
    return parse_instant(value)


def _money(value: Any) -> Decimal | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise ValueError("a flag where money is expected")
    return Decimal(str(value)).quantize(PLACES)


def _number(value: Any) -> float | None:
    return None if value is None or value == "" else float(value)


def _flag(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if value in (0, 1):
        return bool(value)
    raise ValueError("neither true nor false")


def _texts(value: Any) -> str | None:
    return ";".join(map(str, value)) if value else None


def _map(value: Any) -> dict[str, str | None] | None:
    """A mapping of names to texts; a value that is none is an error."""
    if value is None or value == {}:
        return None
    if not isinstance(value, Mapping):
        raise ValueError("no mapping")
    return {str(name): _text(held) for name, held in value.items()}


KINDS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "text": (_text, pl.String),
    "date": (_day, pl.Date),
    "instant": (_instant, INSTANT),
    "money": (_money, MONEY),
    "number": (_number, pl.Float64),
    "flag": (_flag, pl.Boolean),
    "list": (_texts, pl.String),  # joined by ";": a column of lists is slow to make and seldom read
    "map": (_map, pl.Object),  # becomes columns of its own, see :func:`unfolded`
}
EXPECTED = {
    "text": "text", "date": "a date", "instant": "an instant with a zone", "money": "an amount", "number": "a number",
    "flag": "true or false", "list": "a list", "map": "a mapping of names to texts",
}  # fmt: skip
SCHEMAS: dict[str, dict[str, str]] = {
    section: {name: kind for kind, names in kinds.items() for name in names.split()} for section, kinds in _SCHEMAS.items()
}
"""Section → column → kind of value."""


def _column(section: str, name: str, kind: str, values: list[Any]) -> pl.Series:
    convert, dtype = KINDS[kind]
    if kind == "text":
        with suppress(TypeError):  # the usual case, in one go; numbers among the texts take the slow path
            return pl.Series(name, values, dtype=dtype).replace("", None)
    try:
        return pl.Series(name, [convert(value) for value in values], dtype=dtype)
    except (ValueError, TypeError, InvalidOperation):
        for place, value in enumerate(values):
            try:
                convert(value)
            except (ValueError, TypeError, InvalidOperation):
                shown = "a value of a wrong kind" if isinstance(value, (dict, list)) else repr(value)
                raise InputError(f"{section}[{place}].{name}: {shown} is not {EXPECTED[kind]}", code="SC-E090") from None
        raise


def frame(section: str, rows: Section | None) -> pl.DataFrame:
    """The typed frame of one section, all columns of its schema, in the order of the rows. Raises InputError SC-E090 for a bad value."""
    schema = SCHEMAS[section]
    if isinstance(rows, pl.DataFrame):
        height, present = rows.height, set(rows.columns)
        source = {name: rows[name].to_list() for name in schema if name in present}
    else:
        height, present = len(rows or ()), {name for row in rows or () for name in row}
        source = {name: [row.get(name) for row in rows or ()] for name in schema if name in present}
    return pl.DataFrame(
        [
            _column(section, name, kind, source[name]) if name in source else pl.Series(name, [None], dtype=KINDS[kind][1]).new_from_index(0, height)
            for name, kind in schema.items()
        ]
    )


def unfolded(frame: pl.DataFrame, column: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """A frame whose column of mappings became one column of texts per name, and these names, sorted."""
    held = frame[column].to_list()
    names = tuple(sorted({name for mapping in held for name in mapping or ()}))
    columns = [pl.Series(name, [(mapping or {}).get(name) for mapping in held], dtype=pl.String) for name in names]
    return frame.drop(column).with_columns(columns), names
