"""The scorecard of key opinion leaders (scorecard-fields.md section 5), and whose they are."""

from __future__ import annotations

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.cards.card import Card, Sheet, listed, rows_of
from connector.kpis.questions.kol import leaders, referred
from connector.model.scorecard_fields import CONTACT


def contact_cards(book: Book) -> dict[str, Card]:
    """Contact id → card, for the key opinion leaders of kol.csv that the CRM knows. No name is kept of a contact."""
    known, found = set(book.contacts["id"]), dict[str, Card]()
    people = leaders(book)
    for row in () if people is None else people.iter_rows(named=True):
        id = row["contact"]
        if id not in known:
            continue
        sheet = Sheet(id, None, CONTACT)
        score = rows_of(book, "kol_engagement_score")[f"contact={id}"]
        told = [f"{row['meetings']} held meetings in {book.settings.kol_score.lookback_days} days"]
        told += [said for said, holds in (("advisory board", row["advisory_board"]), ("published case study", row["published"])) if holds]
        sheet.put("kol_score", score.value, *told)
        activity, kind, on = _last_touches(book).get(id, (None, None, None))
        sheet.put("kol_last_touch", on, "no touch" if on is None else f"{kind} {activity} on {on}")
        _referrals(book, id, sheet)
        found[id] = sheet.card()
    return found


def _referrals(book: Book, id: str, sheet: Sheet) -> None:
    sources = book.settings.kol_score.lead_sources
    if not sources:
        sheet.put("kol_referred_deals", None, "no lead source is named in kol_score.lead_sources")
        return
    deals = _referred(book).get(id, [])
    told = f"new-business deals of the last twelve months that came by {', '.join(sources)} and that it is on: {listed(deals) or 'none'}"
    sheet.put("kol_referred_deals", len(deals), told)


@derived
def _last_touches(book: Book) -> dict[str, tuple[str | None, str, object]]:
    """Contact → its latest touch, on any deal or none: activity, kind, day."""
    touches = book.activities.filter(pl.col("touch") & pl.col("contact").is_not_null()).sort("on", "id", nulls_last=False)
    return {contact: (id, kind, on) for contact, id, kind, on in touches.select("contact", "id", "kind", "on").iter_rows()}


@derived
def _roles(book: Book) -> pl.DataFrame:
    """opportunity, contact: who was on a deal that is not void by its close (today for open ones)."""
    deals = book.deals.filter(pl.col("cls") != "void").select(opportunity="id", deal_account="account", cutoff=pl.col("closed").fill_null(book.today))
    rows = book.roles.join(deals, on="opportunity").filter(pl.col("added_on").is_null() | (pl.col("added_on") <= pl.col("cutoff")))
    return rows.select("opportunity", "contact", "deal_account").unique().sort("opportunity", "contact")


@derived
def _referred(book: Book) -> dict[str, list[str]]:
    """Contact → deals of KPI 65 that it is on. CRMs keep who is on a deal, not who referred it."""
    found: dict[str, list[str]] = {}
    of_leaders = _roles(book).filter(pl.col("opportunity").is_in(referred(book)["id"].implode()))
    for deal, contact in of_leaders.select("opportunity", "contact").iter_rows():
        found.setdefault(contact, []).append(deal)
    return found


@derived
def leaders_of(book: Book) -> dict[str, list[tuple[str, bool]]]:
    """Account → its key opinion leaders: (contact, whether it is active), sorted. A contact of which the CRM names no account belongs to those
    of the deals it is on."""
    people = leaders(book)
    if people is None:
        return {}
    own: dict[str, set[str]] = {
        id: {book.survivors.get(account, account)} for id, account in book.contacts.select("id", "account").drop_nulls().iter_rows()
    }
    of_deals: dict[str, set[str]] = {}
    for contact, account in _roles(book).select("contact", "deal_account").drop_nulls().iter_rows():
        of_deals.setdefault(contact, set()).add(account)
    found: dict[str, list[tuple[str, bool]]] = {}
    for contact, active in people.select("contact", "active").iter_rows():
        for account in sorted(own.get(contact) or of_deals.get(contact, set())):
            found.setdefault(account, []).append((contact, active))
    return found
