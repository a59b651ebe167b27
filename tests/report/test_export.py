"""The review as data: the catalogue's columns, exact money, and files that read back as what was written."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from connector.kpis.book.book import Book
from connector.kpis.compute import document
from connector.kpis.definition import Measure
from connector.report import export, sections
from connector.report.content import Report, Stale

COLUMNS = (
    "kpi", "variant", "subject", "window", "value", "unit", "n", "low_n", "ci_low", "ci_high", "pending", "excluded", "reason",
    "as_of", "history_quality", "definition_version",
)  # fmt: skip
STALE = Stale("D1", "=1+1", "R1", "Demo", 200, Decimal("12345678901234567.89"), ("stage_age",), "in Demo")
LISTS = Measure("missing_personas", "", "opportunity=D1", "asof", ["cfo", "cmio"], "list", 1)
FLAG = Measure("stale_flag", "", "opportunity=D1", "asof", True, "bool", 1)
LABEL = Measure("stage_pace", "label", "opportunity=D1", "asof", "stuck", "label", 1)


@pytest.fixture(scope="module")
def measures(golden_book: Book) -> list[Measure]:
    return [*sections.measures(golden_book), LISTS, FLAG, LABEL]


def written(tmp_path: Path, kind: str, book: Book, measures: list[Measure]) -> list[Path]:
    return export.write(tmp_path / "sf-2027-02-15", kind, book, "sf", measures, [STALE])


def test_json_holds_the_measures_as_the_catalogue_has_them(tmp_path: Path, golden_book: Book, measures: list[Measure]) -> None:
    (path,) = written(tmp_path, "json", golden_book, measures)
    found = json.loads(path.read_bytes())
    assert path.name == "sf-2027-02-15.json"
    assert (found["connection"], found["as_of"]) == ("sf", "2027-02-15T17:00:00Z")
    assert found["measures"] == json.loads(json.dumps(document(golden_book, measures)))
    assert tuple(found["measures"][0]) == COLUMNS
    assert found["measures"][-3]["value"] == ["cfo", "cmio"]


def test_money_of_a_deal_stays_exact(tmp_path: Path, golden_book: Book, measures: list[Measure]) -> None:
    (path,) = written(tmp_path, "json", golden_book, measures)
    assert json.loads(path.read_bytes())["scrub"][0]["amount"] == "12345678901234567.89"
    _, scrub = written(tmp_path, "parquet", golden_book, measures)
    assert pl.read_parquet(scrub)["amount"].to_list() == [STALE.amount]


def test_the_table_of_measures_has_every_column_of_the_catalogue() -> None:
    assert tuple(name for name in export.MEASURES if name != "value_text") == COLUMNS


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_measures_read_back_as_they_were(tmp_path: Path, golden_book: Book, measures: list[Measure], kind: str) -> None:
    path, _ = written(tmp_path, kind, golden_book, measures)
    assert path.name == f"sf-2027-02-15-measures.{kind}"
    table = pl.read_csv(path, schema=export.MEASURES) if kind == "csv" else pl.read_parquet(path)
    assert_frame_equal(table, export.measures_table(golden_book, measures))
    assert [_value(row) for row in table.rows(named=True)] == [_comparable(m.value) for m in measures]
    assert [json.loads(text) for text in table["excluded"]] == [m.excluded for m in measures]


def _value(row: dict[str, Any]) -> Any:
    """A value from its two columns, by its unit."""
    if row["value"] is not None:
        return row["value"]
    if not row["value_text"]:
        return None
    return {"bool": row["value_text"] == "true", "list": row["value_text"].split(";")}.get(row["unit"], row["value_text"])


def _comparable(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def test_a_name_that_a_spreadsheet_would_run_is_disarmed_in_csv_only(tmp_path: Path, golden_book: Book, measures: list[Measure]) -> None:
    stales = [replace(STALE, name=name) for name in ("=1+1", "+1", "-1", "@x", "\tx", "plain - name")]
    for kind, expected in (("csv", ["'=1+1", "'+1", "'-1", "'@x", "'\tx", "plain - name"]), ("parquet", [s.name for s in stales])):
        _, path = export.write(tmp_path / "x", kind, golden_book, "sf", measures, stales)
        table = pl.read_csv(path) if kind == "csv" else pl.read_parquet(path)
        assert table["name"].to_list() == expected


def test_the_page_and_the_data_have_the_same_scrub_list(golden: Report, golden_book: Book) -> None:
    table = export.scrub_table(golden.scrub, "USD")
    assert table.select("opportunity", "owner", "amount", "currency", "reasons").rows() == [
        ("O7", "R2", Decimal("15000.0000000000"), "USD", "stage_age;close_date_past")
    ]


def test_an_empty_scrub_list_is_a_table_all_the_same() -> None:
    assert export.scrub_table([], "USD").schema == pl.Schema(export.SCRUB)


def test_the_data_cover_the_page_and_what_is_switched_on(golden_book: Book) -> None:
    named = {m.kpi for m in sections.measures(golden_book)}
    assert set(sections.SHOWN) <= named
    assert "sales_cycle_length" in named
