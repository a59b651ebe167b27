"""What goes crosswise: duplicates, merges, deletions, people leaving, an admin renaming stages."""

from __future__ import annotations

from functools import partial

from connector.sandbox import events
from connector.sandbox.business import cast, deals
from connector.sandbox.business.company import Account, Company, Deal


def reorganise(co: Company) -> None:
    """The admin moves every deal out of the retired stages, all within moments."""
    old = set().union(*(names.values() for names in events.RETIRED.values()))
    for deal in co.deals.values():
        if deal.there and deal.stage in old and deal.stage in events.RETIRED.get(deal.pipeline, {}).values():
            co.tell(events.StageMoved(co.stamp(), deal.key, deal.stage, co.robot()))


def leave(co: Company, owner: str) -> None:
    """An owner leaves. Most open deals are handed over in the weeks after; some keep the name of who left."""
    co.owners[owner].active = False
    co.tell(events.OwnerLeft(co.stamp(), owner))
    for deal in co.deals.values():
        if deal.owner == owner and deal.open and co.chance(0.55):
            co.while_open(deal, co.span(1, 18), partial(_hand_over, co, deal, owner))


def mishaps(co: Company, number: int = 0) -> None:
    """Every two weeks or so something is entered twice or deleted, in turn. Goes on for ever."""
    (_duplicate_deal, _delete_deal, _duplicate_deal, _duplicate_account, _delete_deal, _duplicate_deal, _duplicate_deal)[number % 7](co)
    co.later(co.span(8, 24), partial(mishaps, co, number + 1))


def _hand_over(co: Company, deal: Deal, owner: str) -> None:
    if deal.owner == owner:
        co.edit(deal, {"owner": co.rep_for(co.accounts[deal.account].territory)})


def _duplicate_deal(co: Company) -> None:
    young = [d for d in co.deals.values() if d.open and d.deal_type == "new_business" and d.pipeline in {"capital", "software"} and not d.neglected]
    if not young:
        return
    original = co.rng.choice(young[-60:])
    again = deals.open_new(co, co.accounts[original.account], original.pipeline)
    again.duplicate_of = original.key
    co.later(co.span(2, 16), partial(_notice, co, again))


def _notice(co: Company, deal: Deal) -> None:
    original = co.deals[deal.duplicate_of or deal.key]
    if not deal.open or not original.there:
        return
    if co.chance(0.55):
        deals.close(co, deal, "duplicate")
        return
    deal.life += 1
    deal.merged = True
    for contact, role in deal.roles.items():
        original.roles.setdefault(contact, role)
    co.tell(events.DealsMerged(co.stamp(), deal.key, original.key))


def _delete_deal(co: Company) -> None:
    able = [d for d in co.deals.values() if d.there and d.stage != "won"]
    if not able:
        return
    deal = co.rng.choice(able)
    deal.life += 1
    deal.deleted = True
    co.tell(events.DealDeleted(co.stamp(), deal.key))
    if co.chance(0.55):
        co.later(co.span(0.1, 10), partial(_restore, co, deal))


def _restore(co: Company, deal: Deal) -> None:
    deal.deleted = False
    co.tell(events.DealRestored(co.stamp(), deal.key))
    deals.resume(co, deal)


def _duplicate_account(co: Company) -> None:
    houses = [a for a in co.accounts.values() if a.merged_into is None and f"{a.key}-b" not in co.accounts and not a.key.endswith("-b")]
    if not houses:
        return
    house = co.rng.choice(houses)
    again = cast.duplicate_of(co, house)
    if co.chance(0.7):
        deals.open_new(co, again, "capital")
    co.later(co.span(15, 60), partial(_merge_accounts, co, again, house))


def _merge_accounts(co: Company, loser: Account, winner: Account) -> None:
    loser.merged_into = winner.key
    winner.contacts.extend(loser.contacts)
    loser.contacts = []
    for deal in co.deals.values():
        if deal.account == loser.key:
            deal.account = winner.key
    co.tell(events.AccountsMerged(co.stamp(), loser.key, winner.key))
