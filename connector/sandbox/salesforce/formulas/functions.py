"""What the functions and operators of formulas do with values. A blank is None; what cannot be worked out raises Unworkable."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any

NUMBER, TEXT, DATE, DATETIME, BOOLEAN, PICKLIST, MULTI, ANY = "Number", "Text", "Date", "DateTime", "Boolean", "Picklist", "Multipicklist", "Any"


class Unworkable(Exception):
    """What a page shows as #Error! and the API as null."""


@dataclass(frozen=True, slots=True)
class Function:
    """``takes``: the kind of each parameter, the last one repeats; ``gives``: the kind of the result, or the place of the parameter
    whose kind it has. ``strict``: blank in any parameter is blank out."""

    least: int
    most: int
    takes: tuple[str, ...]
    gives: str
    act: Callable[..., Any]
    strict: bool = True


def plus(left: Any, right: Any) -> Any:
    if isinstance(left, date) and isinstance(right, date):
        raise Unworkable
    if isinstance(left, datetime):
        return left + timedelta(days=float(right))
    if isinstance(right, datetime):
        return right + timedelta(days=float(left))
    if isinstance(left, date):
        return left + timedelta(days=int(right))
    if isinstance(right, date):
        return right + timedelta(days=int(left))
    return left + right


def minus(left: Any, right: Any) -> Any:
    if isinstance(left, datetime) and isinstance(right, datetime):
        return Decimal(str((left - right) / timedelta(days=1)))
    if isinstance(left, date) and isinstance(right, date):
        return Decimal((left - right).days)
    if isinstance(left, date):
        return plus(left, -right)
    return left - right


def over(left: Decimal, right: Decimal) -> Decimal:
    if right == 0:
        raise Unworkable
    return left / right


def raised(left: Decimal, right: Decimal) -> Decimal:
    try:
        found = left**right
    except ArithmeticError as problem:
        raise Unworkable from problem
    return found


ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {"+": plus, "-": minus, "*": operator.mul, "/": over, "^": raised}
ORDER: Mapping[str, Callable[[Any, Any], bool]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def equal(left: Any, right: Any) -> bool:
    """Blank equals blank and empty text; text is compared as it is written."""
    return (None if left == "" else left) == (None if right == "" else right)


def date_value(value: Any, zone: tzinfo) -> date:
    """The day on which an instant falls where the reader is; a text of the form 2026-11-20."""
    if isinstance(value, datetime):
        return value.astimezone(zone).date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError as problem:
        raise Unworkable from problem


def text_of(value: Any) -> str:
    """TEXT(): numbers without needless zeros, days and instants in ISO form."""
    if isinstance(value, Decimal):
        plain = format(value.normalize(), "f")
        return plain if plain != "-0" else "0"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    return value.isoformat() if isinstance(value, date) else str(value)


def _value(text: str) -> Decimal:
    try:
        return Decimal(text.strip())
    except ArithmeticError as problem:
        raise Unworkable from problem


def _round(rounding: str) -> Callable[..., Decimal]:
    def act(value: Decimal, digits: Decimal = Decimal(0)) -> Decimal:
        return value.quantize(Decimal(1).scaleb(-int(digits)), rounding=rounding)

    return act


def _outward(value: Decimal) -> Decimal:
    return value.quantize(Decimal(1), rounding=ROUND_FLOOR if value < 0 else ROUND_CEILING)


def _day(year: Decimal, month: Decimal, day: Decimal) -> date:
    try:
        return date(int(year), int(month), int(day))
    except ValueError as problem:
        raise Unworkable from problem


def _add_months(start: date, months: Decimal) -> date:
    total = start.year * 12 + start.month - 1 + int(months)
    year, month = divmod(total, 12)
    ends = start.month != (start + timedelta(days=1)).month
    last = (date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1) - timedelta(days=1)).day
    return start.replace(year=year, month=month + 1, day=last if ends else min(start.day, last))


def _modulo(value: Decimal, by: Decimal) -> Decimal:
    if by == 0:
        raise Unworkable
    return value - by * (value / by).to_integral_value(ROUND_DOWN if value * by >= 0 else ROUND_FLOOR)


def _root(value: Decimal) -> Decimal:
    if value < 0:
        raise Unworkable
    return Decimal(str(math.sqrt(value)))


def _least(*values: Decimal) -> Decimal:
    return min(values)


def _most(*values: Decimal) -> Decimal:
    return max(values)


def _left(text: str, count: Decimal) -> str:
    return text[: max(0, int(count))]


def _right(text: str, count: Decimal) -> str:
    return text[-int(count) :] if count >= 1 else ""


FUNCTIONS: Mapping[str, Function] = {
    "ABS": Function(1, 1, (NUMBER,), NUMBER, abs),
    "ADDMONTHS": Function(2, 2, (DATE, NUMBER), DATE, _add_months),
    "BEGINS": Function(2, 2, (TEXT, TEXT), BOOLEAN, str.startswith),
    "CEILING": Function(1, 1, (NUMBER,), NUMBER, _outward),
    "CONTAINS": Function(2, 2, (TEXT, TEXT), BOOLEAN, operator.contains),
    "DATE": Function(3, 3, (NUMBER,), DATE, _day),
    "DAY": Function(1, 1, (DATE,), NUMBER, lambda day: Decimal(day.day)),
    "FLOOR": Function(1, 1, (NUMBER,), NUMBER, lambda value: value.quantize(Decimal(1), rounding=ROUND_DOWN)),
    "LEFT": Function(2, 2, (TEXT, NUMBER), TEXT, _left),
    "LEN": Function(1, 1, (TEXT,), NUMBER, lambda text: Decimal(len(text))),
    "LOWER": Function(1, 1, (TEXT,), TEXT, str.lower),
    "MAX": Function(1, 30, (NUMBER,), NUMBER, _most),
    "MIN": Function(1, 30, (NUMBER,), NUMBER, _least),
    "MOD": Function(2, 2, (NUMBER,), NUMBER, _modulo),
    "MONTH": Function(1, 1, (DATE,), NUMBER, lambda day: Decimal(day.month)),
    "RIGHT": Function(2, 2, (TEXT, NUMBER), TEXT, _right),
    "ROUND": Function(2, 2, (NUMBER,), NUMBER, _round(ROUND_HALF_UP)),
    "SQRT": Function(1, 1, (NUMBER,), NUMBER, _root),
    "SUBSTITUTE": Function(3, 3, (TEXT,), TEXT, str.replace),
    "TRIM": Function(1, 1, (TEXT,), TEXT, str.strip),
    "UPPER": Function(1, 1, (TEXT,), TEXT, str.upper),
    "VALUE": Function(1, 1, (TEXT,), NUMBER, _value),
    "WEEKDAY": Function(1, 1, (DATE,), NUMBER, lambda day: Decimal(day.isoweekday() % 7 + 1)),
    "YEAR": Function(1, 1, (DATE,), NUMBER, lambda day: Decimal(day.year)),
}
"""Functions of which a value follows from the values of the parameters alone."""


def joined(values: Sequence[Any]) -> str:
    """Text after text; blank is nothing."""
    return "".join("" if value is None else str(value) for value in values)
