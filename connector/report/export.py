"""The same review as data: measures with the columns of the catalogue's section 3, and the scrub list."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from connector.kpis.book.book import Book
from connector.kpis.book.money import MONEY
from connector.kpis.compute import document
from connector.kpis.definition import Measure
from connector.report.content import Stale

MEASURES: Mapping[str, type[pl.DataType]] = {
    "kpi": pl.String, "variant": pl.String, "subject": pl.String, "window": pl.String, "value": pl.Float64, "value_text": pl.String,
    "unit": pl.String, "n": pl.Int64, "low_n": pl.Boolean, "ci_low": pl.Float64, "ci_high": pl.Float64, "pending": pl.Int64,
    "excluded": pl.String, "reason": pl.String, "as_of": pl.String, "history_quality": pl.String, "definition_version": pl.String,
}  # fmt: skip
"""Columns of the table of measures. ``value``: numbers; ``value_text``: yes or no, labels and lists, which are no numbers. ``excluded``: JSON."""
SCRUB: Mapping[str, type[pl.DataType] | pl.DataType] = {
    "opportunity": pl.String, "name": pl.String, "owner": pl.String, "stage": pl.String, "days_in_stage": pl.Int64, "amount": MONEY,
    "currency": pl.String, "reasons": pl.String, "text": pl.String,
}  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def measures_table(book: Book, measures: Iterable[Measure]) -> pl.DataFrame:
    """One row per measure; the types of :data:`MEASURES`."""
    rows = [_flat(row) for row in document(book, measures)]
    return pl.DataFrame(rows, schema=MEASURES, orient="row")


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    value = row["value"]
    number = None if value is None or isinstance(value, (bool, str, list)) else float(value)
    text = None if value is None or number is not None else ";".join(value) if isinstance(value, list) else str(value).lower()
    return {**row, "value": number, "value_text": text, "excluded": json.dumps(row["excluded"], sort_keys=True)}


def scrub_table(scrub: Sequence[Stale], currency: str) -> pl.DataFrame:
    """One row per stale deal; amounts exact, in the reporting currency."""
    rows = [
        (s.opportunity, s.name, s.owner, s.stage, s.days_in_stage, s.amount, None if s.amount is None else currency, ";".join(s.reasons), s.text)
        for s in scrub
    ]
    return pl.DataFrame(rows, schema=SCRUB, orient="row")


def as_json(book: Book, connection: str, measures: Iterable[Measure], scrub: Sequence[Stale]) -> bytes:
    """One document: connection, as_of, measures (values as they are, lists as lists), scrub (amounts as decimal text, exact)."""
    currency = book.settings.calendar.currency
    stale = [
        {
            "opportunity": s.opportunity, "name": s.name, "owner": s.owner, "stage": s.stage, "days_in_stage": s.days_in_stage,
            "amount": None if s.amount is None else format(s.amount.normalize(), "f"), "currency": currency,
            "reasons": list(s.reasons), "text": s.text,
        }
        for s in scrub
    ]  # fmt: skip
    found = {"connection": connection, "as_of": book.as_of.isoformat().replace("+00:00", "Z"), "measures": document(book, measures), "scrub": stale}
    return orjson.dumps(found, option=orjson.OPT_INDENT_2)


def write(stem: Path, kind: str, book: Book, connection: str, measures: Sequence[Measure], scrub: Sequence[Stale]) -> list[Path]:
    """Write ``STEM.json``, or ``STEM-measures`` and ``STEM-scrub`` as csv or parquet. Returns the paths."""
    if kind == "json":
        path = stem.with_name(f"{stem.name}.json")
        path.write_bytes(as_json(book, connection, measures, scrub))
        return [path]
    tables = {"measures": measures_table(book, measures), "scrub": scrub_table(scrub, book.settings.calendar.currency)}
    paths = []
    for name, table in tables.items():
        path = stem.with_name(f"{stem.name}-{name}.{kind}")
        _harmless(table).write_csv(path) if kind == "csv" else table.write_parquet(path)
        paths.append(path)
    return paths


def _harmless(table: pl.DataFrame) -> pl.DataFrame:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    texts = [name for name, dtype in table.schema.items() if dtype == pl.String]
    marks = "|".join(map(re.escape, FORMULA))
    quoted = (pl.when(pl.col(name).str.contains(f"^(?:{marks})")).then("'" + pl.col(name)).otherwise(name).alias(name) for name in texts)
    return table.with_columns(quoted)
