"""Deletes, merges, history and associations: what happens to a record after it was created."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from connector import sync
from tests.pitfalls.catalogue import BOTH, HS, SF

both = pytest.mark.parametrize("crm", BOTH)


@both
@pytest.mark.pitfall("19")
def test_merged_records_collapse(rig: Any) -> None:
    """Two accounts become one, twice in a row: their deals and activities hang on the survivor, and no deal counts twice."""
    first, second, third = rig.accounts[:3]
    rig.log(rig.deals[1], rig.contacts[2], "meeting")
    rig.pull()
    heir = rig.merge_accounts(second, first)
    rig.pull()
    heir = rig.merge_accounts(third, heir)
    rig.pull()
    assert {row["account"] for row in rig.rows("opportunities")} == {heir}
    rig.assert_same()


@both
@pytest.mark.pitfall("20")
def test_merge_loser_is_tombstoned(rig: Any) -> None:
    """The losers of a merge say who survived; they are neither live rows nor plain deletes."""
    first, second = rig.accounts[:2]
    rig.pull()
    heir = rig.merge_accounts(second, first)
    rig.pull()
    dead = rig.tombstones("accounts")
    assert dead[second] == heir
    assert heir in [row["id"] for row in rig.rows("accounts")]
    assert second not in [row["id"] for row in rig.rows("accounts")]


@both
@pytest.mark.pitfall("21")
def test_identity_is_the_crm_id(rig: Any) -> None:
    """Two deals and two contacts that are alike in everything but their id stay two."""
    account = rig.accounts[0]
    twins = [rig.open_deal(account, amount=Decimal(9), name="Twin") for _ in range(2)]
    people = [rig.meet(account, "Surgeon") for _ in range(2)]
    rig.pull()
    assert len({row["id"] for row in rig.rows("opportunities") if row["id"] in twins}) == 2
    assert len({row["id"] for row in rig.rows("contacts") if row["id"] in people}) == 2
    rig.assert_same()


@both
@pytest.mark.pitfall("22")
def test_update_is_one_row(rig: Any) -> None:
    """Ten edits and ten pulls of one deal: one row, holding the last edit."""
    deal = rig.deals[0]
    for amount in range(1, 11):
        rig.edit(deal, amount=Decimal(amount))
        rig.pull()
    rows = [row for row in rig.rows("opportunities") if row["id"] == deal]
    assert [row["amount"] for row in rows] == [Decimal(10)]
    rig.assert_same()


@pytest.mark.parametrize("crm", [HS])
@pytest.mark.pitfall("40")
def test_hubspot_archive_is_seen(rig: Any) -> None:
    """Archiving moves no stamp: the deal becomes a tombstone by the next pull all the same."""
    deal = rig.deals[0]
    rig.pull()
    before = rig.portal.records["deals"][int(deal)].values["hs_lastmodifieddate"]
    rig.delete(deal)
    assert rig.portal.records["deals"][int(deal)].values["hs_lastmodifieddate"] == before
    rig.pull()
    assert deal in rig.tombstones("opportunities")
    rig.assert_same()


@pytest.mark.parametrize("crm", [SF])
@pytest.mark.pitfall("41")
def test_salesforce_deleted_rows_are_read(rig: Any) -> None:
    """A row deleted before the first pull and one deleted after it are both known as deleted."""
    early, late = rig.deals[:2]
    rig.delete(early)
    rig.pull()
    rig.delete(late)
    rig.pull()
    assert {early, late} <= set(rig.tombstones("opportunities"))
    rig.assert_same()


@both
@pytest.mark.pitfall("42")
def test_association_change_alone_is_seen(rig: Any) -> None:
    """Somebody joins a deal, somebody leaves it, and no deal was edited: the day's sweep sees both."""
    deal, buyer, surgeon = rig.deals[0], rig.contacts[0], rig.contacts[1]
    rig.pull()
    rig.add_role(deal, surgeon, "surgeon")
    rig.remove_role(deal, buyer)
    rig.advance(days=1, seconds=3_600)
    rig.pull()
    assert [row["contact"] for row in rig.rows("contact_roles") if row["opportunity"] == deal] == [surgeon]
    rig.assert_same()


@both
def test_a_contact_with_two_roles_after_a_merge(rig: Any) -> None:
    """Two contacts of one deal become one: both their roles are kept, by the pull and by the sweep, and one of them may go."""
    deal, (one, two) = rig.deals[1], rig.contacts[:2]
    rig.add_role(deal, one, "economic_buyer")
    rig.add_role(deal, two, "it_security")
    rig.pull()
    left = rig.merge_contacts(two, one)
    rig.pull()
    if rig.crm == SF:
        rig.assert_same()
        assert [row["contact"] for row in rig.rows("contact_roles") if row["opportunity"] == deal] == [left, left]
    rig.settle()
    rig.assert_same()
    mapped, definitions = rig.app.mapped("crm"), rig.app.definitions
    told = sync.book(mapped, rig.app.store, definitions, rig.now).roles.filter(opportunity=deal).select("contact", "persona").rows()
    assert {contact for contact, _ in told} == {left}
    if rig.crm == SF:
        assert sorted(persona for _, persona in told) == ["cfo", "vp_it"]


@both
def test_who_joins_and_leaves_a_closed_deal_is_seen_within_a_week(rig: Any) -> None:
    """Nobody edits a deal that is won: of what hangs on it only the sweep over all deals can tell."""
    deal, buyer, surgeon = rig.deals[0], rig.contacts[0], rig.contacts[1]
    rig.move(deal, "won")
    rig.pull()
    rig.advance(days=2)
    rig.pull()
    rig.add_role(deal, surgeon, "surgeon")
    rig.remove_role(deal, buyer)
    rig.advance(days=7)
    rig.pull()
    assert [row["contact"] for row in rig.rows("contact_roles") if row["opportunity"] == deal] == [surgeon]
    rig.assert_same()


@both
def test_an_activity_taken_away_from_its_only_deal_is_seen(rig: Any) -> None:
    """The open deal's within a day, also after a merge; the closed one's within a week."""
    deals = rig.deals[:2] if rig.crm == SF else [rig.deals[0], rig.merge_deals(rig.open_deal(), rig.deals[1])]
    calls = [rig.log(deal) for deal in deals]
    won = rig.log(rig.deals[2])
    rig.pull()
    heir = deals[0] if rig.crm == SF else rig.merge_deals(rig.open_deal(), deals[0])
    rig.pull()
    for call in calls:
        rig.file(call, None)
    rig.file(won, heir)
    rig.advance(days=1)
    rig.pull()
    assert not {row["id"] for row in rig.rows("activity_deals")} & set(calls)
    assert [row["opportunity"] for row in rig.rows("activity_deals") if row["id"] == won] == [heir]
    rig.assert_same()
    rig.file(won, rig.deals[2])
    rig.advance(days=1)
    rig.pull()
    rig.file(won, None)
    rig.advance(days=7)
    rig.pull()
    rig.assert_same()


@pytest.mark.parametrize("crm", [HS])
def test_a_contact_who_left_a_deal_right_after_its_merge_is_gone(rig: Any) -> None:
    """Two deals become one, and a contact of theirs leaves it before the next pull: the merged deals' old sets do not bring the contact back."""
    deal, buyer = rig.deals[0], rig.contacts[0]
    rig.pull()
    assert [row["contact"] for row in rig.rows("contact_roles") if row["opportunity"] == deal] == [buyer]
    heir = rig.merge_deals(rig.deals[1], deal)
    rig.remove_role(heir, buyer)
    rig.pull()
    rig.assert_same()
    roles = sync.book(rig.app.mapped("crm"), rig.app.store, rig.app.definitions, rig.now).roles
    assert roles.filter(opportunity=heir).is_empty()


@both
@pytest.mark.pitfall("43")
def test_history_ends_at_current_value(rig: Any) -> None:
    """The last stage that the history tells is not the stage that the deal has: a finding names the deal, and only it."""
    deal = rig.deals[0]
    rig.pull()
    assert not [f for f in rig.pull().findings if f.code == "SC-W072"]
    if rig.crm == SF:
        rig.set("Opportunity", deal, NextStep="call")
        rig.org.tables["Opportunity"].rows[deal]["StageName"] = "Contracting"
    else:
        rig.set("deals", deal, hs_next_step="call")
        rig.portal.records["deals"][int(deal)].values["dealstage"] = "decisionmakerboughtin"
    rig.pull()
    rig.advance(2 * 3_600)
    found = [f for f in rig.pull().findings if f.code == "SC-W072"]
    assert found
    assert deal in found[0].message
    assert rig.deals[1] not in found[0].message


@both
@pytest.mark.pitfall("44")
def test_history_is_complete_not_latest(rig: Any) -> None:
    """Stage, amount and close date moved three times before the first pull and twice after it: all of it is held, in order."""
    deal = rig.open_deal(stage="prospect", amount=Decimal(1))
    for stage, amount, closes in (("discovery", 2, 10), ("demo", 3, 11)):
        rig.move(deal, stage)
        rig.edit(deal, amount=Decimal(amount), closes_on=date(2027, 4, closes))
    rig.pull()
    rig.move(deal, "pilot")
    rig.move(deal, "contracting")
    rig.pull()
    stages = [row["value"] for row in sorted(_changes(rig, deal, "stage"), key=lambda row: row["at"])]
    assert len(dict.fromkeys(stages)) == 5
    amounts = [row["value"] for row in sorted(_changes(rig, deal, "amount"), key=lambda row: row["at"])]
    assert list(dict.fromkeys(amounts)) == ["1", "2", "3"]
    rig.assert_same()


@both
@pytest.mark.pitfall("45")
def test_hard_delete_found_by_id_scan(rig: Any) -> None:
    """Purged from the bin, or erased by a privacy request: no trace in any stamp, found by the weekly count of ids."""
    deal = rig.deals[0]
    rig.pull()
    rig.purge(deal)
    rig.advance(days=8)
    rig.pull()
    assert deal in rig.tombstones("opportunities")
    rig.assert_same()


@both
@pytest.mark.pitfall("46")
def test_delete_then_undelete(rig: Any) -> None:
    """A restored deal is back with its whole history, and what happened while it lay in the bin is known too."""
    deal = rig.deals[0]
    rig.move(deal, "demo")
    rig.pull()
    before = _changes(rig, deal, "stage")
    rig.delete(deal)
    rig.pull()
    assert deal in rig.tombstones("opportunities")
    rig.advance(3_600)
    rig.restore(deal)
    rig.pull()
    assert deal not in rig.tombstones("opportunities")
    assert [row for row in _changes(rig, deal, "stage") if row in before] == before
    rig.assert_same()


def _changes(rig: Any, deal: str, field: str) -> list[dict[str, Any]]:
    return [row for row in rig.rows("changes") if row["opportunity"] == deal and row["field"] == field]
