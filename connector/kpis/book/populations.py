"""Named populations of kpis.yaml as filters on deals."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from connector.errors import MappingError
from connector.model.kpi_settings import Predicate

DIMENSIONS = ("segment", "territory", "size", "source", "product", "owner")
"""The dimensions D of the catalogue."""
FIELDS = (*DIMENSIONS, "deal_type", "pipeline", "stage", "kind", "lost_reason")
"""What a predicate may name, beside the dimensions that a mapping adds."""
COLUMNS = {"type": "deal_type", "lead_source": "source", "size_band": "size"}
"""Words for columns that have another name among deals."""


def matches(predicate: Predicate, known: Sequence[str]) -> pl.Expr:
    """The predicate as a filter on the frame ``deals`` of a book. ``known``: the columns it may name.

    Raises MappingError SC-E022 for another field.
    """
    held: pl.Expr = pl.lit(True)
    for field, values in predicate.where.items():
        held &= _among(field, values, known)
    for field, values in predicate.except_.items():
        held &= ~_among(field, values, known)
    if predicate.amount_at_least is not None:
        held &= (pl.col("amount").cast(pl.Float64) >= predicate.amount_at_least).fill_null(False)
    if predicate.amount_below is not None:
        held &= (pl.col("amount").cast(pl.Float64) < predicate.amount_below).fill_null(False)
    return held


def _among(field: str, values: Sequence[str], known: Sequence[str]) -> pl.Expr:
    column = COLUMNS.get(field, field)
    if column not in known:
        raise MappingError(f"populations: no field {field}; known are {', '.join(known)}", code="SC-E022")
    return pl.col(column).fill_null("unmapped" if column == "stage" else "unknown").is_in(list(values))
