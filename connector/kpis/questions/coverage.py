"""Is the pipeline enough for the quota? (catalogue 8.1)"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import polars as pl

from connector.kpis.book.book import Book
from connector.kpis.book.money import total
from connector.kpis.book.quotas import credited, quota_lines, quota_totals, quotas
from connector.kpis.book.windows import add_months
from connector.kpis.definition import Row, kpi
from connector.kpis.evidence import of_deals, of_snapshots, together
from connector.kpis.questions.pipeline import counted, in_period
from connector.kpis.shapes import by, quotient

MEDTECH, HEALTHTECH, HEALTHCARE = "medtech CRO KPIs", "healthtech CRO KPIs", "healthcare CRO metrics"


@kpi("pipeline_coverage_ratio", number=3, grain="owner, stage, segment, company", kind="leading", write_back="U K", needs=("quotas",),
     units={"": "x", "remaining": "x", "all_open": "x", "arr": "x"}, source=f"at least 3:1 ({MEDTECH}); 3–4x ({HEALTHCARE})")  # fmt: skip
def pipeline_coverage_ratio(book: Book) -> Iterator[Row]:
    """In-period pipeline ÷ quota of the current fiscal quarter.

    In-period are open new-business deals that close inside the quarter and not before today, neither stale nor parked. The company counts
    owners with a quota on both sides; deals of the others are ``owner_without_quota``. Stage and segment rows are slices: slice value ÷ company
    quota, so that they add up. ``n``: deals in the numerator.

    ``remaining``: ÷ (quota − new business won so far), null ``quota_reached`` where nothing remains; ``all_open``: every open deal ÷ quota;
    ``arr``: ARR ÷ ARR quota, only where quotas of that basis exist.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2027-01-04", amount=900).deal("D2", "demo 2027-01-04", amount=600, owner="R2")
    >>> company.file("quotas", {"owner_key": "R1", "period": "FY2027-Q1", "amount": 300}).show("pipeline_coverage_ratio")
    '3 x, n=1, owner_without_quota=1'
    """
    yield from _coverage(book, "amount")
    window, held = book.windows.quarter, quotas(book, book.windows.quarter, "bookings")
    quota, lines = quota_totals(held), quota_lines(book, window, "bookings")
    mine = pl.col("owner").is_in(list(held))
    inside, won = counted(book).filter(mine), credited(book, book.won(window)).filter(mine)
    yield _remaining(book, inside.filter("in_period"), won, quota, lines)
    told = together([of_deals(inside, "owner", "amount"), lines])
    yield quotient("company", window.label, total(inside["amount"]), quota, inside["amount"].count(), variant="all_open", small=False, evidence=told)
    yield from _arr_coverage(book, "arr")


def _remaining(book: Book, ready: pl.DataFrame, won: pl.DataFrame, quota: Decimal | None, lines: pl.DataFrame) -> Row:
    """Pipeline ÷ what the quota leaves after the deals won."""
    label, n = book.windows.quarter.label, ready["amount"].count()
    told = together([of_deals(ready, "owner", "amount"), of_deals(won, "owner", pl.col("amount").alias("won")), lines])
    left = float(quota) - total(won["amount"]) if quota else quota
    if quota and left is not None and left <= 0:
        return Row("company", label, None, n, "remaining", reason="quota_reached", evidence=told)
    return quotient("company", label, total(ready["amount"]), left, n, variant="remaining", small=False, evidence=told)


@kpi("weighted_pipeline_coverage", number=4, grain="owner, stage, segment, company", kind="leading", write_back="U K", needs=("quotas",),
     units={"": "x", "no_go_breach": "bool", "arr": "x"}, source=f"below 3x at the start of a quarter is a red flag ({HEALTHTECH})")  # fmt: skip
def weighted_pipeline_coverage(book: Book) -> Iterator[Row]:
    """Weighted in-period pipeline (amount × p) ÷ quota of the current fiscal quarter; deals, slices and ``arr`` as in pipeline_coverage_ratio.

    ``no_go_breach``: below ``weighted_coverage.red`` in ``red_months`` consecutive calendar months, this one included: it is the value of now, a
    past month is its last snapshot, a month without one breaks the run. ``n``: deals with an amount and a p; of ``no_go_breach`` months known.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2027-01-04", amount=900).deal("D2", "vac 2027-01-04", amount=200)
    >>> company.file("quotas", {"owner_key": "R1", "period": "FY2027-Q1", "amount": 100}).show("weighted_pipeline_coverage")
    '3 x, n=2'
    """
    rows = list(_coverage(book, "weighted"))
    yield from rows
    yield _breach(book, rows[0])
    yield from _arr_coverage(book, "weighted_arr")


def _coverage(book: Book, column: str, basis: str = "bookings", variant: str = "") -> Iterator[Row]:
    window = book.windows.quarter
    held, lines = quotas(book, window, basis), quota_lines(book, window, basis)
    ready = in_period(book)
    mine = ready.filter(pl.col("owner").is_in(list(held)))
    quota = quota_totals(held)

    def row(subject: str, part: pl.DataFrame, below: Decimal | None, lines: pl.DataFrame, excluded: dict[str, int] | None = None) -> Row:
        told = together([of_deals(part, "owner", "stage", "closes_on", column), lines])
        n = part[column].count()
        return quotient(subject, window.label, total(part[column]), below, n, variant=variant, small=False, excluded=excluded, evidence=told)

    yield row("company", mine, quota, lines, excluded={"owner_without_quota": ready.height - mine.height})
    owned = dict(by(ready, "owner"))
    for owner in book.owners["id"]:
        yield row(f"owner={owner}", owned.get(owner, ready.clear()), held.get(owner), lines.filter(pl.col("quota_of") == owner))
    for dimension in ("stage", "segment"):
        for value, part in by(mine, dimension):
            yield row(f"{dimension}={value}", part, quota, lines)


def _arr_coverage(book: Book, column: str) -> Iterator[Row]:
    if any(row["basis"] == "arr" for row in book.inputs.rows("quotas") or ()):
        yield from _coverage(book, column, "arr", "arr")


def _breach(book: Book, now: Row) -> Row:
    """Whether the run of months below red that ends now is long enough."""
    setting = book.settings.thresholds.weighted_coverage
    last = {}
    known = [s for s in book.snapshots if (s["kpi"], s.get("variant") or "", s["subject"]) == ("weighted_pipeline_coverage", "", "company")]
    for snapshot in sorted((s for s in known if s["date"] <= book.today and s["value"] is not None), key=lambda s: s["date"]):
        last[snapshot["date"].year, snapshot["date"].month] = snapshot
    last.pop((book.today.year, book.today.month), None)
    told = together([of_snapshots(list(last.values())), now.evidence])
    if not isinstance(now.value, float):
        return Row("company", "asof", None, len(last), "no_go_breach", reason=now.reason, evidence=told)
    months = {month: float(snapshot["value"]) for month, snapshot in last.items()} | {(book.today.year, book.today.month): now.value}
    run = [months.get((day.year, day.month)) for day in (add_months(book.today, -back) for back in range(setting.red_months))]
    breach = all(value is not None and value < setting.red for value in run)
    return Row("company", "asof", breach, len(months), "no_go_breach", evidence=told)
