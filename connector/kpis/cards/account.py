"""The scorecard of every account (scorecard-fields.md section 4): what it is worth, how it is doing, whom to call."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.book.ledger import ledger
from connector.kpis.book.money import MONEY, PLACES
from connector.kpis.cards.card import Card, Sheet, decimal, left_out, listed, nothing, percent, rows_of
from connector.kpis.cards.contact import leaders_of
from connector.kpis.cards.hierarchy import members, rings
from connector.kpis.cards.text import day_text
from connector.kpis.definition import Row
from connector.kpis.questions.health import punctuality, recent_events
from connector.kpis.questions.pipeline import counted
from connector.kpis.questions.retention import next_renewals, nrr_of
from connector.kpis.questions.speed import first_contacts
from connector.model.scorecard_fields import ACCOUNT

TIERS: Mapping[str, str] = {"at_risk": "at_risk", "healthy": "stable", "expansion_ready": "expansion_ready"}
"""Label of KPI 99 → option of the field."""


def account_cards(book: Book) -> dict[str, Card]:
    """Account id → card, for every account of the book: one of which nothing is known any more has to lose what was written. Merged ones are
    their survivor.

    ARR, NRR and open pipeline of an account include those of every account below it; the rest is its own.
    """
    found: dict[str, Card] = {}
    for id, name in book.accounts.select("id", "name").iter_rows():
        sheet = Sheet(id, name, ACCOUNT)
        for part in (_arr, _nrr, _renewal, _health, _adoption, _milestones, _go_live, _pull_through, _pipeline, _leaders, _triggers, _contact):
            part(book, id, sheet)
        found[id] = sheet.card()
    return found


def _subject(id: str) -> str:
    return f"account={id}"


# -- rolled up ----------------------------------------------------------------------------------------------------


def _rolled(book: Book, id: str, holding: Mapping[str, object]) -> tuple[list[str], str]:
    """Members of an account that hold something, and a sentence on who is rolled up (empty: itself only)."""
    mine = [member for member in members(book)[id] if member in holding]
    others = [member for member in mine if member != id]
    told = f"with accounts below it: {listed(others)}" if others else ""
    return mine, told


def _ring(book: Book, id: str) -> str:
    return "the account named above it is itself, or is below it: that link does not count" if id in rings(book) else ""


@derived
def _balances(book: Book) -> dict[str, Decimal | None]:
    """Account of the ledger → its balance today, 0 once it has left; None where one of its currencies has no rate."""
    entries = ledger(book)
    if entries is None:
        return {}
    rows = entries.at(book.today).group_by("account").agg(pl.col("delta").sum(), known=pl.col("delta").null_count() == 0)
    return {account: balance if known else None for account, balance, known in rows.iter_rows()}


def _arr(book: Book, id: str, sheet: Sheet) -> None:
    mine, told = _rolled(book, id, _balances(book))
    known = {member: balance for member in mine if (balance := _balances(book)[member]) is not None}
    unrated = [member for member in mine if member not in known]
    if not mine:
        lacks = "no entry in arr_ledger.csv" if ledger(book) is not None else "arr_ledger.csv was not given"
        sheet.put("arr", None, lacks, _ring(book, id))
    elif unrated:
        sheet.put("arr", None, f"a currency without an exchange rate: {listed(unrated)}", told, _ring(book, id))
    else:
        sum_ = sum(known.values(), Decimal(0))
        sheet.put("arr", sum_, f"balance of the ledger {sum_:,.2f} {book.rates.reporting} on {book.today}", told, _ring(book, id))


@derived
def _nrrs(book: Book) -> dict[str, Row]:
    return {row.subject: row for row in nrr_of(book, members(book))}


def _nrr(book: Book, id: str, sheet: Sheet) -> None:
    row = _nrrs(book).get(_subject(id))
    if row is None or row.value is None:
        sheet.put("nrr_12m", None, nothing(row, "nobody was a customer the day before the last twelve months"), left_out(row))
    else:
        assert row.evidence is not None
        told = f"ARR now ÷ ARR the day before {book.windows.rolling.first}, of customers: {listed(row.evidence['account'])}"
        sheet.put("nrr_12m", row.value, told, left_out(row), _ring(book, id))


@derived
def _deals(book: Book) -> dict[str, int]:
    """Account → its deals that are not void."""
    return dict(book.deals.filter((pl.col("cls") != "void") & pl.col("account").is_not_null()).group_by("account").len().iter_rows())


@derived
def _open(book: Book) -> dict[str, tuple[Decimal | None, int, int]]:
    """Account → (amount of its pipeline, None where no deal has one; deals with an amount; deals)."""
    rows = counted(book).filter(pl.col("account").is_not_null()).group_by("account")
    amounts = rows.agg(pl.col("amount").sum().cast(MONEY), known=pl.col("amount").count(), deals=pl.len())
    return {account: (amount if known else None, known, deals) for account, amount, known, deals in amounts.iter_rows()}


def _pipeline(book: Book, id: str, sheet: Sheet) -> None:
    everybody, told = _rolled(book, id, _deals(book))
    mine = [_open(book)[member] for member in everybody if member in _open(book)]
    with_amount, deals = sum(known for _, known, _ in mine), sum(deals for _, _, deals in mine)
    if not everybody:
        sheet.put("open_pipeline", None, "no deal")
    elif deals and not with_amount:
        sheet.put("open_pipeline", None, "no open deal of it has an amount in a known currency", told, _ring(book, id))
    else:
        sum_ = sum((amount for amount, _, _ in mine if amount is not None), Decimal(0))
        out = f"left out: {deals - with_amount} without an amount in a known currency" if deals > with_amount else ""
        sheet.put("open_pipeline", sum_, f"open new-business deals with an amount: {with_amount}", out, told, _ring(book, id))


# -- its own ------------------------------------------------------------------------------------------------------


def _renewal(book: Book, id: str, sheet: Sheet) -> None:
    due = next_renewals(book).get(id)
    lacks = "no undecided renewal" if book.inputs.rows("renewals") is not None else "renewals.csv was not given"
    sheet.put("renewal_on", due, lacks if due is None else f"due on {due} and not decided (renewals.csv)")


def _health(book: Book, id: str, sheet: Sheet) -> None:
    row = rows_of(book, "customer_health_tier").get(_subject(id))
    if row is None or row.value is None:
        lacks = nothing(row, "neither adoption.csv nor sentiment.csv says anything of it")
        sheet.put("health_tier", None, lacks)
        sheet.put("health_reason", None, lacks)
        return
    fired = rows_of(book, "customer_health_tier", "rules")[_subject(id)].value
    assert isinstance(fired, list)
    tier = TIERS[str(row.value)]
    reasons = [_rules(book)[f"{tier}.{rule}"] for rule in (_READY if tier == "expansion_ready" else fired)]
    parts = [_part(book, id, name, said, unit) for name, said, unit in _PARTS]
    sheet.put("health_tier", tier, *parts, _critical(book, id))
    sheet.put("health_reason", reasons, *(reasons or ["no rule of health_tier fired"]))


_READY = ("adoption", "sentiment")
_PARTS = (("product_adoption_score", "adoption", "%"), ("customer_sentiment_score", "sentiment", ""))


def _rules(book: Book) -> dict[str, str]:
    """Tier and rule → the rule in words. Its numbers are settings: they do not tick."""
    limits = book.settings.health_tier
    return {
        "at_risk.adoption": f"adoption below {percent(limits.at_risk.adoption_below)}",
        "at_risk.sentiment": f"sentiment below {limits.at_risk.sentiment_below:g}",
        "at_risk.critical_tickets": f"critical tickets in 90 days: {limits.at_risk.critical_tickets_at_least} or more",
        "expansion_ready.adoption": f"adoption at least {percent(limits.expansion_ready.adoption_at_least)}",
        "expansion_ready.sentiment": f"sentiment at least {limits.expansion_ready.sentiment_at_least:g}",
    }


def _part(book: Book, id: str, kpi: str, said: str, unit: str) -> str:
    row = rows_of(book, kpi).get(_subject(id))
    if row is None or not isinstance(row.value, (int, float)):
        return f"{said} not known"
    return f"{said} {percent(row.value)}" if unit else f"{said} {row.value:.4g}"


def _critical(book: Book, id: str) -> str:
    row = rows_of(book, "support_ticket_volume_by_severity").get(f"{_subject(id)},severity=critical")
    return "no critical ticket in 90 days" if row is None else f"critical tickets in 90 days: {row.value}"


def _adoption(book: Book, id: str, sheet: Sheet) -> None:
    row = rows_of(book, "product_adoption_score").get(_subject(id))
    if row is None or row.value is None:
        sheet.put("adoption", None, nothing(row, "no row in adoption.csv"))
    else:
        assert row.evidence is not None
        active, day = row.evidence.select(pl.col("active").sum(), pl.col("date").max()).row(0)
        sheet.put("adoption", row.value, f"{active} of {row.n} licensed seats in use on {day}")


def _milestones(book: Book, id: str, sheet: Sheet) -> None:
    punctual = punctuality(book).get(id)
    if punctual is None:
        sheet.put("milestones_on_time", None, "no milestone was due in the last twelve months")
    else:
        sheet.put("milestones_on_time", f"{punctual[0]} of {punctual[1]}", "milestones done by their day, of those due in the last twelve months")


@derived
def _lives(book: Book) -> dict[str, str]:
    """Account → its deal that went live last, of those whose days from the contract are known."""
    known = [subject.partition("=")[2] for subject in rows_of(book, "contract_to_go_live")]
    rows = book.deals.filter(pl.col("id").is_in(known) & pl.col("account").is_not_null()).sort("go_live_on", "contract_signed_on", "id")
    return dict(rows.select("account", "id").iter_rows())


def _go_live(book: Book, id: str, sheet: Sheet) -> None:
    last = _lives(book).get(id)
    if last is None:
        sheet.put("go_live_days", None, "no new-business deal with a signed contract and a go-live after it")
        return
    row = rows_of(book, "contract_to_go_live")[f"opportunity={last}"]
    assert row.evidence is not None
    signed, live = row.evidence.row(0)[1:3]
    sheet.put("go_live_days", row.value, f"deal {last}: signed on {signed}, live on {live}")


def _pull_through(book: Book, id: str, sheet: Sheet) -> None:
    row = rows_of(book, "consumable_pull_through_per_installed_base").get(_subject(id))
    yearly = None if row is None else decimal(row.value)
    if row is None or yearly is None:
        lacks = "no unit in installed_base.csv, or consumables.csv was not given"
        sheet.put("pull_through_per_unit", None, nothing(row, lacks), left_out(row))
    else:
        told = f"a twelfth of {yearly:,.2f} {book.rates.reporting} per unit in the last twelve months; units: {row.n}"
        sheet.put("pull_through_per_unit", (yearly / 12).quantize(PLACES), told, left_out(row))


def _leaders(book: Book, id: str, sheet: Sheet) -> None:
    known = leaders_of(book).get(id)
    if known is None:
        lacks = "kol.csv was not given" if book.inputs.rows("kol") is None else "no key opinion leader of kol.csv belongs to it"
        sheet.put("active_kols", None, lacks)
        return
    active = [contact for contact, busy in known if busy]
    told = f"of {len(known)} with a touch in {book.settings.kol_score.lookback_days} days: {listed(active) or 'nobody'}"
    sheet.put("active_kols", len(active), told)


def _triggers(book: Book, id: str, sheet: Sheet) -> None:
    row = rows_of(book, "expansion_trigger_events").get(_subject(id))
    if row is None or row.value is None:
        sheet.put("expansion_triggers", None, nothing(row, "no event in expansion_events.csv and no seats in adoption.csv"))
        return
    events = recent_events(book).get(id, [])
    names = list(dict.fromkeys(_label(event["event"]) for event in events))
    why = [f"{_label(event['event'])} on {day_text(event['date'])}" for event in events]
    if rows_of(book, "expansion_trigger_events", "seat_threshold")[_subject(id)].value:
        at_least = f"Seats in use at least {percent(book.settings.health_tier.expansion_ready.adoption_at_least)}"
        names, why = [*names, at_least], [*why, at_least]
    sheet.put("expansion_triggers", names, *(why or ["no event in 90 days"]))


def _label(event: str) -> str:
    return event.replace("_", " ").strip().capitalize() or event


@derived
def _first_contacts(book: Book) -> dict[str, tuple[Any, ...]]:
    return {account: (activity, on) for account, activity, on in first_contacts(book).iter_rows()}


def _contact(book: Book, id: str, sheet: Sheet) -> None:
    activity, on = _first_contacts(book).get(id, (None, None))
    sheet.put("first_contact_on", on, "no two-way touch with it or one of its deals" if on is None else f"activity {activity} on {on}")
