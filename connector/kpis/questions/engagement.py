"""Who is at the table, and do they answer? (catalogue 8.6; key opinion leaders: :mod:`connector.kpis.questions.kol`)"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.book.people import once
from connector.kpis.book.windows import trailing
from connector.kpis.definition import Row, kpi
from connector.kpis.evidence import of_activities, of_deals, of_inputs, parted
from connector.kpis.personas import personas
from connector.kpis.questions.pipeline import last_buyer_activity
from connector.kpis.shapes import by, count, deal, middle, missing

MEDTECH, HEALTHTECH, HEALTHCARE = "medtech CRO KPIs", "healthtech CRO KPIs", "healthcare CRO metrics"


@derived
def personas_of(book: Book) -> dict[str, list[str]]:
    """Open deal → its personas, sorted by key."""
    held = {id: list(keys) for id, keys in personas(book).group_by("opportunity", maintain_order=True).agg("persona").iter_rows()}
    return {id: held.get(id, []) for id in book.open_deals["id"]}


@derived
def personas_lacking(book: Book) -> dict[str, tuple[list[str] | None, int]]:
    """Open deal → (required personas that are missing, how many are required); None where nothing is required of the segment."""
    required = book.settings.required_personas
    found: dict[str, tuple[list[str] | None, int]] = {}
    for id, segment in book.open_deals.select("id", "segment").iter_rows():
        needed = required.get(segment or "", ())
        found[id] = (sorted(set(needed) - set(personas_of(book)[id])), len(needed)) if needed else (None, 0)
    return found


@derived
def placed_touches(book: Book) -> pl.DataFrame:
    """Touches on deals as evidence, with the visit they fall into: activity, on, kind, opportunity, number (of the visit; null: before the first)."""
    touches = book.activities.filter(pl.col("touch") & pl.col("opportunity").is_not_null()).sort("on", maintain_order=True)
    stays = book.visits.select("opportunity", "number", "entered").sort("entered", "number")
    placed = touches.join_asof(stays, left_on="on", right_on="entered", by="opportunity", strategy="backward", check_sortedness=False)
    return of_activities(placed, "opportunity", "number")


@derived
def touched_visits(book: Book) -> pl.DataFrame:
    """Visits to open stages with touches: those from the day of entry to the day before leaving; a touch on the day of a move is the new stage's."""
    counted = placed_touches(book).filter(pl.col("number").is_not_null()).group_by("opportunity", "number").agg(touches=pl.len())
    return book.dwell.join(counted, on=["opportunity", "number"], how="left", maintain_order="left").with_columns(pl.col("touches").fill_null(0))


def density(subject: str, window: str, touches: int, days: int, told: pl.DataFrame | None = None) -> Row:
    """Touches per 30 days; null on the first day."""
    return Row(subject, window, touches / days * 30 if days else None, touches, reason=None if days else "no_denominator", evidence=told)


@derived
def present_touches(book: Book) -> dict[str, tuple[int, int]]:
    """Open deal → (touches, days) of its present visit; absent without history."""
    rows = touched_visits(book).filter(pl.col("running"))
    return {id: (touches, days) for id, touches, days in rows.select("opportunity", "touches", "days").iter_rows()}


@kpi("touchpoint_density", number=59, grain="opportunity, opportunity × stage, stage", units="per_30d", kind="leading", write_back="O K",
     source=f"low density with long duration is bad ({HEALTHCARE})")  # fmt: skip
def touchpoint_density(book: Book) -> Iterator[Row]:
    """Touches (calls, emails, held meetings) ÷ days × 30: of the present visit (deal), of all visits to a stage (deal × stage), pooled (stage).

    Open deals of any type; stage rows: new business, all time, pooled over deals, so that long stays weigh more. A touch on the day of a move
    belongs to the new stage; touches while the deal was closed belong to none. Touches by ignored authors are none; mail that the CRM does
    not keep is not seen. Null on the first day of a visit, and without stage history. n: touches.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-12-17", "pilot 2027-01-16")
    >>> for on in ("2026-12-20", "2027-01-16", "2027-02-01"):
    ...     company = company.add("activities", id=on, kind="email", direction="outbound", on=on, opportunity="D1")
    >>> company.show("touchpoint_density", subject="opportunity=D1"), company.show("touchpoint_density", subject="opportunity=D1,stage=demo")
    ('2 per_30d, n=2', '1 per_30d, n=1')
    """
    stays = touched_visits(book).filter(pl.col("stage").is_not_null())
    touches = placed_touches(book).join(stays.select("opportunity", "number", "stage", "running"), on=["opportunity", "number"])
    nothing = touches.select(pl.exclude("stage", "running")).clear()
    shown = parted(book.of_new_business(touches), "stage", show=nothing.columns)
    for stage, part in by(book.of_new_business(stays), "stage"):
        yield density(f"stage={stage}", "ALL", int(part["touches"].sum()), int(part["days"].sum()), shown.get((stage,), nothing))
    mine = stays.filter(pl.col("opportunity").is_in(book.open_deals["id"].implode()))
    pooled = mine.group_by("opportunity", "stage", maintain_order=True).agg(pl.col("touches").sum(), pl.col("days").sum())
    shown = parted(touches, "opportunity", "stage", show=nothing.columns)
    for id, stage, number, days in pooled.select("opportunity", "stage", "touches", "days").iter_rows():
        yield density(f"{deal(id)},stage={stage}", "asof", number, days, shown.get((id, stage), nothing))
    now, shown = present_touches(book), parted(_of_present_visits(book), "opportunity")
    for id in book.open_deals["id"]:
        yield density(deal(id), "asof", *now[id], shown.get((id,), nothing)) if id in now else Row(deal(id), "asof", None, 0, reason="no_history")


def _of_present_visits(book: Book) -> pl.DataFrame:
    running = touched_visits(book).filter("running").select("opportunity", "number")
    return placed_touches(book).join(running, on=["opportunity", "number"])


@kpi("buyer_engagement_score", number=60, grain="opportunity", units={"": "score", "days_since_last": "days"}, kind="leading", write_back="O",
     source=f"composite of opens, meetings, documents, portal ({HEALTHCARE})", rests_on="none")  # fmt: skip
def buyer_engagement_score(book: Book) -> Iterator[Row]:
    """100 × Σ weight × min(count ÷ cap, 1) over held meetings, inbound emails and personas met in the last ``lookback_days``.

    Open deals of any type. Counted are two-way touches on the deal: held meetings, inbound emails, answered calls; personas are the distinct
    ones of the contacts of these touches (of their role on the deal, else their own). Weights, caps and days: ``engagement_score`` in
    kpis.yaml; document opens and portal visits weigh nothing unless they are supplied. ``days_since_last``: days since the last two-way touch,
    whenever it was; null where there was none. n: two-way touches (``days_since_last``: 1).

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-12-17").add("contacts", id="C1", persona="cfo")
    >>> company = company.add("activities", id="M1", kind="meeting", outcome="held", on="2027-02-05", opportunity="D1", contact="C1")
    >>> company.show("buyer_engagement_score", subject="opportunity=D1")  # 100 × (0.4 × 1/2 + 0.3 × 0/4 + 0.3 × 1/3)
    '30 score, n=1'
    >>> company.show("buyer_engagement_score", "days_since_last", "opportunity=D1")
    '10 days, n=1'
    """
    setting = book.settings.engagement_score
    every = book.activities.filter(pl.col("two_way") & pl.col("opportunity").is_not_null())
    recent = every.filter(trailing(setting.lookback_days, book.today).covers("on"))
    own = book.contacts.select(pl.col("id").alias("contact"), pl.col("persona").alias("own")).unique("contact", keep="first", maintain_order=True)
    met = recent.select("opportunity", "contact").unique().join(book.roles, on=["opportunity", "contact"], how="left")
    heard = met.join(own, on="contact", how="left").group_by("opportunity").agg(personas=pl.coalesce("persona", "own").drop_nulls().n_unique())
    counts = recent.group_by("opportunity").agg(
        n=pl.len(), meetings=(pl.col("kind") == "meeting").sum(), inbound_emails=(pl.col("kind") == "email").sum()
    ).join(heard, on="opportunity", how="left")  # fmt: skip
    parts = {row["opportunity"]: row for row in counts.iter_rows(named=True)}
    last = dict(last_buyer_activity(book).iter_rows())
    facts = ("opportunity", "direction", "outcome", "contact")
    shown = parted(of_activities(recent, *facts), "opportunity")
    latest = parted(of_activities(every, *facts).unique("opportunity", keep="last", maintain_order=True), "opportunity")
    for id in book.open_deals["id"]:
        part = parts.get(id, {"n": 0})
        score = 100 * sum(weight * min(part.get(name, 0) / setting.caps.get(name, 1), 1) for name, weight in setting.weights.items())
        yield Row(deal(id), "asof", score, part["n"], evidence=shown.get((id,)))
        yield _since(book, id, last.get(id), latest.get((id,)))


def _since(book: Book, id: str, last: date | None, told: pl.DataFrame | None) -> Row:
    if last is None:
        return Row(deal(id), "asof", None, 0, "days_since_last", reason="no_activity")
    return Row(deal(id), "asof", (book.today - last).days, 1, "days_since_last", evidence=told)


@kpi("influence_score_per_persona", number=61, grain="persona", units="score", kind="qualitative", write_back="K", needs=("persona_ratings",),
     source=f"qualitative ({HEALTHCARE})", rests_on="none")  # fmt: skip
def influence_score_per_persona(book: Book) -> Iterator[Row]:
    """Mean of the ratings from 0 to 10 that deal reviews gave a persona, up to today.

    A judgement of people, never computed from win rates: those only tell who was on the deals that were won. n: ratings.

    >>> from connector.kpis.example import example
    >>> ratings = [{"persona": "cfo", "date": "2026-08-20", "score": 7}, {"persona": "cfo", "date": "2026-11-05", "score": 8}]
    >>> example().file("persona_ratings", *ratings).show("influence_score_per_persona", subject="persona=cfo")
    '7.5 score, n=2, low n'
    """
    rows = book.inputs.rows("persona_ratings")
    if rows is None:
        yield missing("company", "asof")
        return
    given: dict[str, list[Any]] = {}
    for row in rows:
        if row["date"] <= book.today:
            given.setdefault(row["persona"], []).append(row)
    for persona, ratings in sorted(given.items()):
        scores = pl.Series([float(row["score"]) for row in ratings], dtype=pl.Float64)
        yield from middle(f"persona={persona}", "asof", scores, {"": "mean"}, evidence=of_inputs(ratings))


@kpi("personas_engaged", number=62, grain="opportunity, company", units={"": "list", "mean": "count"}, kind="leading", write_back="O",
     source=f"consensus of clinical, financial, IT, legal, compliance ({HEALTHCARE})", rests_on="none")  # fmt: skip
def personas_engaged(book: Book) -> Iterator[Row]:
    """Personas on the deal, sorted by key; open deals of any type. ``mean``: their mean number on open new-business deals.

    On the deal: a contact with the persona is associated with it by today; with ``persona_evidence: engaged`` also met or heard there.
    Contacts whose persona is not known are not guessed. n: personas (``mean``: deals).

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-12-17").add("opportunity_contacts", opportunity="D1", contact="C1", persona="cmio")
    >>> company.add("opportunity_contacts", opportunity="D1", contact="C2", persona="cfo").show("personas_engaged", subject="opportunity=D1")
    "['cfo', 'cmio'] list, n=2"
    """
    held = personas_of(book)
    seats = book.roles.join(personas(book).select("opportunity", "persona"), on=["opportunity", "persona"], maintain_order="left")
    seats = seats.filter(pl.col("added_on").is_null() | (pl.col("added_on") <= book.today))
    shown = parted(seats.select("contact", "persona", "added_on", "opportunity"), "opportunity")
    for id, keys in held.items():
        yield Row(deal(id), "asof", keys, len(keys), evidence=shown.get((id,)))
    counted = book.open_new.with_columns(personas=pl.Series([len(held[id]) for id in book.open_new["id"]], dtype=pl.Int64))
    yield from middle("company", "asof", counted["personas"], {"mean": "mean"}, evidence=of_deals(counted, "personas"))


@kpi("missing_personas", number=62, grain="opportunity", units="list", kind="leading", write_back="O", source=f"stakeholder map ({MEDTECH})",
     needs=("setting:required_personas",), rests_on="none")  # fmt: skip
def missing_personas(book: Book) -> Iterator[Row]:
    """Personas that ``required_personas`` asks of the deal's segment and that are not on the deal, sorted by key; open deals of any type.

    Null where nothing is required of the segment, an empty list where nobody is missing. n: personas required.

    >>> from connector.kpis.example import example
    >>> company = example().set("required_personas", {"hospital": ["cfo", "value_analysis"]}).deal("D1", "demo 2026-12-17")
    >>> company = company.add("opportunity_contacts", opportunity="D1", contact="C2", persona="cfo")
    >>> company.show("missing_personas", subject="opportunity=D1")
    "['value_analysis'] list, n=2"
    """
    held = pl.Series("personas", [", ".join(personas_of(book)[id]) for id in book.open_deals["id"]], dtype=pl.String)
    told = of_deals(book.open_deals.with_columns(held), "segment", "personas")
    for place, (id, (keys, required)) in enumerate(personas_lacking(book).items()):
        yield Row(deal(id), "asof", keys, required, reason="not_applicable" if keys is None else None, evidence=told.slice(place, 1))


@kpi("activity_counts", number=66, grain="owner × type", units="count", kind="leading", write_back="U; off by default", rests_on="none",
     of_deals=False, source=f"a trap ({MEDTECH}); full-time CROs only ({HEALTHTECH})")  # fmt: skip
def activity_counts(book: Book) -> Iterator[Row]:
    """Touches in T90D by type: call, email_out, email_in, meeting (held); with a deal or without.

    By the activity's owner, for every owner; ``owner=unknown`` are those of nobody. An activity on two deals is one. An email without a
    direction is neither in nor out and counted in ``unknown``. Counting activity rewards activity: show it only beside
    ``meeting_show_rate`` and ``outreach_to_meeting_rate``. n: touches.

    >>> from connector.kpis.example import example
    >>> company = example().add("activities", id="E1", kind="email", direction="inbound", on="2027-02-05", owner="R1")
    >>> company.show("activity_counts", subject="owner=R1,type=email_in"), company.show("activity_counts", subject="owner=R1,type=call")
    ('1 count, n=1', '0 count, n=0')
    """
    window, kind, direction = trailing(90, book.today), pl.col("kind"), pl.col("direction")
    types = {
        "call": kind == "call", "email_out": (kind == "email") & (direction == "outbound"), "email_in": (kind == "email") & (direction == "inbound"),
        "meeting": kind == "meeting",
    }  # fmt: skip
    touches = once(book.activities.filter(pl.col("touch") & window.covers("on")))
    parts = dict(by(touches, "owner"))
    for owner in sorted({*book.owners["id"], *parts}):
        mine = parts.get(owner, touches.clear())
        unclear = mine.filter((kind == "email") & ~direction.is_in(["inbound", "outbound"]).fill_null(False)).height
        for type, condition in types.items():
            part = mine.filter(condition.fill_null(False))
            left_out = {"unknown": unclear} if type.startswith("email") else None
            told = of_activities(part, "direction", "opportunity")
            yield count(f"owner={owner},type={type}", window.label, part.height, excluded=left_out, evidence=told)
