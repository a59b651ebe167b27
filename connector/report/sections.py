"""The weekly review of a book, as plain values: which sections there are, in which order, and the head above them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from zoneinfo import ZoneInfo

from connector.kpis import compute, targets
from connector.kpis.book.book import Book
from connector.kpis.cards.text import day_text
from connector.kpis.definition import Measure
from connector.report import deals, flow, team, weekly
from connector.report.content import Report, Section
from connector.report.look import Look

SHOWN = (
    "weekly_three", "weighted_pipeline_coverage", "weighted_pipeline_value", "expected_arr_by_quarter_end", "deals_stuck_in_compliance_review",
    "open_pipeline_value", "stage_dwell_time", "sales_cycle_length", "win_rate", "stale_flag", "stale_pipeline_share", "data_health_score",
)  # fmt: skip
"""The KPIs that the page shows, whether or not they are switched on."""
QUALITIES = {
    "system": "kept by the CRM", "observed": "seen since installation", "date_field": "from date fields",
    "none": "none",
}  # fmt: skip

Maker = Callable[[Look], Section | None]
MAKERS: tuple[Maker, ...] = (weekly.numbers, weekly.coverage, flow.funnel, flow.dwell, flow.gates, deals.win_rate)
"""What stands before the scrub, in this order; a maker that answers None has nothing to show."""
AFTER: tuple[Maker, ...] = (deals.health, team.leaderboard)
"""What stands after it. A section that a setting switches on is one more maker here."""


def report(book: Book, project: str, connection: str, *, deal_names: Mapping[str, str] | None = None) -> Report:
    """The review of one connection. ``deal_names``: deal → name, left out where names are not to be shown."""
    look = Look(book, deal_names or {})
    stale = deals.stale_deals(look)
    made = [*(make(look) for make in MAKERS), deals.scrub(look, stale), *(make(look) for make in AFTER)]
    shown = tuple(section for section in made if section is not None)
    missed = targets.breaches(book, compute.compute(book, targets.names(book)))
    return Report(project, connection, book.as_of, _facts(book), shown, stale, tuple(missed))


def measures(book: Book) -> list[Measure]:
    """Every measure of the KPIs that the page shows and of those switched on."""
    names = dict.fromkeys([*SHOWN, *compute.selected(book.settings.kpis)])
    return compute.compute(book, list(names))


def _facts(book: Book) -> tuple[tuple[str, str], ...]:
    local = book.as_of.astimezone(ZoneInfo(book.calendar.time_zone))
    window = book.windows.quarter
    ends = "" if window.first is None or window.last is None else f", {day_text(window.first)} – {day_text(window.last)}"
    return (
        ("As of", f"{day_text(book.today)}, {local:%H:%M} {book.calendar.time_zone}"),
        ("Fiscal quarter", f"{window.label}{ends}"),
        ("Currency", book.settings.calendar.currency),
        ("Stage history", QUALITIES[book.quality("stage_history")]),
        ("Gate history", QUALITIES[book.quality("gates")]),
        ("Definitions", f"version {compute.DEFINITION_VERSION}"),
    )
