"""Do people meet us, and do leads become deals? (catalogue 8.4: 38, 39, 47–49)"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import polars as pl

from connector.kpis.book.book import Book
from connector.kpis.book.keys import found, owner_index
from connector.kpis.book.people import once
from connector.kpis.book.windows import Window, trailing
from connector.kpis.definition import Row, Unit, kpi
from connector.kpis.evidence import of_activities, of_inputs
from connector.kpis.questions.conversion import conversion
from connector.kpis.shapes import by, count, quotient, rate, slices

MEDTECH, HEALTHTECH, LEADERS = "medtech CRO KPIs", "healthtech CRO KPIs", "CRO vs VP of Sales"
RAW: dict[str, Unit] = {"": "ratio", "raw": "ratio"}


def everyone(book: Book, activities: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """(subject, rows): the company, then every owner of the book and whoever else has activities; ``owner=unknown`` has those of nobody."""
    yield "company", activities
    parts = dict(by(activities, "owner"))
    for owner in sorted({*book.owners["id"], *parts}):
        yield f"owner={owner}", parts.get(owner, activities.clear())


@kpi("meeting_show_rate", number=38, grain="owner, company", units="ratio", kind="leading", write_back="U K",
     source=f"leading indicator ({HEALTHTECH})", rests_on="none")  # fmt: skip
def meeting_show_rate(book: Book) -> Iterator[Row]:
    """Meetings held ÷ (held + no-show), of meetings on new-business deals in T12M.

    Canceled and rescheduled ones, and past ones without an outcome (``unknown``: not held, but no no-show either) are counted beside it.
    A meeting on two deals is one. By the meeting's owner, for every owner; ``owner=unknown`` are meetings of nobody. n: held + no-show.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04")
    >>> for id, outcome in {"M1": "held", "M2": "no_show", "M3": "canceled", "M4": None}.items():
    ...     company = company.add("activities", id=id, kind="meeting", on="2026-06-01", owner="R1", opportunity="D1", outcome=outcome)
    >>> company.show("meeting_show_rate")
    '0.5 ratio, n=2, 0.09–0.91, low n, canceled=1, unknown=1'
    """
    rolling = book.windows.rolling
    past = pl.col("past") & rolling.covers("on")
    for subject, part in everyone(book, once(book.of_new_business(book.activities).filter((pl.col("kind") == "meeting") & past))):
        known = part.filter(pl.col("outcome").is_in(["held", "no_show"]))
        left_out = {outcome: part.filter(pl.col("outcome") == outcome).height for outcome in ("canceled", "rescheduled")}
        left_out["unknown"] = part.height - known.height - sum(left_out.values())
        told = of_activities(known, "owner", "opportunity", "held")
        yield rate(subject, rolling.label, int(known["held"].sum()), known.height, excluded=left_out, evidence=told)


@kpi("qualified_meetings_per_week", number=39, grain="owner, company", units={"": "count", "avg_4w": "per_week"}, kind="leading", write_back="U",
     source=f"pre-revenue KPI ({HEALTHTECH})", rests_on="none")  # fmt: skip
def qualified_meetings_per_week(book: Book) -> Iterator[Row]:
    """Number of first held meetings of new-business deals, in the last complete ISO week and in weeks asked for; local dates.

    ``avg_4w``: mean of the last four complete weeks. The first of a deal is the earliest held one, whenever the deal was created; a meeting that
    is the first of two deals is one. By the meeting's owner, for every owner; ``owner=unknown`` are meetings of nobody. n: meetings.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2027-02-01").deal("D2", "demo 2027-02-01")
    >>> for id, deal, on in [("M1", "D1", "2027-02-09"), ("M2", "D1", "2027-02-10"), ("M3", "D2", "2027-01-25")]:
    ...     company = company.add("activities", id=id, kind="meeting", on=on, owner="R1", opportunity=deal, outcome="held")
    >>> company.show("qualified_meetings_per_week", window="2027-W06"), company.show("qualified_meetings_per_week", "avg_4w")
    ('1 count, n=1', '0.5 per_week, n=2')
    """
    held = book.of_new_business(book.activities).filter("held").sort("on", "at", "id", nulls_last=True)
    first = once(held.unique("opportunity", keep="first", maintain_order=True))
    last = book.windows.weeks[0]
    assert last.first is not None
    four = Window("asof", last.first - timedelta(weeks=3), last.last)
    for subject, part in everyone(book, first):
        for week in book.windows.weeks:
            mine = part.filter(week.covers("on"))
            yield count(subject, week.label, mine.height, evidence=of_activities(mine, "owner", "opportunity"))
        mine = part.filter(four.covers("on"))
        yield Row(subject, four.label, mine.height / 4, mine.height, "avg_4w", evidence=of_activities(mine, "owner", "opportunity"))


@kpi("outreach_to_meeting_rate", number=47, grain="owner, company", units="ratio", kind="leading", write_back="U",
     source=f"100 emails, 1 meeting: a messaging problem ({MEDTECH})", rests_on="none", of_deals=False)  # fmt: skip
def outreach_to_meeting_rate(book: Book) -> Iterator[Row]:
    """Meetings booked ÷ contacts reached, in T90D.

    With outreach.csv: its sums, over weeks whose Monday lies in the window; nothing of the CRM is added. Without it: meetings of any outcome ÷
    outbound emails of the CRM, with a deal or without; automatic replies are left out by the mapping. For every owner; ``owner=unknown`` is
    what the CRM ascribes to nobody. n: contacts reached (emails). A meeting may follow from an older email, so there is no interval.

    >>> from connector.kpis.example import example
    >>> week = {"owner_key": "R1", "week": "2027-01-25", "contacts_reached": 100, "meetings_booked": 1}
    >>> example().file("outreach", week).show("outreach_to_meeting_rate")
    '0.01 ratio, n=100'
    """
    window = trailing(90, book.today)
    rows = book.inputs.rows("outreach")
    if rows is None:
        yield from _of_activities(book, window)
        return
    counted = [{**row, "owner": found(owner_index(book), row["owner_key"])} for row in rows if window.holds(row["week"])]
    for owner in (None, *sorted({*book.owners["id"], *(row["owner"] for row in counted)})):
        mine = [row for row in counted if owner in (None, row["owner"])]
        reached, booked = (sum(row[column] for row in mine) for column in ("contacts_reached", "meetings_booked"))
        told = of_inputs(mine, "week", "contacts_reached", "meetings_booked")
        yield quotient("company" if owner is None else f"owner={owner}", window.label, booked, reached, reached, evidence=told)


def _of_activities(book: Book, window: Window) -> Iterator[Row]:
    meeting, sent = pl.col("kind") == "meeting", ((pl.col("kind") == "email") & (pl.col("direction") == "outbound")).fill_null(False)
    for subject, part in everyone(book, once(book.activities.filter((meeting | sent) & pl.col("past") & window.covers("on")))):
        booked = part.filter(meeting).height
        reached = part.height - booked
        yield quotient(subject, window.label, booked, reached, reached, evidence=of_activities(part, "owner", "direction", "outcome"))


@kpi("mql_to_sqo_conversion", number=48, grain="source, company", units=RAW, kind="leading", write_back="K",
     source=f"alignment of marketing and sales ({LEADERS}); a fractional CRO does not own the top of the funnel ({HEALTHTECH})",
     rests_on="none", of_deals=False)  # fmt: skip
def mql_to_sqo_conversion(book: Book) -> Iterator[Row]:
    """Leads that became sales-qualified opportunities ÷ marketing-qualified leads that did or that are older than ``lead_maturity_days``.

    MQL date in T12M; younger ones that did not convert yet are pending. ``raw`` ÷ all of them. A lead whose deal was deleted keeps its dates.
    n: mature (``raw``: all) MQLs.

    >>> from connector.kpis.example import example
    >>> company = example().add("leads", id="L1", mql_on="2026-06-01", sqo_on="2026-07-01").add("leads", id="L2", mql_on="2026-06-01")
    >>> company.add("leads", id="L3", mql_on="2027-01-11").show("mql_to_sqo_conversion")
    '0.5 ratio, n=2, 0.09–0.91, low n, pending=1'
    """
    rolling = book.windows.rolling
    old = (book.today - pl.col("mql_on")).dt.total_days() > book.settings.thresholds.lead_maturity_days
    leads = book.leads.filter(rolling.covers("mql_on")).with_columns(
        source="lead_source", began="mql_on", reached=(pl.col("sqo_on") <= book.today).fill_null(False)
    )
    for subject, part in slices(leads.with_columns(resolved=pl.col("reached") | old), "source"):
        yield from conversion(rolling.label, subject, part, "qualified", "lead")


@kpi("sql_to_closed_won", number=49, grain="source, company", units=RAW, kind="lagging", write_back="K",
     source=f"the VP's slice of the lifecycle ({LEADERS})", of_deals=False)  # fmt: skip
def sql_to_closed_won(book: Book) -> Iterator[Row]:
    """Won ÷ closed, of the deals behind sales-qualified leads with an SQL date in T12M; ``raw``: leads whose deal was won ÷ all of them.

    Deals of any type; a deal behind several leads counts once, in ``raw`` each lead does. Leads without a deal (or with a deleted one) are
    pending, as are those whose deal is open. Those with a void deal are out, counted in ``void``. Source is the lead's. n: closed deals
    (``raw``: leads).

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02").deal("D2", "demo 2026-05-04", "closed_lost 2026-07-01")
    >>> for id, deal in {"L1": "D1", "L2": "D2", "L3": None}.items():
    ...     company = company.add("leads", id=id, sql_on="2026-05-01", opportunity=deal)
    >>> company.show("sql_to_closed_won"), company.show("sql_to_closed_won", "raw")
    ('0.5 ratio, n=2, 0.09–0.91, low n, pending=1', '0.3333333333 ratio, n=3, 0.06–0.79, low n, pending=1')
    """
    rolling = book.windows.rolling
    facts = book.deals.select("closed", "cls", opportunity="id")
    leads = book.leads.filter(rolling.covers("sql_on")).join(facts, on="opportunity", how="left", maintain_order="left")
    leads = leads.with_columns(source="lead_source", cls=pl.col("cls").fill_null("open"), won=(pl.col("cls") == "won").fill_null(False))
    for subject, every in slices(leads, "source"):
        part = every.filter(pl.col("cls") != "void")
        ended = part.filter(pl.col("cls") != "open")
        deals, pending = ended.unique("opportunity", keep="first", maintain_order=True), part.height - ended.height
        void = {"void": every.height - part.height}
        told = deals.select("opportunity", "closed", "won")
        yield rate(subject, rolling.label, int(deals["won"].sum()), deals.height, pending=pending, excluded=void, evidence=told)
        told = part.select("opportunity", "sql_on", "won", lead="id").select("lead", "sql_on", "opportunity", "won")
        yield rate(subject, rolling.label, int(part["won"].sum()), part.height, variant="raw", pending=pending, excluded=void, evidence=told)
