"""Fields and types: no value is invented, guessed, shifted or lost on the way from the CRM to a KPI."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from connector import runs
from connector.sandbox.salesforce.schema import FieldDef
from tests.pitfalls.catalogue import BOTH, HS, SF
from tests.rig import NAME

both = pytest.mark.parametrize("crm", BOTH)


@both
@pytest.mark.pitfall("47")
def test_calculated_field_change_without_stamp(rig: Any) -> None:
    """A roll-up's value changes and no stamp moves: the day's refresh brings it, where the mapping asks for it."""
    deal, name = rig.deals[0], {SF: "Recurring_ARR__c", HS: "hs_arr"}[rig.crm]
    mapping = rig.own_mappings() / f"{rig.crm}.yaml"
    if rig.crm == SF:
        asked = mapping.read_text(encoding="utf-8").replace(
            "{from: Recurring_ARR__c, type: money}", "{from: Recurring_ARR__c, type: money, refresh: daily}"
        )
        mapping.write_text(asked, encoding="utf-8")
    rig.reopen()
    rig.pull()
    rig.advance(days=1)
    rig.pull()
    before = _stamp(rig, deal)
    if rig.crm == SF:
        rig.org.tables["Opportunity"].rows[deal][name] = 60_500.5
    else:
        rig.portal.recalculate(rig.portal.records["deals"][int(deal)], {name: "60500.5"})
    assert _stamp(rig, deal) == before
    rig.advance(days=1, seconds=60)
    rig.pull()
    assert _arr(rig, deal) == Decimal("60500.5")


@both
@pytest.mark.pitfall("48")
def test_date_near_midnight_west_of_utc(rig: Any) -> None:
    """A DATE is the same day everywhere; an instant of 03:30Z is the day before in the company's zone, in every place where it becomes a date."""
    deal, buyer = rig.deals[0], rig.contacts[0]
    rig.edit(deal, contract_sent_on=date(2026, 11, 1))
    rig.world.clock.advance_to(datetime(2026, 11, 10, 3, 30, tzinfo=UTC))
    call = rig.log(deal, buyer, "meeting")
    rig.pull()
    row = _deal(rig, deal)
    assert row["legal_sent_on"] == date(2026, 11, 1)
    assert row["closes_on"] == date(2027, 3, 31)
    assert next(a for a in rig.rows("activities") if a["id"] == call)["on"] == date(2026, 11, 9)
    rig.assert_same()


@both
@pytest.mark.pitfall("49")
def test_epoch_and_iso_spellings(rig: Any) -> None:
    """One instant, whatever its spelling: with and without milliseconds, Z or an offset, epoch milliseconds where the CRM takes them."""
    deal = rig.deals[0]
    if rig.crm == HS:
        record = rig.portal.records["deals"][int(deal)]
        days = []
        for spelling in ("2027-05-04T16:00:00Z", "2027-05-04T16:00:00.000Z", "2027-05-04T12:00:00-04:00"):
            record.values["closedate"] = spelling
            rig.set("deals", deal, hs_next_step=spelling)
            rig.pull()
            days.append(_deal(rig, deal)["closes_on"])
        assert days == [date(2027, 5, 4)] * 3
    else:
        rig.pull()
        assert _deal(rig, deal)["created_at"].tzinfo is not None
        rig.assert_same()  # +0000 without a colon on the wire, an aware instant in the state


@both
@pytest.mark.pitfall("50")
def test_bad_number_is_a_dead_letter_not_a_crash(rig: Any) -> None:
    """An amount that is no number: that record alone is a dead letter with its id, field and value; mended, it is held again."""
    bad, good = rig.deals[0], rig.deals[1]
    rig.pull()
    before = _deal(rig, bad)
    _poison_amount(rig, bad, "12,34x")
    rig.edit(good, amount=Decimal(777))
    report = rig.pull()
    letters = rig.app.store.dead_letters.find(NAME)
    assert [(letter.record, letter.code, letter.field and letter.field.lower()) for letter in letters] == [(bad, "SC-E079", "amount")]
    assert sum(stream.dead_letters for stream in report.streams) >= 1
    assert _deal(rig, bad) == before, "what was known stays, nothing is cleared"
    assert _deal(rig, good)["amount"] == Decimal(777)
    _poison_amount(rig, bad, None)
    rig.edit(bad, amount=Decimal("88.50"))
    rig.pull()
    assert _deal(rig, bad)["amount"] == Decimal("88.50")
    assert rig.app.store.dead_letters.find(NAME) == []
    rig.assert_same()


@both
@pytest.mark.pitfall("51")
@pytest.mark.parametrize("word", ["NA", "N/A", "None", "null", "nan", "-"])
def test_na_strings_survive(rig: Any, word: str) -> None:
    """Words that some readers take for nothing are text."""
    rig.edit_account(rig.accounts[0], territory=word)
    rig.pull()
    assert next(row for row in rig.rows("accounts") if row["id"] == rig.accounts[0])["territory"] == word
    rig.assert_same()


@both
@pytest.mark.pitfall("52")
@pytest.mark.parametrize("word", ["00123", "1e5", "0x1F", "1_000", "+7"])
def test_leading_zero_text_survives(rig: Any, word: str) -> None:
    """A text that looks like a number stays the text it is."""
    rig.edit_account(rig.accounts[0], name=word, territory=word)
    rig.pull()
    row = next(row for row in rig.rows("accounts") if row["id"] == rig.accounts[0])
    assert (row["name"], row["territory"]) == (word, word)
    rig.assert_same()


@both
@pytest.mark.pitfall("53")
def test_new_field_is_not_lost_before_discovery(rig: Any) -> None:
    """A field is added, filled and mapped between two runs: the next run holds its values, those from before the mapping included."""
    deal = rig.deals[0]
    rig.pull()
    if rig.crm == SF:
        rig.org.add_field("Opportunity", FieldDef("Channel__c", "string"))
        rig.set("Opportunity", deal, Channel__c="conference")
    else:
        rig.portal.define_property("deals", "channel", "string")
        rig.set("deals", deal, channel="conference")
    rig.advance(3_600)
    rig.pull()
    mapping = rig.own_mappings() / f"{rig.crm}.yaml"
    old, new = {SF: ("{from: LeadSource}", "{from: Channel__c}"), HS: ("{from: hs_analytics_source}", "{from: channel}")}[rig.crm]
    mapping.write_text(mapping.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    rig.reopen()
    rig.pull()
    assert _deal(rig, deal)["lead_source"] == "conference"


@both
@pytest.mark.pitfall("54")
def test_cleared_value_clears_downstream(rig: Any) -> None:
    """A value emptied in the CRM is emptied in the state, by null or by empty text."""
    deal = rig.deals[0]
    rig.edit(deal, contract_sent_on=date(2026, 11, 1), amount=Decimal(5))
    rig.pull()
    assert _deal(rig, deal)["legal_sent_on"] == date(2026, 11, 1)
    rig.edit(deal, contract_sent_on=None, amount=None)
    rig.pull()
    row = _deal(rig, deal)
    assert (row["legal_sent_on"], row["amount"]) == (None, None)
    rig.assert_same()


@both
@pytest.mark.pitfall("55")
def test_missing_amount_is_not_zero(rig: Any) -> None:
    """A deal without an amount has none: null in the state, and counted as missing by the KPI that needs it."""
    deal = rig.deals[1]
    rig.pull()
    assert _deal(rig, deal)["amount"] is None
    done = runs.pull(rig.app, [NAME])
    book = runs.books(rig.app, done)[NAME]
    amounts = dict(book.deals.select("id", "amount").iter_rows())
    assert amounts[deal] is None
    assert amounts[rig.deals[0]] is not None


# -- hands on both CRMs ------------------------------------------------------------------------------------------------


def _deal(rig: Any, id: str) -> dict[str, Any]:
    return dict(next(row for row in rig.rows("opportunities") if row["id"] == id))


def _stamp(rig: Any, deal: str) -> str:
    if rig.crm == SF:
        return str(rig.org.tables["Opportunity"].rows[deal]["SystemModstamp"])
    return str(rig.portal.records["deals"][int(deal)].values["hs_lastmodifieddate"])


def _arr(rig: Any, deal: str) -> Decimal | None:
    with rig.app.store.database.read() as db:
        found = db.execute(text("SELECT arr FROM opportunities WHERE id = :id"), {"id": deal}).scalar_one()
    return None if found is None else Decimal(str(found))


def _poison_amount(rig: Any, deal: str, value: str | None) -> None:
    """Straight into the CRM's own storage, as an old import left it there; None takes it out again."""
    if rig.crm == SF:
        rig.set("Opportunity", deal, NextStep="call back")
        row = rig.org.tables["Opportunity"].rows[deal]
        row.pop("Amount", None) if value is None else row.update(Amount=value)
    else:
        rig.set("deals", deal, hs_next_step="call back")
        rig.portal.records["deals"][int(deal)].values["amount"] = value or ""
