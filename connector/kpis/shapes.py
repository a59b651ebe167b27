"""The few shapes that KPIs have: slices, counts, money sums, rates, means and Kaplan–Meier quantiles. They know reasons, marks and intervals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import polars as pl

from connector.kpis.book.money import total
from connector.kpis.book.windows import Window
from connector.kpis.definition import Reason, Row
from connector.kpis.evidence import of_deals
from connector.kpis.stats import Curve, kaplan_meier, wilson

MEAN_MEDIAN: Mapping[str, str] = {"mean": "mean", "median": "median"}
QUANTILES: Mapping[str, float] = {"km_median": 0.5, "km_p75": 0.75, "km_p90": 0.9}
Excluded = Mapping[str, int]


def by(frame: pl.DataFrame, column: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """(value, rows) per value of a column, sorted; a missing value is ``unknown``, a missing stage ``unmapped``."""
    missing = "unmapped" if column == "stage" else "unknown"
    parts = frame.with_columns(pl.col(column).fill_null(missing)).partition_by(column, as_dict=True)
    for key in sorted(parts, key=lambda key: str(key[0])):
        yield str(key[0]), parts[key]


def slices(frame: pl.DataFrame, *dimensions: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """(subject, rows): the company, then every value of every dimension that occurs."""
    yield "company", frame
    for dimension in dimensions:
        for value, part in by(frame, dimension):
            yield f"{dimension}={value}", part


def deal(id: str) -> str:
    """Subject of one deal."""
    return f"opportunity={id}"


def missing(subject: str, window: str, variant: str = "", n: int = 0, *, small: bool = True) -> Row:
    """A row that exists although its input does not."""
    return Row(subject, window, None, n, variant, small, reason="missing_input")


def count(
    subject: str, window: str, number: int, *, variant: str = "", n: int | None = None, excluded: Excluded | None = None,
    evidence: pl.DataFrame | None = None,
) -> Row:  # fmt: skip
    """A number of records; 0 over nothing."""
    return Row(subject, window, number, number if n is None else n, variant, excluded=excluded, evidence=evidence)


def without(frame: pl.DataFrame, column: str) -> dict[str, int]:
    """How many records lack a money column, by why."""
    why = frame[f"{column}_why"].drop_nulls()
    return {str(reason): int(number) for reason, number in why.value_counts(sort=True).iter_rows()}


def money(subject: str, window: str, frame: pl.DataFrame, column: str = "amount", *, variant: str = "") -> Row:
    """The sum of a money column of deals (or of rows that have an identity of their own), with what is missing from it counted."""
    counted = (column, pl.col(f"{column}_why").alias("left_out"))
    told = of_deals(frame, *counted) if "id" in frame.columns else frame
    return Row(subject, window, total(frame[column]), frame[column].count(), variant, excluded=without(frame, column), evidence=told)


def rate(
    subject: str, window: str, hits: int, n: int, *, variant: str = "", pending: int | None = None, excluded: Excluded | None = None,
    evidence: pl.DataFrame | None = None,
) -> Row:  # fmt: skip
    """Hits ÷ n records, with its Wilson interval; null over nothing."""
    if n == 0:
        return Row(subject, window, None, 0, variant, True, None, pending, excluded, "no_denominator", evidence)
    return Row(subject, window, hits / n, n, variant, True, wilson(hits, n), pending, excluded, None, evidence)


def quotient(
    subject: str, window: str, above: float | Decimal | None, below: float | Decimal | None, n: int, *, variant: str = "", small: bool = True,
    excluded: Excluded | None = None, pending: int | None = None, evidence: pl.DataFrame | None = None,
) -> Row:  # fmt: skip
    """A ratio of sums, without interval. ``below`` None: its input is missing; 0: no denominator."""
    value, reason = _divided(above, below)
    return Row(subject, window, value, n, variant, small, None, pending, excluded, reason, evidence)


def _divided(above: float | Decimal | None, below: float | Decimal | None) -> tuple[float | None, Reason | None]:
    if above is None or below is None:
        return None, "missing_input"
    return (None, "no_denominator") if below == 0 else (float(above) / float(below), None)


def middle(
    subject: str, window: str, values: pl.Series, kinds: Mapping[str, str], *, pending: int | None = None, excluded: Excluded | None = None,
    evidence: pl.DataFrame | None = None,
) -> Iterator[Row]:  # fmt: skip
    """Mean or median (``kinds``: variant → "mean" | "median") of completed durations or sizes; null over nothing, or while all of them run."""
    values = values.drop_nulls().cast(pl.Float64)
    reason: Reason | None = None if len(values) else "only_running" if pending else "no_denominator"
    for variant, kind in kinds.items():
        value = values.mean() if kind == "mean" else values.median()
        yield Row(subject, window, None if reason else _float(value), len(values), variant, True, None, pending, excluded, reason, evidence)


def _float(value: object) -> float:
    assert isinstance(value, (int, float))
    return float(value)


def quantiles(subject: str, window: str, curve: Curve, variants: Iterable[str] = QUANTILES, *, evidence: pl.DataFrame | None = None) -> Iterator[Row]:
    """Kaplan–Meier quantiles of one curve: n records, pending the running ones."""
    for variant in variants:
        value = curve.quantile(QUANTILES[variant])
        reason: Reason | None = "no_denominator" if curve.n == 0 else "not_reached" if value is None else None
        yield Row(subject, window, value, curve.n, variant, True, None, curve.running, None, reason, evidence)


def survival(frame: pl.DataFrame) -> Curve:
    """The curve of a frame with columns days and done, and ``unseen`` where what was so long when we first looked entered then."""
    return kaplan_meier(frame["days"], frame["done"], frame["unseen"] if "unseen" in frame.columns else None)


def pairs(deals: pl.DataFrame, rolling: Window, start: str, end: str) -> Iterator[Row]:
    """Date pairs (R13): every complete one, and ``mean`` and ``median`` of those that ended in the window.

    Out of order is excluded as ``negative``; a start without an end on an open deal is pending.
    """
    both = deals.with_columns(length=(pl.col(end) - pl.col(start)).dt.total_days())
    told = of_deals(both.filter(pl.col("length") >= 0), start, end, "length")
    for one in told.iter_slices(1):
        yield Row(deal(one["opportunity"][0]), "asof", one["length"][0], 1, evidence=one)
    ended = both.filter(rolling.covers(end) & pl.col("length").is_not_null())
    lengths, negative = ended.filter(pl.col("length") >= 0), {"negative": ended.filter(pl.col("length") < 0).height}
    running = deals.filter(pl.col(start).is_not_null() & pl.col(end).is_null() & (pl.col("cls") == "open")).height
    evidence = of_deals(lengths, start, end, "length")
    yield from middle("company", rolling.label, lengths["length"], MEAN_MEDIAN, pending=running, excluded=negative, evidence=evidence)
