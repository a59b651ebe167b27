"""Random small companies in the form of a book file (kpis/golden.md)."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

Given = dict[str, Any]
Rows = list[dict[str, Any]]
Maker = Callable[[random.Random], Any]
Draw = Callable[[Maker], Any]

_GOLDEN: Given = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="utf-8"))["inputs"]
NOW = datetime(2027, 2, 15, 17, tzinfo=UTC)
TODAY = date(2027, 2, 15)
KINDS: Mapping[str, str] = {rung["key"]: rung["kind"] for rung in _GOLDEN["stages"]["ladder"]}
STEPS = [key for key, kind in KINDS.items() if kind in ("sequential", "gate")]
ENDS = ["closed_won", "closed_won", "closed_won", "closed_lost", "closed_lost", "closed_no_decision", "closed_void"]
GATES = [gate["key"] for gate in _GOLDEN["stages"]["gates"]]
ACCOUNTS, OWNERS, CONTACTS = ["A1", "A2", "A3", "A4"], ["R1", "R2", "R3"], ["C1", "C2", "C3", "C4"]
PERSONAS = ["cfo", "cmio", "security", "value_analysis", "surgeon_champion"]
RATES = {"EUR": ["1.1", "1.25"], "CHF": ["1.2", "0.9"]}  # GBP has none
THOUSANDS = [number * 1000 for number in (1, 7, 20, 60, 99, 100, 150, 400)]


def of(*values: Any) -> Maker:
    """One of these."""
    return lambda chance: chance.choice(values)


def whole(low: int, high: int) -> Maker:
    """A whole number from low to high."""
    return lambda chance: chance.randint(low, high)


def drawing(seed: int) -> Draw:
    """Draws of one row. Rows are hypothesis's to add and take away; what stands in one comes of its seed, which is quick."""
    chance = random.Random(seed)
    return lambda maker: maker(chance)


SEEDS = st.integers(0, 2**32)
ACCOUNT, OWNER, CURRENCY = of(*ACCOUNTS, "A9"), of(*OWNERS), of("USD", "USD", None, "EUR", "CHF", "GBP")
AMOUNT, PAST, ANY = of(*THOUSANDS, None, 0, -1000), whole(0, 460), whole(-200, 460)
FLAG, MAYBE = of(True, False), of(True, False, None)


def _day(ago: int) -> str:
    return (TODAY - timedelta(days=ago)).isoformat()


def _instant(ago: int, seconds: int = 0) -> str:
    return (NOW - timedelta(days=ago, seconds=seconds)).isoformat().replace("+00:00", "Z")


def _perhaps(draw: Draw) -> str | None:
    """A day, every other time."""
    return _day(draw(ANY)) if draw(FLAG) else None


def _rarely(draw: Draw) -> str | None:
    return _day(draw(ANY)) if draw(whole(1, 4)) == 1 else None


# -- what a CRM holds ----------------------------------------------------------------------------------------------------


def _next(draw: Draw, stage: str | None) -> str | None:
    """Mostly a stage further up; else any: back, parked, unmapped, closed, and from there anywhere."""
    if draw(whole(1, 5)) > 2:
        rest = STEPS[STEPS.index(stage) + 1 :] if stage in STEPS else STEPS[:6]
        return str(draw(of(*rest[:4]))) if rest else str(draw(of(*ENDS)))
    other: str | None = draw(of(*KINDS, None, None))
    return other


def _history(draw: Draw, id: str, created: int) -> Rows:
    """A walk over the ladder: skips, returns, gates, parked, unmapped, closed, reopened. Rows have ids, since several may be of one instant."""
    rows: Rows = []
    ago, stage = created, None
    for number in range(draw(of(0, 1, 2, 3, 4, 5, 6))):
        stage = _next(draw, stage)
        step = draw(of(0, 1, 5, 30, 30, 90))
        ago = max(0, ago - step)
        seconds = 0 if step or ago == 0 else draw(of(0, 0, -30, -3600))
        row = {"opportunity": id, "raw_stage": stage or draw(of("Somewhere", "Elsewhere")), "stage": stage, "entered_at": _instant(ago, seconds)}
        rows.append({**row, "id": f"{id}-{draw(whole(0, 99)):02}-{number}"})
    if rows and draw(whole(1, 3)) == 1:
        rows.append({"opportunity": id, "raw_stage": "End", "stage": draw(of(*ENDS)), "entered_at": _instant(max(0, ago - 20)), "id": f"{id}-99-9"})
    return rows


SPANS = [
    ("loi_signed_on", "security_questionnaire_completed_on"), ("security_questionnaire_received_on", "security_questionnaire_completed_on"),
    ("contract_sent_on", "contract_signed_on"), ("contract_signed_on", "go_live_on"), ("pilot_started_on", "pilot_ended_on"),
    ("proposal_sent_on", "first_case_on"),
]  # fmt: skip


def _deal(draw: Draw, id: str) -> tuple[dict[str, Any], Rows]:
    created = draw(PAST)
    row = {
        "id": id, "account": draw(ACCOUNT), "owner": draw(of(*OWNERS, None)), "amount": draw(AMOUNT), "arr": draw(AMOUNT),
        "deal_type": draw(of(*["new_business"] * 5, "expansion", "renewal")), "currency": draw(CURRENCY),
        "created_at": _instant(created, draw(of(0, 0, 43200))), "closes_on": _day(draw(whole(-60, 30))),
        "lead_source": draw(of(None, "conference", "kol_referral")), "product": draw(of(None, "P1", "P2")), "has_next_step": draw(MAYBE),
        "standard_terms": draw(MAYBE), "baa": draw(MAYBE), "deleted": draw(of(*[None] * 9, True)), "capital_amount": draw(of(None, 50000)),
        "projected_pull_through": draw(of(None, 0, 12000)), "probability": draw(of(None, 0.25)), "contract_years": draw(of(None, 2)),
        "segment": draw(of(None, None, "clinic")),
    }  # fmt: skip
    for start, end in SPANS:
        if draw(FLAG):
            began = draw(whole(0, 300))
            row |= {start: _day(began), end: draw(of(None, _day(began - draw(whole(-5, 120)))))}
    history = _history(draw, id, created)
    return row if history else row | {"stage": draw(of(*KINDS, None))}, history


def _of_deal(draw: Draw, crm: dict[str, Rows], id: str) -> None:
    """Gates, contacts, moves of dates, owners and amounts, splits of one deal."""
    for _ in range(draw(whole(0, 2))):
        opened = draw(whole(-5, 200))
        decided = draw(of(None, _day(opened - draw(whole(-2, 90)))))
        gate = {"opportunity": id, "gate": draw(of(*GATES)), "opened_on": _day(opened), "decided_on": decided}
        crm["gates"].append({**gate, "result": draw(of("approved", "denied", "tabled")) if decided else None})
    for contact in CONTACTS[: draw(whole(0, 4))]:
        crm["opportunity_contacts"].append({"opportunity": id, "contact": contact, "added_on": _perhaps(draw)})
    if draw(FLAG):
        instants = [_instant(ago) for ago in sorted({draw(PAST), draw(PAST)}, reverse=True)]
        crm["owner_history"] += [{"opportunity": id, "at": at, "owner": draw(OWNER)} for at in instants]
        crm["amount_history"] += [{"opportunity": id, "at": at, "amount": draw(AMOUNT)} for at in instants]
        for at in instants:
            move = {"opportunity": id, "at": at, "by": draw(of("R1", "INTEGRATION")), "old": _day(draw(ANY)), "new": _day(draw(ANY))}
            crm["closes_on_history"].append(move)
    if draw(whole(1, 4)) == 1:
        crm["splits"] += [{"opportunity": id, "owner": "R1", "share": 0.75}, {"opportunity": id, "owner": "R2", "share": 0.25}]


def _activity(draw: Draw, id: str, deals: list[str]) -> dict[str, Any]:
    row = {
        "id": id, "kind": draw(of("meeting", "meeting", "call", "email", "task")), "owner": draw(OWNER),
        "direction": draw(of(None, "inbound", "outbound")), "contact": draw(of(*CONTACTS, None)),
        "topic": draw(of(None, "presentation", "workshop", "follow_up")),
        "outcome": draw(of(None, "held", "held", "held", "no_show", "canceled", "rescheduled", "connected", "not_connected")),
        "created_by": draw(of("R1", "R1", "INTEGRATION")), "opportunity": draw(of(*deals, None)), "account": draw(of(None, *ACCOUNTS)),
    }  # fmt: skip
    ago = draw(whole(-10, 120))
    row |= {"on": _day(ago)} if ago < 0 or draw(FLAG) else {"at": _instant(ago)}
    if row["kind"] == "task":
        row |= {"due_on": _day(ago), "completed_on": draw(of(None, _day(ago), _day(ago - 2)))}
    return row | {"participants": draw(of(None, ["R2"], ["R1", "R3"]))}


SECTIONS = (
    "opportunities", "stage_history", "gates", "opportunity_contacts", "owner_history", "amount_history", "closes_on_history", "splits", "activities",
    "leads", "tickets",
)  # fmt: skip


def _crm(draw: Draw, deals: list[int], activities: list[int], leads: list[int], tickets: list[int]) -> dict[str, Rows]:
    crm: dict[str, Rows] = {name: [] for name in SECTIONS}
    places = {
        "segment": of("hospital", "health_system", "clinic", None),
        "territory": of("East", "West"),
        "region": of("US", "EU"),
        "reference": MAYBE,
    }
    crm["accounts"] = [{"id": id, **{name: draw(maker) for name, maker in places.items()}} for id in ACCOUNTS]
    crm["accounts"][3]["merged_into"] = draw(of(None, "A1"))
    crm["owners"] = [{"id": id, "active": True} for id in OWNERS]
    crm["contacts"] = [{"id": id, "persona": draw(of(*PERSONAS, None))} for id in CONTACTS]
    ids = [f"D{number}" for number in range(len(deals))]
    for id, seed in zip(ids, deals, strict=True):
        own = drawing(seed)
        row, history = _deal(own, id)
        crm["opportunities"].append(row)
        crm["stage_history"] += history
        _of_deal(own, crm, id)
    crm["activities"] = [_activity(drawing(seed), f"a{number}", ids) for number, seed in enumerate(activities)]
    for number, own in enumerate(map(drawing, leads)):
        lead = {"id": f"L{number}", "lead_source": own(of(None, "conference")), "opportunity": own(of(*ids, None))}
        crm["leads"].append({**lead, "mql_on": _day(own(ANY)), "sql_on": _perhaps(own), "sqo_on": _perhaps(own)})
    for number, own in enumerate(map(drawing, tickets)):
        ticket = {"id": f"T{number}", "account": own(ACCOUNT), "opened_on": _day(own(whole(-5, 120)))}
        crm["tickets"].append({**ticket, "severity": own(of("critical", "critical", "high", "low", None))})
    return crm


# -- what no CRM holds ---------------------------------------------------------------------------------------------------


def _ledger(seeds: list[int]) -> Rows:
    """Entries of one account a seed, whose balance never falls below 0."""
    rows: Rows = []
    for account, draw in zip(ACCOUNTS[:3], map(drawing, seeds), strict=False):
        balance, currency = 0, draw(of("USD", None, "EUR"))
        for ago in sorted({draw(whole(-30, 800)) for _ in range(draw(whole(1, 4)))}, reverse=True):
            kind = draw(of("expansion", "expansion", "contraction", "churn")) if balance else "new"
            size = {"churn": balance, "contraction": balance // 2}.get(kind) or draw(of(*THOUSANDS))
            delta = size if kind in ("new", "expansion") else -size
            balance += delta
            rows.append({"account_key": account, "date": _day(ago), "type": kind, "delta": delta, "currency": currency})
    return rows


def _month(draw: Draw) -> str:
    return str(draw(of("2026-01", "2026-06", "2026-11", "2026-12", "2027-01", "2027-02")))


def _monday(draw: Draw) -> str:
    return (TODAY - timedelta(weeks=draw(whole(-1, 20)))).isoformat()


LINES: Mapping[str, Callable[[Draw], dict[str, Any]]] = {
    "quotas": lambda draw: {
        "owner_key": draw(OWNER), "period": draw(of("FY2026-Q4", "2026-10", "2026-11", "2026-12", "FY2027-Q2")),
        "amount": draw(of(0, *THOUSANDS)), "currency": draw(CURRENCY), "basis": draw(of("bookings", "bookings", "arr")),
    },
    "people": lambda draw: {
        "owner_key": draw(OWNER), "hired_on": _day(draw(ANY)), "left_on": _rarely(draw), "team": draw(of(None, "East")),
    },
    "spend": lambda draw: {
        "month": _month(draw), "category": draw(of("sales", "marketing", "onboarding", "compliance", "demo")),
        "segment": draw(of(None, "clinic")), "amount": draw(of(*THOUSANDS)), "currency": draw(CURRENCY),
    },
    "clearances": lambda draw: {
        "product": draw(of("P1", "P2")), "region": draw(of(None, "US", "EU")), "kind": "510k", "cleared_on": _day(draw(ANY)),
    },
    "product_finance": lambda draw: {
        "product": draw(of("P1", "P2")), "month": _month(draw), "revenue": draw(of(*THOUSANDS)), "cogs": draw(of(*THOUSANDS)),
    },
    "readiness": lambda draw: {"product": draw(of("P1", "P2")), "date": _day(draw(ANY)), "score": draw(whole(1, 10))},
    "renewals": lambda draw: {
        "account_key": draw(ACCOUNT), "due_on": _day(draw(ANY)), "available": draw(of(*THOUSANDS)), "renewed": draw(of(None, 0, *THOUSANDS)),
        "renewed_on": _perhaps(draw), "currency": draw(CURRENCY),
    },
    "installed_base": lambda draw: {
        "account_key": draw(ACCOUNT), "product": "P1", "units": draw(whole(1, 9)), "installed_on": _day(draw(ANY)), "removed_on": _rarely(draw),
    },
    "consumables": lambda draw: {
        "account_key": draw(ACCOUNT), "product": "P1", "date": _day(draw(ANY)), "amount": draw(of(-500, *THOUSANDS)),
        "currency": draw(CURRENCY),
    },
    "milestones": lambda draw: {
        "account_key": draw(ACCOUNT), "opportunity_key": draw(of(None, "D0")), "name": draw(of("go_live", "go_live", "kickoff")),
        "due_on": _day(draw(ANY)), "done_on": _perhaps(draw), "budget": draw(of(None, 1000, 1000)), "actual": draw(of(None, 900, 2000)),
    },
    "adoption": lambda draw: {
        "account_key": draw(ACCOUNT), "date": _day(draw(of(-5, 15, 45))), "role": draw(of(None, "clinician", "administrator")),
        "active": draw(whole(0, 20)), "licensed": draw(of(20, 25, 0)),
    },
    "sentiment": lambda draw: {
        "account_key": draw(ACCOUNT), "date": _day(draw(of(-5, 15, 45))), "nps": draw(whole(-100, 100)), "qbr": draw(of(None, 1, 5)),
    },
    "expansion_events": lambda draw: {
        "account_key": draw(ACCOUNT), "date": _day(draw(of(-5, 15, 95))), "event": draw(of("hiring", "acquisition")),
    },
    "time_log": lambda draw: {
        "owner_key": draw(OWNER), "week": _monday(draw), "category": draw(of("selling", "admin")), "hours": draw(whole(0, 40)),
    },
    "kol": lambda draw: {"contact_key": draw(of(*CONTACTS)), "advisory_board": draw(MAYBE), "published_on": _perhaps(draw)},
    "forecast_snapshots": lambda draw: {
        "period": draw(of("FY2026-Q4", "FY2026-Q3", "FY2027-Q1")), "owner_key": draw(of(None, "R1")), "submitted_on": _day(draw(ANY)),
        "amount": draw(of(*THOUSANDS)), "currency": draw(CURRENCY), "basis": draw(of("bookings", "arr")),
    },
    "lms": lambda draw: {"owner_key": draw(OWNER), "date": _day(draw(ANY)), "correct": draw(whole(0, 5)), "asked": 5},
    "coaching": lambda draw: {
        "owner_key": draw(OWNER), "date": _day(draw(ANY)), "submitted": draw(FLAG), "good_articulation": draw(MAYBE), "best": draw(MAYBE),
    },
    "outreach": lambda draw: {
        "owner_key": draw(OWNER), "week": _monday(draw), "contacts_reached": draw(whole(0, 90)), "meetings_booked": draw(whole(0, 9)),
    },
    "persona_ratings": lambda draw: {"persona": draw(of(*PERSONAS)), "date": _day(draw(ANY)), "score": draw(whole(0, 10))},
}  # fmt: skip
"""Input → one line of it."""


SNAPSHOTS = [
    ("weighted_pipeline_coverage", None, 1.5), ("win_rate", "T12M", 0.4), ("open_pipeline_value", "asof", 250000.0),
    ("expected_arr_by_quarter_end", "FY2026-Q4", 90000.0), ("expected_arr_by_quarter_end", "FY2027-Q1", 80000.0),
]  # fmt: skip


def _quotas(draw: Draw) -> Rows:
    """Quotas of the quarter that runs, of some owners: whole or by month."""
    rows: Rows = []
    for owner in OWNERS:
        periods = draw(of([], ["FY2027-Q1"], ["2027-01", "2027-02", "2027-03"], ["2027-01", "2027-02"]))
        quota = {"owner_key": owner, "amount": draw(of(0, *THOUSANDS)), "currency": draw(CURRENCY), "basis": draw(of("bookings", "bookings", "arr"))}
        rows += [{**quota, "period": period} for period in periods]
    return rows


def _files(draw: Draw, lines: list[int], ledger: list[int]) -> dict[str, Rows]:
    """Two thirds of the files, empty ones among them, and so many lines in some of them."""
    files: dict[str, Rows] = {name: [] for name in LINES if draw(whole(1, 3)) > 1}
    for own in map(drawing, lines):
        name = own(of(*LINES, "spend", "spend"))
        if name in files:
            files[name].append(LINES[name](own))
    if "quotas" in files:
        files["quotas"] += _quotas(draw)
    files |= {"arr_ledger": _ledger(ledger)} if ledger else {}
    files["fx"] = [
        {"currency": currency, "date": _day(1500 - 1300 * number), "rate": rate}
        for currency, rates in RATES.items()
        for number, rate in enumerate(rates)
    ]
    return {f"{name}.csv": rows for name, rows in files.items()}


def _settings(draw: Draw) -> Given:
    kpis: Given = copy.deepcopy(_GOLDEN["kpis"])
    kpis["calendar"] |= {"time_zone": draw(of("America/New_York", "UTC", "Asia/Kolkata")), "fiscal_year_starts": draw(of(1, 1, 4, 7))}
    kpis["probability"]["policy"] = draw(of("stage_default", "stage_default", "crm", "historical"))
    kpis["thresholds"] |= {"buyer_silence_days": draw(of(None, 30)), "benchmark_min_events": draw(of(1, 10))}
    kpis["populations"] |= {"cycle_start": draw(of("created", "qualified_meeting")), "persona_evidence": draw(of("associated", "engaged"))}
    return kpis


@st.composite
def books(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Given:
    """``inputs`` of a book file: up to 12 deals with random histories, money in several currencies, gates, people, and lines of random files."""
    numbers = {"deals": 12, "activities": 16, "leads": 5, "tickets": 5, "lines": 60, "ledger": 3}
    seeds = {name: draw(st.lists(SEEDS, min_size=draw(st.sampled_from([0, most // 2])), max_size=most)) for name, most in numbers.items()}
    own = drawing(draw(SEEDS))
    days = {(kpi, window): (value, _day(own(whole(0, 140)))) for kpi, window, value in SNAPSHOTS if own(FLAG)}
    snapshots = [
        {"kpi": kpi, "variant": "", "subject": "company", "window": window, "date": day, "value": value}
        for (kpi, window), (value, day) in days.items()
    ]
    return {
        "as_of": _instant(0), "windows": ["2026-01-01/2026-06-30"], "stages": _GOLDEN["stages"], "kpis": _settings(own),
        "crm": _crm(own, *(seeds[name] for name in ("deals", "activities", "leads", "tickets"))),
        "files": _files(own, seeds["lines"], seeds["ledger"]), "state": {"kpi_snapshots": snapshots},
    }  # fmt: skip
