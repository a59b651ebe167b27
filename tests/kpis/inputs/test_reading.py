"""Inputs: what is read, what is refused, and where the finding points."""

from __future__ import annotations

import hashlib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connector.errors import CODES
from connector.kpis.compute import compute
from connector.kpis.inputs.reading import Inputs, from_rows, load
from connector.kpis.inputs.tables import TABLES


@pytest.fixture
def mappings(tmp_path: Path) -> Path:
    (tmp_path / "mappings" / "inputs").mkdir(parents=True)
    return tmp_path / "mappings"


def read(mappings: Path, name: str, text: str | bytes) -> Inputs:
    path = mappings / "inputs" / f"{name}.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(mappings, {name: f"inputs/{name}.csv"})


def told(inputs: Inputs) -> list[tuple[str, int | None, int | None, str | None, str | None]]:
    return [(f.code, f.line, f.column, f.path, f.suggestion) for f in inputs.findings]


def test_a_good_file_is_typed_whatever_its_column_order(mappings: Path) -> None:
    text = "\ufeffperiod,owner_key,amount,currency\n# the year's plan\n\nFY2027-Q1,R1,300000,USD\n2027-01,R2,60000.50,\n"
    inputs = read(mappings, "quotas", text)
    assert inputs.findings == ()
    assert inputs.rows("quotas") == [
        {
            "owner_key": "R1",
            "period": "FY2027-Q1",
            "amount": Decimal(300000),
            "currency": "USD",
            "basis": "bookings",
            "place": "mappings/inputs/quotas.csv:4",
        },
        {
            "owner_key": "R2",
            "period": "2027-01",
            "amount": Decimal("60000.50"),
            "currency": None,
            "basis": "bookings",
            "place": "mappings/inputs/quotas.csv:5",
        },
    ]
    (source,) = inputs.sources["quotas"]
    assert (source.path, source.rows, source.sha256) == ("mappings/inputs/quotas.csv", 2, hashlib.sha256(text.encode()).hexdigest())
    assert inputs.rows("people") is None


def test_bad_values_cost_their_row_and_are_named_with_their_place(mappings: Path) -> None:
    inputs = read(
        mappings,
        "spend",
        'month,category,amount\n2026-01,markting,1\n2026-13,sales,1\n2026-01,sales,"60,000"\n2026-01,sales,-1\n2026-02,sales,\n2026-03,sales,5\n',
    )
    assert told(inputs) == [
        ("SC-E091", 2, 2, "category", "marketing (94 %)"),
        ("SC-E091", 3, 1, "month", None),
        ("SC-E091", 4, 3, "amount", "60000"),
        ("SC-E091", 5, 3, "amount", None),
        ("SC-E091", 6, 3, "amount", None),
    ]
    assert inputs.findings[0].text().startswith('mappings/inputs/spend.csv:2:2  SC-E091  category  unknown "markting"')
    assert [row["month"] for row in inputs.rows("spend") or ()] == [date(2026, 3, 1)]


@pytest.mark.parametrize(
    ("name", "text", "line", "column"),
    [
        ("arr_ledger", "account_key,date,type,delta\nA1,2026-01-01,churn,10\n", 2, "delta"),
        ("arr_ledger", "account_key,date,type,delta\nA1,2026-01-01,new,10\nA1,2026-02-01,churn,-20\n", 3, "delta"),
        ("adoption", "account_key,date,role,active,licensed\nA1,2026-01-01,,5,4\n", 2, "active"),
        ("lms", "owner_key,date,correct,asked\nR1,2026-01-01,3,2\n", 2, "correct"),
        ("sentiment", "account_key,date,nps\nA1,2026-01-01,\n", 2, "nps"),
        ("time_log", "owner_key,week,category,hours\nR1,2027-01-05,selling,8\n", 2, "week"),
        ("readiness", "product,date,score\nP1,2026-01-01,11\n", 2, "score"),
        ("renewals", "account_key,due_on,available\nA1,2026-01-01,0\n", 2, "available"),
        ("kol", "contact_key,advisory_board\nC1,perhaps\n", 2, "advisory_board"),
        ("fx", "currency,date,rate\nEUR,01/02/2026,1.1\n", 2, "date"),
    ],
)
def test_each_rule_of_a_table(mappings: Path, name: str, text: str, line: int, column: str) -> None:
    (finding,) = read(mappings, name, text).findings
    assert (finding.code, finding.line, finding.path) == ("SC-E091", line, column)


def test_twice_the_same_key_leaves_both_out(mappings: Path) -> None:
    inputs = read(mappings, "quotas", "owner_key,period,amount\nR1,FY2027-Q1,1\nR2,FY2027-Q1,2\nR1,FY2027-Q1,3\n")
    assert [(f.code, f.line) for f in inputs.findings] == [("SC-E093", 4)]
    assert "line 2" in inputs.findings[0].message
    assert [row["owner_key"] for row in inputs.rows("quotas") or ()] == ["R2"]


def test_tables_that_sum_may_repeat(mappings: Path) -> None:
    assert len(read(mappings, "spend", "month,category,amount\n2026-01,sales,1\n2026-01,sales,1\n").rows("spend") or ()) == 2


def test_an_unknown_column_is_a_warning(mappings: Path) -> None:
    inputs = read(mappings, "quotas", "owner_key,period,amount,curency\nR1,FY2027-Q1,1,USD\n")
    assert told(inputs) == [("SC-W095", 1, 4, None, "currency (93 %)")]
    assert len(inputs.rows("quotas") or ()) == 1


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "SC-E090"),
        (b"# only a comment\n", "SC-E090"),
        (b"owner_key,amount\nR1,1\n", "SC-E090"),
        ("owner_key,period,amount\nRené,FY2027-Q1,1\n".encode("latin-1"), "SC-E090"),
        (b"owner_key,period,amount,patient_name\nR1,FY2027-Q1,1,x\n", "SC-E190"),
        (b"owner_key,period,amount,currency\nR1,FY2027-Q1,1,123-45-6789\n", "SC-E190"),
    ],
)
def test_a_file_that_cannot_be_used_is_absent_not_empty(mappings: Path, content: bytes, code: str) -> None:
    inputs = read(mappings, "quotas", content)
    assert [f.code for f in inputs.findings] == [code]
    assert inputs.rows("quotas") is None
    assert not any("123-45" in f.message for f in inputs.findings)


def test_a_missing_file_and_an_unknown_input_are_findings(mappings: Path) -> None:
    inputs = load(mappings, {"quotas": "inputs/quotas.csv", "qotas": "inputs/quotas.csv"})
    assert [f.code for f in inputs.findings] == ["SC-E090", "SC-E022"]
    assert inputs.findings[1].suggestion == "quotas (91 %)"


def test_several_files_are_one_input(mappings: Path) -> None:
    for year in (2026, 2027):
        (mappings / "inputs" / f"spend-{year}.csv").write_text(f"month,category,amount\n{year}-01,sales,1\n")
    inputs = load(mappings, {"spend": ("inputs/spend-2026.csv", "inputs/spend-2027.csv")})
    assert len(inputs.rows("spend") or ()) == 2
    assert len(inputs.sources["spend"]) == 2


def test_golden_files_pass_the_same_checks(golden_book: Any) -> None:
    assert golden_book.inputs.findings == ()
    assert set(golden_book.inputs.tables) == set(TABLES)


def test_rows_given_as_json_are_checked_too() -> None:
    inputs = from_rows({"quotas.csv": [{"owner_key": "R1", "period": "Q1", "amount": 5}], "magic.csv": []})
    assert [(f.code, f.file) for f in inputs.findings] == [("SC-E091", "quotas.csv"), ("SC-E090", "magic.csv")]


def test_rows_of_the_future_wait_for_their_day(org: Any) -> None:
    org.file("clearances", {"product": "P1", "kind": "ce", "cleared_on": "2027-02-16"}).file("people", {"owner_key": "R1", "hired_on": "2027-02-16"})
    assert [m.subject for m in compute(org.book(), ["clinical_to_commercial_handoff_time", "time_to_first_order_new_hire"])] == ["company", "company"]


def test_every_code_used_is_in_the_registry() -> None:
    assert {"SC-E022", "SC-E090", "SC-E091", "SC-E093", "SC-E190", "SC-W094", "SC-W095"} <= set(CODES)


def test_records_are_named_by_a_key_of_their_own_too(org: Any) -> None:
    org.given["crm"]["owners"][0]["key"] = "Ann@Maker.com"
    org.deal("D1", "demo 2026-05-04", "closed_won 2027-01-08")
    org.file("quotas", {"owner_key": "ann@maker.com", "period": "FY2027-Q1", "amount": 4000})
    assert org.measure("quota_attainment", subject="owner=R1").value == 0.25


def test_a_week_has_168_hours() -> None:
    week = {"owner_key": "R1", "week": "2027-01-04"}
    inputs = from_rows({"time_log.csv": [week | {"category": "selling", "hours": 100}, week | {"category": "admin", "hours": 69},
                                         week | {"category": "travel", "hours": 68}]})  # fmt: skip
    assert [(f.code, f.line, f.message) for f in inputs.findings] == [("SC-E091", 2, "R1 would have 169 hours in the week of 2027-01-04")]
    assert [row["category"] for row in inputs.rows("time_log") or ()] == ["selling", "travel"]
