"""What do the gates cost? (catalogue 8.5)"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from statistics import fmean

import polars as pl

from connector.kpis.benchmarks import gate_limits
from connector.kpis.book.book import Book, derived
from connector.kpis.definition import Reason, Row, kpi
from connector.kpis.evidence import of_deals, of_inputs, parted
from connector.kpis.questions.speed import cycles
from connector.kpis.shapes import MEAN_MEDIAN, count, deal, middle, missing, money, pairs, quantiles, rate, slices, survival

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


@derived
def review_gates(book: Book) -> dict[str, pl.DataFrame]:
    """Deal → its compliance gates as evidence: opportunity, gate, opened, until, days, open."""
    shown = book.gates.filter("compliance").select("opportunity", "gate", "opened", "until", "days", "open")
    return {id: part for (id,), part in parted(shown, "opportunity").items()}


@kpi("loi_to_security_questionnaire_time", number=50, grain="opportunity, company", units=dict.fromkeys(("", "mean", "median"), "days"),
     kind="leading", write_back="O", source=f"not standard but essential ({HEALTHTECH})", rests_on="none")  # fmt: skip
def loi_to_security_questionnaire_time(book: Book) -> Iterator[Row]:
    """Days from the signed letter of intent to the completed security questionnaire, new business.

    Per deal with both dates; ``mean`` and ``median`` of those completed in T12M. Completed before the letter: left out, counted in ``negative``.
    A letter without a completed questionnaire is pending while the deal is open. n: completed pairs.

    >>> from connector.kpis.example import example
    >>> dates = {"loi_signed_on": "2026-09-01", "security_questionnaire_completed_on": "2026-10-31"}
    >>> company = example().deal("D1", "demo 2026-05-04", **dates).deal("D2", "demo 2026-05-04", loi_signed_on="2027-01-11")
    >>> company.show("loi_to_security_questionnaire_time", "mean")
    '60 days, n=1, low n, pending=1'
    """
    yield from pairs(book.new_business, book.windows.rolling, "loi_signed_on", "security_questionnaire_completed_on")


@kpi("time_to_complete_security_questionnaire", number=51, grain="opportunity, company", kind="leading", write_back="O K", rests_on="none",
     units=dict.fromkeys(("", "mean", "median", "km_median"), "days"), source=f"key bottleneck ({HEALTHCARE})")  # fmt: skip
def time_to_complete_security_questionnaire(book: Book) -> Iterator[Row]:
    """Days from the security questionnaire received to returned complete, new business.

    Per deal with both dates; ``mean`` and ``median`` of those completed in T12M, unfinished ones of open deals pending. ``km_median``:
    Kaplan–Meier over all time; one not completed is censored at the close of its deal, else today. Completed before it was received: left
    out, counted in ``negative``. n: completed pairs (``km_median``: all received).

    >>> from connector.kpis.example import example
    >>> received, completed = "security_questionnaire_received_on", "security_questionnaire_completed_on"
    >>> company = example().deal("D1", "demo 2026-05-04", **{received: "2026-09-01", completed: "2026-10-31"})
    >>> company = company.deal("D2", "demo 2026-05-04", **{received: "2026-12-17"})
    >>> company.show("time_to_complete_security_questionnaire", "median"), company.show("time_to_complete_security_questionnaire", "km_median")
    ('60 days, n=1, low n, pending=1', '60 days, n=2, low n, pending=1')
    """
    received, completed = "security_questionnaire_received_on", "security_questionnaire_completed_on"
    yield from pairs(book.new_business, book.windows.rolling, received, completed)
    until = pl.coalesce(completed, "closed", pl.lit(book.today))
    every = book.new_business.with_columns(days=(until - pl.col(received)).dt.total_days(), done=pl.col(completed).is_not_null())
    counted = every.filter(pl.col("days") >= 0)
    negative = {"negative": every.filter((pl.col("days") < 0) & pl.col("done")).height}
    waiting = counted.filter(~pl.col("done") & (pl.col("cls") == "open")).height
    for row in quantiles("company", "ALL", survival(counted), ["km_median"], evidence=of_deals(counted, received, completed, "days", "done")):
        yield row._replace(pending=waiting, excluded=negative)


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

    A compliance gate is one that stages.yaml marks so. The limit is ``gate_limit_days``, else the Kaplan–Meier p75 of the gate over all time;
    deals none of whose gates has a limit yet are counted in ``no_benchmark``. ``in_review_value`` and ``stuck_value``: their amounts.
    n: deals (values: with an amount).

    >>> from connector.kpis.example import example
    >>> company = example().set("thresholds.gate_limit_days", {"vac": 60}).deal("D1", "vac 2026-12-01").deal("D2", "vac 2027-02-01")
    >>> company = company.add("gates", opportunity="D1", gate="vac", opened_on="2026-12-01").add(
    ...     "gates", opportunity="D2", gate="vac", opened_on="2027-02-01")
    >>> company.show("deals_stuck_in_compliance_review", "in_review"), company.show("deals_stuck_in_compliance_review", "stuck_value")
    ('2 count, n=2', '1000 money, n=1')
    """
    gates = stuck(book)
    first = gates.group_by("opportunity").agg(
        since=pl.col("opened").min(), gates=pl.col("gate").unique().sort().str.join(", "), judged=pl.col("limit").is_not_null().any(),
        stuck=pl.col("stuck").any(),
    )  # fmt: skip
    waiting = book.open_new.join(first, left_on="id", right_on="opportunity", maintain_order="left")
    late = waiting.filter("stuck")
    unknown = {"no_benchmark": waiting.filter(~pl.col("judged")).height}
    yield count("company", "asof", waiting.height, variant="in_review", evidence=of_deals(waiting, "gates", "since", "stuck"))
    yield money("company", "asof", waiting, variant="in_review_value")
    yield count("company", "asof", late.height, variant="stuck", excluded=unknown, evidence=of_deals(late, "gates", "since"))
    value = money("company", "asof", late, variant="stuck_value")
    yield value._replace(excluded={**(value.excluded or {}), **unknown})


@kpi("compliance_gatekeepers_engaged", number=53, grain="opportunity", units="count", kind="leading", write_back="O", rests_on="none",
     needs=("setting:gatekeeper_personas",), source=f"count of compliance gatekeepers engaged ({HEALTHTECH})")  # fmt: skip
def compliance_gatekeepers_engaged(book: Book) -> Iterator[Row]:
    """Number of contacts on an open deal of any type who hold a gate and with whom there was a two-way touch on this deal.

    Holding a gate: their persona is one of ``gatekeeper_personas``; titles that name no persona are not guessed. Two-way: held meeting,
    inbound email, call that was answered. Being on the deal is not enough, whatever ``persona_evidence`` says. n: contacts. Null where
    ``gatekeeper_personas`` names none.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-12-01")
    >>> for contact, kind in {"C1": "meeting", "C2": "task"}.items():
    ...     company = company.add("opportunity_contacts", opportunity="D1", contact=contact, persona="security").add(
    ...         "activities", id=f"M{contact}", kind=kind, outcome="held", on="2027-01-11", opportunity="D1", contact=contact)
    >>> company.show("compliance_gatekeepers_engaged", subject="opportunity=D1")
    '1 count, n=1'
    """
    wanted = list(book.settings.gatekeeper_personas)
    if not wanted:
        yield from (missing(deal(id), "asof", small=False) for id in book.open_deals["id"])
        return
    touches = book.activities.filter("two_way").group_by("opportunity", "contact").agg(first_touch=pl.col("on").min())
    holders = book.roles.filter(pl.col("persona").is_in(wanted) & (pl.col("added_on").is_null() | (pl.col("added_on") <= book.today)))
    met = holders.unique(["opportunity", "contact"], keep="first", maintain_order=True).join(touches, on=["opportunity", "contact"])
    shown = met.sort("opportunity", "contact").select("contact", "persona", "first_touch", "opportunity")
    parts, nobody = parted(shown, "opportunity"), shown.clear()
    for id in book.open_deals["id"]:
        mine = parts.get((id,), nobody)
        yield count(deal(id), "asof", mine.height, evidence=mine)


@kpi("time_in_compliance_review", number=54, grain="opportunity, company", kind="leading", write_back="K O", rests_on="gates",
     units=dict.fromkeys(("", "sum", "overlap", "mean", "median"), "days"), source=f"legal and compliance 2–4 months ({HEALTHCARE})")  # fmt: skip
def time_in_compliance_review(book: Book) -> Iterator[Row]:
    """Days covered by the union of a deal's compliance-gate intervals, so that gates open side by side count once.

    Open deals of any type; ``sum`` of the intervals; ``overlap`` = sum − union. An undecided gate counts up to the close, else up to today;
    one decided before it was opened is left out. ``mean`` and ``median``: the unions of new business with no such gate open whose last one
    ended in T12M; pending: with one open. n: intervals (mean, median: deals).

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "vac 2026-10-01")
    >>> for gate, opened, decided in [("security", "2026-10-01", "2026-11-30"), ("vac", "2026-10-31", "2026-12-30")]:
    ...     company = company.add("gates", opportunity="D1", gate=gate, opened_on=opened, decided_on=decided, result="approved")
    >>> [company.show("time_in_compliance_review", variant, "opportunity=D1") for variant in ("", "sum", "overlap")]
    ['90 days, n=2', '120 days, n=2', '30 days, n=2']
    """
    known, shown, rolling = reviews(book), review_gates(book), book.windows.rolling
    for id in book.open_deals["id"]:
        review, told = known.get(id), shown.get(id)
        union, summed, n = (review.union, review.sum, review.intervals) if review else (0, 0, 0)
        yield Row(deal(id), "asof", union, n, evidence=told)
        yield Row(deal(id), "asof", summed, n, "sum", evidence=told)
        yield Row(deal(id), "asof", summed - union, n, "overlap", evidence=told)
    mine = [(id, known[id]) for id in book.new_business["id"] if id in known]
    ended = [(id, review.union, review.sum, review.ended) for id, review in mine if not review.open and rolling.holds(review.ended)]
    finished = pl.DataFrame(ended, schema={"opportunity": pl.String, "days": pl.Int64, "sum": pl.Int64, "ended": pl.Date}, orient="row")
    running = sum(review.open for _, review in mine)
    yield from middle("company", rolling.label, finished["days"], MEAN_MEDIAN, pending=running, evidence=finished)


def _attempts(book: Book) -> pl.DataFrame:
    """Attempts at the value analysis committee, new business."""
    return book.of_new_business(book.gates).filter(pl.col("gate") == "vac")


@kpi("vac_cycle_time", number=55, grain="company", kind="leading", write_back="K O", needs=("gate:vac",), rests_on="gates",
     units=dict.fromkeys(("mean", "median", "km_median", "km_p75", "km_p90"), "days"), source=f"committees shape the cycle ({MEDTECH})")  # fmt: skip
def vac_cycle_time(book: Book) -> Iterator[Row]:
    """Days from opening to decision of the value analysis committee, per attempt, new business.

    Tabled ends an attempt; the next submission is another one. ``mean`` and ``median``: attempts decided in T12M, open ones pending.
    ``km_median``, ``km_p75``, ``km_p90``: Kaplan–Meier over all time, open ones censored today, and at the close where their deal closed
    undecided; those are not pending. n: attempts. Without the gate ``vac`` in stages.yaml: null.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "vac 2026-05-04").deal("D2", "vac 2026-12-01")
    >>> company = company.add("gates", opportunity="D1", gate="vac", opened_on="2026-05-04", decided_on="2026-06-03", result="tabled")
    >>> company = company.add("gates", opportunity="D2", gate="vac", opened_on="2026-12-01")
    >>> company.show("vac_cycle_time", "mean"), company.show("vac_cycle_time", "km_p75")
    ('30 days, n=1, low n, pending=1', 'None days, n=2, low n, pending=1, not_reached')
    """
    rolling = book.windows.rolling
    if "vac" not in book.ladder.gate_by_key:
        yield from (missing("company", rolling.label, variant) for variant in MEAN_MEDIAN)
        yield from (missing("company", "ALL", variant) for variant in ("km_median", "km_p75", "km_p90"))
        return
    attempts = _attempts(book)
    shown = ("opportunity", "opened", "decided", "result", "until", "days")
    decided, waiting = attempts.filter(pl.col("done") & rolling.covers("decided")), int(attempts["open"].sum())
    yield from middle("company", rolling.label, decided["days"], MEAN_MEDIAN, pending=waiting, evidence=decided.select(shown))
    for row in quantiles("company", "ALL", survival(attempts), evidence=attempts.select(shown)):
        yield row._replace(pending=waiting)


@kpi("vac_first_pass_rate", number=55, grain="company", units="ratio", kind="leading", write_back="K", needs=("gate:vac",), rests_on="gates",
     source=f"committees shape the cycle ({MEDTECH})")  # fmt: skip
def vac_first_pass_rate(book: Book) -> Iterator[Row]:
    """Deals whose first decision of the value analysis committee was approved ÷ deals with a first decision in T12M, new business.

    Decisions: approved, denied, tabled; a withdrawn submission is none. pending: deals that wait for their first. n: deals. Without the gate
    ``vac`` in stages.yaml: null.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "vac 2026-05-04").deal("D2", "vac 2026-05-04")
    >>> for deal, decided, result in [("D1", "2026-06-03", "tabled"), ("D1", "2026-07-03", "approved"), ("D2", "2026-06-03", "approved")]:
    ...     company = company.add("gates", opportunity=deal, gate="vac", opened_on="2026-05-04", decided_on=decided, result=result)
    >>> company.show("vac_first_pass_rate")
    '0.5 ratio, n=2, 0.09–0.91, low n'
    """
    rolling = book.windows.rolling
    if "vac" not in book.ladder.gate_by_key:
        yield missing("company", rolling.label)
        return
    attempts = _attempts(book)
    counted = attempts.filter(pl.col("done") & pl.col("result").is_in(["approved", "denied", "tabled"])).sort("opportunity", "decided", "opened")
    first = counted.unique("opportunity", keep="first", maintain_order=True)
    waiting = attempts.filter(pl.col("open") & ~pl.col("opportunity").is_in(first["opportunity"].implode()))["opportunity"].n_unique()
    told = first.filter(rolling.covers("decided")).select("opportunity", "opened", "decided", "result", approved=pl.col("result") == "approved")
    yield rate("company", rolling.label, int(told["approved"].sum()), told.height, pending=waiting, evidence=told)


@kpi("contract_compliance_rate", number=56, grain="company", units={"": "ratio", "baa": "ratio"}, kind="lagging", write_back="K; O flag",
     source=f"how often contracts meet standard terms ({HEALTHCARE})")  # fmt: skip
def contract_compliance_rate(book: Book) -> Iterator[Row]:
    """Won deals signed on standard terms ÷ won deals with a known answer; ``baa``: with a business associate agreement.

    Deals of any type won in T12M, by close moment. A deal without the answer is in ``unknown``, neither yes nor no. n: deals with an answer.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", standard_terms=True)
    >>> company = company.deal("D2", "demo 2026-05-04", "closed_won 2026-08-02", standard_terms=False)
    >>> company.deal("D3", "demo 2026-05-04", "closed_won 2026-08-02").show("contract_compliance_rate")
    '0.5 ratio, n=2, 0.09–0.91, low n, unknown=1'
    """
    won = book.deals.filter((pl.col("cls") == "won") & book.windows.rolling.covers("closed"))
    yield on_terms("company", book.windows.rolling.label, won)
    yield on_terms("company", book.windows.rolling.label, won, "baa", "baa")


def on_terms(subject: str, window: str, won: pl.DataFrame, column: str = "standard_terms", variant: str = "") -> Row:
    """The share of won deals that say yes, among those that say yes or no."""
    known = won.filter(pl.col(column).is_not_null())
    unknown = {"unknown": won.height - known.height}
    told = of_deals(known, "closed", column)
    return rate(subject, window, int(known[column].sum()), known.height, variant=variant, excluded=unknown, evidence=told)


@kpi("hipaa_readiness_score", number=57, grain="product", units="score", kind="qualitative", write_back="K", needs=("readiness",),
     source=f"low scores go with longer cycles ({HEALTHCARE})", rests_on="none")  # fmt: skip
def hipaa_readiness_score(book: Book) -> Iterator[Row]:
    """The latest score from 1 to 10 that an admin entered for a product, by today.

    A judgement, not a measurement: it stands until a later entry replaces it. Entries dated after today are not read. n: 1.

    >>> from connector.kpis.example import example
    >>> entries = [{"product": "P1", "date": "2026-06-01", "score": 6}, {"product": "P1", "date": "2027-01-10", "score": 8}]
    >>> example().file("readiness", *entries).show("hipaa_readiness_score", subject="product=P1")
    '8 score, n=1'
    """
    rows = book.inputs.rows("readiness")
    if rows is None:
        yield missing("company", "asof", small=False)
        return
    latest = {row["product"]: row for row in sorted(rows, key=lambda row: row["date"]) if row["date"] <= book.today}
    for product, row in sorted(latest.items()):
        yield Row(f"product={product}", "asof", row["score"], 1, evidence=of_inputs([row]))


@kpi("compliance_friction_delta", number=58, grain="size band, company", kind="lagging", write_back="K",
     units=dict.fromkeys(("", "with_gate_mean", "without_gate_mean"), "days"),
     source=f"time to close with vs without compliance friction ({HEALTHCARE})")  # fmt: skip
def compliance_friction_delta(book: Book) -> Iterator[Row]:
    """Mean cycle of closed deals with at least one compliance gate − mean cycle of those without.

    New business closed in T12M (won, lost or no decision); cycle as in ``sales_cycle_length``. ``with_gate_mean`` and ``without_gate_mean``
    are the two sides. Null while one side has no deal. Larger deals have both gates and longer cycles: read the rows by size band, and never
    as a cause. n: deals; a small n is marked by the smaller side.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-10-31").deal("D2", "demo 2026-05-04", "closed_lost 2026-08-02")
    >>> company.add("gates", opportunity="D1", gate="security", opened_on="2026-07-01", decided_on="2026-09-01", result="approved").show(
    ...     "compliance_friction_delta")
    '90 days, n=2, low n'
    """
    rolling, gated = book.windows.rolling, list(reviews(book))
    closed = cycles(book).filter(pl.col("done") & rolling.covers("closed")).with_columns(gated=pl.col("id").is_in(gated))
    for subject, part in slices(closed, "size"):
        gate, free = part.filter("gated"), part.filter(~pl.col("gated"))
        for variant, side in (("with_gate_mean", gate), ("without_gate_mean", free)):
            yield from middle(subject, rolling.label, side["days"], {variant: "mean"}, evidence=of_deals(side, "closed", "days"))
        known, told = gate.height and free.height, of_deals(part, "closed", "days", "gated")
        value = fmean(gate["days"].to_list()) - fmean(free["days"].to_list()) if known else None
        reason: Reason | None = None if known else "no_denominator"
        yield Row(subject, rolling.label, value, part.height, small=True, reason=reason, evidence=told, small_n=min(gate.height, free.height))
