"""The scorecard of every rep and fiscal quarter (scorecard-fields.md section 6)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.book.quotas import quotas
from connector.kpis.book.windows import Window
from connector.kpis.cards.card import Card, Sheet, left_out, nothing, rows_of, summed
from connector.kpis.definition import Row
from connector.kpis.questions.stage_times import paces
from connector.model.scorecard_fields import REP

SETTLING_DAYS = 14
"""For so many days of a quarter the one before is told too: closes are entered late, and quotas are corrected."""


def rep_cards(book: Book) -> dict[tuple[str, str], Card]:
    """(owner id, label of a fiscal quarter) → card, of the quarter that runs and, in its first days, of the one before.

    For owners who sell: with a quota of the quarter, a won or a created deal in it, an open one today, or one that was decided in the last twelve
    months. An org may have a thousand other users. The quarter
    before has only what belongs to it: quota, won, attainment and pipeline created. What is true of a moment (coverage, stuck deals …) and of
    the last twelve months stays as it stood when the quarter ended, so these keys are absent from its card.
    """
    found: dict[tuple[str, str], Card] = {}
    for window in _told(book):
        running = window == book.windows.quarter
        for id, name in book.owners.select("id", "name").iter_rows():
            if not _took_part(book, id, window, running):
                continue
            sheet = Sheet(f"{id}|{window.label}", name, REP)
            for part in (_results, *((_coverage, _rates, _speed, _now) if running else ())):
                part(book, id, window, sheet)
            found[id, window.label] = sheet.card()
    return found


def _told(book: Book) -> Iterator[Window]:
    """The quarter that runs, and the one before while it settles."""
    running = book.windows.quarter
    yield running
    assert running.first is not None
    if (book.today - running.first).days < SETTLING_DAYS:
        before = book.calendar.fiscal_quarter(running.first - timedelta(days=1))
        yield next(window for window in book.windows.quarters if window.label == before)


def _of(book: Book, id: str, kpi: str, variant: str = "", window: Window | None = None) -> Row | None:
    return rows_of(book, kpi, variant, None if window is None else window.label).get(f"owner={id}")


@derived
def _decided_of_late(book: Book) -> frozenset[str]:
    """Owners of deals that were won or lost in the last twelve months."""
    return frozenset(book.deals.filter((pl.col("cls") != "void") & book.windows.rolling.covers("closed"))["owner"].drop_nulls())


def _took_part(book: Book, id: str, window: Window, running: bool) -> bool:
    if id in _decided_of_late(book):
        return True
    rows = [_of(book, id, "closed_won_count", window=window), _of(book, id, "pipeline_created", "count", window)]
    return id in quotas(book, window, "bookings") or (running and id in _paces(book)) or any(row is not None and row.value for row in rows)


# -- of the quarter -----------------------------------------------------------------------------------------------


def _results(book: Book, id: str, window: Window, sheet: Sheet) -> None:
    money, quota = book.rates.reporting, quotas(book, window, "bookings").get(id)
    lacks = "quotas.csv was not given" if book.inputs.rows("quotas") is None else f"no quota of {window.label} in quotas.csv"
    sheet.put("quota", quota, lacks if quota is None else f"{quota:,.2f} {money} for {window.label} (quotas.csv)")
    for key, kpi, said in (("won", "bookings", "deals won"), ("pipeline_created", "pipeline_created", "deals created")):
        row = _of(book, id, kpi, window=window)
        value = summed(row)
        n = 0 if row is None else row.n
        sheet.put(key, value, f"new-business {said} in {window.label}, with an amount: {n}", left_out(row))
    row = _of(book, id, "quota_attainment", window=window)
    if row is None or row.value is None:
        sheet.put("attainment", None, lacks if quota is None else nothing(row, lacks))
    else:
        sheet.put("attainment", row.value, f"credit for won deals ({row.n}) ÷ quota {quota:,.2f} {money}")


def _coverage(book: Book, id: str, window: Window, sheet: Sheet) -> None:
    for key, kpi, said in (("coverage", "pipeline_coverage_ratio", "amounts"), ("weighted_coverage", "weighted_pipeline_coverage", "amounts × p")):
        row = _of(book, id, kpi, window=window)
        if row is None or row.value is None:
            sheet.put(key, None, nothing(row, "no quota"))
        else:
            sheet.put(key, row.value, f"{said} of deals that close in {window.label}, neither stale nor parked ({row.n}), ÷ quota")


# -- of the last twelve months ------------------------------------------------------------------------------------


def _rates(book: Book, id: str, window: Window, sheet: Sheet) -> None:
    rolling = book.windows.rolling
    won, held = _of(book, id, "win_rate", window=rolling), _of(book, id, "meeting_show_rate", window=rolling)
    _rate(book, sheet, "win_rate", won, "deals closed in the last twelve months")
    n = 0 if won is None else won.n
    sheet.put("win_rate_n", n, "deals closed in the last twelve months")
    _rate(book, sheet, "show_rate", held, "meetings held or missed in the last twelve months")


def _rate(book: Book, sheet: Sheet, key: str, row: Row | None, said: str) -> None:
    """A rate over too few records is not told: it would rank reps by chance."""
    n, enough = 0 if row is None else row.n, book.settings.thresholds.rank_n
    if row is None or row.value is None:
        sheet.put(key, None, f"no {said}")
    elif n < enough:
        sheet.put(key, None, f"{said}: {n}, too few; told from {enough} on (thresholds.rank_n)")
    else:
        sheet.put(key, row.value, f"{said}: {n}", left_out(row))


def _speed(book: Book, id: str, window: Window, sheet: Sheet) -> None:
    cycle, first = _of(book, id, "sales_cycle_length", "km_median"), _of(book, id, "time_to_first_order_new_hire")
    if cycle is None or cycle.value is None:
        sheet.put("cycle_days", None, nothing(cycle, "no new-business deal"))
    else:
        sheet.put("cycle_days", cycle.value, f"Kaplan–Meier median of deals of all time: {cycle.n}, of them open: {cycle.pending or 0}")
    if first is None or first.value is None:
        sheet.put("first_order_days", None, nothing(first, "no hire date in people.csv"))
    elif first.reason == "censored":
        sheet.put("first_order_days", None, f"no order yet, {first.value} d since the hire")
    else:
        sheet.put("first_order_days", first.value, "from the hire (people.csv) to the first order won")


# -- of today -----------------------------------------------------------------------------------------------------


@derived
def _paces(book: Book) -> dict[str, tuple[int, int, int]]:
    """Owner → (open deals that are stuck, open deals that can be judged, open deals), of any type."""
    found: dict[str, tuple[int, int, int]] = {}
    for deal, owner in book.open_deals.filter(pl.col("owner").is_not_null()).select("id", "owner").iter_rows():
        stuck, judged, deals = found.get(owner, (0, 0, 0))
        label = paces(book)[deal][1]
        found[owner] = stuck + (label == "stuck"), judged + (label is not None), deals + 1
    return found


def _now(book: Book, id: str, window: Window, sheet: Sheet) -> None:
    stuck, judged, deals = _paces(book).get(id, (0, 0, 0))
    sheet.put("stuck_deals", stuck if judged or not deals else None, f"open deals: {deals}, of them with a pace: {judged}, stuck: {stuck}")
    health, time = _of(book, id, "data_health_score"), _of(book, id, "sales_capacity_utilization")
    if health is None or health.value is None:
        sheet.put("data_health", None, nothing(health, "no open new-business deal"))
    else:
        sheet.put("data_health", health.value, f"required fields that are filled, over open new-business deals: {health.n}")
    if time is None or time.value is None:
        sheet.put("capacity", None, "no hours in time_log.csv" if time is not None and time.reason == "no_denominator" else nothing(time, "no hours"))
    else:
        sheet.put("capacity", time.value, f"selling ÷ logged hours of the last 90 days, rows of time_log.csv: {time.n}")
