"""What a value becomes on its way into the state and out of it again: nothing guessed, nothing lost, nothing stale."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connector.clock import Calendar, FixedClock
from connector.crms.base import Record, Value
from connector.errors import RecordError
from connector.mapping.apply import Mapper
from connector.mapping.load import load
from connector.model.records import DeadLetter
from connector.state.store import Store
from connector.state.tables.canonical import Opportunities
from connector.state.tables.columns import table

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
DEALS = table(Opportunities)
LONG = "ä" * 131_072


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state", FixedClock(NOW)) as opened:
        yield opened


@pytest.fixture(scope="module")
def mappers() -> dict[str, Mapper]:
    found = load(ROOT / "mappings")
    return {crm: Mapper(mapping, found.ladder, Calendar("America/Los_Angeles")) for crm, mapping in found.by_connection.items()}


FIELDS = {
    "salesforce": {"name": "Name", "amount": "Amount", "product": "Primary_Product__c", "closes_on": "CloseDate", "created_at": "CreatedDate",
                   "loi_signed_on": "LOI_Signed_On__c", "standard_terms": "Standard_Terms__c"},
    "hubspot": {"name": "dealname", "amount": "amount", "product": "primary_product", "closes_on": "closedate", "created_at": "createdate",
                "loi_signed_on": "loi_signed", "standard_terms": "standard_terms"},
}  # fmt: skip


class Deal:
    """One deal of one CRM, read again and again, as the pull does it."""

    def __init__(self, crm: str, mapper: Mapper, store: Store) -> None:
        self.crm, self.mapper, self.store = crm, mapper, store
        self.reads = 0

    def read(self, **values: Value) -> dict[str, Any] | None:
        """The stored row after this read, under the canonical names given; values as the CRM sends them."""
        self.reads += 1
        at = NOW - timedelta(days=1) + timedelta(seconds=self.reads)
        raw = {FIELDS[self.crm][name]: value for name, value in values.items()}
        record = Record("d1", raw, at.isoformat(), at)
        try:
            mapped, dead = [self.mapper.map("opportunities", record)], []
        except RecordError as error:
            mapped, dead = [], [DeadLetter("opportunities", "d1", error.code, error.message, error.field)]
        self.store.save_page("c", "opportunities", mapped, dead, {}, run=None, fence=None, records=["d1"], aside=[])
        with self.store.database.read() as db:
            row = db.execute(DEALS.select().where(DEALS.c.id == "d1")).mappings().first()
        return None if row is None else dict(row)

    def held(self, **values: Value) -> Any:
        """What is held of the one value given."""
        row = self.read(**values)
        assert row is not None
        return row[next(iter(values))]


@pytest.fixture(params=["salesforce", "hubspot"])
def deal(request: pytest.FixtureRequest, mappers: dict[str, Mapper], store: Store) -> Deal:
    return Deal(request.param, mappers[request.param], store)


@pytest.mark.parametrize("text", ["NA", "N/A", "None", "null", "nan", "0", "00123", "1e5", " x ", LONG], ids=lambda text: text[:5])
def test_text_is_what_it_was(deal: Deal, text: str) -> None:
    assert deal.held(product=text) == text


@pytest.mark.parametrize(
    ("sent", "held"),
    [(0, "0"), (0.0, "0"), ("0", "0"), (None, None), ("", None), ("3600.0", "3600.0"), (950000000.0, "950000000.0"), ("-12.30", "-12.30"),
     ("12345678901234567890.12", "12345678901234567890.12")],
)  # fmt: skip
def test_money_keeps_its_digits_and_unknown_is_not_nought(deal: Deal, sent: Value, held: str | None) -> None:
    found = deal.held(amount=sent)
    assert found == (None if held is None else Decimal(held))
    assert (found is None) == (held is None)


@pytest.mark.parametrize("bad", ["twelve", "1,000", "NaN", "Infinity", "12 USD", True])
def test_a_bad_number_is_a_dead_letter_and_a_good_one_mends_it(deal: Deal, bad: Value) -> None:
    assert deal.held(amount="10", name="before") == Decimal(10)
    row = deal.read(amount=bad, name="after")
    assert row is not None
    assert (row["amount"], row["name"]) == (Decimal(10), "before")  # neither a silent null nor half of the record
    (letter,) = deal.store.dead_letters.find("c")
    assert (letter.record, letter.field, letter.code) == ("d1", FIELDS[deal.crm]["amount"], "SC-E079")
    assert str(bad) not in letter.message
    assert deal.held(amount="11") == Decimal(11)
    assert not deal.store.dead_letters.find("c")


@pytest.mark.parametrize("empty", [None, ""])
@pytest.mark.parametrize(("name", "value"), [("amount", "10"), ("product", "x"), ("closes_on", "2026-12-31"), ("standard_terms", "true")])
def test_a_cleared_value_is_cleared(deal: Deal, name: str, value: str, empty: Value) -> None:
    assert deal.held(**{name: value}) is not None
    assert deal.held(**{name: empty}) is None


@pytest.mark.parametrize("day", ["2026-12-31", "2027-01-01", "2028-02-29"])
def test_a_date_stays_that_date_west_of_utc(deal: Deal, day: str) -> None:
    assert deal.held(loi_signed_on=day) == date.fromisoformat(day)


@pytest.mark.parametrize(
    "spelt",
    ["2027-01-01T03:30:00.000+0000", "2027-01-01T03:30:00.000Z", "2027-01-01T03:30:00Z", "1798774200000", "2026-12-31T19:30:00-08:00"],
)  # fmt: skip
def test_one_instant_for_every_spelling_and_one_local_day(deal: Deal, spelt: str) -> None:
    assert deal.held(created_at=spelt) == datetime(2027, 1, 1, 3, 30, tzinfo=UTC)
    assert deal.held(closes_on=spelt) == date(2026, 12, 31)  # Los Angeles


@pytest.mark.parametrize("bad", ["31.12.2026", "20261231", "2026-02-30", "2026-12-31T03:30:00", "soon"])
def test_a_bad_date_is_a_dead_letter(deal: Deal, bad: str) -> None:
    assert deal.read(loi_signed_on=bad) is None
    assert [letter.field for letter in deal.store.dead_letters.find("c")] == [FIELDS[deal.crm]["loi_signed_on"]]


def test_a_stamp_that_is_no_instant_never_passes_as_one(mappers: dict[str, Mapper]) -> None:
    record = Record("h1", {"OpportunityId": "006000000000001AAA", "CreatedDate": "yesterday", "StageName": "x"})
    with pytest.raises(RecordError):
        mappers["salesforce"].map("stage_history", record)


def test_two_versions_of_one_millisecond_are_two(mappers: dict[str, Mapper]) -> None:
    from connector.crms.base import Version

    at = datetime(2026, 11, 1, tzinfo=UTC)
    record = Record("d1", {}, "v", at, history={"dealstage": (Version("a", at), Version("b", at), Version("c", at + timedelta(milliseconds=1)))})
    rows = [row for row in mappers["hubspot"].map("opportunities", record).rows if row.TABLE == "changes"]
    assert [(row.id, row.value) for row in rows] == [  # type: ignore[union-attr]
        ("dealstage@2026-11-01T00:00:00.000Z", "a"), ("dealstage@2026-11-01T00:00:00.000Z+1", "b"), ("dealstage@2026-11-01T00:00:00.001Z", "c"),
    ]  # fmt: skip
