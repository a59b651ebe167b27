"""How fast does revenue come? (catalogue 8.3)"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.definition import Row, kpi
from connector.kpis.evidence import of_deals, together
from connector.kpis.personas import by_persona, personas
from connector.kpis.questions.pipeline import stale
from connector.kpis.questions.speed import cycles
from connector.kpis.shapes import by, middle

MEDTECH, HEALTHCARE = "medtech CRO KPIs", "healthcare CRO metrics"


@derived
def _moving(book: Book) -> pl.DataFrame:
    """Open pipeline that is neither stale nor parked."""
    return book.pipeline_of(stale(book)).filter(~pl.col("stale") & ~pl.col("parked"))


@derived
def _closed(book: Book) -> pl.DataFrame:
    """Deals closed in T12M with days of their cycle (null: unknown), judged (whether win rates count them) and won."""
    window = book.windows.rolling
    judged = book.judged(window)["id"].implode()
    deals = book.closed(window).join(cycles(book).select("id", "days"), on="id", how="left", maintain_order="left")
    return deals.with_columns(judged=pl.col("id").is_in(judged), won=pl.col("cls") == "won")


def _per_day(book: Book, subject: str, moving: pl.DataFrame, closed: pl.DataFrame) -> Row:
    """n × win rate ÷ mean cycle × mean size of one slice; null where one of them is."""
    judged, won = closed.filter("judged"), closed.filter("won")
    size, cycle = won["amount"].cast(pl.Float64).mean(), won["days"].cast(pl.Float64).mean()
    told = together([of_deals(moving, pl.lit("open").alias("term")), of_deals(closed, pl.lit("closed").alias("term"), "won", "amount", "days")])
    value = None
    if judged.height and isinstance(size, float) and isinstance(cycle, float) and cycle > 0:
        value = moving.height * (int(judged["won"].sum()) / judged.height) * size / cycle
    return Row(
        subject, book.windows.rolling.label, value, moving.height, "per_day", small=True, reason=None if value is not None else "no_denominator",
        evidence=told, small_n=judged.height,
    )  # fmt: skip


@kpi("sales_velocity", number=24, grain="segment, owner, company", units={"per_day": "money_per_day", "per_month": "money_per_month"}, kind="leading",
     write_back="K U", source=f"formula ({HEALTHCARE}); pipeline velocity ({MEDTECH}, CRO vs VP of Sales)")  # fmt: skip
def sales_velocity(book: Book) -> Iterator[Row]:
    """(open deals × win rate × mean deal size) ÷ mean cycle of won deals, all four of the same slice, new business.

    Open deals are those neither stale nor parked, as of today; win rate, size and cycle are of T12M. ``per_month``: × ``days_per_month``. Null
    (``no_denominator``) if any term is missing. ``n``: open deals; marked as small by the closed deals behind the win rate.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-12", amount=500).deal("D2", "demo 2027-01-04")
    >>> company.show("sales_velocity", "per_day")
    '5 money_per_day, n=1, low n'
    """
    moving, closed, month = _moving(book), _closed(book), book.settings.money.days_per_month
    parts = [("company", moving, closed)]
    segments = [segment for segment, _ in by(book.new_business, "segment")]
    for dimension, values in (("segment", segments), ("owner", book.owners["id"].to_list())):
        mine, theirs = dict(by(moving, dimension)), dict(by(closed, dimension))
        parts += [(f"{dimension}={value}", mine.get(value, moving.clear()), theirs.get(value, closed.clear())) for value in values]
    for subject, now, before in parts:
        row = _per_day(book, subject, now, before)
        yield row
        yield row._replace(variant="per_month", value=row.value * month if isinstance(row.value, float) else None)


@kpi("deal_velocity_by_persona", number=25, grain="persona", kind="leading", write_back="K",
     units={"per_day": "money_per_day", "cycle_early_mean": "days", "cycle_late_mean": "days"},
     source=f"velocity by stakeholder type ({MEDTECH}); early clinical champion ({HEALTHCARE})")  # fmt: skip
def deal_velocity_by_persona(book: Book) -> Iterator[Row]:
    """Velocity (sales_velocity) of the deals with a persona. Also called pipeline velocity by stakeholder type.

    ``cycle_early_mean``, ``cycle_late_mean``: mean cycle of deals closed in T12M on which the persona was first associated at most, or more
    than, ``engaged_early_days`` after creation; an association without a date is early. ``n``: open deals; closed deals. Goes with size and
    segment, so never read it as a cause.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-12").add("contacts", id="C1", persona="cfo")
    >>> company = company.add("opportunity_contacts", opportunity="D1", contact="C1", added_on="2026-05-10")
    >>> company.show("deal_velocity_by_persona", "cycle_early_mean", "persona=cfo")
    '100 days, n=1, low n'
    """
    moving, closed, label = _moving(book), _closed(book), book.windows.rolling.label
    limit = book.settings.thresholds.engaged_early_days
    late = ((pl.col("since") - pl.col("created")).dt.total_days() > limit).fill_null(False)
    mine, theirs = dict(by_persona(book, moving)), dict(by_persona(book, closed))
    for persona in book.of_new_business(personas(book))["persona"].unique().sort():
        before = theirs.get(persona, closed.clear().with_columns(since=pl.lit(None, dtype=pl.Date)))
        yield _per_day(book, f"persona={persona}", mine.get(persona, moving.clear()), before)
        timed = before.filter(pl.col("days").is_not_null())
        for variant, part in (("cycle_early_mean", timed.filter(~late)), ("cycle_late_mean", timed.filter(late))):
            told = of_deals(part, "created", "since", "closed", "days")
            yield from middle(f"persona={persona}", label, part["days"], {variant: "mean"}, evidence=told)
