"""Who is at the table, and do they answer? (catalogue 8.6)"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import polars as pl

from connector.kpis.book import Book, derived
from connector.kpis.definition import Reason, Row, kpi
from connector.kpis.keys import contact_index, found
from connector.kpis.personas import personas
from connector.kpis.pipeline import last_buyer_activity
from connector.kpis.shapes import by, deal, middle, missing
from connector.kpis.windows import trailing

MEDTECH, HEALTHCARE = "medtech CRO KPIs", "healthcare CRO metrics"


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
def touched_visits(book: Book) -> pl.DataFrame:
    """Visits to open stages with touches: those from the day of entry to the day before leaving; a touch on the day of a move is the new stage's."""
    touches = book.activities.filter(pl.col("touch") & pl.col("opportunity").is_not_null()).select("opportunity", "on").sort("on")
    stays = book.visits.select("opportunity", "number", "entered").sort("entered", "number")
    placed = touches.join_asof(stays, left_on="on", right_on="entered", by="opportunity", strategy="backward", check_sortedness=False)
    counted = placed.filter(pl.col("number").is_not_null()).group_by("opportunity", "number").agg(touches=pl.len())
    return book.dwell.join(counted, on=["opportunity", "number"], how="left", maintain_order="left").with_columns(pl.col("touches").fill_null(0))


def density(subject: str, window: str, touches: int, days: int) -> Row:
    """Touches per 30 days; null on the first day."""
    return Row(subject, window, touches / days * 30 if days else None, touches, reason=None if days else "no_denominator")


@derived
def present_touches(book: Book) -> dict[str, tuple[int, int]]:
    """Open deal → (touches, days) of its present visit; absent without history."""
    rows = touched_visits(book).filter(pl.col("running"))
    return {id: (touches, days) for id, touches, days in rows.select("opportunity", "touches", "days").iter_rows()}


@kpi("touchpoint_density", number=59, grain="opportunity, opportunity × stage, stage", units="per_30d", kind="leading", write_back="O K",
     source=f"low density with long duration is bad ({HEALTHCARE})")  # fmt: skip
def touchpoint_density(book: Book) -> Iterator[Row]:
    """Touches (calls, emails, held meetings) ÷ days × 30: of the present visit (deal), of all visits to a stage (deal × stage), pooled (stage)."""
    stays = touched_visits(book).filter(pl.col("stage").is_not_null())
    for stage, part in by(book.of_new_business(stays), "stage"):
        yield density(f"stage={stage}", "ALL", int(part["touches"].sum()), int(part["days"].sum()))
    mine = stays.filter(pl.col("opportunity").is_in(book.open_deals["id"].implode()))
    pooled = mine.group_by("opportunity", "stage", maintain_order=True).agg(pl.col("touches").sum(), pl.col("days").sum())
    for id, stage, touches, days in pooled.select("opportunity", "stage", "touches", "days").iter_rows():
        yield density(f"{deal(id)},stage={stage}", "asof", touches, days)
    now = present_touches(book)
    for id in book.open_deals["id"]:
        yield density(deal(id), "asof", *now[id]) if id in now else Row(deal(id), "asof", None, 0, reason="no_history")


@kpi("buyer_engagement_score", number=60, grain="opportunity", units={"": "score", "days_since_last": "days"}, kind="leading", write_back="O",
     source=f"composite of meetings, documents, answers ({HEALTHCARE})", rests_on="none")  # fmt: skip
def buyer_engagement_score(book: Book) -> Iterator[Row]:
    """100 × Σ weight × min(count ÷ cap, 1) over held meetings, inbound emails and personas met in the last ``lookback_days``.

    ``days_since_last``: days since the last two-way touch, whenever it was.
    """
    setting = book.settings.engagement_score
    recent = book.activities.filter(pl.col("two_way") & trailing(setting.lookback_days, book.today).covers("on"))
    own = book.contacts.select(pl.col("id").alias("contact"), pl.col("persona").alias("own")).unique("contact", keep="first", maintain_order=True)
    met = recent.select("opportunity", "contact").unique().join(book.roles, on=["opportunity", "contact"], how="left")
    heard = met.join(own, on="contact", how="left").group_by("opportunity").agg(personas=pl.coalesce("persona", "own").drop_nulls().n_unique())
    counts = recent.group_by("opportunity").agg(
        n=pl.len(), meetings=(pl.col("kind") == "meeting").sum(), inbound_emails=(pl.col("kind") == "email").sum()
    ).join(heard, on="opportunity", how="left")  # fmt: skip
    parts = {row["opportunity"]: row for row in counts.iter_rows(named=True)}
    last = dict(last_buyer_activity(book).iter_rows())
    for id in book.open_deals["id"]:
        part = parts.get(id, {"n": 0})
        score = 100 * sum(weight * min(part.get(name, 0) / setting.caps.get(name, 1), 1) for name, weight in setting.weights.items())
        yield Row(deal(id), "asof", score, part["n"])
        yield _since(book, id, last.get(id))


def _since(book: Book, id: str, last: date | None) -> Row:
    reason: Reason | None = "no_activity" if last is None else None
    return Row(deal(id), "asof", None if last is None else (book.today - last).days, 0 if last is None else 1, "days_since_last", reason=reason)


@kpi("personas_engaged", number=62, grain="opportunity, company", units={"": "list", "mean": "count"}, kind="leading", write_back="O",
     source=f"consensus of clinical, financial, IT, legal, compliance ({HEALTHCARE})", rests_on="none")  # fmt: skip
def personas_engaged(book: Book) -> Iterator[Row]:
    """Personas on the deal, sorted; ``mean``: their mean number on open new-business deals."""
    held = personas_of(book)
    for id, keys in held.items():
        yield Row(deal(id), "asof", keys, len(keys))
    numbers = pl.Series([len(held[id]) for id in book.open_new["id"]], dtype=pl.Int64)
    yield from middle("company", "asof", numbers, {"mean": "mean"})


@kpi("missing_personas", number=62, grain="opportunity", units="list", kind="leading", write_back="O", source=f"stakeholder map ({MEDTECH})",
     needs=("setting:required_personas",), rests_on="none")  # fmt: skip
def missing_personas(book: Book) -> Iterator[Row]:
    """Personas required of the segment that are not on the deal, sorted; null where nothing is required of the segment."""
    for id, (keys, required) in personas_lacking(book).items():
        yield Row(deal(id), "asof", keys, required, reason="not_applicable" if keys is None else None)


@kpi("kol_engagement_score", number=63, grain="contact, company", units={"": "score", "mean": "score"}, kind="leading", write_back="C K",
     needs=("kol",), source=f"composite of meetings, advisory boards, case studies ({MEDTECH})", rests_on="none")  # fmt: skip
def kol_engagement_score(book: Book) -> Iterator[Row]:
    """min(points × held meetings, cap) + advisory board + published case study, per key opinion leader; ``mean`` over all of them."""
    rows, setting = book.inputs.rows("kol"), book.settings.kol_score
    if rows is None:
        yield missing("company", "asof", "mean")
        return
    recent = book.activities.filter(pl.col("touch") & trailing(setting.lookback_days, book.today).covers("on")).unique("id", keep="first")
    counts = {contact: (touches, held) for contact, touches, held in recent.group_by("contact").agg(pl.len(), pl.col("held").sum()).iter_rows()}
    scores = []
    for row in rows:
        contact = found(contact_index(book), row["contact_key"])
        touches, held = counts.get(contact, (0, 0))
        published = row["published_on"] is not None and row["published_on"] <= book.today
        score = min(setting.points_per_meeting * held, setting.meeting_cap) + setting.advisory_board * bool(row["advisory_board"])
        scores.append(score + setting.publication * published)
        yield Row(f"contact={contact}", "asof", scores[-1], touches)
    yield from middle("company", "asof", pl.Series(scores, dtype=pl.Int64), {"mean": "mean"})
