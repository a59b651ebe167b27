"""Values as of then: deals whose history goes on after the book's instant take amount, close date and owner back to what held at it (R1)."""

from __future__ import annotations

from datetime import datetime

import polars as pl


def as_then(deals: pl.DataFrame, amounts: pl.DataFrame, closes_on: pl.DataFrame, owners: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The section ``opportunities`` with amount, closes_on and owner as they were; deals without a later change keep what they have.

    ``amounts`` and ``owners`` tell every value from the first on. Before its first, a deal had no amount, and the first owner (R18).
    ``closes_on`` tells each move with the value before it. Rows without an instant say nothing of when, and are left out.
    """
    deals = _back(deals, "amount", _last_known(amounts, "amount", as_of))
    deals = _back(deals, "closes_on", _before_first_move(closes_on, as_of))
    return _back(deals, "owner", _last_known(owners, "owner", as_of, else_first=True))


def _back(deals: pl.DataFrame, column: str, then: pl.DataFrame) -> pl.DataFrame:
    """``then``: opportunity, then; only of deals that have changed since."""
    if then.is_empty():
        return deals
    changed = then.with_columns(changed=pl.lit(True))
    return (
        deals.join(changed, left_on="id", right_on="opportunity", how="left", maintain_order="left")
        .with_columns(pl.when(pl.col("changed")).then(pl.col("then")).otherwise(pl.col(column)).alias(column))
        .drop("changed", "then")
    )


def _last_known(history: pl.DataFrame, column: str, as_of: datetime, *, else_first: bool = False) -> pl.DataFrame:
    later = history.filter(pl.col("at") > as_of)
    if later.is_empty():
        return later.select("opportunity", pl.col(column).alias("then"))
    rows = history.filter(pl.col("at").is_not_null() & pl.col("opportunity").is_in(later["opportunity"].implode())).sort("at", maintain_order=True)
    known, value = pl.col("at") <= as_of, pl.col(column)
    first = value.first() if else_first else pl.lit(None, dtype=history.schema[column])
    return rows.group_by("opportunity", maintain_order=True).agg(then=pl.when(known.any()).then(value.filter(known).last()).otherwise(first))


def _before_first_move(history: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    later = history.filter(pl.col("at") > as_of).sort("at", maintain_order=True)
    return later.group_by("opportunity", maintain_order=True).agg(then=pl.col("old").first())
