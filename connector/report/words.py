"""Numbers as people read them: money with its currency, ratios in percent, and for every unknown the reason in words (catalogue, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from connector.kpis.book.book import Book
from connector.kpis.compute import computable
from connector.kpis.definition import REGISTRY, Measure
from connector.report.content import Cell, Mark

DASH = "–"
REASONS: Mapping[str, str] = {
    "no_history": "no history", "unmapped_stage": "unmapped stage", "parked": "parked", "not_applicable": "not applicable",
    "no_activity": "no activity", "negative": "dates out of order",
}  # fmt: skip
COLUMNS: Mapping[str, str] = {"quotas": "owner_key, period, amount"}
"""Input → the columns it cannot do without (inputs.md)."""


def money(value: Decimal | float | None, currency: str) -> str:
    """
    >>> money(Decimal("1250000.5"), "USD"), money(None, "USD")
    ('USD 1,250,000', '–')
    """
    return DASH if value is None else f"{currency} {value:,.0f}"


def percent(value: float | None) -> str:
    """
    >>> percent(0.285714)
    '28.6 %'
    """
    return DASH if value is None else f"{value * 100:.1f} %"


def days(value: float | None) -> str:
    """
    >>> days(30.0), days(12.5), days(1)
    ('30 days', '12.5 days', '1 day')
    """
    return DASH if value is None else f"{value:,.10g} day{'' if value == 1 else 's'}"


def interval(low: float | None, high: float | None) -> str:
    """
    >>> interval(0.150039, 0.849961)
    '15–85 %'
    """
    return "" if low is None or high is None else f"{low * 100:.0f}–{high * 100:.0f} %"


def plural(number: int, word: str, words: str | None = None) -> str:
    """
    >>> plural(1, "deal"), plural(1200, "deal")
    ('1 deal', '1,200 deals')
    """
    return f"{number:,} {word if number == 1 else words or word + 's'}"


def label(key: str | None) -> str:
    """A canonical key as a person reads it.

    >>> label("health_system"), label(None)
    ('Health system', 'Unknown')
    """
    return (key or "unknown").replace("_", " ").capitalize()


def lacking(book: Book, kpi: str) -> str | None:
    """What is absent for a KPI and how to give it, as a sentence; None where nothing is."""
    (_, able, lacks), *_ = computable(book, [kpi])
    if able or lacks is None:
        return None
    told = [f"{kpi.replace('_', ' ').capitalize()} needs {lacks}."]
    for name in REGISTRY[kpi].needs:
        if name in COLUMNS and book.inputs.rows(name) is None:
            told.append(f"Add the file with the columns {COLUMNS[name]}, and name it in kpis.yaml under inputs: “{name}: inputs/{name}.csv”.")
    return " ".join(told)


def unknown(book: Book, measure: Measure) -> str:
    """Why a measure has no value, as it is shown in its place."""
    if measure.reason == "missing_input":
        _, _, lacks = computable(book, [measure.kpi])[0]
        inputs = ", ".join(need for need in REGISTRY[measure.kpi].needs if ":" not in need)
        return f"{DASH} needs {lacks or (inputs and f'{inputs} for {book.windows.quarter.label}') or 'its input'}"
    if measure.reason == "not_reached":
        return f"not reached ({measure.pending or 0} running)"
    if measure.reason == "only_running":
        return f"{DASH} ({measure.pending or 0} running)"
    if measure.reason == "quota_reached":
        return "quota reached"
    said = REASONS.get(measure.reason or "")
    return f"{DASH} {said}" if said else DASH


def known(value: float | int, unit: str, currency: str) -> str:
    """A number with its unit."""
    match unit:
        case "money":
            return money(value, currency)
        case "ratio":
            return percent(value)
        case "x":
            return f"{value:.2f}x"
        case "days":
            return days(value)
        case _:
            return f"{value:,.10g}"


def cell(book: Book, measure: Measure, *, mark: Mark = "", note: str = "") -> Cell:
    """A measure as a cell: the value or why there is none, its interval, and whether n is low."""
    value = measure.value
    assert not isinstance(value, list)
    if value is None:
        return Cell(None, unknown(book, measure), note or _mild(measure), mark or "quiet")
    text = value if isinstance(value, str) else "yes" if value is True else "no" if value is False else known(value, measure.unit, _currency(book))
    lower = "≥ " if measure.reason == "censored" else ""
    return Cell(value, lower + text, note or _mild(measure), mark)


def figure(measure: Measure) -> float | None:
    """The value of a measure that is a number."""
    value = measure.value
    assert not isinstance(value, (str, list))
    return None if value is None else float(value)


def _mild(measure: Measure) -> str:
    notes = ["low n"] if measure.low_n and measure.value is not None else []
    notes += [f"{number:,} {why.replace('_', ' ')}" for why, number in measure.excluded.items()]
    return ", ".join(notes)


def _currency(book: Book) -> str:
    return book.settings.calendar.currency


def number(value: int | float | None, mark: Mark = "") -> Cell:
    """A plain count."""
    return Cell(value, DASH if value is None else f"{value:,.10g}", mark=mark if value is not None else "quiet")


def text(value: str | None, note: str = "", mark: Mark = "") -> Cell:
    """A plain text."""
    return Cell(value, value or DASH, note, mark if value else mark or "quiet")
