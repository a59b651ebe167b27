"""Are customers live, using it, content? (catalogue 8.10)"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.book.keys import account_index, found, key_index
from connector.kpis.book.windows import trailing
from connector.kpis.definition import Row, kpi
from connector.kpis.evidence import of_deals, of_inputs, together
from connector.kpis.shapes import by, count, missing, pairs, quantiles, quotient, rate, survival

HEALTHTECH, HEALTHCARE, MEDTECH = "healthtech CRO KPIs", "healthcare CRO metrics", "medtech CRO KPIs"
TICKET_DAYS = 90
InputRow = dict[str, Any]


def _rows(book: Book, name: str) -> list[InputRow]:
    """Rows of an input whose ``date`` is not after today, with ``account``: the survivor their key names."""
    index = account_index(book)
    given = book.inputs.rows(name) or ()
    return [{**row, "account": found(index, row["account_key"])} for row in given if "date" not in row or row["date"] <= book.today]


def _by_account(rows: Iterable[InputRow]) -> dict[str, list[InputRow]]:
    held: dict[str, list[InputRow]] = {}
    for row in rows:
        held.setdefault(row["account"], []).append(row)
    return {account: held[account] for account in sorted(held)}


def _latest(rows: Iterable[InputRow]) -> dict[str, list[InputRow]]:
    """Account → its rows of the latest date reported; they count together."""
    held = _by_account(rows)
    return {account: [row for row in mine if row["date"] == max(row["date"] for row in mine)] for account, mine in held.items()}


@kpi("contract_to_go_live", number=92, grain="opportunity, company", kind="leading", write_back="A K",
     units=dict.fromkeys(("", "mean", "median", "km_median"), "days"), source=f"healthtech-specific KPI ({HEALTHTECH})", rests_on="none")  # fmt: skip
def contract_to_go_live(book: Book) -> Iterator[Row]:
    """Days from the signature of the contract to go-live; new business.

    Per deal: every completed pair. ``mean``, ``median``: of those that went live in T12M; go-live before the signature is excluded and
    counted as ``negative``; ``pending``: signed, not live yet, and not lost. ``km_median``: Kaplan–Meier median over all signed deals, those
    not live censored at today, lost ones at their close. *n*: completed pairs; ``km_median``: signed deals.

    >>> from connector.kpis.example import example
    >>> live = example().deal("D1", "closed_won 2026-08-08", contract_signed_on="2026-08-08", go_live_on="2026-10-07")
    >>> live.deal("D2", "closed_won 2026-12-31", contract_signed_on="2026-12-31").show("contract_to_go_live", "km_median")
    '60 days, n=2, low n, pending=1'
    """
    deals, start, end = book.new_business, "contract_signed_on", "go_live_on"
    waiting = deals.filter(pl.col(start).is_not_null() & pl.col(end).is_null() & pl.col("cls").is_in(["open", "won"])).height
    for row in pairs(deals, book.windows.rolling, start, end):
        late = row.subject == "company"
        yield row._replace(pending=waiting, reason="only_running" if row.value is None and waiting else row.reason) if late else row
    until = pl.coalesce(end, pl.when(pl.col("cls").is_in(["lost", "no_decision"])).then(pl.col("closed")), pl.lit(book.today))
    signed = deals.filter(pl.col(start).is_not_null()).with_columns(days=(until - pl.col(start)).dt.total_days(), done=pl.col(end).is_not_null())
    signed = signed.filter(pl.col("days") >= 0)
    yield from quantiles(
        "company", "ALL", survival(signed), ["km_median"], evidence=of_deals(signed, start, end, "days", pl.col("done").alias("live"))
    )


@dataclass(frozen=True, slots=True)
class _Due:
    """Milestones due in T12M, the later ones, and what is said of each: ``on_time``."""

    due: list[InputRow]
    later: list[InputRow]


@derived
def _milestones(book: Book) -> _Due:
    rows = [{**row, "on_time": row["done_on"] is not None and row["done_on"] <= row["due_on"]} for row in _rows(book, "milestones")]
    due = [row for row in rows if book.windows.rolling.holds(row["due_on"])]
    return _Due(due, [row for row in rows if row["due_on"] > book.today])


@derived
def punctuality(book: Book) -> dict[str, tuple[int, int]]:
    """Account with milestones due in T12M → (how many were done by their day, how many were due)."""
    return {account: (sum(row["on_time"] for row in mine), len(mine)) for account, mine in _by_account(_milestones(book).due).items()}


@kpi("implementation_success_rate", number=93, grain="company", units="ratio", kind="lagging", write_back="K", needs=("milestones",),
     source=f"on time and within budget ({HEALTHCARE})", rests_on="none")  # fmt: skip
def implementation_success_rate(book: Book) -> Iterator[Row]:
    """Go-lives on time and within budget ÷ go-lives due: milestones named ``go_live`` of milestones.csv, due in T12M.

    On time: done by the due date. Within budget: Σ actual ≤ Σ budget over the milestones of the same project (account, and opportunity
    where one is named). A go-live whose project lacks a budget or an actual cannot be judged: ``missing_budget``. *n*: go-lives judged.

    >>> from connector.kpis.example import example
    >>> line = {"account_key": "A1", "name": "go_live", "due_on": "2026-10-15", "done_on": "2026-10-07", "budget": 10000, "actual": 9000}
    >>> example().file("milestones", line).show("implementation_success_rate")
    '1 ratio, n=1, 0.21–1.00, low n'
    """
    window = book.windows.rolling.label
    if book.inputs.rows("milestones") is None:
        yield missing("company", window)
        return
    deals = key_index(book.deals["id"])

    def project(row: InputRow) -> tuple[str, str | None]:
        return row["account"], found(deals, row["opportunity_key"]) if row["opportunity_key"] else None

    sums: dict[tuple[str, str | None], dict[str, Any]] = {}
    for row in _rows(book, "milestones"):
        side = sums.setdefault(project(row), {"budget": None, "actual": None})
        for name in side:
            side[name] = side[name] if row[name] is None else (side[name] or 0) + row[name]
    lives = [{**row, **sums[project(row)]} for row in _milestones(book).due if row["name"] == "go_live"]
    judged = [row for row in lives if row["budget"] is not None and row["actual"] is not None]
    told = [{**row, "succeeded": row["on_time"] and row["actual"] <= row["budget"]} for row in judged]
    evidence = of_inputs(told, "account", "due_on", "done_on", "budget", "actual", "on_time", "succeeded")
    hits = sum(row["succeeded"] for row in told)
    yield rate("company", window, hits, len(told), excluded={"missing_budget": len(lives) - len(judged)}, evidence=evidence)


@kpi("implementation_milestone_completion_rate", number=94, grain="company", units={"": "ratio", "customer": "ratio"}, kind="leading",
     write_back="A K", needs=("milestones",), source=f"onboarding, training, go-live on schedule ({HEALTHCARE})", rests_on="none")  # fmt: skip
def implementation_milestone_completion_rate(book: Book) -> Iterator[Row]:
    """Milestones done by their due date ÷ milestones due in T12M (milestones.csv); later ones are ``pending``.

    ``customer``: accounts whose due milestones were all on time ÷ accounts with due milestones. *n*: milestones; accounts.

    >>> from connector.kpis.example import example
    >>> kickoff = {"account_key": "A1", "name": "kickoff", "due_on": "2026-08-22", "done_on": "2026-08-20"}
    >>> training = {"account_key": "A1", "name": "training", "due_on": "2026-09-15", "done_on": "2026-09-18"}
    >>> example().file("milestones", kickoff, training).show("implementation_milestone_completion_rate")
    '0.5 ratio, n=2, 0.09–0.91, low n'
    """
    window, parts = book.windows.rolling.label, _milestones(book)
    if book.inputs.rows("milestones") is None:
        yield missing("company", window)
        yield missing("company", window, "customer")
        return
    told = of_inputs(parts.due, "account", "name", "due_on", "done_on", "on_time")
    yield rate("company", window, sum(row["on_time"] for row in parts.due), len(parts.due), pending=len(parts.later), evidence=told)
    customers = _by_account(parts.due)
    punctual = sum(all(row["on_time"] for row in mine) for mine in customers.values())
    yield rate("company", window, punctual, len(customers), variant="customer", evidence=told)


@derived
def _seats(book: Book) -> dict[str, list[InputRow]]:
    return _latest(_rows(book, "adoption"))


@derived
def adoption(book: Book) -> dict[str, float | None]:
    """Account → active ÷ licensed seats at its latest date; None where no seat is licensed."""
    return {account: _used(rows)[2] for account, rows in _seats(book).items()}


def _used(rows: Iterable[InputRow]) -> tuple[int, int, float | None]:
    active, licensed = (sum(row[name] for row in rows) for name in ("active", "licensed"))
    return active, licensed, active / licensed if licensed else None


@kpi("product_adoption_score", number=95, grain="account, account × role", units="ratio", kind="leading", write_back="A", needs=("adoption",),
     source=f"clinicians and administrators ({HEALTHCARE})", rests_on="none")  # fmt: skip
def product_adoption_score(book: Book) -> Iterator[Row]:
    """Active ÷ licensed seats of an account at its latest date in adoption.csv (not after today), and per role. Counts only, never a person.

    All rows of that date count together; a role left empty is ``unknown``. *n*: licensed seats.

    >>> from connector.kpis.example import example
    >>> line = {"account_key": "A1", "date": "2027-01-31", "role": "clinician", "active": 26, "licensed": 30}
    >>> example().file("adoption", line).show("product_adoption_score", subject="account=A1")
    '0.8666666667 ratio, n=30'
    """
    if book.inputs.rows("adoption") is None:
        yield missing("company", "asof")
        return
    for account, rows in _seats(book).items():
        roles = sorted({row["role"] or "unknown" for row in rows})
        parts = [("", rows), *((f",role={role}", [row for row in rows if (row["role"] or "unknown") == role]) for role in roles)]
        for suffix, part in parts:
            active, licensed, _ = _used(part)
            told = of_inputs(part, "account", "date", "role", "active", "licensed")
            yield quotient(f"account={account}{suffix}", "asof", active, licensed, licensed, small=False, evidence=told)


@derived
def _tickets(book: Book) -> pl.DataFrame:
    """Tickets opened in T90D: id, account (the survivor), severity, opened_on."""
    recent = book.tickets.filter(trailing(TICKET_DAYS, book.today).covers("opened_on"))
    return recent.with_columns(pl.col("account").replace(dict(book.survivors))).sort("opened_on", "id", nulls_last=True)


@kpi("support_ticket_volume_by_severity", number=96, grain="account × severity, company × severity", units="count", kind="leading",
     write_back="A", source=f"sudden rises of critical tickets ({HEALTHCARE})", rests_on="none", of_deals=False)  # fmt: skip
def support_ticket_volume_by_severity(book: Book) -> Iterator[Row]:
    """Support tickets opened in T90D, by severity (mapped to critical, high, low), of the company and of each account. Bodies are never read.

    Rows exist for severities that occur. *n*: tickets.

    >>> from connector.kpis.example import example
    >>> book = example().add("tickets", id="T1", account="A1", opened_on="2027-01-15", severity="critical")
    >>> book.show("support_ticket_volume_by_severity", subject="account=A1,severity=critical")
    '1 count, n=1'
    """
    window, tickets = trailing(TICKET_DAYS, book.today).label, _tickets(book)

    def row(subject: str, part: pl.DataFrame) -> Row:
        return count(subject, window, part.height, evidence=part.select(pl.col("id").alias("ticket"), "account", "opened_on", "severity"))

    for severity, part in by(tickets, "severity"):
        yield row(f"severity={severity}", part)
    for account, mine in by(tickets, "account"):
        for severity, part in by(mine, "severity"):
            yield row(f"account={account},severity={severity}", part)


def _parts(row: InputRow) -> list[float]:
    """What one line of sentiment.csv says, each part on 0–100."""
    scales: dict[str, Callable[[Any], float]] = {
        "nps": lambda v: (v + 100) / 2,
        "qbr": lambda v: v / 5 * 100,
        "support_csat": float,
    }
    return [scale(row[name]) for name, scale in scales.items() if row[name] is not None]


@derived
def _feelings(book: Book) -> dict[str, list[InputRow]]:
    return _latest(_rows(book, "sentiment"))


@derived
def sentiment(book: Book) -> dict[str, tuple[float, int]]:
    """Account → (mean of the parts of its latest date on 0–100, how many parts)."""
    found_parts = {account: [part for row in rows for part in _parts(row)] for account, rows in _feelings(book).items()}
    return {account: (sum(parts) / len(parts), len(parts)) for account, parts in found_parts.items()}


def _felt(rows: Sequence[InputRow]) -> pl.DataFrame:
    return of_inputs(rows, "account", "date", "nps", "qbr", "support_csat")


@kpi("customer_sentiment_score", number=97, grain="account", units="score", kind="leading", write_back="A", needs=("sentiment",),
     source=f"from QBRs, NPS, support ({HEALTHCARE})", rests_on="none")  # fmt: skip
def customer_sentiment_score(book: Book) -> Iterator[Row]:
    """Mean of the parts given in an account's latest row of sentiment.csv (not after today): (NPS + 100) ÷ 2, QBR ÷ 5 × 100, support CSAT.

    On 0–100. *n*: parts.

    >>> from connector.kpis.example import example
    >>> line = {"account_key": "A1", "date": "2027-01-31", "nps": 50, "qbr": 4}
    >>> example().file("sentiment", line).show("customer_sentiment_score", subject="account=A1")
    '77.5 score, n=2'
    """
    if book.inputs.rows("sentiment") is None:
        yield missing("company", "asof")
        return
    for account, (score, n) in sentiment(book).items():
        yield Row(f"account={account}", "asof", score, n, evidence=_felt(_feelings(book)[account]))


@derived
def recent_events(book: Book) -> dict[str, list[InputRow]]:
    """Account of expansion_events.csv → its events of T90D, each (event, day) once, by day and name."""
    recent = trailing(TICKET_DAYS, book.today)
    found_events: dict[str, list[InputRow]] = {}
    for account, mine in _by_account(_rows(book, "expansion_events")).items():
        distinct: dict[tuple[date, str], InputRow] = {}
        for row in mine:
            if recent.holds(row["date"]):
                distinct.setdefault((row["date"], row["event"]), row)
        found_events[account] = [distinct[key] for key in sorted(distinct)]
    return found_events


@kpi("expansion_trigger_events", number=98, grain="account", units={"": "count", "seat_threshold": "bool"}, kind="leading", write_back="A",
     needs=("expansion_events", "adoption"), source=f"80 % of seats, new facilities, hiring, acquisitions ({HEALTHCARE})",
     rests_on="none")  # fmt: skip
def expansion_trigger_events(book: Book) -> Iterator[Row]:
    """Distinct (event, day) of an account in T90D (expansion_events.csv), plus 1 if its seats in use reach the threshold.

    ``seat_threshold``: whether they do: adoption (95) at least ``health_tier.expansion_ready.adoption_at_least``; null where the account's
    seats are not known, which then add nothing. Accounts: those with an event or with seats, by today. Without expansion_events.csv the
    count is null. *n*: events, the seats being one; ``seat_threshold``: 1.

    >>> from connector.kpis.example import example
    >>> book = example().file("expansion_events", {"account_key": "A1", "date": "2027-01-10", "event": "new_facility"})
    >>> book = book.file("adoption", {"account_key": "A1", "date": "2027-01-31", "active": 41, "licensed": 50})
    >>> book.show("expansion_trigger_events", subject="account=A1")
    '2 count, n=2'
    """
    given, events = book.inputs.rows("expansion_events"), recent_events(book)
    if given is None and book.inputs.rows("adoption") is None:
        yield missing("company", "asof")
        return
    for account in sorted({*events, *_seats(book)}):
        subject, share, seats = f"account={account}", adoption(book).get(account), _seats(book).get(account, [])
        reached = None if share is None else share >= book.settings.health_tier.expansion_ready.adoption_at_least
        told = of_inputs(seats, "account", "date", "active", "licensed")
        mine = events.get(account, [])
        if given is None:
            yield missing(subject, "asof", small=False)
        else:
            number, both = len(mine) + bool(reached), of_inputs(mine, "account", "date", "event")
            yield count(subject, "asof", number, evidence=together([both, told if reached else None]))
        if reached is None:
            yield Row(subject, "asof", None, 0, "seat_threshold", reason="no_denominator" if account in _seats(book) else "missing_input")
        else:
            yield Row(subject, "asof", reached, 1, "seat_threshold", evidence=told)


def _fired(book: Book, account: str, critical: int) -> list[str]:
    """The rules by which an account is at risk. A part that is not known fires nothing."""
    limits, used, felt = book.settings.health_tier.at_risk, adoption(book).get(account), sentiment(book).get(account)
    fired = {
        "adoption": used is not None and used < limits.adoption_below,
        "sentiment": felt is not None and felt[0] < limits.sentiment_below,
        "critical_tickets": critical >= limits.critical_tickets_at_least,
    }
    return [rule for rule, holds in fired.items() if holds]


@kpi("customer_health_tier", number=99, grain="account", units={"": "label", "rules": "list"}, kind="leading", write_back="A",
     needs=("adoption", "sentiment"), source=f"healthy, at-risk, expansion-ready ({HEALTHCARE})", rests_on="none")  # fmt: skip
def customer_health_tier(book: Book) -> Iterator[Row]:
    """``at_risk`` if adoption (95), sentiment (97) or critical tickets of T90D (96) pass their limit of ``health_tier.at_risk``.

    ``rules`` lists which of them fired.
    Else ``expansion_ready`` if adoption and sentiment both reach those of ``health_tier.expansion_ready``; else ``healthy``. A part that is
    not known fires nothing. Accounts: those with adoption or sentiment. *n*: 1; ``rules``: rules fired.

    >>> from connector.kpis.example import example
    >>> book = example().file("adoption", {"account_key": "A1", "date": "2027-01-31", "active": 30, "licensed": 80})
    >>> book.show("customer_health_tier", subject="account=A1"), book.show("customer_health_tier", "rules", "account=A1")
    ('at_risk label, n=1', "['adoption'] list, n=1")
    """
    if book.inputs.rows("adoption") is None and book.inputs.rows("sentiment") is None:
        yield missing("company", "asof", small=False)
        return
    critical = dict(by(_tickets(book).filter(pl.col("severity") == "critical"), "account"))
    ready = book.settings.health_tier.expansion_ready
    for account in sorted({*_seats(book), *_feelings(book)}):
        tickets = critical.get(account)
        fired = _fired(book, account, 0 if tickets is None else tickets.height)
        used, felt = adoption(book).get(account), sentiment(book).get(account)
        keen = used is not None and felt is not None and used >= ready.adoption_at_least and felt[0] >= ready.sentiment_at_least
        seats = of_inputs(_seats(book).get(account, []), "account", "date", "role", "active", "licensed")
        raised = None if tickets is None else tickets.select(pl.col("id").alias("ticket"), "account", "opened_on", "severity")
        told = together([seats, _felt(_feelings(book).get(account, [])), raised])
        yield Row(f"account={account}", "asof", "at_risk" if fired else "expansion_ready" if keen else "healthy", 1, evidence=told)
        yield Row(f"account={account}", "asof", fired, len(fired), "rules", evidence=told)


@kpi("reference_accounts", number=100, grain="company", units="count", kind="leading", write_back="K",
     source=f"reference sites before clearance ({MEDTECH}); referenceable accounts (CRO vs VP of Sales)", rests_on="none",
     of_deals=False)  # fmt: skip
def reference_accounts(book: Book) -> Iterator[Row]:
    """Accounts flagged as referenceable, as of; null while no account has the flag filled. *n*: accounts with the flag filled.

    >>> from connector.kpis.example import example
    >>> example().add("accounts", id="A2", reference=True).add("accounts", id="A3", reference=False).show("reference_accounts")
    '1 count, n=2'
    """
    told = book.accounts.filter(pl.col("reference").is_not_null())
    if told.is_empty():
        yield missing("company", "asof", small=False)
        return
    evidence = told.select(pl.col("id").alias("account"), "reference")
    yield count("company", "asof", told.filter("reference").height, n=told.height, evidence=evidence)
