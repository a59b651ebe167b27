"""The rows of snapshots: measures of the company and of its segments on one day (scorecard-fields.md section 6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from hashlib import sha256

from connector.kpis.book.book import Book
from connector.kpis.cards.card import Card
from connector.kpis.compute import compute
from connector.kpis.definition import Measure

TOO_LARGE = "more than 12 digits before the point"
"""Reason of a row whose number does not fit the field."""
_LIMIT, _PLACES = Decimal(10) ** 12, Decimal("1e-6")
_KEY_LENGTH, _MARK = 255, 12
_SHOWN = ("label", "list", "bool")


def snapshot_cards(book: Book, names: Sequence[str]) -> list[Card]:
    """One card per measure of these KPIs that is a number and is of the company or of one segment, in the order of the KPIs.

    ``subject``: ``kpi|variant|subject|window|date``, by which the row is found again, at most 255 characters. A number with more than twelve
    digits before the point becomes None, with that as its reason. Numbers have six places, half to even. Raises MappingError SC-E022 for an
    unknown KPI.
    """
    return [_card(book, measure) for measure in compute(book, list(dict.fromkeys(names))) if _told(measure)]


def _told(measure: Measure) -> bool:
    dimension, _, value = measure.subject.partition("=")
    grain = measure.subject == "company" or (dimension == "segment" and bool(value) and "," not in measure.subject)
    return grain and measure.unit not in _SHOWN


def _card(book: Book, measure: Measure) -> Card:
    value, ci_low, ci_high = (_number(number) for number in (measure.value, measure.ci_low, measure.ci_high))
    reason = TOO_LARGE if value is None and measure.value is not None else measure.reason
    key = external_id(measure, book)
    values = {
        "key": key, "name": measure.kpi, "variant": measure.variant or None, "subject": measure.subject, "window": measure.window, "value": value,
        "unit": measure.unit, "n": measure.n, "low_n": measure.low_n, "ci_low": ci_low, "ci_high": ci_high, "reason": reason, "as_of": book.today,
    }  # fmt: skip
    records = "" if measure.n is None else f" over {measure.n} records"
    told = [f"{measure.kpi}{'.' + measure.variant if measure.variant else ''} of {measure.subject} in {measure.window}{records}"]
    told += [f"left out: {', '.join(f'{why} {number}' for why, number in sorted(measure.excluded.items()))}"] if measure.excluded else []
    told += [f"not complete yet: {measure.pending}"] if measure.pending else []
    told += [f"{'lower bound' if reason == 'censored' else 'no value'}: {reason}"] if reason else []
    return Card(key, measure.kpi, values, {"value": tuple(told)})


def _number(value: object) -> Decimal | None:
    """Six places; None for what is none, or does not fit."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    number = Decimal(str(value)).quantize(_PLACES, ROUND_HALF_EVEN) if abs(value) < 10**20 else _LIMIT
    return number if abs(number) < _LIMIT else None


def external_id(measure: Measure, book: Book) -> str:
    """``kpi|variant|subject|window|date``. A subject that would make it longer than 255 characters is cut, and its hash stands at the end."""
    shape = f"{measure.kpi}|{measure.variant}|{{}}|{measure.window}|{book.today}"
    room = _KEY_LENGTH - len(shape.format(""))
    if len(measure.subject) <= room:
        return shape.format(measure.subject)
    return shape.format(f"{measure.subject[: room - _MARK - 1]}~{sha256(measure.subject.encode()).hexdigest()[:_MARK]}")
