"""The golden org: every expected measure of the KPIs declared here, both ways, its scorecards and its traps."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.clock import Calendar
from connector.kpis.book.book import Book
from connector.kpis.cards.deal import scorecards
from connector.kpis.compute import PRESETS, compute, from_file, from_inputs
from connector.kpis.definition import REGISTRY, Measure
from tests.kpis import golden
from tests.kpis.golden import FILE, GOLDEN

EXPECTED = {name: [row for row in GOLDEN["expected"] if row["kpi"] == name] for name in REGISTRY}
COUNTED = [pytest.param(name, id=f"{name}-{len(rows)}-measures") for name, rows in sorted(EXPECTED.items())]
TOTAL = sum(map(len, EXPECTED.values()))
Differences = Callable[[Measure, dict[str, Any]], list[str]]
Agree = Callable[[Any, Any], bool]


def keyed(measures: list[Measure]) -> dict[tuple[str, str, str], Measure]:
    found = {(m.variant, m.subject, m.window): m for m in measures}
    assert len(found) == len(measures), "two measures share variant, subject and window"
    return found


@pytest.mark.parametrize("name", COUNTED)
def test_measures_agree_and_none_is_missing_or_too_many(name: str, golden_book: Book, differences: Differences) -> None:
    ours = keyed(compute(golden_book, [name]))
    theirs = {(row["variant"], row["subject"], row["window"]): row for row in EXPECTED[name]}
    assert set(ours) == set(theirs)
    assert [told for key, row in theirs.items() for told in differences(ours[key], row)] == []


def test_make_golden_counts_what_agrees(capsys: pytest.CaptureFixture[str]) -> None:
    assert golden.main() == 0
    assert capsys.readouterr().out.endswith("golden measures (292 worked by hand), 21 traps, 4 scorecards: 0 not as they must be\n")


@pytest.mark.parametrize("total", [pytest.param(TOTAL, id=f"{TOTAL}-of-{len(GOLDEN['expected'])}-golden-measures")])
def test_everything_at_once(total: int, golden_book: Book) -> None:
    measures = compute(golden_book, sorted(REGISTRY))
    assert len(measures) == total
    assert {m.kpi for m in measures} == set(REGISTRY)


def test_every_kpi_of_both_presets_is_declared() -> None:
    assert {name for preset in PRESETS.values() for name in preset} <= set(REGISTRY)


def test_trap_values_do_not_appear(golden_book: Book, agree: Agree) -> None:
    trapped = [row for rows in EXPECTED.values() for row in rows if row.get("traps")]
    assert len(trapped) >= 12
    for row in trapped:
        ours = keyed(compute(golden_book, [row["kpi"]]))[row["variant"], row["subject"], row["window"]]
        for mistake, wrong in row["traps"].items():
            assert not agree(ours.value, wrong), f"{row['kpi']} makes the mistake {mistake}"


@pytest.mark.parametrize("deal", sorted(GOLDEN["expected_scorecards"]))
def test_scorecards_agree(deal: str, golden_book: Book, agree: Agree) -> None:
    cards, expected = scorecards(golden_book), GOLDEN["expected_scorecards"][deal]
    assert set(cards) == set(GOLDEN["expected_scorecards"])
    ours = cards[deal].as_dict()
    assert set(ours) == set(expected)
    assert {k: ours[k] for k in ours if not agree(ours[k], expected[k])} == {}


def test_scorecards_say_why(golden_book: Book) -> None:
    why = scorecards(golden_book)["O6"].why
    assert why["pace"] == [
        "60 d in VAC review since 2026-12-17",
        "benchmark 30 d (n=4, all segments, 1 running), Kaplan–Meier median of the stage",
        "pace 60 / 30 = 2.0; slow above 1, stuck from 2",
    ]
    assert why["last_buyer_activity"] == ["email a13 on 2027-02-10, inbound"]
    assert why["weighted_amount"] == ["110,000.00 USD × p by policy stage_default = 66,000.00"]
    assert scorecards(golden_book)["O7"].why["stale_reason"] == ["195 d in stage, limit 180 d", "close date 2026-12-31 lies before 2027-02-15"]


@pytest.mark.parametrize("row", GOLDEN["expected_fiscal_quarters"], ids=lambda row: row["label"])
def test_fiscal_quarters(row: dict[str, Any]) -> None:
    assert Calendar(fiscal_year_starts=row["fiscal_year_starts"]).fiscal_quarter(date.fromisoformat(row["date"])) == row["label"]


# -- properties ---------------------------------------------------------------------------------------------------


def everything(given_: dict[str, Any]) -> tuple[list[dict[str, object]], dict[str, Any]]:
    book = from_inputs(given_)
    rows = sorted((m.as_dict() for m in compute(book, sorted(REGISTRY))), key=lambda r: (r["kpi"], r["variant"], r["subject"], r["window"]))
    return rows, {id: card.as_dict() for id, card in scorecards(book).items()}


@pytest.fixture(scope="module")
def usual() -> tuple[list[dict[str, object]], dict[str, Any]]:
    return everything(copy.deepcopy(GOLDEN["inputs"]))


@pytest.mark.property
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_the_order_of_rows_changes_nothing(seed: int, usual: tuple[list[dict[str, object]], dict[str, Any]]) -> None:
    shuffled = copy.deepcopy(GOLDEN["inputs"])
    chance = random.Random(seed)
    for rows in [*shuffled["crm"].values(), *shuffled["files"].values(), shuffled["state"]["kpi_snapshots"]]:
        chance.shuffle(rows)
    assert everything(shuffled) == usual


def test_deleted_deals_and_later_rows_change_nothing(usual: tuple[list[dict[str, object]], dict[str, Any]]) -> None:
    more = copy.deepcopy(GOLDEN["inputs"])
    crm, files = more["crm"], more["files"]
    for deal in copy.deepcopy(crm["opportunities"]):
        crm["opportunities"].append(deal | {"id": f"gone-{deal['id']}", "deleted": True})
        crm["opportunities"].append(deal | {"id": f"later-{deal['id']}", "created_at": "2027-02-15T17:00:01Z"})
    for section in ("stage_history", "activities", "gates", "opportunity_contacts", "closes_on_history"):
        copies = [row | {"opportunity": f"gone-{row['opportunity']}"} for row in crm[section] if row.get("opportunity")]
        crm[section] += [row | ({"id": f"copy-{row['id']}"} if "id" in row else {}) for row in copies]
    crm["stage_history"].append({"opportunity": "O2", "raw_stage": "Closed Won", "stage": "closed_won", "entered_at": "2027-02-15T17:00:01Z"})
    crm["activities"].append({"id": "late", "kind": "call", "on": "2027-02-16", "owner": "R1", "created_by": "R1", "opportunity": "O7"})
    crm["gates"].append({"opportunity": "O8", "gate": "vac", "opened_on": "2027-02-16"})
    crm["opportunity_contacts"].append({"opportunity": "O8", "contact": "C2", "added_on": "2027-02-16"})
    crm["closes_on_history"].append({"opportunity": "O8", "old": "2027-06-30", "new": "2027-07-30", "at": "2027-02-16T01:00:00Z"})
    files["arr_ledger.csv"].append({"account_key": "A1", "date": "2027-02-16", "type": "churn", "delta": -60000, "currency": "USD"})
    files["clearances.csv"].append({"product": "P9", "region": "US", "kind": "ce", "cleared_on": "2027-02-16"})
    files["fx.csv"].append({"currency": "EUR", "date": "2027-02-16", "rate": 9})
    assert everything(more) == usual


def test_typed_values_give_the_same_as_json_text(usual: tuple[list[dict[str, object]], dict[str, Any]]) -> None:
    """The state yields frames of dates, instants and Decimals; a file yields text and numbers."""
    from connector.kpis.book.sections import frame

    typed = copy.deepcopy(GOLDEN["inputs"])
    frames = {section: frame(section, rows) for section, rows in typed["crm"].items()}
    parts = from_inputs({**typed, "crm": {}})
    book = Book.build(
        frames, as_of=parts.as_of, ladder=parts.ladder, settings=parts.settings, inputs=parts.inputs, snapshots=parts.snapshots,
        extra_windows=typed["windows"],
    )  # fmt: skip
    assert {id: card.as_dict() for id, card in scorecards(book).items()} == usual[1]
    assert [m.as_dict() for m in compute(book, ["win_rate"])] == [m.as_dict() for m in compute(from_file(FILE), ["win_rate"])]
