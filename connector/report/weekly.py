"""Three numbers and one, with what they were; and coverage over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from connector.kpis.book.book import Book
from connector.kpis.book.windows import add_months
from connector.kpis.cards.text import MONTHS, day_text
from connector.kpis.definition import Measure
from connector.report import words
from connector.report.content import Card, Cell, Chart, Column, Figure, Mark, Section, Table
from connector.report.look import Look

NUMBERS = {
    "coverage": ("Weighted coverage", "weighted_pipeline_coverage", ""),
    "weighted_funnel": ("Weighted funnel", "weighted_pipeline_value", ""),
    "expected_arr": ("Expected ARR", "expected_arr_by_quarter_end", ""),
    "in_compliance_review": ("In compliance review", "deals_stuck_in_compliance_review", "in_review"),
}
"""Variant of ``weekly_three`` → its label, and the KPI and variant whose snapshots are the same number."""
OF_THE_QUARTER = ("coverage", "expected_arr")
SAYS_WHO = (
    "Who says so: below 3x at the start of a quarter is a red flag (healthtech CRO KPIs); no-go only below 2:1 in two consecutive months "
    "(medtech CRO KPIs); 3–4x (healthcare CRO metrics). Weighted 1.0x already means that what is expected equals the quota."
)
LONGEST = 24
"""Months that the chart of coverage goes back."""


def coverage_mark(book: Book, value: float | None) -> tuple[Mark, str]:
    """Where a coverage stands between red and green, as a mark and in words."""
    limits = book.settings.thresholds.weighted_coverage
    if value is None:
        return "quiet", words.DASH
    if value >= limits.green:
        return "good", "green"
    return ("bad", "below red") if value < limits.red else ("warn", "amber")


def before(book: Book, variant: str, day: date, since: date) -> tuple[date, float] | None:
    """The newest snapshot of a weekly number on or before a day, but not before ``since``."""
    _, kpi, part = NUMBERS[variant]
    same = {("weekly_three", variant), (kpi, part)}
    found = [
        (s["date"], float(s["value"]))
        for s in book.snapshots
        if (s["kpi"], s.get("variant") or "") in same and s["subject"] == "company" and s["value"] is not None and since <= s["date"] <= day
    ]
    return max(found, default=None, key=lambda pair: pair[0])


@dataclass(frozen=True, slots=True)
class Past:
    """What a number was a while ago, and how far it is from now; without a difference where the two belong to different quarters."""

    then: Cell
    difference: Cell

    def line(self) -> Cell:
        """The same as a line under the number."""
        if self.difference.value is None:
            return Cell(None, f"{self.then.text} on {self.then.note}", mark="quiet")
        return Cell(self.difference.value, f"{self.difference.text} since {self.then.note}", mark=self.difference.mark)


def numbers(look: Look) -> Section:
    """The four cards, and a table of what they were a week and a month ago."""
    book, today = look.book, look.book.today
    periods = {"week": (today - timedelta(days=7), today - timedelta(days=20)), "month": (add_months(today, -1), add_months(today, -2))}
    cards, rows, remembered = [], [], False
    for variant, (label, _, _) in NUMBERS.items():
        measure = look.measure("weekly_three", variant)
        mark = coverage_mark(book, words.figure(measure))[0] if variant == "coverage" else ""
        pasts = {period: past(look, variant, measure, before(book, variant, *span)) for period, span in periods.items()}
        lines = [was.line() for was in pasts.values() if was.then.value is not None]
        remembered |= bool(lines)
        cards.append(Card(_label(book, variant, label), words.cell(book, measure, mark=mark), (*_context(look, variant), *lines)))
        now = words.cell(book, measure, mark=mark, note=f"n = {measure.n:,}")
        rows.append((words.text(label), now, *(cell for was in pasts.values() for cell in (was.then, was.difference))))
    heads = (Column("Number"), *(Column(head, "number") for head in ("Now", "A week ago", "Change", "A month ago", "Change since then")))
    table = Table("The four numbers now, a week and a month ago", heads, tuple(rows))
    limits = book.settings.thresholds.weighted_coverage
    judged = f"Coverage is green from {limits.green:g}x and red below {limits.red:g}x; {limits.red_months} such months in a row are a no-go."
    first = () if remembered else ("There is no snapshot of a week or a month ago to compare with yet; every run keeps one.",)
    return Section(
        "numbers", "Three numbers and one", f"Of fiscal quarter {book.windows.quarter.label}, new business.", tuple(cards),
        tables=(table,) if remembered else (), notes=(*first, f"{judged} {SAYS_WHO}"), missing=words.lacking(book, "weekly_three"),
    )  # fmt: skip


def past(look: Look, variant: str, measure: Measure, snapshot: tuple[date, float] | None) -> Past:
    """A snapshot beside the present measure."""
    if snapshot is None:
        return Past(Cell(None, words.DASH, "no snapshot", "quiet"), Cell(None, words.DASH, mark="quiet"))
    book, now = look.book, words.figure(measure)
    day, value = snapshot
    quarter = book.calendar.fiscal_quarter(day)
    other = variant in OF_THE_QUARTER and quarter != book.windows.quarter.label
    then = Cell(value, words.known(value, measure.unit, look.currency), day_text(day) + (f", {quarter}" if other else ""))
    if now is None or other:
        return Past(then, Cell(None, words.DASH, "another quarter" if other else "", "quiet"))
    change = now - value
    sign = "+" if change > 0 else "−" if change < 0 else "±"
    mark: Mark = "" if variant == "in_compliance_review" or change == 0 else "good" if change > 0 else "bad"
    return Past(then, Cell(change, f"{sign}{words.known(abs(change), measure.unit, look.currency)}", mark=mark))


def _label(book: Book, variant: str, label: str) -> str:
    return f"{label} {book.windows.quarter.label}" if variant in OF_THE_QUARTER else label


def _context(look: Look, variant: str) -> list[Cell]:
    """What stands under a number: what it is judged by or a part of."""
    book = look.book
    if variant == "coverage":
        breach = look.measure("weighted_pipeline_coverage", "no_go_breach")
        mark, said = coverage_mark(book, words.figure(look.measure("weekly_three", "coverage")))
        lines = [Cell(said, said, mark=mark)] if mark != "quiet" else []
        limits = book.settings.thresholds.weighted_coverage
        no_go = f"no-go: below {limits.red:g}x in {limits.red_months} months in a row"
        return lines + ([Cell(True, no_go, mark="bad")] if breach.value is True else [])
    if variant == "weighted_funnel":
        whole = look.measure("open_pipeline_value")
        return [
            Cell(whole.records, f"of {words.money(words.figure(whole), look.currency)} open, {words.plural(whole.records, 'deal')} with an amount")
        ]
    if variant == "expected_arr":
        measure = look.measure("expected_arr_by_quarter_end")
        left_out = sum(measure.excluded.values())
        said = f"won and weighted, {words.plural(measure.records, 'deal')}" + (f"; {left_out:,} without ARR or chance left out" if left_out else "")
        return [Cell(measure.n, said)]
    stuck, value = (look.measure("deals_stuck_in_compliance_review", name) for name in ("stuck", "in_review_value"))
    late = words.figure(stuck) or 0
    return [
        Cell(value.n, f"worth {words.money(words.figure(value), look.currency)}"),
        Cell(late, f"{late:.0f} longer than the limit", mark="bad" if late else ""),
    ]


def coverage(look: Look) -> Section:
    """Weighted coverage by month: the last snapshot of each, and now."""
    book = look.book
    limits = book.settings.thresholds.weighted_coverage
    points = _months(look)
    lead = f"What was expected, against the quota. Green from {limits.green:g}x, red below {limits.red:g}x, amber between."
    missing = words.lacking(book, "weighted_pipeline_coverage")
    if not points:
        return Section("coverage", "Coverage over time", lead, missing=missing or "No month is known yet: every run keeps a snapshot.")
    columns = Column("Month"), Column("As of"), Column("Quarter"), Column("Coverage", "number"), Column("")
    table = Table("Weighted coverage, last snapshot of each month", columns, tuple(_month_row(look, *point) for point in points))
    chart = Chart(
        "coverage", "Weighted coverage by month",
        tuple({"month": month, "coverage": value, "as_of": None if day is None else day_text(day)} for month, day, value in points),
        f"Line over {words.plural(len(points), 'month')} of weighted coverage, the limits {limits.red:g}x and {limits.green:g}x as dashed lines.",
        {"green": limits.green, "red": limits.red},
    )  # fmt: skip
    notes = ("A month stands for its last snapshot; the running month is the value of now. A month without a snapshot breaks the line.",)
    return Section("coverage", "Coverage over time", lead, figures=(Figure((chart,), table),), notes=notes, missing=missing)


def _months(look: Look) -> list[tuple[str, date | None, float | None]]:
    """(month, day, coverage) from the first month with a snapshot to this one; a month without one is None."""
    book, today = look.book, look.book.today
    first = today.replace(day=1)
    points: list[tuple[str, date | None, float | None]] = []
    for back in range(LONGEST - 1, 0, -1):
        begins = add_months(first, -back)
        found = before(book, "coverage", add_months(begins, 1) - timedelta(days=1), begins)
        if found or points:
            points.append((_month(begins), *(found or (None, None))))
    now = words.figure(look.measure("weighted_pipeline_coverage"))
    return [*points, (_month(today), today, now)] if now is not None else points


def _month(day: date) -> str:
    return f"{MONTHS[day.month - 1]} {day.year}"


def _month_row(look: Look, month: str, day: date | None, value: float | None) -> tuple[Cell, ...]:
    mark, said = coverage_mark(look.book, value)
    quarter = None if day is None else look.book.calendar.fiscal_quarter(day)
    shown = Cell(value, "– no snapshot", mark="quiet") if value is None else Cell(value, words.known(value, "x", ""), mark=mark)
    return words.text(month), words.text(None if day is None else day_text(day)), words.text(quarter), shown, words.text(said, mark=mark)
