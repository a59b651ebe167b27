"""Whose personas are on a deal, and since when (catalogue R9). Frames that several questions share."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.shapes import by


@derived
def personas(book: Book) -> pl.DataFrame:
    """opportunity, persona, since: who was on the deal by its close (today for open ones); with ``persona_evidence: engaged`` also met or
    heard by then. ``since``: when the first contact with the persona was associated; null: from the beginning."""
    cutoff = book.deals.select(pl.col("id").alias("opportunity"), cutoff=pl.col("closed").fill_null(book.today))
    rows = book.roles.filter(pl.col("persona").is_not_null()).join(cutoff, on="opportunity")
    rows = rows.filter(pl.col("added_on").is_null() | (pl.col("added_on") <= pl.col("cutoff")))
    if book.settings.populations.persona_evidence == "engaged":
        touches = book.activities.filter("two_way").group_by("opportunity", "contact").agg(first_touch=pl.col("on").min())
        rows = rows.join(touches, on=["opportunity", "contact"]).filter(pl.col("first_touch") <= pl.col("cutoff"))
    since = pl.when(pl.col("added_on").is_not_null().all()).then(pl.col("added_on").min())
    return rows.group_by("opportunity", "persona").agg(since=since).sort("opportunity", "persona")


def by_persona(book: Book, deals: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """(persona, deals that have it, with ``since``), sorted; a deal with several personas occurs under each."""
    yield from by(deals.join(personas(book), left_on="id", right_on="opportunity", maintain_order="left"), "persona")
