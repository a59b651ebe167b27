"""Do key opinion leaders stay close, and what comes of it? (catalogue 8.6: 63–65). Spend on physicians stays out."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.book.keys import contact_index, found
from connector.kpis.book.people import once
from connector.kpis.book.windows import trailing
from connector.kpis.definition import Row, kpi
from connector.kpis.evidence import of_activities, of_deals, together
from connector.kpis.shapes import count, middle, missing, quotient, rate

MEDTECH = "medtech CRO KPIs"


@derived
def touches_of_late(book: Book) -> pl.DataFrame:
    """Touches with a contact in the last ``kol_score.lookback_days``, on any deal or none, each once."""
    recent = trailing(book.settings.kol_score.lookback_days, book.today).covers("on")
    return once(book.activities.filter(pl.col("touch") & recent & pl.col("contact").is_not_null()))


@derived
def leaders(book: Book) -> pl.DataFrame | None:
    """Key opinion leaders as evidence: contact, touches, meetings, advisory_board, published (by today), score, active, input; None: no kol.csv."""
    rows, setting = book.inputs.rows("kol"), book.settings.kol_score
    if rows is None:
        return None
    counts = {contact: (n, held) for contact, n, held in touches_of_late(book).group_by("contact").agg(pl.len(), pl.col("held").sum()).iter_rows()}
    known: dict[str, tuple[str, int, int, bool, bool, int, bool, str]] = {}
    for row in rows:
        contact = found(contact_index(book), row["contact_key"])
        touches, held = counts.get(contact, (0, 0))
        published = row["published_on"] is not None and row["published_on"] <= book.today
        board = bool(row["advisory_board"])
        score = min(setting.points_per_meeting * held, setting.meeting_cap) + setting.advisory_board * board + setting.publication * published
        known.setdefault(contact, (contact, touches, held, board, published, score, touches > 0, row["place"]))
    schema = {
        "contact": pl.String, "touches": pl.Int64, "meetings": pl.Int64, "advisory_board": pl.Boolean, "published": pl.Boolean,
        "score": pl.Int64, "active": pl.Boolean, "input": pl.String,
    }  # fmt: skip
    return pl.DataFrame([known[contact] for contact in sorted(known)], schema=schema, orient="row")


@kpi("kol_engagement_score", number=63, grain="contact, company", units={"": "score", "mean": "score"}, kind="leading", write_back="C K",
     needs=("kol",), source=f"composite of meetings, advisory boards, case studies ({MEDTECH})", rests_on="none")  # fmt: skip
def kol_engagement_score(book: Book) -> Iterator[Row]:
    """min(points × held meetings, cap) + advisory board + published case study, per key opinion leader of kol.csv; ``mean`` over all of them.

    Meetings of the last ``lookback_days`` with the contact, on any deal or none; a case study counts from the day it is out. Points and days:
    ``kol_score`` in kpis.yaml. The rows of contacts are written to the contact itself and go nowhere else. n: touches in these days
    (``mean``: key opinion leaders).

    >>> from connector.kpis.example import example
    >>> company = example().file("kol", {"contact_key": "C1", "advisory_board": True}, {"contact_key": "C2"})
    >>> company = company.add("activities", id="M1", kind="meeting", outcome="held", on="2027-01-11", contact="C1")
    >>> company.show("kol_engagement_score", subject="contact=C1"), company.show("kol_engagement_score", "mean")
    ('35 score, n=1', '17.5 score, n=2, low n')
    """
    people = leaders(book)
    if people is None:
        yield missing("company", "asof", "mean")
        return
    for place, (contact, score, touches) in enumerate(people.select("contact", "score", "touches").iter_rows()):
        yield Row(f"contact={contact}", "asof", score, touches, evidence=people.slice(place, 1))
    yield from middle("company", "asof", people["score"], {"mean": "mean"}, evidence=people)


@kpi("active_kol_count", number=64, grain="company", units="count", kind="leading", write_back="K", needs=("kol",), rests_on="none",
     source=f"flat means the momentum stalls ({MEDTECH})")  # fmt: skip
def active_kol_count(book: Book) -> Iterator[Row]:
    """Number of key opinion leaders of kol.csv with a touch in the last ``lookback_days`` (call, email or held meeting; any deal or none).

    n: key opinion leaders.

    >>> from connector.kpis.example import example
    >>> company = example().file("kol", {"contact_key": "C1"}, {"contact_key": "C2"})
    >>> company.add("activities", id="E1", kind="email", direction="inbound", on="2027-01-11", contact="C1").show("active_kol_count")
    '1 count, n=2'
    """
    people = leaders(book)
    if people is None:
        yield missing("company", "asof", small=False)
        return
    yield count("company", "asof", int(people["active"].sum()), n=people.height, evidence=people)


@kpi("kol_contact_frequency", number=64, grain="company", units={"": "per_30d", "touches": "count"}, kind="leading", write_back="K",
     needs=("kol",), source=f"flat means the momentum stalls ({MEDTECH})", rests_on="none")  # fmt: skip
def kol_contact_frequency(book: Book) -> Iterator[Row]:
    """Touches with key opinion leaders per active one and 30 days, over the last ``lookback_days``; ``touches``: their number.

    Active: with a touch in these days. Null while none is active. n: active key opinion leaders (``touches``: all of them).

    >>> from connector.kpis.example import example
    >>> company = example().file("kol", {"contact_key": "C1"}, {"contact_key": "C2"})
    >>> for on in ("2027-01-11", "2027-01-18", "2027-02-01"):
    ...     company = company.add("activities", id=on, kind="call", on=on, contact="C1")
    >>> company.show("kol_contact_frequency"), company.show("kol_contact_frequency", "touches")
    ('1 per_30d, n=1', '3 count, n=2')
    """
    people = leaders(book)
    if people is None:
        yield from (missing("company", "asof", variant, small=False) for variant in ("touches", ""))
        return
    told = of_activities(touches_of_late(book).filter(pl.col("contact").is_in(people["contact"].implode())), "contact", "opportunity")
    active, thirties = people.filter("active"), book.settings.kol_score.lookback_days / 30
    yield count("company", "asof", told.height, variant="touches", n=people.height, evidence=together([people, told]))
    yield quotient("company", "asof", told.height / thirties, active.height, active.height, small=False, evidence=active)


def referred(book: Book) -> pl.DataFrame:
    """New business created in T12M from a lead source that is a referral by a key opinion leader; nothing where no source is named."""
    sources = list(book.settings.kol_score.lead_sources)
    return book.new_business.filter(pl.col("source").is_in(sources) & book.windows.rolling.covers("created"))


@kpi("kol_referred_leads", number=65, grain="company", units="count", kind="leading", write_back="K",
     needs=("setting:kol_score.lead_sources",), source=f"KOL-referred leads ({MEDTECH})", rests_on="none")  # fmt: skip
def kol_referred_leads(book: Book) -> Iterator[Row]:
    """Number of new-business deals created in T12M whose lead source is a referral by a key opinion leader (``kol_score.lead_sources``).

    n: deals. Null where no source is named.

    >>> from connector.kpis.example import example
    >>> example().deal("D1", "demo 2026-12-17", lead_source="kol_referral").deal("D2", "demo 2026-12-17").show("kol_referred_leads")
    '1 count, n=1'
    """
    if not book.settings.kol_score.lead_sources:
        yield missing("company", book.windows.rolling.label, small=False)
        return
    deals = referred(book)
    yield count("company", book.windows.rolling.label, deals.height, evidence=of_deals(deals, "source", "created"))


@kpi("kol_engagement_conversion", number=65, grain="company", units="ratio", kind="leading", write_back="K",
     needs=("setting:kol_score.lead_sources",), source=f"KOL-referred leads ({MEDTECH})")  # fmt: skip
def kol_engagement_conversion(book: Book) -> Iterator[Row]:
    """Won ÷ closed, of the deals that ``kol_referred_leads`` counts; open ones are pending.

    Referred deals differ from others in more than the referral: the rate goes with it, it does not show what it causes. n: closed deals.
    Null where no source is named.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", lead_source="kol_referral")
    >>> company.deal("D2", "demo 2026-12-17", lead_source="kol_referral").show("kol_engagement_conversion")
    '1 ratio, n=1, 0.21–1.00, low n, pending=1'
    """
    if not book.settings.kol_score.lead_sources:
        yield missing("company", book.windows.rolling.label)
        return
    deals = referred(book)
    closed = deals.filter(pl.col("cls") != "open")
    told = of_deals(closed, "closed", (pl.col("cls") == "won").alias("won"))
    pending = deals.height - closed.height
    yield rate("company", book.windows.rolling.label, int(told["won"].sum()), closed.height, pending=pending, evidence=told)
