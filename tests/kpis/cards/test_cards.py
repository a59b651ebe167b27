"""Cards of accounts, key opinion leaders, reps and snapshots: the same numbers as the KPIs say, by a road of their own."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.errors import MappingError
from connector.kpis.book.book import Book
from connector.kpis.cards.account import account_cards
from connector.kpis.cards.card import Card
from connector.kpis.cards.closed import closed_cards
from connector.kpis.cards.contact import contact_cards
from connector.kpis.cards.deal import BESIDE_GOLDEN, scorecards
from connector.kpis.cards.hierarchy import members
from connector.kpis.cards.rep import rep_cards
from connector.kpis.cards.snapshot import TOO_LARGE, external_id, snapshot_cards
from connector.kpis.compute import compute, from_inputs
from connector.kpis.definition import REGISTRY, Measure
from connector.model import scorecard_fields
from tests.kpis.changes import haunted, shuffled
from tests.kpis.golden import GOLDEN
from tests.kpis.strategies import ACCOUNTS, Given, books

Org = Any
TODAY, QUARTER = date(2027, 2, 15), "FY2027-Q1"
OF_QUARTER = {"quota", "won", "attainment", "pipeline_created"}


def keys(grain: Iterable[scorecard_fields.Row], *but: str) -> set[str]:
    return {row.key for row in grain} - set(but)


class Said:
    """What the KPIs say, by name, variant, subject and window."""

    def __init__(self, book: Book) -> None:
        self._found: dict[tuple[str, str, str], dict[str, Measure]] = {}
        for measure in compute(book, sorted(REGISTRY)):
            self._found.setdefault((measure.kpi, measure.variant, measure.subject), {})[measure.window] = measure

    def of(self, kpi: str, subject: str, variant: str = "", window: str | None = None) -> Measure | None:
        found = self._found.get((kpi, variant, subject), {})
        return found.get(window) if window else next(iter(found.values()), None)

    def value(self, kpi: str, subject: str, variant: str = "", window: str | None = None) -> Any:
        measure = self.of(kpi, subject, variant, window)
        return None if measure is None else measure.value


def same(ours: Any, theirs: Any) -> bool:
    """Equal as numbers to nine places, of floats and Decimals alike; else exactly."""
    if any(isinstance(side, (int, float, Decimal)) and not isinstance(side, bool) for side in (ours, theirs)):
        return None not in (ours, theirs) and float(ours) == pytest.approx(float(theirs), rel=1e-9, abs=1e-9)
    return bool(ours == theirs)


# -- accounts -----------------------------------------------------------------------------------------------------


def test_three_accounts_of_the_golden_company_by_hand(golden_book: Book) -> None:
    """A9 has 100,000 + 25,000 of ARR, 41 of 50 seats, 12 × 4,000 over 4 units, one event. A11 pays 90,000 − 10,000 and is at risk by all three
    rules. A1 was new within the year and kept 3 of 4 milestones. A6 has the only deal in EUR (100,000 × 1.10) and a leader who was met."""
    cards = account_cards(golden_book)
    assert dict(cards["A9"].values) == {
        "arr": 125_000, "nrr_12m": 1.25, "renewal_on": None, "health_tier": "expansion_ready",
        "health_reason": ["adoption at least 80 %", "sentiment at least 70"], "adoption": 0.82, "milestones_on_time": None, "go_live_days": None,
        "pull_through_per_unit": 1_000, "open_pipeline": 0, "active_kols": None,
        "expansion_triggers": ["New facility", "Seats in use at least 80 %"], "first_contact_on": None,
    }  # fmt: skip
    assert dict(cards["A11"].values) == {
        "arr": 80_000, "nrr_12m": pytest.approx(8 / 9), "renewal_on": None, "health_tier": "at_risk",
        "health_reason": ["adoption below 50 %", "sentiment below 50", "critical tickets in 90 days: 2 or more"], "adoption": 0.375,
        "milestones_on_time": None, "go_live_days": None, "pull_through_per_unit": None, "open_pipeline": 0, "active_kols": None,
        "expansion_triggers": [], "first_contact_on": None,
    }  # fmt: skip
    assert dict(cards["A1"].values) == {
        "arr": 60_000, "nrr_12m": None, "renewal_on": None, "health_tier": None, "health_reason": None, "adoption": None,
        "milestones_on_time": "3 of 4", "go_live_days": 60, "pull_through_per_unit": None, "open_pipeline": 0, "active_kols": None,
        "expansion_triggers": None, "first_contact_on": date(2026, 2, 9),
    }  # fmt: skip
    a6 = cards["A6"].values
    assert (a6["open_pipeline"], a6["active_kols"], a6["first_contact_on"], a6["arr"]) == (110_000, 1, date(2026, 9, 18), None)
    assert (cards["A10"].values["arr"], cards["A10"].values["nrr_12m"]) == (0, 0)  # left: known, not unknown
    assert cards["A8"].values["open_pipeline"] is None  # its only deal has no amount
    assert cards["A9"].name == "Hospital A9"
    assert cards["A9"].why["adoption"] == ("41 of 50 licensed seats in use on 2027-01-31",)
    assert cards["A9"].why["expansion_triggers"] == ("New facility on 10 Jan 2027", "Seats in use at least 80 %")
    assert cards["A8"].why["open_pipeline"] == ("no open deal of it has an amount in a known currency",)


TIERS = {"at_risk": "at_risk", "healthy": "stable", "expansion_ready": "expansion_ready", None: None}


def fitting(grain: Iterable[scorecard_fields.Row], expected: dict[str, Any]) -> dict[str, Any]:
    """What a card should say: a number with more digits than its field is left out."""
    rows = {row.key: row for row in grain}
    numbers = {key for key, value in expected.items() if isinstance(value, int | float | Decimal)}
    return {key: None if key in numbers and not rows[key].holds(value) else value for key, value in expected.items()}


def account_differences(book: Book, given_: Given, said: Said) -> list[str]:
    """Where a card is not what the KPIs say of the account, and of the accounts below it."""
    cards, wrong = account_cards(book), []
    below = everybody_below(given_["crm"]["accounts"])
    live = [m for m in REGISTRY["contract_to_go_live"].measures(book) if m.subject.startswith("opportunity=")]
    mine = {m.subject.partition("=")[2]: m.value for m in live}
    for id, card in cards.items():
        of, values = f"account={id}", card.values
        pull, fired = said.value("consumable_pull_through_per_installed_base", of), said.value("customer_health_tier", of, "rules")
        deals = [row for row in book.deals.iter_rows(named=True) if row["account"] == id and row["id"] in mine]
        last = max(deals, key=lambda row: (row["go_live_on"], row["contract_signed_on"], row["id"]), default=None)
        triggers = said.value("expansion_trigger_events", of)
        expected: dict[str, Any] = {
            "health_tier": TIERS[said.value("customer_health_tier", of)],
            "adoption": said.value("product_adoption_score", of),
            "pull_through_per_unit": None if pull is None else pull / 12,
            "go_live_days": None if last is None else mine[last["id"]],
            "arr": ledger_sum(book, given_, below[id]),
            **of_a_company_of_its_own(given_, below[id]),
            "milestones_on_time": of_a_company_of_its_own(given_, {id})["milestones_on_time"],
            "first_contact_on": min((on for on, *accounts in touches(book) if id in accounts), default=None),
        }
        expected = fitting(scorecard_fields.ACCOUNT, expected)
        wrong += [f"{id}.{key}: {values[key]!r}, expected {value!r}" for key, value in expected.items() if not same(values[key], value)]
        if values["health_tier"] == "at_risk" and len(values["health_reason"]) != len(fired):
            wrong.append(f"{id}.health_reason: {values['health_reason']!r} of {fired}")
        if (values["expansion_triggers"] is None) != (triggers is None) or len(card.why["expansion_triggers"]) < (triggers or 0):
            wrong.append(f"{id}.expansion_triggers: {values['expansion_triggers']!r} of {triggers}")
    return wrong


def touches(book: Book) -> list[tuple[date, str | None, str | None]]:
    """Two-way touches: day, their account, that of their deal."""
    homes = dict(book.deals.select("id", "account").iter_rows())
    found = book.activities.filter("two_way").select("on", "account", "opportunity").iter_rows()
    return [(on, account, homes.get(deal)) for on, account, deal in found]


def of_a_company_of_its_own(given_: Given, ids: set[str]) -> dict[str, Any]:
    """What the KPIs say of a company that has no other accounts than these."""
    survivor = {row["id"]: row["merged_into"] for row in given_["crm"]["accounts"] if row.get("merged_into")}

    def mine(key: str | None) -> bool:
        return survivor.get(key or "", key) in ids

    alone = given_["crm"] | {"opportunities": [row for row in given_["crm"]["opportunities"] if mine(row["account"])]}
    files = {name: [row for row in lines if "account_key" not in row or mine(row["account_key"])] for name, lines in given_["files"].items()}
    book = from_inputs({**given_, "crm": alone, "files": files})

    def company(kpi: str) -> Measure:
        return next(m for m in REGISTRY[kpi].measures(book) if (m.subject, m.variant) == ("company", ""))

    pipeline, punctual = company("open_pipeline_value"), company("implementation_milestone_completion_rate")
    deals = book.deals.filter(book.deals["cls"] != "void").height
    unknown = not pipeline.records and bool(pipeline.excluded)
    return {
        "nrr_12m": company("nrr").value,
        "open_pipeline": pipeline.value if deals and not unknown else None,
        "milestones_on_time": f"{round(punctual.value * punctual.records)} of {punctual.records}" if punctual.records else None,
    }


def everybody_below(accounts: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Account → itself and those below it, by following every link up from everywhere; links of accounts above themselves do not count."""
    survivor = {row["id"]: row["merged_into"] for row in accounts if row.get("merged_into")}
    alive = {row["id"] for row in accounts} - set(survivor)
    up = {row["id"]: survivor.get(row["parent"], row["parent"]) for row in accounts if row["id"] in alive and row.get("parent")}

    def above(id: str, links: dict[str, str]) -> set[str]:
        seen: set[str] = set()
        while (id := links.get(id, "")) and id not in seen:
            seen.add(id)
        return seen

    good = {id: parent for id, parent in up.items() if id not in above(id, up)}
    return {top: {id for id in alive if id == top or top in above(id, good)} for top in alive}


def ledger_sum(book: Book, given_: Given, ids: set[str]) -> Decimal | None:
    """Σ of the ledger's deltas of some accounts at today's rate; None without an entry, or with a currency that has no rate."""
    survivor = {row["id"]: row["merged_into"] for row in given_["crm"]["accounts"] if row.get("merged_into")}
    lines = [
        row for row in given_["files"].get("arr_ledger.csv", ())
        if survivor.get(row["account_key"], row["account_key"]) in ids and row["date"] <= book.today.isoformat()
    ]  # fmt: skip
    deltas = [book.rates.convert(Decimal(str(row["delta"])), row["currency"], book.today) for row in lines]
    return None if not deltas or None in deltas else sum((delta for delta in deltas if delta is not None), Decimal(0))


def test_accounts_of_the_golden_company_say_what_the_kpis_say(golden_book: Book) -> None:
    cards, said = account_cards(golden_book), Said(golden_book)
    assert account_differences(golden_book, GOLDEN["inputs"], said) == []
    assert all(set(card.values) == set(card.why) == keys(scorecard_fields.ACCOUNT) for card in cards.values())
    assert sum(card.values["arr"] or 0 for card in cards.values()) == pytest.approx(said.value("mrr", "company") * 12)
    pipeline = sum(card.values["open_pipeline"] or 0 for card in cards.values())
    assert pipeline == said.value("open_pipeline_value", "company") == 625_000
    known = [card.values["active_kols"] for card in cards.values() if card.values["active_kols"] is not None]
    assert sum(known) == 1  # of the two that are active one is on no deal and of no account


def test_a_parent_holds_what_its_children_hold() -> None:
    """With one account above all others, its ARR, NRR and pipeline are the company's."""
    source = copy.deepcopy(GOLDEN["inputs"])
    for row in source["crm"]["accounts"]:
        row["parent"] = "A1" if row["id"] == "A2" else "TOP" if row["id"] == "A1" else "A2"
    source["crm"]["accounts"].append({"id": "TOP", "name": "Network", "segment": "health_system"})
    book = from_inputs(source)
    card, said = account_cards(book)["TOP"], Said(book)
    assert same(card.values["arr"], said.value("mrr", "company") * 12)
    assert same(card.values["nrr_12m"], said.value("nrr", "company"))
    assert same(card.values["open_pipeline"], said.value("open_pipeline_value", "company"))
    assert account_cards(book)["A1"].values["milestones_on_time"] == "3 of 4"  # not rolled up
    assert card.values["adoption"] is None
    assert card.why["arr"][1] == "with accounts below it: A1, A10, A11, A3, A9"


def test_accounts_above_each_other_do_not_add_up(org: Org) -> None:
    """A1 → A2 → A1 is no order; A3 below A1 still belongs to it. A4 is its own parent."""
    org.given["crm"]["accounts"][0]["parent"] = "A2"
    org.add("accounts", id="A2", parent="A1").add("accounts", id="A3", parent="A1").add("accounts", id="A4", parent="A4")
    org.file("arr_ledger", *({"account_key": f"A{n}", "date": "2026-06-01", "type": "new", "delta": 10**n} for n in range(1, 5)))
    cards = account_cards(org.book())
    assert {id: card.values["arr"] for id, card in cards.items()} == {"A1": 10 + 1000, "A2": 100, "A3": 1000, "A4": 10_000}
    said = "the account named above it is itself, or is below it: that link does not count"
    assert [id for id, card in cards.items() if said in card.why["arr"]] == ["A1", "A2", "A4"]


def test_a_chain_of_accounts_and_a_merged_parent(org: Org) -> None:
    """A3 is below a merged account, which means its survivor A2, which is below A1. A parent that nobody knows is none."""
    org.add("accounts", id="A2", parent="A1").add("accounts", id="OLD", merged_into="A2").add("accounts", id="A3", parent="OLD")
    org.add("accounts", id="A4", parent="ELSEWHERE")
    assert members(org.book()) == {"A1": ("A1", "A2", "A3"), "A2": ("A2", "A3"), "A3": ("A3",), "A4": ("A4",)}


def test_a_thousand_accounts_below_each_other(org: Org) -> None:
    for number in range(2, 1001):
        org.add("accounts", id=f"A{number}", parent=f"A{number - 1}")
    org.file("arr_ledger", {"account_key": "A1000", "date": "2026-06-01", "type": "new", "delta": 7})
    assert {card.values["arr"] for card in account_cards(org.book()).values()} == {7}


def test_an_account_of_which_nothing_is_known_has_a_card_of_nulls(org: Org) -> None:
    """What was written once has to go when it is not known any more."""
    (card,) = account_cards(org.book()).values()
    assert set(card.values.values()) == {None}
    assert {key: why[0] for key, why in card.why.items() if "given" in why[0]} == {
        "arr": "arr_ledger.csv was not given", "renewal_on": "renewals.csv was not given", "active_kols": "kol.csv was not given",
        "pull_through_per_unit": "no unit in installed_base.csv, or consumables.csv was not given",
    }  # fmt: skip


def test_a_number_with_more_digits_than_its_field_is_left_out_alone(org: Org) -> None:
    """From 4 to 1,000 of ARR is 25,000 %, from 10 to 1,000 is 10,000 %; a percent of four digits ends at 9,999. The rest of the card stands."""
    org.add("accounts", id="A2").add("accounts", id="A3")
    org.file("arr_ledger", *(
        {"account_key": f"A{number}", "date": on, "type": type_, "delta": delta}
        for number, before in ((1, 4), (2, 10), (3, 11))
        for on, type_, delta in (("2026-01-10", "new", before), ("2027-01-10", "expansion", 1_000 - before))
    ))  # fmt: skip
    cards = account_cards(org.book())
    assert {id: card.values["nrr_12m"] for id, card in cards.items()} == {"A1": None, "A2": None, "A3": pytest.approx(1_000 / 11)}
    assert {id: card.values["arr"] for id, card in cards.items()} == {"A1": 1_000, "A2": 1_000, "A3": 1_000}
    assert cards["A1"].why["nrr_12m"][0] == "no value: more than 4 digits before the point"


def test_a_sum_with_an_unknown_part_is_unknown(org: Org) -> None:
    org.add("accounts", id="A2", parent="A1")
    entry = {"date": "2026-06-01", "type": "new", "delta": 5}
    org.file("arr_ledger", entry | {"account_key": "A1"}, entry | {"account_key": "A2", "currency": "GBP"})
    org.deal("D1", "demo 2027-01-04", amount=700)
    card = account_cards(org.book())["A1"]
    assert (card.values["arr"], card.why["arr"][0]) == (None, "a currency without an exchange rate: A2")
    assert card.values["open_pipeline"] == 700
    assert {key for key, value in card.values.items() if value is not None} == {"open_pipeline"}
    assert all(card.why[key] for key in card.values)


def test_pipeline_without_amounts_is_left_out_and_said(org: Org) -> None:
    """As KPI 1: new business that is open, void and lost deals and renewals are none."""
    org.deal("D1", "demo 2027-01-04", amount=700).deal("D2", "demo 2027-01-04", amount=None).deal("D3", "demo 2027-01-04", currency="GBP")
    org.deal("D4", "demo 2026-05-04", "closed_lost 2026-07-01").deal("D5", "demo 2027-01-04", deal_type="renewal")
    card = account_cards(org.book())["A1"]
    assert card.values["open_pipeline"] == 700
    assert card.why["open_pipeline"] == ("open new-business deals with an amount: 1", "left out: 2 without an amount in a known currency")


def test_no_deal_is_no_pipeline_and_no_open_deal_is_a_pipeline_of_zero(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", "closed_void 2026-07-01")
    assert account_cards(org.book())["A1"].values["open_pipeline"] is None
    org.deal("D2", "demo 2026-05-04", "closed_lost 2026-07-01")
    assert account_cards(org.book())["A1"].values["open_pipeline"] == 0


def test_the_next_renewal_is_the_earliest_that_nobody_decided(org: Org) -> None:
    """Due long ago and undecided is lost; due in 90 days past or ahead is not; decided tomorrow is not decided."""
    due = {"account_key": "A1", "available": 100}
    renewals = [
        due | {"due_on": "2026-09-30"},  # its 90 days are over: lost
        due | {"due_on": "2026-12-31", "renewed": 100, "renewed_on": "2026-12-31"},
        due | {"due_on": "2027-01-31", "renewed": 100, "renewed_on": "2027-02-16"},
        due | {"due_on": "2028-01-31"},
    ]
    found = []
    for start in range(4):
        org.file("renewals", *renewals[start:])
        found.append(account_cards(org.book())["A1"].values["renewal_on"])
    assert found == [date(2027, 1, 31)] * 3 + [date(2028, 1, 31)]
    org.file("renewals", renewals[1])
    assert account_cards(org.book())["A1"].values["renewal_on"] is None


def test_the_last_project_counts(org: Org) -> None:
    """The one that went live last, whichever was signed first; not one that is not live, or was before it was signed."""
    org.deal("D1", "closed_won 2026-10-01", contract_signed_on="2026-10-01", go_live_on="2026-12-31")
    org.deal("D2", "closed_won 2026-11-01", contract_signed_on="2026-11-01", go_live_on="2026-12-01")
    org.deal("D3", "closed_won 2027-01-01", contract_signed_on="2027-01-01")
    org.deal("D4", "closed_won 2027-01-01", contract_signed_on="2027-01-31", go_live_on="2027-01-30")
    card = account_cards(org.book())["A1"]
    assert (card.values["go_live_days"], card.why["go_live_days"]) == (91, ("deal D1: signed on 2026-10-01, live on 2026-12-31",))


def test_a_tier_that_no_rule_made_is_stable(org: Org) -> None:
    org.file("adoption", {"account_key": "A1", "date": "2027-01-31", "active": 6, "licensed": 10})
    card = account_cards(org.book())["A1"]
    assert (card.values["health_tier"], card.values["health_reason"]) == ("stable", [])
    assert card.why["health_tier"] == ("adoption 60 %", "sentiment not known", "no critical ticket in 90 days")


def test_the_first_contact_is_the_earliest_answered_touch_with_it_or_its_deals(org: Org) -> None:
    org.deal("D1", "demo 2026-12-04").add("activities", id="Z", kind="email", direction="inbound", on="2026-12-05", opportunity="D1")
    org.add("activities", id="Y", kind="call", outcome="not_connected", on="2026-12-01", opportunity="D1")
    org.add("activities", id="A", kind="call", outcome="connected", on="2026-12-20", account="A1")
    card = account_cards(org.book())["A1"]
    assert (card.values["first_contact_on"], card.why["first_contact_on"]) == (date(2026, 12, 5), ("activity Z on 2026-12-05",))


def test_leaders_belong_to_the_account_of_the_contact_before_those_of_its_deals(org: Org) -> None:
    org.add("accounts", id="A2").add("accounts", id="OLD", merged_into="A2")
    org.add("contacts", id="C1", account="OLD").add("contacts", id="C2").add("contacts", id="C3")
    org.deal("D1", "demo 2027-01-04").deal("V1", "demo 2026-12-04", "closed_void 2027-01-04")
    for contact, deal, since in [("C1", "D1", None), ("C2", "D1", "2027-01-05"), ("C3", "V1", None)]:
        org.add("opportunity_contacts", opportunity=deal, contact=contact, added_on=since)
    for contact in ("C1", "C3"):  # C3 is on a void deal only: nobody's
        org.add("activities", id=f"M-{contact}", kind="meeting", outcome="held", on="2027-01-20", contact=contact)
    org.file("kol", {"contact_key": "C1"}, {"contact_key": "C2"}, {"contact_key": "C3"})
    assert {id: card.values["active_kols"] for id, card in account_cards(org.book()).items()} == {"A1": 0, "A2": 1}


# -- key opinion leaders ------------------------------------------------------------------------------------------


def test_leaders_of_the_golden_company_by_hand(golden_book: Book) -> None:
    """C11: 2 meetings × 10 + board 25, on O6, which a leader referred. C13: 2 × 10 + 25 + 25, on no deal. C5: a case study, no touch."""
    cards = contact_cards(golden_book)
    assert {id: tuple(card.values.values()) for id, card in cards.items()} == {
        "C11": (45, date(2027, 2, 10), 1), "C13": (70, date(2027, 1, 25), 0), "C5": (25, None, 0),
    }  # fmt: skip
    assert all(set(card.values) == set(card.why) == keys(scorecard_fields.CONTACT) and card.name is None for card in cards.values())
    assert cards["C11"].why["kol_score"] == ("2 held meetings in 90 days", "advisory board")
    assert cards["C11"].why["kol_last_touch"] == ("email a13 on 2027-02-10",)
    said = Said(golden_book)
    assert all(same(card.values["kol_score"], said.value("kol_engagement_score", f"contact={id}")) for id, card in cards.items())
    assert sum(int(card.values["kol_referred_deals"]) for card in cards.values()) == said.value("kol_referred_leads", "company")


def test_only_contacts_of_the_crm_have_cards_and_unknown_is_null(org: Org) -> None:
    org.add("contacts", id="C1").file("kol", {"contact_key": "C1"}, {"contact_key": "GONE"})
    org.set("kol_score.lead_sources", [])
    cards = contact_cards(org.book())
    assert {id: dict(card.values) for id, card in cards.items()} == {"C1": {"kol_score": 0, "kol_last_touch": None, "kol_referred_deals": None}}
    assert cards["C1"].why["kol_referred_deals"] == ("no lead source is named in kol_score.lead_sources",)


def test_a_referral_counts_for_who_was_on_the_deal_by_its_close(org: Org) -> None:
    org.add("contacts", id="C1").file("kol", {"contact_key": "C1"})
    for id, added, stays in [
        ("D1", None, ["demo 2026-12-17"]), ("D2", "2026-08-03", ["demo 2026-05-04", "closed_won 2026-08-02"]),
        ("D3", None, ["demo 2026-05-04", "closed_void 2026-08-02"]), ("D4", None, ["demo 2025-05-04"]),
    ]:  # fmt: skip
        org.deal(id, *stays, lead_source="kol_referral").add("opportunity_contacts", opportunity=id, contact="C1", added_on=added)
    assert contact_cards(org.book())["C1"].values["kol_referred_deals"] == 1


# -- reps ---------------------------------------------------------------------------------------------------------


def test_two_reps_of_the_golden_company_by_hand(golden_book: Book) -> None:
    """R1: O6 of 110,000 against 300,000, at p = .6; 6 meetings held of 6; O1 won 215 days after 5 Jan 2026; 24 of 40 hours.

    R2: O2 of 500,000 against 200,000, at p = .8; O8 has no amount; too few meetings; no order yet. Both: nobody has closed five deals.
    """
    cards = rep_cards(golden_book)
    assert set(cards) == {("R1", QUARTER), ("R2", QUARTER)}
    assert dict(cards["R1", QUARTER].values) == {
        "quota": 300_000, "won": 0, "attainment": 0, "coverage": pytest.approx(11 / 30), "weighted_coverage": pytest.approx(0.22),
        "pipeline_created": 0, "win_rate": None, "win_rate_n": 3, "cycle_days": 160, "show_rate": 1, "stuck_deals": 1, "data_health": 1,
        "first_order_days": 215, "capacity": 0.6,
    }  # fmt: skip
    assert dict(cards["R2", QUARTER].values) == {
        "quota": 200_000, "won": 0, "attainment": 0, "coverage": 2.5, "weighted_coverage": 2, "pipeline_created": None, "win_rate": None,
        "win_rate_n": 1, "cycle_days": None, "show_rate": None, "stuck_deals": 2, "data_health": pytest.approx(11 / 15), "first_order_days": None,
        "capacity": 0.5,
    }  # fmt: skip
    why = cards["R2", QUARTER].why
    assert why["pipeline_created"] == (f"new-business deals created in {QUARTER}, with an amount: 0", "left out: missing_amount 1")
    assert why["show_rate"] == ("meetings held or missed in the last twelve months: 4, too few; told from 5 on (thresholds.rank_n)",)
    assert why["first_order_days"] == ("no order yet, 196 d since the hire",)
    assert why["cycle_days"] == ("no value: not_reached",)
    assert (cards["R1", QUARTER].subject, cards["R1", QUARTER].name) == (f"R1|{QUARTER}", "Rep R1")


def rep_differences(book: Book, said: Said) -> list[str]:
    """Where the card of a rep is not what the KPIs say of the owner."""
    wrong, enough = [], book.settings.thresholds.rank_n
    for (id, period), card in rep_cards(book).items():
        of, values = f"owner={id}", card.values
        running = period == book.windows.quarter.label

        def rate(kpi: str, of: str = of) -> Any:
            measure = said.of(kpi, of, window="T12M")
            return None if measure is None or measure.records < enough else measure.value

        won, created = (said.of(kpi, of, window=period) for kpi in ("bookings", "pipeline_created"))
        expected: dict[str, Any] = {"attainment": said.value("quota_attainment", of, window=period)}
        for key, measure in (("won", won), ("pipeline_created", created)):
            unknown = measure is not None and not measure.records and bool(measure.excluded)
            expected[key] = None if unknown else 0 if measure is None else measure.value
        if running:
            first = said.of("time_to_first_order_new_hire", of)
            closed = said.of("win_rate", of, window="T12M")
            labels = [said.value("stage_pace", f"opportunity={deal}", "label") for deal in book.open_deals.filter(owner=id)["id"]]
            judged = [label for label in labels if label is not None]
            expected |= {
                "coverage": said.value("pipeline_coverage_ratio", of), "weighted_coverage": said.value("weighted_pipeline_coverage", of),
                "win_rate": rate("win_rate"), "win_rate_n": 0 if closed is None else closed.records, "show_rate": rate("meeting_show_rate"),
                "cycle_days": said.value("sales_cycle_length", of, "km_median"), "data_health": said.value("data_health_score", of),
                "first_order_days": None if first is None or first.reason == "censored" else first.value,
                "capacity": said.value("sales_capacity_utilization", of), "stuck_deals": labels.count("stuck") if judged or not labels else None,
            }  # fmt: skip
        expected = fitting(scorecard_fields.REP, expected)
        wrong += [f"{id} {period} {key}: {values[key]!r}, expected {value!r}" for key, value in expected.items() if not same(values[key], value)]
        wanted = keys(scorecard_fields.REP, "key", "user", "period") if running else OF_QUARTER
        wrong += [f"{id} {period}: keys {set(values) ^ wanted}"] if set(values) != wanted or set(card.why) != wanted else []
        if values["attainment"] is not None and values["quota"] is None:
            wrong.append(f"{id} {period}: attainment without a quota")
    return wrong


def test_reps_of_the_golden_company_say_what_the_kpis_say(golden_book: Book) -> None:
    assert rep_differences(golden_book, Said(golden_book)) == []


@pytest.mark.parametrize(("day", "periods"), [("2027-01-14", ["FY2026-Q4", "FY2027-Q1"]), ("2027-01-15", ["FY2027-Q1"])])
def test_the_quarter_before_is_told_while_it_settles(org: Org, day: str, periods: list[str]) -> None:
    """O of 31 December is entered in January: it belongs to the quarter that is over; what was true of that moment stays as it was written."""
    org.given["as_of"] = f"{day}T17:00:00Z"
    org.deal("D1", "demo 2026-10-05", "closed_won 2026-12-31", amount=400).deal("D2", "demo 2027-01-05", amount=900)
    org.file("quotas", {"owner_key": "R1", "period": "FY2026-Q4", "amount": 500})
    cards = rep_cards(org.book())
    assert sorted({period for _, period in cards}) == periods
    assert cards["R1", "FY2027-Q1"].values["won"] == 0
    assert cards["R1", "FY2027-Q1"].values["pipeline_created"] == 900
    if len(periods) == 2:
        assert dict(cards["R1", "FY2026-Q4"].values) == {"quota": 500, "won": 400, "attainment": 0.8, "pipeline_created": 400}
    book = org.book()
    assert rep_differences(book, Said(book)) == []


def test_only_who_sells_has_a_card(org: Org) -> None:
    for id in ("R3", "R4", "R5", "R6"):
        org.add("owners", id=id, active=False)
    org.add("owners", id="R7").add("owners", id="R8")  # users of the CRM
    org.deal("D0", "demo 2024-05-04", "closed_won 2024-08-02", owner="R8")
    org.deal("D1", "demo 2026-05-04", "closed_won 2027-02-01", owner="R3").deal("D2", "demo 2026-12-04", owner="R4", deal_type="renewal")
    org.deal("D3", "demo 2026-05-04", "closed_won 2026-08-02", owner="R5")
    org.file("quotas", {"owner_key": "R6", "period": QUARTER, "amount": 500})
    assert sorted(id for id, _ in rep_cards(org.book())) == ["R3", "R4", "R5", "R6"]


def test_a_rate_appears_when_there_are_enough_records(org: Org) -> None:
    for number in range(5):
        end = "closed_won" if number < 2 else "closed_lost"
        org.deal(f"D{number}", "demo 2026-05-04", f"{end} 2026-08-02")
        values = rep_cards(org.book())["R1", QUARTER].values
        assert (values["win_rate"], values["win_rate_n"]) == ((0.4 if number == 4 else None), number + 1)


def test_deals_that_cannot_be_judged_are_not_no_stuck_deals(org: Org) -> None:
    org.file("quotas", {"owner_key": "R1", "period": QUARTER, "amount": 500})
    assert rep_cards(org.book())["R1", QUARTER].values["stuck_deals"] == 0
    org.deal("D1", "demo 2026-12-04")
    card = rep_cards(org.book())["R1", QUARTER]
    assert (card.values["stuck_deals"], card.why["stuck_deals"]) == (None, ("open deals: 1, of them with a pace: 0, stuck: 0",))


# -- snapshots ----------------------------------------------------------------------------------------------------


def test_snapshots_of_the_golden_company_are_its_measures(golden_book: Book) -> None:
    cards = snapshot_cards(golden_book, sorted(REGISTRY))
    by_key = {card.subject: card for card in cards}
    assert len(by_key) == len(cards)
    numbers = {unit for kpi in REGISTRY.values() for unit in kpi.units.values()} - {"label", "list", "bool"}
    wanted = [
        m for m in compute(golden_book, sorted(REGISTRY))
        if (m.subject == "company" or (m.subject.startswith("segment=") and "," not in m.subject)) and m.unit in numbers
    ]  # fmt: skip
    assert len(wanted) == len(cards)
    for measure in wanted:
        values = by_key[f"{measure.kpi}|{measure.variant}|{measure.subject}|{measure.window}|2027-02-15"].values
        assert set(values) == keys(scorecard_fields.SNAPSHOT)
        for name, ours, theirs in [(k, values[k], getattr(measure, k)) for k in ("value", "ci_low", "ci_high")]:
            assert (ours is None) == (theirs is None), (measure, name)
            assert ours is None or abs(ours - Decimal(str(theirs))) <= Decimal("5e-7"), (measure, name)
            assert ours is None or (isinstance(ours, Decimal) and ours.as_tuple().exponent == -6)
        assert (values["n"], values["low_n"], values["unit"], values["reason"]) == (measure.n, measure.low_n, measure.unit, measure.reason)
        assert (values["name"], values["variant"], values["window"], values["as_of"]) == (measure.kpi, measure.variant or None, measure.window, TODAY)
    assert by_key["nrr||company|T12M|2027-02-15"].values["value"] == Decimal("1.025000")


def test_no_label_list_flag_owner_or_stage_becomes_a_snapshot(golden_book: Book) -> None:
    named = ["weighted_pipeline_coverage", "customer_health_tier", "stage_pace", "stage_dwell_time"]
    cards = snapshot_cards(golden_book, named)
    assert {card.values["subject"] for card in cards} <= {"company", "segment=clinic", "segment=hospital", "segment=health_system"}
    assert {(card.values["name"], card.values["variant"]) for card in cards} == {("weighted_pipeline_coverage", None)}


def test_a_number_too_large_for_the_field_is_null_and_says_so(org: Org) -> None:
    org.deal("D1", "demo 2027-01-04", amount=10**12).deal("D2", "demo 2027-01-04", amount=999_999_999_999, account="A2")
    org.add("accounts", id="A2", segment="clinic")
    found = {card.values["subject"]: card.values for card in snapshot_cards(org.book(), ["open_pipeline_value"]) if not card.values["variant"]}
    assert [(found[s]["value"], found[s]["reason"]) for s in ("company", "segment=hospital", "segment=clinic")] == [
        (None, TOO_LARGE), (None, TOO_LARGE), (999_999_999_999, None),
    ]  # fmt: skip


def test_a_key_never_outgrows_its_field(org: Org) -> None:
    long = "s" * 300
    org.given["crm"]["accounts"][0]["segment"] = long + "a"
    org.add("accounts", id="A2", segment=long + "b")
    org.deal("D1", "demo 2027-01-04").deal("D2", "demo 2027-01-04", account="A2")
    cards = snapshot_cards(org.book(), ["open_pipeline_value"])
    assert len({card.subject for card in cards}) == len(cards) == 4
    assert max(len(card.subject) for card in cards) == 255
    first = next(REGISTRY["open_pipeline_value"].measures(org.book()))
    assert external_id(first, org.book()) == cards[0].subject == "open_pipeline_value||company|asof|2027-02-15"


def test_an_unknown_kpi_is_refused(golden_book: Book) -> None:
    with pytest.raises(MappingError, match="win_rate"):
        snapshot_cards(golden_book, ["win_rat"])


# -- the deal -----------------------------------------------------------------------------------------------------


def test_pilot_days_and_blended_arr_of_the_golden_deals(golden_book: Book) -> None:
    """O2: 200,000 + 300,000 ÷ 5; O6: (50,000 + 50,000 ÷ 5) × 1.10; O7: 15,000 and no capital; O8: neither is known."""
    cards = scorecards(golden_book)
    assert {id: card.blended_arr for id, card in cards.items()} == {"O2": 260_000, "O6": 66_000, "O7": 15_000, "O8": None}
    assert [(id, card.pilot_started_on, card.pilot_ended_on) for id, card in cards.items() if card.pilot_started_on] == [
        ("O2", date(2026, 7, 30), date(2026, 10, 28))
    ]
    assert cards["O2"].why["pilot_ended_on"] == ["pilot from 2026-07-30 to 2026-10-28, from visits to the stage"]
    assert cards["O2"].why["blended_arr"] == ["ARR 200,000.00 USD", "capital 300,000.00 USD over 5 years"]
    assert cards["O8"].why["blended_arr"] == ["ARR not known: missing_arr", "capital not known: missing_capital"]
    assert not BESIDE_GOLDEN & set(cards["O2"].as_dict())


def test_won_deals_blend_as_the_kpi_does(golden_book: Book) -> None:
    """KPI 14 is the sum of what the closed deals' cards say, where no pull-through stands in."""
    cards = closed_cards(golden_book, 365)
    won = golden_book.won(golden_book.windows.rolling)["id"].to_list()
    assert same(sum(cards[id].values["blended_arr"] for id in won), Said(golden_book).value("blended_arr", "company", window="T12M"))


@pytest.mark.parametrize(
    ("arr", "capital", "currency", "value"),
    [(100, None, "USD", 100), (None, 50, "USD", 10), (None, None, "USD", None), (0, 0, "USD", 0), (None, 0, "USD", 0), (100, 50, "GBP", None)],
)
def test_blended_arr_is_what_is_known_of_its_parts(org: Org, arr: int | None, capital: int | None, currency: str, value: int | None) -> None:
    org.deal("D1", "demo 2026-12-04", arr=arr, capital_amount=capital, currency=currency)
    assert scorecards(org.book())["D1"].blended_arr == value


def test_the_pilot_runs_from_its_first_day_to_its_last(org: Org) -> None:
    """F5 counts the days between pilots; none has ended while one runs. A closed deal's pilot ended at the close; a void deal has none."""
    org.deal("A", "pilot 2026-09-01", "vac 2026-10-01", "pilot 2026-11-01", "vac 2026-12-01").deal(
        "B", "pilot 2026-09-01", "vac 2026-10-01", "pilot 2027-01-01"
    )
    org.deal("C", "demo 2026-09-01", pilot_started_on="2026-10-01").deal(
        "D", "demo 2026-09-01", pilot_started_on="2026-10-01", pilot_ended_on="2026-12-24"
    )
    org.deal("E", "pilot 2026-09-01", "closed_won 2027-02-01").deal("F", "demo 2026-09-01", "closed_lost 2027-02-01", pilot_started_on="2026-10-01")
    org.deal("G", "pilot 2026-09-01", "closed_void 2027-02-01")
    book = org.book()
    cards = scorecards(book)
    spans = {id: (card.pilot_started_on, card.pilot_ended_on) for id, card in cards.items()}
    assert spans == {
        "A": (date(2026, 9, 1), date(2026, 12, 1)), "B": (date(2026, 9, 1), None), "C": (date(2026, 10, 1), None),
        "D": (date(2026, 10, 1), date(2026, 12, 24)),
    }  # fmt: skip
    assert cards["B"].why["pilot_ended_on"] == ["pilot from 2026-09-01 on, still running, from visits to the stage"]
    assert cards["C"].why["pilot_started_on"] == ["pilot from 2026-10-01 on, still running, from the deal's pilot dates"]
    closed = {id: (card.values["pilot_started_on"], card.values["pilot_ended_on"]) for id, card in closed_cards(book, 30).items()}
    assert closed == {"E": (date(2026, 9, 1), date(2027, 2, 1)), "F": (date(2026, 10, 1), date(2027, 2, 1)), "G": (None, None)}
    assert closed_cards(book, 0) == {}
    assert closed_cards(book, 0, ["A", "F", "X"]).keys() == {"F"}  # open ones, and those that nobody knows, have no such card
    assert closed_cards(book, 1, ["F"]) == {"F": closed_cards(book, 30)["F"]}
    assert all(card.values["blended_arr"] == 1000 and card.why["blended_arr"] for card in closed_cards(book, 30).values())


# -- properties ---------------------------------------------------------------------------------------------------

Everything = dict[str, dict[Any, Card]]


def everything(source: Given) -> Everything:
    book = from_inputs(copy.deepcopy(source))
    deals = {
        id: Card(id, None, card.as_dict() | {k: getattr(card, k) for k in BESIDE_GOLDEN - {"context"}}, {}) for id, card in scorecards(book).items()
    }
    snapshots = {card.subject: card for card in snapshot_cards(book, ["nrr", "win_rate", "open_pipeline_value"])}
    return {"accounts": account_cards(book), "contacts": contact_cards(book), "reps": rep_cards(book), "snapshots": snapshots, "deals": deals}


def drift(usual: Everything, changed: Everything) -> list[str]:
    """Values that differ, and cards that only one side has."""
    found = [
        f"{grain}: {sorted(map(str, usual[grain].keys() ^ changed[grain].keys()))}" for grain in usual if usual[grain].keys() ^ changed[grain].keys()
    ]
    for grain in usual:
        for key in usual[grain].keys() & changed[grain].keys():
            ours, theirs = usual[grain][key].values, changed[grain][key].values
            found += [f"{grain} {key} {name}: {ours[name]!r} is {theirs[name]!r}" for name in ours if not alike(ours[name], theirs[name])]
    return found


def alike(ours: Any, theirs: Any) -> bool:
    """As :func:`same`; a last place of a snapshot may round otherwise when floats are added in another order."""
    return same(ours, theirs) or (isinstance(ours, Decimal) and isinstance(theirs, Decimal) and abs(ours - theirs) <= Decimal("1e-6"))


SELVES = st.fixed_dictionaries({id: st.sampled_from([None, None, *ACCOUNTS]) for id in ACCOUNTS})
NUMBERS = (int, float, Decimal, str, list, date, type(None))


@pytest.mark.property
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(source=books(), parents=SELVES, homes=st.lists(st.sampled_from([None, *ACCOUNTS]), min_size=4, max_size=4), seed=st.integers(0, 999))
def test_cards_say_what_the_kpis_say_of_any_company(source: Given, parents: dict[str, str | None], homes: list[str | None], seed: int) -> None:
    """In any order of rows, with void and deleted deals beside: the KPIs' numbers, every key, every unknown with its reason."""
    for row in source["crm"]["accounts"]:
        row["parent"] = parents[row["id"]]
    for row, home in zip(source["crm"]["contacts"], homes, strict=True):
        row["account"] = home
    source["crm"]["owners"][2]["active"] = seed % 2 == 0
    book, usual = from_inputs(copy.deepcopy(source)), everything(source)
    said = Said(book)
    assert account_differences(book, source, said) == []
    assert rep_differences(book, said) == []
    for grain in ("accounts", "contacts", "reps"):
        for card in usual[grain].values():
            assert all(isinstance(value, NUMBERS) for value in card.values.values())
            assert all(card.why[key] for key, value in card.values.items() if value is None)
    changed = everything(haunted(shuffled(source, seed)))
    assert not [key for cards in changed.values() for key in cards if str(key).startswith(("void-", "gone-"))]
    assert drift(usual, changed) == []


@pytest.mark.parametrize(
    "files", [{}, {f"{name}.csv": [] for name in ("arr_ledger", "renewals", "kol", "adoption", "quotas", "people", "milestones")}]
)
def test_nothing_yields_nothing(files: Given) -> None:
    source = {name: GOLDEN["inputs"][name] for name in ("as_of", "stages", "kpis")}
    book = from_inputs({**source, "crm": {}, "files": files})
    assert (account_cards(book), contact_cards(book), rep_cards(book), scorecards(book), closed_cards(book, 9)) == ({}, {}, {}, {}, {})
    assert {card.values["subject"] for card in snapshot_cards(book, sorted(REGISTRY))} == {"company"}


def test_a_sentence_stands_beside_every_value(golden_book: Book) -> None:
    for cards in (account_cards(golden_book), contact_cards(golden_book), rep_cards(golden_book)):
        assert all(sentences and all(sentences) for card in cards.values() for sentences in card.why.values())


def test_the_window_of_the_settling_quarter_is_a_fortnight(org: Org) -> None:
    """Every day of a quarter has its own card, and the first fourteen the card of the quarter before as well."""
    counted = []
    org.deal("D1", "demo 2026-05-04", "closed_won 2026-08-02")
    for ahead in range(16):
        org.given["as_of"] = f"{date(2027, 4, 1) + timedelta(days=ahead)}T17:00:00Z"
        counted.append(len({period for _, period in rep_cards(org.book())}))
    assert counted == [2] * 14 + [1, 1]
