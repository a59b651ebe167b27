"""Evidence: the records a number came from, as frames. Their first column names a record of the CRM or a line of an input file.

A frame of evidence has one row per record that entered the number. Its first column is one of ``IDENTITIES`` and holds the record's id;
``input`` holds ``inputs/quotas.csv:3``. The other columns say what counted: a date, an amount, an outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from connector.kpis.inputs.tables import PLACE

IDENTITIES = ("input", "snapshot", "ticket", "lead", "activity", "contact", "opportunity", "owner", "account")
"""The kinds of record, the narrower first: a ticket has an account, not the other way round."""


def of_deals(deals: pl.DataFrame, *columns: str | pl.Expr) -> pl.DataFrame:
    """Deals that entered a number (a frame with ``id``), and what counted of them."""
    return deals.select(pl.col("id").alias("opportunity"), *columns)


def of_activities(activities: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Activities that entered a number, with their day and kind."""
    return activities.select(pl.col("id").alias("activity"), "on", "kind", *columns)


def of_inputs(rows: Sequence[Mapping[str, Any]], *columns: str) -> pl.DataFrame:
    """Lines of input files that entered a number; without ``columns`` all of them."""
    kept = [{"input": row[PLACE], **{name: _shown(row[name]) for name in columns or row if name != PLACE}} for row in rows]
    return pl.DataFrame(kept, infer_schema_length=None) if kept else pl.DataFrame(schema={"input": pl.String})


def _shown(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def of_snapshots(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Own measures of earlier days that entered a number. They have no id: KPI, subject and day name one."""
    kept = [(f"{row['kpi']} {row['subject']} {row['date']}", row["date"], float(row["value"])) for row in rows]
    return pl.DataFrame(kept, schema={"snapshot": pl.String, "taken_on": pl.Date, "value": pl.Float64}, orient="row")


def parted(rows: pl.DataFrame, *keys: str, show: Sequence[str] = ()) -> dict[tuple[Any, ...], pl.DataFrame]:
    """Rows by the values of their keys, each part in the order of the rows; ``show``: the columns kept, without it all.

    Parts are slices of one sorted frame: tens of thousands of them cost next to nothing.
    """
    ordered = rows.sort(*keys, maintain_order=True)
    shown, found, start = ordered.select(show) if show else ordered, {}, 0
    for *key, height in ordered.group_by(*keys, maintain_order=True).len().iter_rows():
        found[tuple(key)] = shown.slice(start, height)
        start += height
    return found


def together(frames: Iterable[pl.DataFrame | None]) -> pl.DataFrame | None:
    """Evidence of a number made of several: all rows, the columns they have; None where there is none.

    The first columns of the frames come first, the narrower kind of record before the wider: the first that is filled names a row's record.
    """
    given = [frame for frame in frames if frame is not None]
    if not given:
        return None
    both = pl.concat(given, how="diagonal_relaxed")
    heads = sorted({frame.columns[0] for frame in given}, key=IDENTITIES.index)
    return both.select(*heads, *(name for name in both.columns if name not in heads))


def identity(row: Mapping[str, Any]) -> tuple[str, str]:
    """(kind of record, its id) of one row of evidence: its first identity column that is filled. Raises ValueError where none is.

    >>> identity({"input": None, "ticket": "T1", "account": "A1"})
    ('ticket', 'T1')
    """
    for kind, value in row.items():
        if kind in IDENTITIES and value is not None:
            return kind, str(value)
    raise ValueError(f"no identity among {', '.join(row)}")
