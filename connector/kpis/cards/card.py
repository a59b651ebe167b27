"""What the scorecards of accounts, key opinion leaders, reps and snapshots have in common: a card, and values as the KPIs have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from connector.kpis.book.book import Book, derived
from connector.kpis.book.money import PLACES
from connector.kpis.compute import known
from connector.kpis.definition import Row
from connector.model.scorecard_fields import Row as Field


@dataclass(frozen=True, slots=True)
class Card:
    """One scorecard. ``subject``: the record (an id), or the key of the row; ``name``: what people call it, None where nothing is kept.

    ``values``: key of the grain → Decimal for money in the reporting currency, float 0–1 for percents, int, float or Decimal for numbers, date,
    str, list[str], bool; None: unknown or not applicable, never 0. A key that is absent stays as it was last written. ``why``: key → what the
    value rests on, in sentences.
    """

    subject: str
    name: str | None
    values: Mapping[str, object]
    why: Mapping[str, tuple[str, ...]]


@cache
def _by_key(fields: tuple[Field, ...]) -> Mapping[str, Field]:
    return {field.key: field for field in fields}


class Sheet:
    """A card in the making. ``fields``: those of its grain, whose numbers have so many digits."""

    def __init__(self, subject: str, name: str | None, fields: tuple[Field, ...]) -> None:
        self._subject, self._name = subject, name
        self._fields = _by_key(fields)
        self._values: dict[str, object] = {}
        self._why: dict[str, tuple[str, ...]] = {}

    def put(self, key: str, value: object, *why: str) -> None:
        """A value and its sentences; empty ones are left out. A number that its field cannot hold is left out, and that is said."""
        field = self._fields[key]
        if isinstance(value, int | float | Decimal) and not field.holds(value):
            value, why = None, (f"no value: more than {field.digits} digits before the point", *why)
        self._values[key] = value
        self._why[key] = tuple(sentence for sentence in why if sentence)

    def card(self) -> Card:
        """The card."""
        return Card(self._subject, self._name, self._values, self._why)


@derived
def rows_of(book: Book, kpi: str, variant: str = "", window: str | None = None) -> dict[str, Row]:
    """Subject → what a KPI says of it. ``window``: its label; None: whichever the KPI yields first."""
    found: dict[str, Row] = {}
    for row in _rows(book, kpi):
        if row.variant == variant and window in (None, row.window):
            found.setdefault(row.subject, row)
    return found


@derived
def _rows(book: Book, kpi: str) -> tuple[Row, ...]:
    return tuple(known([kpi])[0].rows(book))


def decimal(value: object) -> Decimal | None:
    """Money of a measure as a Decimal: the number its float stands for, to ten places; None stays None.

    >>> decimal(0.1), decimal(120000.0), decimal(None)
    (Decimal('0.1000000000'), Decimal('120000.0000000000'), None)
    """
    return None if value is None else Decimal(str(value)).quantize(PLACES)


def summed(row: Row | None) -> Decimal | None:
    """A sum of money that a KPI made; 0 over nothing, None where it is null, or none of what there is has an amount."""
    if row is None:
        return Decimal(0)
    return None if row.n == 0 and any((row.excluded or {}).values()) else decimal(row.value)


def percent(share: float) -> str:
    """
    >>> percent(0.825)
    '82.5 %'
    """
    return f"{share * 100:.4g} %"


def left_out(row: Row | None) -> str:
    """What a sum or ratio leaves out, in words; empty where that is nothing."""
    counted = {} if row is None else {why: number for why, number in (row.excluded or {}).items() if number}
    return f"left out: {', '.join(f'{why} {number}' for why, number in sorted(counted.items()))}" if counted else ""


def nothing(row: Row | None, lacking: str) -> str:
    """Why there is no value; ``lacking`` where the KPI has no row at all."""
    return lacking if row is None else f"no value: {row.reason or 'unknown'}"


def listed(names: Iterable[str], most: int = 5) -> str:
    """Names of records, the first few of them.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    every = list(names)
    shown = ", ".join(every[:most])
    return shown if len(every) <= most else f"{shown} and {len(every) - most} more"
