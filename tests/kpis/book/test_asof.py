"""A book of a past day holds what was known then: amounts, close dates and owners that changed since."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from connector.kpis.book.book import Book
from connector.kpis.example import Example, example

THEN = "2027-02-01T17:00:00Z"


def company(as_of: str = THEN) -> Example:
    """Three deals; D1 has changed in everything on 10 February, D2 in nothing, D3 is won and was handed over later."""
    made = example(as_of=as_of).deal("D1", "demo 2026-12-01", amount=500, owner="R2", closes_on="2027-06-30")
    made.deal("D2", "demo 2026-12-01").deal("D3", "demo 2026-12-01", "closed_won 2027-01-10", owner="R2")
    made.add("amount_history", opportunity="D1", at="2026-12-01T15:00:00Z", amount=100)
    made.add("amount_history", opportunity="D1", at="2027-01-15T15:00:00Z", amount=300)
    made.add("amount_history", opportunity="D1", at="2027-02-10T15:00:00Z", amount=500)
    made.add("closes_on_history", opportunity="D1", at="2027-02-12T15:00:00Z", by="U1", old="2027-05-31", new="2027-06-30")
    made.add("closes_on_history", opportunity="D1", at="2027-02-10T15:00:00Z", by="U1", old="2027-03-31", new="2027-05-31")
    made.add("closes_on_history", opportunity="D1", at="2027-01-10T15:00:00Z", by="U1", old="2027-02-28", new="2027-03-31")
    for deal in ("D1", "D3"):
        made.add("owner_history", opportunity=deal, at="2026-12-01T15:00:00Z", owner="R1")
        made.add("owner_history", opportunity=deal, at="2027-02-10T15:00:00Z", owner="R2")
    return made


def values(book: Book) -> dict[str, tuple[Any, ...]]:
    columns = book.deals.select("id", "amount", "closes_on", "owner", "owner_now").iter_rows()
    return {id: (amount and Decimal(amount), closes_on, owner, now) for id, amount, closes_on, owner, now in columns}


def test_values_are_those_of_then() -> None:
    assert values(company().book()) == {
        "D1": (300, date(2027, 3, 31), "R1", "R1"),
        "D2": (1000, date(2027, 3, 15), "R1", "R1"),
        "D3": (1000, date(2027, 3, 15), "R1", "R1"),
    }


def test_values_of_now_are_left_alone() -> None:
    assert values(company("2027-02-15T17:00:00Z").book()) == {
        "D1": (500, date(2027, 6, 30), "R2", "R2"),
        "D2": (1000, date(2027, 3, 15), "R1", "R1"),
        "D3": (1000, date(2027, 3, 15), "R1", "R2"),  # the owner at the close
    }


@pytest.mark.parametrize(("as_of", "amount", "closes_on"), [
    ("2026-12-10T17:00:00Z", 100, date(2027, 2, 28)),
    ("2027-01-15T15:00:00Z", 300, date(2027, 3, 31)),  # the very instant has happened
    ("2027-02-11T17:00:00Z", 500, date(2027, 5, 31)),
])  # fmt: skip
def test_each_day_has_its_own(as_of: str, amount: int, closes_on: date) -> None:
    assert values(company(as_of).book())["D1"][:2] == (amount, closes_on)


def test_before_its_first_value_a_deal_had_no_amount_and_its_first_owner() -> None:
    made = example(as_of=THEN).deal("D1", "demo 2026-12-01", amount=500, owner="R2")
    made.add("amount_history", opportunity="D1", at="2027-02-10T15:00:00Z", amount=500)
    made.add("owner_history", opportunity="D1", at="2027-02-10T15:00:00Z", owner="R1")
    made.add("owner_history", opportunity="D1", at="2027-02-11T15:00:00Z", owner="R2")
    assert values(made.book())["D1"][::2] == (None, "R1")
    assert made.show("open_pipeline_value") == "0 money, n=0, missing_amount=1"


def test_a_value_that_was_emptied_since_and_one_that_was_empty_then() -> None:
    made = example(as_of=THEN).deal("D1", "demo 2026-12-01", amount=None).deal("D2", "demo 2026-12-01", amount=700)
    for deal, at, amount in (("D1", "2026-12-01", 100), ("D1", "2027-02-10", None), ("D2", "2026-12-01", None), ("D2", "2027-02-10", 700)):
        made.add("amount_history", opportunity=deal, at=f"{at}T15:00:00Z", amount=amount)
    found = values(made.book())
    assert (found["D1"][0], found["D2"][0]) == (100, None)


def test_what_has_no_instant_says_nothing_of_when() -> None:
    made = example(as_of=THEN).deal("D1", "demo 2026-12-01").add("closes_on_history", opportunity="D1", old="2026-01-01", new="2027-03-15")
    assert values(made.book())["D1"][1] == date(2027, 3, 15)


def test_the_order_of_rows_is_irrelevant() -> None:
    shuffled = company()
    for rows in shuffled.given["crm"].values():
        random.Random(7).shuffle(rows)
    assert values(shuffled.book()) == values(company().book())
