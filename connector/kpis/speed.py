"""How long does it take? (catalogue 8.3)"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import polars as pl

from connector.kpis.benchmarks import stage_benchmark
from connector.kpis.book import Book, derived
from connector.kpis.definition import Reason, Row, kpi
from connector.kpis.keys import found, owner_index
from connector.kpis.shapes import by, count, deal, middle, missing, pairs, quantiles, rate, slices, survival
from connector.kpis.stats import kaplan_meier

MEDTECH, HEALTHTECH, HEALTHCARE = "medtech CRO KPIs", "healthtech CRO KPIs", "healthcare CRO metrics"


@derived
def cycles(book: Book) -> pl.DataFrame:
    """New business with days from creation (or the first qualified meeting, by ``cycle_start``) to the close moment or today, and done."""
    deals = book.new_business
    if book.settings.populations.cycle_start == "qualified_meeting":
        first = book.dwell.filter(pl.col("stage") == "qualified_meeting").group_by("opportunity").agg(start=pl.col("entered").min())
        deals = deals.join(first, left_on="id", right_on="opportunity", how="left", maintain_order="left")
    else:
        deals = deals.with_columns(start=pl.col("created"))
    return deals.with_columns(days=(pl.col("closed").fill_null(book.today) - pl.col("start")).dt.total_days(), done=pl.col("cls") != "open").filter(
        pl.col("days") >= 0
    )


@kpi("sales_cycle_length", number=23, grain="segment, owner, company", kind="lagging", write_back="K U",
     units=dict.fromkeys(("won_mean", "won_median", "closed_mean", "km_median", "km_p75", "km_p90"), "days"),
     source=f"60 days to 18 months ({HEALTHTECH}); 9–18 months ({HEALTHCARE})")  # fmt: skip
def sales_cycle_length(book: Book) -> Iterator[Row]:
    """Days from creation to the close moment, new business: means over T12M, Kaplan–Meier over all with open ones censored."""
    rolling = book.windows.rolling
    for subject, part in slices(cycles(book), "segment", "owner"):
        closed = part.filter(pl.col("done") & rolling.covers("closed"))
        won = closed.filter(pl.col("cls") == "won")
        yield from middle(subject, rolling.label, won["days"], {"won_mean": "mean", "won_median": "median"})
        yield from middle(subject, rolling.label, closed["days"], {"closed_mean": "mean"})
        yield from quantiles(subject, "ALL", survival(part))


@kpi("stage_dwell_time", number=26, grain="stage, stage × segment", kind="leading", write_back="K",
     units=dict.fromkeys(("completed_mean", "completed_median", "visit_mean", "km_median", "km_p75", "km_p90"), "days"),
     source=f"time in stages such as demo or pilot evaluation ({HEALTHTECH})")  # fmt: skip
def stage_dwell_time(book: Book) -> Iterator[Row]:
    """Time in a stage, new business, all time. Also called time in stage.

    ``completed_*``: cumulative days of deals that have left it; ``visit_mean``: per ended visit; ``km_*``: per visit, running ones censored.
    """
    rows = book.of_new_business(book.dwell).filter(pl.col("stage").is_not_null()).with_columns(done=~pl.col("running"))
    for stage, part in by(rows, "stage"):
        subject = f"stage={stage}"
        stays = part.group_by("opportunity").agg(pl.col("days").sum(), pl.col("running").any()).sort("opportunity")
        left = stays.filter(~pl.col("running"))
        running = stays.height - left.height
        yield from middle(subject, "ALL", left["days"], {"completed_mean": "mean", "completed_median": "median"}, pending=running)
        ended = part.filter("done")
        yield from middle(subject, "ALL", ended["days"], {"visit_mean": "mean"}, pending=part.height - ended.height)
        yield from quantiles(subject, "ALL", survival(part))
        for segment, sub in by(part, "segment"):
            yield from quantiles(f"{subject},segment={segment}", "ALL", survival(sub), ["km_median"])


@derived
def present(book: Book) -> pl.DataFrame:
    """Open deals with days (in the present visit), cumulative (over all visits to this stage), pilot and visit facts; null without history."""
    stays = book.visits.group_by("opportunity", "stage").agg(cumulative=pl.col("days").sum())
    return book.open_deals.with_columns(days=(book.today - pl.col("entered")).dt.total_days()).join(
        stays, left_on=["id", "stage"], right_on=["opportunity", "stage"], how="left", maintain_order="left", nulls_equal=True
    )


@kpi("days_in_stage", number=28, grain="opportunity", units={"": "days", "cumulative": "days"}, kind="leading", write_back="O",
     source=f"dwell ({MEDTECH}, {HEALTHTECH}); time in stage ({HEALTHCARE})")  # fmt: skip
def days_in_stage(book: Book) -> Iterator[Row]:
    """Today − the entry into the present stage, open deals of any type; ``cumulative``: over all visits to this stage."""
    for id, days, cumulative in present(book).select("id", "days", "cumulative").iter_rows():
        reason: Reason | None = "no_history" if days is None else None
        yield Row(deal(id), "asof", days, 1 if days is not None else 0, reason=reason)
        yield Row(deal(id), "asof", None if days is None else cumulative, 1 if days is not None else 0, "cumulative", reason=reason)


@derived
def paces(book: Book) -> dict[str, tuple[float | None, str | None, Reason | None]]:
    """Open deal → (days in stage ÷ benchmark, label, reason). Labels: on_pace ≤ slow limit < slow < stuck limit ≤ stuck."""
    limits = book.settings.thresholds.pace
    found: dict[str, tuple[float | None, str | None, Reason | None]] = {}
    for id, days, kind, stage, deal_type, segment in present(book).select("id", "days", "kind", "stage", "deal_type", "segment").iter_rows():
        usual = None if stage is None else stage_benchmark(book, deal_type, stage, segment)
        median = None if usual is None else usual[0].median
        reason = _no_pace(days, kind, stage, median)
        if reason or days is None or not median:
            found[id] = None, None, reason
            continue
        ratio = days / median
        found[id] = ratio, "stuck" if ratio >= limits.stuck else "on_pace" if ratio <= limits.slow else "slow", None
    return found


def _no_pace(days: int | None, kind: str | None, stage: str | None, median: float | None) -> Reason | None:
    if kind == "parked":
        return "parked"
    if stage is None:
        return "unmapped_stage"
    if days is None:
        return "no_history"
    return "not_reached" if median is None else "no_denominator" if median == 0 else None


@kpi("stage_pace", number=28, grain="opportunity", units={"ratio": "x", "label": "label"}, kind="leading", write_back="O",
     source=f"own the remediation ({HEALTHTECH})")  # fmt: skip
def stage_pace(book: Book) -> Iterator[Row]:
    """Days in stage ÷ benchmark, and its label. Benchmark: Kaplan–Meier median of stage and type, of the segment if it has enough."""
    for id, (ratio, label, reason) in paces(book).items():
        n = 0 if reason else 1
        yield Row(deal(id), "asof", ratio, n, "ratio", reason=reason)
        yield Row(deal(id), "asof", label, n, "label", reason=reason)


@kpi("deal_age", number=29, grain="opportunity", units="days", kind="leading", write_back="O", source=f"insufficient alone ({HEALTHCARE})")
def deal_age(book: Book) -> Iterator[Row]:
    """Today − created, frozen at the close moment; all deals but void ones."""
    deals = book.deals.filter(pl.col("cls") != "void").with_columns(age=(pl.col("closed").fill_null(book.today) - pl.col("created")).dt.total_days())
    for id, age in deals.select("id", "age").iter_rows():
        reason: Reason | None = "no_history" if age is None else "negative" if age < 0 else None
        yield Row(deal(id), "asof", None if reason else age, 0 if reason else 1, reason=reason)


@kpi("demo_to_proposal_time", number=31, grain="opportunity, company", units=dict.fromkeys(("", "mean", "median"), "days"), kind="leading",
     write_back="O K", needs=("stage:demo",), source=f"standard template to shorten it ({HEALTHTECH})")  # fmt: skip
def demo_to_proposal_time(book: Book) -> Iterator[Row]:
    """First entry into demo → proposal sent, new business."""
    first = book.dwell.filter(pl.col("stage") == "demo").group_by("opportunity").agg(demo_on=pl.col("entered").min())
    deals = book.new_business.join(first, left_on="id", right_on="opportunity", how="left", maintain_order="left")
    yield from pairs(deals, book.windows.rolling, "demo_on", "proposal_sent_on")


@kpi("contract_to_close_lag", number=32, grain="opportunity, company", units=dict.fromkeys(("", "mean", "median"), "days"), kind="leading",
     write_back="O K", source=f"often balloons ({HEALTHCARE})", rests_on="none")  # fmt: skip
def contract_to_close_lag(book: Book) -> Iterator[Row]:
    """Contract documents sent → signed, new business; pending: sent, unsigned, still open."""
    yield from pairs(book.new_business, book.windows.rolling, "contract_sent_on", "contract_signed_on")


@kpi("deal_regression_rate", number=33, grain="opportunity, company", kind="leading", write_back="O K",
     units={"": "ratio", "transition_share": "ratio", "transitions": "count", "regressions": "count"},
     source=f"common when new stakeholders enter late ({HEALTHCARE})")  # fmt: skip
def deal_regression_rate(book: Book) -> Iterator[Row]:
    """Deals with at least one move back ÷ deals with at least one move, new business, T12M; ``regressions``: per open deal, all time."""
    rolling = book.windows.rolling
    moves = book.of_new_business(book.moves).filter(rolling.covers("moved"))
    back = moves.filter("regression")
    yield rate("company", rolling.label, back["opportunity"].n_unique(), moves["opportunity"].n_unique())
    yield rate("company", rolling.label, back.height, moves.height, variant="transition_share")
    yield count("company", rolling.label, moves.height, variant="transitions")
    for id, number in regressions(book).items():
        yield Row(deal(id), "ALL", number, 1, "regressions")


@derived
def regressions(book: Book) -> dict[str, int]:
    """Open deal → how often it moved back."""
    return _per_deal(book, book.moves.filter("regression"))


@derived
def pushes(book: Book) -> dict[str, int]:
    """Open deal → how often its close date moved to a later day."""
    return _per_deal(book, book.pushes)


def _per_deal(book: Book, rows: pl.DataFrame) -> dict[str, int]:
    counted = dict(rows.group_by("opportunity").len().iter_rows())
    return {id: int(counted.get(id, 0)) for id in book.open_deals["id"]}


@kpi("close_date_pushes", number=37, grain="opportunity", units="count", kind="leading", write_back="O", source=f"forecast honesty ({HEALTHTECH})")
def close_date_pushes(book: Book) -> Iterator[Row]:
    """Number of changes of the close date to a later day, ignored users left out; open deals of any type."""
    for id, number in pushes(book).items():
        yield Row(deal(id), "asof", number, 1)


@kpi("clinical_to_commercial_handoff_time", number=34, grain="product × region, company", units={"": "days", "mean": "days"}, kind="lagging",
     write_back="K", needs=("clearances",), source=f"critical: speed to first revenue ({MEDTECH})")  # fmt: skip
def clinical_to_commercial_handoff_time(book: Book) -> Iterator[Row]:
    """Clearance (510(k), CE …) → close moment of the first won order of that product in that region; ``mean`` of those with an order.

    The earliest clearance of a product and region counts; no order yet: days so far, ``censored``.
    """
    rows = book.inputs.rows("clearances")
    if rows is None:
        yield missing("company", "ALL", "mean")
        return
    won = book.won(book.windows.all).select("product", "region", "closed").rows()
    cleared: dict[tuple[str, str | None], date] = {}
    for row in rows:
        key = row["product"], row["region"]
        if row["cleared_on"] <= book.today:
            cleared[key] = min(row["cleared_on"], cleared.get(key, row["cleared_on"]))
    lengths: list[int] = []
    running = negative = 0
    for (product, region), begun in sorted(cleared.items(), key=lambda item: (item[0][0], item[0][1] or "")):
        orders = [closed for sold, where, closed in won if sold == product and region in (None, where)]
        subject = f"product={product},region={region or 'unknown'}"
        days = (min(orders, default=book.today) - begun).days
        if not orders:
            running += 1
            yield Row(subject, "ALL", days, 1, pending=1, reason="censored")
        elif days < 0:
            negative += 1
            yield Row(subject, "ALL", None, 0, reason="negative")
        else:
            lengths.append(days)
            yield Row(subject, "ALL", days, 1)
    yield from middle("company", "ALL", pl.Series(lengths, dtype=pl.Int64), {"mean": "mean"}, pending=running, excluded={"negative": negative})


@kpi("time_to_first_order_new_hire", number=36, grain="owner, company", units={"": "days", "breach": "bool", "km_median": "days"}, kind="lagging",
     write_back="U", needs=("people",), source=f"more than 90 days: intervene ({MEDTECH})")  # fmt: skip
def time_to_first_order_new_hire(book: Book) -> Iterator[Row]:
    """Hire date → close moment of the first new-business deal won as owner at the close; without one: days so far, ``censored``.

    ``breach``: more than ``first_order_days``; company: Kaplan–Meier median.
    """
    rows = book.inputs.rows("people")
    if rows is None:
        for owner in book.owners["id"]:
            yield missing(f"owner={owner}", "ALL", small=False)
            yield missing(f"owner={owner}", "ALL", "breach", small=False)
        yield missing("company", "ALL", "km_median")
        return
    hired = {found(owner_index(book), row["owner_key"]): row for row in rows if row["hired_on"] is not None and row["hired_on"] <= book.today}
    won = book.won(book.windows.all).select("owner", "closed").rows()
    lengths: list[int] = []
    done: list[bool] = []
    for owner, row in sorted(hired.items()):
        begun = row["hired_on"]
        orders = [closed for seller, closed in won if seller == owner and closed >= begun]
        left = row["left_on"]
        until = left if left is not None and begun <= left <= book.today else book.today  # an older leave precedes a rehire
        lengths.append((min(orders, default=until) - begun).days)
        done.append(bool(orders))
        pending: int | None = None if orders else 1
        reason: Reason | None = None if orders else "censored"
        late = lengths[-1] > book.settings.thresholds.first_order_days
        yield Row(f"owner={owner}", "ALL", lengths[-1], 1, pending=pending, reason=reason)
        yield Row(f"owner={owner}", "ALL", late, 1, "breach")
    curve = kaplan_meier(pl.Series(lengths, dtype=pl.Int64), pl.Series(done, dtype=pl.Boolean))
    yield from quantiles("company", "ALL", curve, ["km_median"])
