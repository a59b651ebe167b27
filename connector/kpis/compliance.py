"""What do the gates cost? (catalogue 8.5)"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import polars as pl

from connector.kpis.benchmarks import gate_limits
from connector.kpis.book import Book, derived
from connector.kpis.definition import Row, kpi
from connector.kpis.shapes import MEAN_MEDIAN, count, deal, middle, missing, money, pairs, quantiles, rate, survival

HEALTHTECH, HEALTHCARE, MEDTECH = "healthtech CRO KPIs", "healthcare CRO metrics", "medtech CRO KPIs"


@dataclass(frozen=True, slots=True)
class Review:
    """Compliance gates of one deal: days of their union and their sum, how many intervals, whether one is open, when the last one ended."""

    union: int
    sum: int
    intervals: int
    open: bool
    ended: date


def union_days(intervals: list[tuple[date, date]]) -> int:
    """Days covered by at least one of the intervals [opened, until), which come in the order of their openings.

    >>> union_days([(date(2026, 10, 28), date(2026, 12, 27)), (date(2026, 11, 15), date(2027, 1, 14))])
    78
    """
    days, reached = 0, date.min
    for opened, until in intervals:
        if until > reached:
            days += (until - max(opened, reached)).days
            reached = until
    return days


@derived
def reviews(book: Book) -> dict[str, Review]:
    """Deal → its compliance gates; deals that had none are absent."""
    found: dict[str, list[tuple[date, date, bool]]] = {}
    for id, opened, until, is_open in book.gates.filter("compliance").select("opportunity", "opened", "until", "open").iter_rows():
        found.setdefault(id, []).append((opened, until, is_open))
    return {
        id: Review(
            union_days([(opened, until) for opened, until, _ in rows]), sum((until - opened).days for opened, until, _ in rows), len(rows),
            any(is_open for *_, is_open in rows), max(until for _, until, _ in rows),
        )
        for id, rows in found.items()
    }  # fmt: skip


@kpi("loi_to_security_questionnaire_time", number=50, grain="opportunity", units=dict.fromkeys(("", "mean", "median"), "days"), kind="leading",
     write_back="O", source=f"not standard but essential ({HEALTHTECH})", rests_on="none")  # fmt: skip
def loi_to_security_questionnaire_time(book: Book) -> Iterator[Row]:
    """Letter of intent signed → security questionnaire completed, new business."""
    yield from pairs(book.new_business, book.windows.rolling, "loi_signed_on", "security_questionnaire_completed_on")


@derived
def stuck(book: Book) -> pl.DataFrame:
    """Open compliance gates of open deals: opportunity, gate, opened, days, limit (null: none yet), stuck."""
    limits = gate_limits(book)
    rows = book.gates.filter(pl.col("open") & pl.col("compliance"))
    limit = pl.Series("limit", [limits.get(gate) for gate in rows["gate"]], dtype=pl.Float64)
    return rows.with_columns(limit).with_columns(stuck=(pl.col("days") > pl.col("limit")).fill_null(False))


@kpi("deals_stuck_in_compliance_review", number=52, grain="company", kind="leading", write_back="K; O flag", rests_on="gates",
     units={"in_review": "count", "in_review_value": "money", "stuck": "count", "stuck_value": "money"},
     source=f"weekly healthtech KPI ({HEALTHTECH})")  # fmt: skip
def deals_stuck_in_compliance_review(book: Book) -> Iterator[Row]:
    """Open new business with an open compliance gate, each deal once; ``stuck``: one of these gates is older than its limit.

    The limit is ``gate_limit_days``, else the Kaplan–Meier p75 of the gate; deals with no limit yet are counted in ``no_benchmark``.
    """
    gates = stuck(book)
    waiting = book.open_new.filter(pl.col("id").is_in(gates["opportunity"].implode()))
    late = waiting.filter(pl.col("id").is_in(gates.filter("stuck")["opportunity"].implode()))
    judged = gates.filter(pl.col("limit").is_not_null())["opportunity"].implode()
    unknown = {"no_benchmark": waiting.filter(~pl.col("id").is_in(judged)).height}
    yield count("company", "asof", waiting.height, variant="in_review")
    yield money("company", "asof", waiting, variant="in_review_value")
    yield count("company", "asof", late.height, variant="stuck", excluded=unknown)
    value = money("company", "asof", late, variant="stuck_value")
    yield value._replace(excluded={**(value.excluded or {}), **unknown})


@kpi("time_in_compliance_review", number=54, grain="opportunity, company", kind="leading", write_back="K O", rests_on="gates",
     units=dict.fromkeys(("", "sum", "overlap", "mean", "median"), "days"), source=f"legal and compliance 2–4 months ({HEALTHCARE})")  # fmt: skip
def time_in_compliance_review(book: Book) -> Iterator[Row]:
    """Days covered by the union of a deal's compliance-gate intervals; ``sum`` of them; ``overlap`` = sum − union.

    Company: mean and median of the unions of new business with no such gate open whose last one ended in T12M.
    """
    known, rolling = reviews(book), book.windows.rolling
    for id in book.open_deals["id"]:
        review = known.get(id)
        union, summed, n = (review.union, review.sum, review.intervals) if review else (0, 0, 0)
        yield Row(deal(id), "asof", union, n)
        yield Row(deal(id), "asof", summed, n, "sum")
        yield Row(deal(id), "asof", summed - union, n, "overlap")
    mine = [known[id] for id in book.new_business["id"] if id in known]
    finished = [review.union for review in mine if not review.open and rolling.holds(review.ended)]
    yield from middle("company", rolling.label, pl.Series(finished, dtype=pl.Int64), MEAN_MEDIAN, pending=sum(review.open for review in mine))


@kpi("vac_cycle_time", number=55, grain="company", kind="leading", write_back="K O", needs=("gate:vac",), rests_on="gates",
     units=dict.fromkeys(("mean", "median", "km_median", "km_p75", "km_p90"), "days"), source=f"committees shape the cycle ({MEDTECH})")  # fmt: skip
def vac_cycle_time(book: Book) -> Iterator[Row]:
    """VAC opened → decided, per attempt (tabled ends one), new business; a gate open when the deal closes is censored there."""
    rolling = book.windows.rolling
    if "vac" not in book.ladder.gate_by_key:
        yield from (missing("company", rolling.label, variant) for variant in MEAN_MEDIAN)
        yield from (missing("company", "ALL", variant) for variant in ("km_median", "km_p75", "km_p90"))
        return
    attempts = book.of_new_business(book.gates).filter(pl.col("gate") == "vac")
    decided = attempts.filter(pl.col("done") & rolling.covers("decided"))
    yield from middle("company", rolling.label, decided["days"], MEAN_MEDIAN, pending=int(attempts["open"].sum()))
    yield from quantiles("company", "ALL", survival(attempts))


@kpi("vac_first_pass_rate", number=55, grain="company", units="ratio", kind="leading", write_back="K", needs=("gate:vac",), rests_on="gates",
     source=f"committees shape the cycle ({MEDTECH})")  # fmt: skip
def vac_first_pass_rate(book: Book) -> Iterator[Row]:
    """Deals whose first VAC decision was approved ÷ deals with a first decision in T12M, new business; pending: waiting for their first."""
    rolling = book.windows.rolling
    if "vac" not in book.ladder.gate_by_key:
        yield missing("company", rolling.label)
        return
    attempts = book.of_new_business(book.gates).filter(pl.col("gate") == "vac")
    counted = attempts.filter(pl.col("done") & pl.col("result").is_in(["approved", "denied", "tabled"])).sort("opportunity", "decided", "opened")
    first = counted.unique("opportunity", keep="first", maintain_order=True)
    waiting = attempts.filter(pl.col("open") & ~pl.col("opportunity").is_in(first["opportunity"].implode()))["opportunity"].n_unique()
    within = first.filter(rolling.covers("decided"))
    yield rate("company", rolling.label, int((within["result"] == "approved").sum()), within.height, pending=waiting)
