"""The company divided: books of a part of it, for ``kpis compute --by segment,owner``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import polars as pl

from connector.errors import MappingError
from connector.kpis.book.book import Book
from connector.kpis.book.populations import COLUMNS, DIMENSIONS
from connector.kpis.personas import personas

SLICES = (*DIMENSIONS, "type", "persona", "pipeline")
"""What a company may be divided by, beside the dimensions that a mapping adds."""


def divided(book: Book, dimensions: Sequence[str], only: Mapping[str, str] | None = None) -> Iterator[tuple[str, Book]]:
    """(subject, book of its deals) for every combination of values that occurs among the deals of any class, sorted.

    ``only``: dimension → the one value wanted of it; these come first. A deal with several personas belongs to several parts. Divided by
    ``type``, new business means the type of the part. Raises MappingError SC-E022 for a dimension that deals do not have.
    """
    known = (*SLICES, *book.dimensions)
    only = only or {}
    dimensions = list(dict.fromkeys([*only, *dimensions]))
    for name in dimensions:
        if COLUMNS.get(name, name) not in {COLUMNS.get(k, k) for k in known}:
            raise MappingError(f"no dimension {name}; known are {', '.join(known)}", code="SC-E022")
    yield from _parts(book, dimensions, only, ())


def _parts(book: Book, dimensions: Sequence[str], only: Mapping[str, str], named: tuple[str, ...]) -> Iterator[tuple[str, Book]]:
    if not dimensions:
        yield ",".join(named), book
        return
    first, rest = dimensions[0], dimensions[1:]
    for value, ids in _values(book, first):
        if only.get(first, value) == value:
            yield from _parts(_narrowed(book, first, value, ids), rest, only, (*named, f"{first}={value}"))


def _values(book: Book, dimension: str) -> Iterator[tuple[str, pl.Series]]:
    """(value, ids of its deals), sorted."""
    if dimension == "persona":
        pairs = book.deals.select("id").join(personas(book), left_on="id", right_on="opportunity", how="left").select("id", value="persona")
    else:
        pairs = book.deals.select("id", value=pl.col(COLUMNS.get(dimension, dimension)).cast(pl.String))
    parts = pairs.with_columns(pl.col("value").fill_null("unknown")).partition_by("value", as_dict=True)
    for key in sorted(parts, key=lambda key: str(key[0])):
        yield str(key[0]), parts[key]["id"]


def _narrowed(book: Book, dimension: str, value: str, ids: pl.Series) -> Book:
    part = narrowed(book, ids)
    if dimension == "owner":
        part = replace(part, owners=part.owners.filter(pl.col("id") == value))
    if dimension == "type":
        populations = book.settings.populations
        ground = populations.new_business.model_copy(update={"where": {**populations.new_business.where, "deal_type": (value,)}})
        settings = book.settings.model_copy(update={"populations": populations.model_copy(update={"new_business": ground})})
        part = replace(part, settings=settings)
    return part


def narrowed(book: Book, ids: pl.Series) -> Book:
    """The book of these deals: their visits, gates, activities, contacts and leads. What belongs to no deal is left out."""
    mine = ids.implode()

    def own(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.filter(pl.col("opportunity").is_in(mine))

    return replace(
        book, deals=book.deals.filter(pl.col("id").is_in(mine)), visits=own(book.visits), gates=own(book.gates), demands=own(book.demands),
        activities=own(book.activities), roles=own(book.roles), leads=own(book.leads), splits=own(book.splits), pushes=own(book.pushes),
        amounts=own(book.amounts), memo={},
    )  # fmt: skip
