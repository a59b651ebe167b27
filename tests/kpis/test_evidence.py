"""What a number rests on: every measure of the golden org names its records."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from connector.kpis.book.book import Book
from connector.kpis.definition import REGISTRY
from connector.kpis.evidence import IDENTITIES, identity, of_deals, of_inputs, of_snapshots, together


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_number_names_its_records(name: str, golden_book: Book) -> None:
    for measure, told in REGISTRY[name].evidenced(golden_book):
        place = f"{name}.{measure.variant} {measure.subject} {measure.window}"
        if measure.n == 0 and told is None:
            continue
        assert told is not None, place
        assert told.columns[0] in IDENTITIES, place
        assert measure.n == 0 or not told.is_empty(), place
        for row in told.iter_rows(named=True):
            assert identity(row), place
        if measure.unit == "count" and measure.subject == "company" and measure.value == measure.n:
            assert told.height == measure.value, place


def test_the_records_exist(golden_book: Book) -> None:
    """An id that evidence gives can be looked up."""
    known = {
        "opportunity": set(golden_book.deals["id"]), "account": set(golden_book.accounts["id"]), "owner": set(golden_book.owners["id"]),
        "contact": set(golden_book.contacts["id"]), "activity": set(golden_book.activities["id"]), "lead": set(golden_book.leads["id"]),
        "ticket": set(golden_book.tickets["id"]),
    }  # fmt: skip
    for name, kpi in REGISTRY.items():
        for _, told in kpi.evidenced(golden_book):
            for row in told.iter_rows(named=True) if told is not None else ():
                kind, id = identity(row)
                assert id in known.get(kind, {id}), f"{name}: {kind} {id}"
                assert kind != "input" or row["input"].split(":")[0].removesuffix(".csv") in golden_book.inputs.tables, f"{name}: {id}"


def test_the_first_identity_that_is_filled_names_the_record() -> None:
    deals = of_deals(pl.DataFrame({"id": ["D1"], "amount": [5]}), "amount")
    lines = of_inputs([{"account": "A1", "amount": None, "place": "inputs/x.csv:2"}])
    both = together([deals, None, lines])
    assert both is not None
    assert [identity(row) for row in both.iter_rows(named=True)] == [("opportunity", "D1"), ("input", "inputs/x.csv:2")]
    assert together([None]) is None
    with pytest.raises(ValueError, match="no identity"):
        identity({"amount": 5, "account": None})


def test_a_snapshot_is_named_by_kpi_subject_and_day() -> None:
    frame = of_snapshots([{"kpi": "win_rate", "subject": "company", "date": date(2026, 12, 31), "value": 1}])
    assert identity(frame.row(0, named=True)) == ("snapshot", "win_rate company 2026-12-31")
