"""How long does it take? (catalogue 8.3)"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.book.keys import found, owner_index
from connector.kpis.definition import Reason, Row, kpi
from connector.kpis.evidence import of_deals, of_inputs, together
from connector.kpis.shapes import MEAN_MEDIAN, count, deal, middle, missing, pairs, quantiles, rate, slices, survival
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
    """Days from creation (or the first qualified meeting, by ``cycle_start``) to the close moment of new-business deals.

    ``won_mean``, ``won_median``: of deals won in T12M, as CRMs count; biased short, since fast wins come first. ``closed_mean``: won, lost and
    undecided in T12M. ``km_median``, ``km_p75``, ``km_p90``: Kaplan–Meier over all deals of all time, any close is the event, open ones are
    censored at today (``pending``); ``not_reached`` where fewer have closed. ``n``: deals.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-05-14").deal("D2", "demo 2026-05-04", "closed_lost 2026-06-03")
    >>> company.deal("D3", "demo 2026-05-04").show("sales_cycle_length", "km_median")
    '30 days, n=3, low n, pending=1'
    """
    rolling = book.windows.rolling
    for subject, part in slices(cycles(book), "segment", "owner"):
        closed = part.filter(pl.col("done") & rolling.covers("closed"))
        won = closed.filter(pl.col("cls") == "won")
        told = of_deals(closed, "start", "closed", "cls", "days")
        yield from middle(
            subject, rolling.label, won["days"], {"won_mean": "mean", "won_median": "median"}, evidence=told.filter(pl.col("cls") == "won")
        )
        yield from middle(subject, rolling.label, closed["days"], {"closed_mean": "mean"}, evidence=told)
        yield from quantiles(subject, "ALL", survival(part), evidence=of_deals(part, "start", "closed", "days", "done"))


@kpi("deal_age", number=29, grain="opportunity", units="days", kind="leading", write_back="O", source=f"insufficient alone ({HEALTHCARE})")
def deal_age(book: Book) -> Iterator[Row]:
    """Today − the creation date; frozen at the close moment, so that a lost deal stops ageing. All deals but void ones, of any type. ``n``: 1.

    Without a creation date ``no_history``; closed before it was created ``negative``.

    >>> from connector.kpis.example import example
    >>> example().deal("D1", "demo 2026-05-04", "closed_lost 2026-05-24").show("deal_age", subject="opportunity=D1")
    '20 days, n=1'
    """
    deals = book.deals.filter(pl.col("cls") != "void").with_columns(age=(pl.col("closed").fill_null(book.today) - pl.col("created")).dt.total_days())
    told = of_deals(deals, "created", "closed", "age")
    for (id, age), one in zip(deals.select("id", "age").iter_rows(), told.iter_slices(1), strict=True):
        reason: Reason | None = "no_history" if age is None else "negative" if age < 0 else None
        yield Row(deal(id), "asof", None if reason else age, 0 if reason else 1, reason=reason, evidence=one)


@kpi("demo_to_proposal_time", number=31, grain="opportunity, company", units=dict.fromkeys(("", "mean", "median"), "days"), kind="leading",
     write_back="O K", needs=("stage:demo",), source=f"standard template to shorten it ({HEALTHTECH})")  # fmt: skip
def demo_to_proposal_time(book: Book) -> Iterator[Row]:
    """Days from the first entry into demo to the day the proposal was sent, new business.

    Every completed pair has a row; ``mean`` and ``median`` are of proposals sent in T12M. A proposal before the demo is excluded as
    ``negative``; an open deal with a demo and no proposal is ``pending``. ``n``: completed pairs.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", proposal_sent_on="2026-05-18")
    >>> company.deal("D2", "demo 2026-05-04", proposal_sent_on="2026-05-01").show("demo_to_proposal_time", "median")
    '14 days, n=1, low n, negative=1'
    """
    if "demo" not in book.ladder.rungs:
        yield from (missing("company", book.windows.rolling.label, variant) for variant in MEAN_MEDIAN)
        return
    first = book.dwell.filter(pl.col("stage") == "demo").group_by("opportunity").agg(demo_on=pl.col("entered").min())
    deals = book.new_business.join(first, left_on="id", right_on="opportunity", how="left", maintain_order="left")
    yield from pairs(deals, book.windows.rolling, "demo_on", "proposal_sent_on")


@kpi("contract_to_close_lag", number=32, grain="opportunity, company", units=dict.fromkeys(("", "mean", "median"), "days"), kind="leading",
     write_back="O K", source=f"often balloons ({HEALTHCARE})", rests_on="none")  # fmt: skip
def contract_to_close_lag(book: Book) -> Iterator[Row]:
    """Days from contract documents sent to signed, new business.

    Every completed pair has a row; ``mean`` and ``median`` are of contracts signed in T12M. Signed before sent is excluded as ``negative``;
    sent, unsigned and still open is ``pending``. ``n``: completed pairs.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "contracting 2026-05-04", contract_sent_on="2026-05-04", contract_signed_on="2026-06-03")
    >>> company.deal("D2", "contracting 2026-05-04", contract_sent_on="2026-05-04").show("contract_to_close_lag", "mean")
    '30 days, n=1, low n, pending=1'
    """
    yield from pairs(book.new_business, book.windows.rolling, "contract_sent_on", "contract_signed_on")


@kpi("deal_regression_rate", number=33, grain="opportunity, company", kind="leading", write_back="O K",
     units={"": "ratio", "transition_share": "ratio", "transitions": "count", "regressions": "count"},
     source=f"common when new stakeholders enter late ({HEALTHCARE})")  # fmt: skip
def deal_regression_rate(book: Book) -> Iterator[Row]:
    """Deals with at least one move back ÷ deals with at least one move out of an open stage, new business, T12M.

    A move back goes to a lower rank; between two gates, and from or to parked and terminal stages, no move does. ``transition_share``: moves
    back ÷ moves; ``transitions``: moves; ``regressions``: moves back of an open deal of any type, all time. ``n``: deals (shares and counts of
    moves: moves; per deal: 1).

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "pilot 2026-06-04", "demo 2026-07-04").deal("D2", "demo 2026-05-04", "pilot 2026-06-04")
    >>> company.show("deal_regression_rate")
    '0.5 ratio, n=2, 0.09–0.91, low n'
    """
    rolling = book.windows.rolling
    moves = book.of_new_business(book.moves).filter(rolling.covers("moved"))
    back = moves.filter("regression")
    by_deal = moves.group_by("opportunity", maintain_order=True).agg(moves=pl.len(), moved_back=pl.col("regression").any())
    told = moves.select("opportunity", "stage", "to_stage", "moved", "regression")
    yield rate("company", rolling.label, int(by_deal["moved_back"].sum()), by_deal.height, evidence=by_deal)
    yield rate("company", rolling.label, back.height, moves.height, variant="transition_share", evidence=told)
    yield count("company", rolling.label, moves.height, variant="transitions", evidence=told)
    yield from _per_deal_rows(book, "ALL", regressions(book), book.moves.filter("regression"), ("stage", "to_stage", "moved"), "regressions")


def _per_deal_rows(book: Book, window: str, numbers: dict[str, int], events: pl.DataFrame, columns: tuple[str, ...], variant: str) -> Iterator[Row]:
    """A count for every open deal, with the deal and the events counted as evidence."""
    happened = events.select("opportunity", *columns).partition_by("opportunity", as_dict=True)
    for one in of_deals(book.open_deals, pl.col("stage").alias("present_stage")).iter_slices(1):
        id = str(one["opportunity"][0])
        yield Row(deal(id), window, numbers[id], 1, variant, evidence=together([one, happened.get((id,))]))


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
    """Number of changes of the close date to a later day, over the life of an open deal of any type. ``n``: 1.

    Changes by ignored users (integrations) are left out; a change to an earlier day takes nothing back.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04")
    >>> company = company.add("closes_on_history", opportunity="D1", at="2026-12-01T15:00:00Z", old="2026-12-31", new="2027-03-15")
    >>> company.show("close_date_pushes", subject="opportunity=D1")
    '1 count, n=1'
    """
    yield from _per_deal_rows(book, "asof", pushes(book), book.pushes.sort("at", "old", "new"), ("at", "by", "old", "new"), "")


@kpi("clinical_to_commercial_handoff_time", number=34, grain="product × region, company", units={"": "days", "mean": "days"}, kind="lagging",
     write_back="K", needs=("clearances",), source=f"critical: speed to first revenue ({MEDTECH})")  # fmt: skip
def clinical_to_commercial_handoff_time(book: Book) -> Iterator[Row]:
    """Days from clearance (510(k), CE …) to the close moment of the first won new-business order of that product in that region.

    The region is that of the account; a clearance without a region takes any. The earliest clearance of a product and region counts. No order
    yet: days so far, ``censored``. An order before the clearance is ``negative``. ``n``: 1; ``mean``: over the clearances with an order (``n``).

    >>> from connector.kpis.example import example
    >>> company = example().file("clearances", {"product": "P1", "region": "US", "kind": "510k", "cleared_on": "2026-05-01"})
    >>> company = company.deal("D1", "demo 2026-05-04", "closed_won 2026-07-30", product="P1")
    >>> company.show("clinical_to_commercial_handoff_time", subject="product=P1,region=US")
    '90 days, n=1'
    """
    rows = book.inputs.rows("clearances")
    if rows is None:
        yield missing("company", "ALL", "mean")
        return
    won = book.won(book.windows.all).sort("closed", "id")
    cleared: dict[tuple[str, str | None], dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["cleared_on"], row["place"])):
        if row["cleared_on"] <= book.today:
            cleared.setdefault((row["product"], row["region"]), row)
    found_rows = [_handed_over(book, row, won) for _, row in sorted(cleared.items(), key=lambda item: (item[0][0], item[0][1] or ""))]
    yield from found_rows
    lengths = [row.value for row in found_rows if row.reason is None]
    running, negative = sum(row.reason == "censored" for row in found_rows), sum(row.reason == "negative" for row in found_rows)
    told = together(row.evidence for row in found_rows if row.reason is None)
    yield from middle(
        "company", "ALL", pl.Series(lengths, dtype=pl.Int64), {"mean": "mean"}, pending=running, excluded={"negative": negative}, evidence=told
    )


def _handed_over(book: Book, row: dict[str, Any], won: pl.DataFrame) -> Row:
    """From one clearance to its first order; ``won`` in the order of the close moments."""
    there = pl.lit(True) if row["region"] is None else (pl.col("region") == row["region"]).fill_null(False)
    first = won.filter((pl.col("product") == row["product"]) & there).head(1)
    told = together([of_inputs([row], "product", "region", "kind", "cleared_on"), of_deals(first, "closed")])
    subject, begun = f"product={row['product']},region={row['region'] or 'unknown'}", row["cleared_on"]
    if first.is_empty():
        return Row(subject, "ALL", (book.today - begun).days, 1, pending=1, reason="censored", evidence=told)
    days = (first["closed"][0] - begun).days
    return Row(subject, "ALL", None, 0, reason="negative", evidence=told) if days < 0 else Row(subject, "ALL", days, 1, evidence=told)


@derived
def first_contacts(book: Book) -> pl.DataFrame:
    """account, activity, first_touch_on: the first two-way touch with each account itself or with any of its deals."""
    home = book.deals.select(pl.col("id").alias("opportunity"), deal_account="account")
    two_way = book.activities.filter("two_way").join(home, on="opportunity", how="left", maintain_order="left")
    ways = [two_way.select(pl.col(column).alias("account"), activity="id", first_touch_on="on") for column in ("account", "deal_account")]
    every = pl.concat(ways).drop_nulls("account").sort("first_touch_on", "activity")
    return every.unique("account", keep="first", maintain_order=True)


@derived
def first_cases(book: Book) -> pl.DataFrame:
    """account, opportunity (the earliest deal with a case), first_case_on, activity and first_touch_on (null: no two-way touch), days."""
    cases = book.new_business.filter(pl.col("first_case_on").is_not_null() & pl.col("account").is_not_null()).sort("first_case_on", "id")
    cases = cases.unique("account", keep="first", maintain_order=True).select("account", pl.col("id").alias("opportunity"), "first_case_on")
    joined = cases.join(first_contacts(book), on="account", how="left", maintain_order="left")
    return joined.with_columns(days=(pl.col("first_case_on") - pl.col("first_touch_on")).dt.total_days()).sort("account")


@kpi("time_first_contact_to_first_case", number=35, grain="account, company", units={"": "days", "mean": "days"}, kind="lagging", write_back="A",
     source=f"time from first contact to first case ({MEDTECH})", rests_on="none", of_deals=False)  # fmt: skip
def time_first_contact_to_first_case(book: Book) -> Iterator[Row]:
    """Days from the first two-way touch with an account or any of its deals to its first case or procedure (of its new-business deals).

    A touch without an answer is no contact. An account with a case but without any such touch is ``no_activity``, with a touch only after the
    case ``negative``; both are excluded from the ``mean``, which is over first cases in T12M. ``pending``: accounts with a deal won and no case.
    ``n``: 1; accounts.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", first_case_on="2026-09-05")
    >>> company = company.add("activities", id="T1", kind="call", on="2026-06-07", outcome="connected", opportunity="D1")
    >>> company.show("time_first_contact_to_first_case", subject="account=A1")
    '90 days, n=1'
    """
    rolling, cases = book.windows.rolling, first_cases(book)
    told = cases.select("account", "first_touch_on", "first_case_on", touch="activity", case_of="opportunity")
    for row, one in zip(cases.iter_rows(named=True), told.iter_slices(1), strict=True):
        reason: Reason | None = "no_activity" if row["days"] is None else "negative" if row["days"] < 0 else None
        yield Row(f"account={row['account']}", "ALL", None if reason else row["days"], 0 if reason else 1, reason=reason, evidence=one)
    within = cases.filter(rolling.covers("first_case_on"))
    good = within.filter(pl.col("days") >= 0)
    left_out = {"no_activity": within["days"].null_count(), "negative": int((within["days"] < 0).sum())}
    waiting = set(book.won(book.windows.all)["account"].drop_nulls()) - set(cases["account"])
    told = told.filter(pl.col("account").is_in(good["account"].implode()))
    yield from middle("company", rolling.label, good["days"], {"mean": "mean"}, pending=len(waiting), excluded=left_out, evidence=told)


@kpi("time_to_first_order_new_hire", number=36, grain="owner, company", units={"": "days", "breach": "bool", "km_median": "days"}, kind="lagging",
     write_back="U", needs=("people",), source=f"more than 90 days: intervene ({MEDTECH})")  # fmt: skip
def time_to_first_order_new_hire(book: Book) -> Iterator[Row]:
    """Days from the hire date to the close moment of the first new-business deal won as its owner at the close; owners with a hire date.

    Without one: days so far, up to the day of leaving, ``censored``. A win before the hire date (of a rehire) does not count. ``breach``: more
    than ``first_order_days``. ``km_median``: Kaplan–Meier over the owners, those without an order censored. ``n``: 1; owners.

    >>> from connector.kpis.example import example
    >>> company = example().file("people", {"owner_key": "R1", "hired_on": "2026-05-04"})
    >>> company.deal("D1", "demo 2026-05-04", "closed_won 2026-08-02").show("time_to_first_order_new_hire", subject="owner=R1")
    '90 days, n=1'
    """
    rows = book.inputs.rows("people")
    if rows is None:
        for owner in book.owners["id"]:
            yield missing(f"owner={owner}", "ALL", small=False)
            yield missing(f"owner={owner}", "ALL", "breach", small=False)
        yield missing("company", "ALL", "km_median")
        return
    begun = sorted((row for row in rows if row["hired_on"] is not None and row["hired_on"] <= book.today), key=lambda row: row["hired_on"])
    hired = {found(owner_index(book), row["owner_key"]): row for row in begun}  # of several hires the latest
    won = book.won(book.windows.all).sort("closed", "id").partition_by("owner", as_dict=True)
    lengths: list[int] = []
    done: list[bool] = []
    told: list[pl.DataFrame | None] = []
    for owner, row in sorted(hired.items()):
        orders = won.get((owner,), book.deals.clear()).filter(pl.col("closed") >= row["hired_on"]).head(1)
        told.append(together([of_inputs([row], "owner_key", "hired_on", "left_on"), of_deals(orders, "closed")]))
        done.append(not orders.is_empty())
        lengths.append((_ramp_end(row, orders, book.today) - row["hired_on"]).days)
        reason: Reason | None = None if done[-1] else "censored"
        yield Row(f"owner={owner}", "ALL", lengths[-1], 1, pending=None if done[-1] else 1, reason=reason, evidence=told[-1])
        late = lengths[-1] > book.settings.thresholds.first_order_days
        yield Row(f"owner={owner}", "ALL", late, 1, "breach", evidence=told[-1])
    curve = kaplan_meier(pl.Series(lengths, dtype=pl.Int64), pl.Series(done, dtype=pl.Boolean))
    yield from quantiles("company", "ALL", curve, ["km_median"], evidence=together(told))


def _ramp_end(row: dict[str, Any], orders: pl.DataFrame, today: date) -> date:
    """The first order, else the day of leaving (an older leave precedes a rehire), else today."""
    ordered: list[date] = orders["closed"].to_list()
    left = row["left_on"]
    return ordered[0] if ordered else (left if left is not None and row["hired_on"] <= left <= today else today)
