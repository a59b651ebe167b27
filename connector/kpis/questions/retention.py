"""Do customers stay and grow? (catalogue 8.9)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.book.keys import account_index, found
from connector.kpis.book.ledger import customers, ledger
from connector.kpis.book.money import MONEY, total
from connector.kpis.book.windows import add_months
from connector.kpis.definition import Row, kpi
from connector.kpis.evidence import of_inputs, together
from connector.kpis.inputs.tables import PLACE
from connector.kpis.shapes import by, middle, missing, quantiles, quotient, rate, slices
from connector.kpis.stats import kaplan_meier

HEALTHCARE, HEALTHTECH, MEDTECH = "healthcare CRO metrics", "healthtech CRO KPIs", "medtech CRO KPIs"
Line = Mapping[str, Any]


def whole_months(since: date, until: date) -> int:
    """Months that are over between two days; the last day of a month stands for the days it lacks.

    >>> whole_months(date(2025, 12, 15), date(2026, 12, 14)), whole_months(date(2026, 1, 31), date(2026, 2, 28))
    (11, 1)
    """
    months = (until.year - since.year) * 12 + until.month - since.month
    return months if add_months(since, months) <= until else months - 1


def _of_accounts(cohort: pl.DataFrame, *columns: str) -> pl.DataFrame:
    return cohort.select("account", *columns)


def _rated(cohort: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """The customers whose ARR is known in the reporting currency, and how many are not."""
    known = cohort.filter(pl.col("arr").is_not_null())
    return known, {"missing_fx": cohort.height - known.height}


@kpi("logo_retention_rate", number=83, grain="segment, company", units={"": "ratio", "renewed_due": "ratio"}, kind="lagging", write_back="K",
     needs=("arr_ledger", "renewals"), rests_on="none", source=f"percentage who renew ({HEALTHTECH})")  # fmt: skip
def logo_retention_rate(book: Book) -> Iterator[Row]:
    """Customers with ARR on the day before T12M that still have ARR ÷ customers with ARR then. Merged accounts are one customer.

    ``renewed_due``: renewals renewed ÷ decided, of those due in T12M (decided: see lost_hospital_contracts). Population: accounts of the ARR
    ledger, renewals.csv. n: customers then, in whatever currency; decided renewals. By segment as the account has it now.

    >>> from connector.kpis.example import example
    >>> old = {"account_key": "A1", "date": "2025-12-15", "type": "new", "delta": 100}
    >>> lost = {"account_key": "A2", "date": "2026-06-30", "type": "churn", "delta": -40}
    >>> example().file("arr_ledger", old, old | {"account_key": "A2", "delta": 40}, lost).show("logo_retention_rate")
    '0.5 ratio, n=2, 0.09–0.91, low n'
    """
    cohort, window = customers(book), book.windows.rolling
    if cohort is None:
        yield missing("company", window.label)
    else:
        for subject, part in slices(cohort, "segment"):
            told = _of_accounts(part, "arr", "arr_now", "kept")
            yield rate(subject, window.label, int(part["kept"].sum()), part.height, evidence=told)
    due = renewals(book)
    if due is None:
        yield missing("company", window.label, "renewed_due")
        return
    decided, pending = _decided(due)
    renewed = int((decided["outcome"] == "renewed").sum())
    yield rate("company", window.label, renewed, decided.height, variant="renewed_due", pending=pending, evidence=decided)


def _against_start(book: Book, column: str) -> Iterator[Row]:
    """A column of the customers of t0 ÷ their ARR then, for the company and each segment."""
    cohort, window = customers(book), book.windows.rolling
    if cohort is None:
        yield missing("company", window.label)
        return
    for subject, part in slices(cohort, "segment"):
        yield _to_start(subject, window.label, part, column)


def _to_start(subject: str, window: str, part: pl.DataFrame, column: str) -> Row:
    known, left_out = _rated(part)
    told = _of_accounts(known, "arr", column)
    return quotient(subject, window, total(known[column]), total(known["arr"]), known.height, excluded=left_out, evidence=told)


def nrr_of(book: Book, groups: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    """:func:`nrr` of groups of accounts (account at the top → its members), for those in which somebody was a customer then."""
    cohort = customers(book)
    if cohort is not None:
        there = set(cohort["account"])
        for top, members in groups.items():
            mine = [account for account in members if account in there]
            if mine:
                yield _to_start(f"account={top}", book.windows.rolling.label, cohort.filter(pl.col("account").is_in(mine)), "arr_now")


@kpi("nrr", number=84, grain="segment, company", units="ratio", kind="lagging", write_back="A K", needs=("arr_ledger",), rests_on="none",
     source=f"below 100 %: a plan ({HEALTHTECH}); above 110 % ({HEALTHCARE})")  # fmt: skip
def nrr(book: Book) -> Iterator[Row]:
    """Net revenue retention: ARR now of the customers of the day before T12M ÷ their ARR at that time, at one constant rate.

    New customers are on neither side; a customer that left and returned counts with what it pays now. One healthtech source writes
    "expansion minus churned, divided by starting", which leaves out the starting revenue; this is (start + expansion − contraction −
    churn) ÷ start. n: customers then; those without an exchange rate are ``missing_fx``. By segment as the account has it now.

    >>> from connector.kpis.example import example
    >>> old = {"account_key": "A1", "date": "2025-12-15", "type": "new", "delta": 100}
    >>> grown = {"account_key": "A1", "date": "2026-12-15", "type": "expansion", "delta": 25}
    >>> example().file("arr_ledger", old, grown).show("nrr")
    '1.25 ratio, n=1, low n'
    """
    yield from _against_start(book, "arr_now")


def _held(cohort: pl.DataFrame) -> pl.DataFrame:
    """``retained``: what is left of each customer's ARR after its own contraction and churn, between 0 and what it had."""
    left = pl.col("arr") + pl.col("cut")
    return cohort.with_columns(retained=pl.when(left > 0).then(left).otherwise(pl.lit(0, dtype=MONEY)))


def _gross(subject: str, window: str, cohort: pl.DataFrame, *, variant: str = "", churned: bool = False) -> Row:
    known, left_out = _rated(cohort)
    held = _held(known)
    start, kept = total(held["arr"]), total(held["retained"])
    told = _of_accounts(held, "arr", "cut", "retained")
    above = start - kept if churned else kept
    return quotient(subject, window, above, start, known.height, variant=variant, excluded=left_out, evidence=told)


@kpi("grr", number=85, grain="segment, company", units="ratio", kind="lagging", write_back="K", needs=("arr_ledger",), rests_on="none",
     source=f"90–95 %, above 90 ({HEALTHCARE})")  # fmt: skip
def grr(book: Book) -> Iterator[Row]:
    """Gross revenue retention: Σ per customer (ARR on the day before T12M + contraction + churn in it) ÷ Σ ARR on that day.

    Held per customer between 0 and what it had: one customer's expansion never pays for another's churn, and a customer that left and
    returned stays churned. One constant rate; customers without one are ``missing_fx``. n: customers then.

    >>> from connector.kpis.example import example
    >>> old = {"account_key": "A1", "date": "2025-12-15", "type": "new", "delta": 100}
    >>> left = {"account_key": "A1", "date": "2026-06-30", "type": "contraction", "delta": -10}
    >>> example().file("arr_ledger", old, left, left | {"type": "expansion", "delta": 50}).show("grr")
    '0.9 ratio, n=1, low n'
    """
    cohort, window = customers(book), book.windows.rolling
    if cohort is None:
        yield missing("company", window.label)
        return
    for subject, part in slices(cohort, "segment"):
        yield _gross(subject, window.label, part)


@kpi("churn_by_segment", number=86, grain="segment", units={"logo": "ratio", "arr": "ratio"}, kind="lagging", write_back="K",
     needs=("arr_ledger",), rests_on="none",
     source=f"clinics 10–15 %, large systems 2–5 % ({HEALTHCARE}); churn ({HEALTHTECH}, CRO vs VP of Sales)")  # fmt: skip
def churn_by_segment(book: Book) -> Iterator[Row]:
    """Per segment: ``logo`` = 1 − logo_retention_rate, customers lost; ``arr`` = 1 − grr, revenue lost. T12M.

    n: customers on the day before T12M. Never blended over segments: clinics churn several times as much as health systems.

    >>> from connector.kpis.example import example
    >>> old = {"account_key": "A1", "date": "2025-12-15", "type": "new", "delta": 100}
    >>> left = {"account_key": "A1", "date": "2026-06-30", "type": "contraction", "delta": -10}
    >>> example().file("arr_ledger", old, left).show("churn_by_segment", "arr", "segment=hospital")
    '0.1 ratio, n=1, low n'
    """
    cohort, window = customers(book), book.windows.rolling
    if cohort is None:
        yield from (missing("company", window.label, variant) for variant in ("logo", "arr"))
        return
    for segment, part in by(cohort, "segment"):
        told = _of_accounts(part, "arr", "arr_now", "kept")
        yield rate(f"segment={segment}", window.label, int((~part["kept"]).sum()), part.height, variant="logo", evidence=told)
        yield _gross(f"segment={segment}", window.label, part, variant="arr", churned=True)


# -- renewals -----------------------------------------------------------------------------------------------------


@derived
def renewals(book: Book) -> pl.DataFrame | None:
    """Renewals due in T12M, or None without renewals.csv: input, customer, segment, due_on, renewed_on, outcome, available, renewed.

    Outcome: ``renewed`` (something was, at most ``late_renewal_days`` after the day it was due), ``pending`` (undecided within that time, or
    decided after today), else ``lost``. Money at the rate of the due date; null without one. ``renewed`` is at most what was available.
    """
    rows = book.inputs.rows("renewals")
    if rows is None:
        return None
    index, segments = account_index(book), dict(book.accounts.select("id", "segment").iter_rows())
    listed = []
    for row in rows:
        if not book.windows.rolling.holds(row["due_on"]):
            continue
        account, outcome = found(index, row["account_key"]), _outcome(book, row["due_on"], row["renewed"], row["renewed_on"])
        factor = book.rates.on(row["currency"], row["due_on"])
        kept = min(row["renewed"], row["available"]) if outcome == "renewed" else Decimal(0)
        money = (None, None) if factor is None else (row["available"] * factor, kept * factor)
        listed.append((row[PLACE], account, segments.get(account), row["due_on"], row["renewed_on"], outcome, *money))
    schema: dict[str, type[pl.DataType] | pl.DataType] = {
        "input": pl.String, "customer": pl.String, "segment": pl.String, "due_on": pl.Date, "renewed_on": pl.Date, "outcome": pl.String,
        "available": MONEY, "renewed": MONEY,
    }  # fmt: skip
    return pl.DataFrame(listed, schema=schema, orient="row").sort("due_on", "customer", "input")


def _outcome(book: Book, due: date, renewed: Decimal | None, on: date | None) -> str:
    limit = due + timedelta(days=book.settings.thresholds.late_renewal_days)
    if renewed is None or (on is not None and on > book.today):
        return "pending" if book.today <= limit else "lost"
    return "renewed" if renewed > 0 and (on is None or on <= limit) else "lost"


@derived
def next_renewals(book: Book) -> dict[str, date]:
    """Account → the earliest day on which a renewal of it is due that nobody has decided, whenever that is; it is lost when its time is over."""
    index, found_days = account_index(book), dict[str, date]()
    for row in book.inputs.rows("renewals") or ():
        if _outcome(book, row["due_on"], row["renewed"], row["renewed_on"]) == "pending":
            account = found(index, row["account_key"])
            found_days[account] = min(row["due_on"], found_days.get(account, row["due_on"]))
    return found_days


def _decided(due: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    decided = due.filter(pl.col("outcome") != "pending")
    return decided, due.height - decided.height


@kpi("lost_hospital_contracts", number=87, grain="company", units="count", kind="lagging", write_back="K", needs=("renewals",), rests_on="none",
     source=f'"churn" in board language ({MEDTECH})')  # fmt: skip
def lost_hospital_contracts(book: Book) -> Iterator[Row]:
    """Renewals due in T12M that were lost, of accounts whose segment is in ``lost_contract_segments``.

    Decided are: renewed for more than 0 at most ``thresholds.late_renewal_days`` late (a late renewal, no loss); not renewed, that is for
    0, later than that, or not at all when that time has passed (lost). Undecided within that time: pending. A decision dated after today
    has not happened. n: decided renewals of every segment.

    >>> from connector.kpis.example import example
    >>> lost = {"account_key": "A1", "due_on": "2026-10-31", "available": 10000, "renewed": 0}
    >>> late = {"account_key": "A1", "due_on": "2026-09-30", "available": 9000, "renewed": 9000, "renewed_on": "2026-12-01"}
    >>> example().set("lost_contract_segments", ["hospital"]).file("renewals", lost, late).show("lost_hospital_contracts")
    '1 count, n=2'
    """
    due, window = renewals(book), book.windows.rolling
    if due is None:
        yield missing("company", window.label, small=False)
        return
    counted = pl.col("outcome").eq("lost") & pl.col("segment").is_in(list(book.settings.lost_contract_segments)).fill_null(False)
    decided, pending = _decided(due.with_columns(counted=counted))
    yield Row("company", window.label, int(decided["counted"].sum()), decided.height, pending=pending, evidence=decided)


@kpi("renewal_rate", number=88, grain="company", units="ratio", kind="lagging", write_back="K", needs=("renewals",), rests_on="none",
     source="owned by the CRO, not the VP (CRO vs VP of Sales)")  # fmt: skip
def renewal_rate(book: Book) -> Iterator[Row]:
    """Σ min(renewed, available) ÷ Σ available over the decided renewals due in T12M (decided: see lost_hospital_contracts).

    Capped per renewal: a customer that buys more with its renewal does not make up for another's loss. Money at the rate of the due
    date; without one the renewal is ``missing_fx``. n: decided renewals.

    >>> from connector.kpis.example import example
    >>> more = {"account_key": "A1", "due_on": "2026-11-30", "available": 100, "renewed": 150, "renewed_on": "2026-11-30"}
    >>> lost = {"account_key": "A2", "due_on": "2026-10-31", "available": 100, "renewed": 0}
    >>> example().file("renewals", more, lost).show("renewal_rate")
    '0.5 ratio, n=2, low n'
    """
    due, window = renewals(book), book.windows.rolling
    if due is None:
        yield missing("company", window.label)
        return
    decided, pending = _decided(due)
    known = decided.filter(pl.col("available").is_not_null())
    left_out = {"missing_fx": decided.height - known.height}
    yield quotient(
        "company", window.label, total(known["renewed"]), total(known["available"]), known.height, excluded=left_out, pending=pending, evidence=known
    )


# -- growth -------------------------------------------------------------------------------------------------------


@kpi("expansion_revenue_share", number=89, grain="segment, company", units="ratio", kind="lagging", write_back="K", needs=("arr_ledger",),
     rests_on="none", source=f"share of existing customer revenue ({HEALTHCARE})")  # fmt: skip
def expansion_revenue_share(book: Book) -> Iterator[Row]:
    """Expansion ARR booked in T12M by the customers of the day before it ÷ their ARR on that day, at one constant rate.

    Expansions of customers won within T12M are left out. n: customers then; those without an exchange rate are ``missing_fx``.

    >>> from connector.kpis.example import example
    >>> old = {"account_key": "A1", "date": "2025-12-15", "type": "new", "delta": 100}
    >>> grown = {"account_key": "A1", "date": "2026-12-15", "type": "expansion", "delta": 25}
    >>> example().file("arr_ledger", old, grown).show("expansion_revenue_share")
    '0.25 ratio, n=1, low n'
    """
    yield from _against_start(book, "grown")


_ORDER = {"new": 0, "expansion": 1, "contraction": 2, "churn": 3}


@derived
def first_expansions(book: Book) -> pl.DataFrame | None:
    """Accounts with a ``new`` row, or None without a ledger: account, since, until, done (it expanded), months (whole ones between the two)."""
    entries = ledger(book)
    if entries is None:
        return None
    lines: dict[str, list[tuple[date, int, Decimal, str]]] = {}
    for account, day, kind, native, currency in entries.entries.select("account", "date", "type", "native", "currency").iter_rows():
        lines.setdefault(account, []).append((day, _ORDER[kind], native, currency))
    listed = []
    for account in sorted(lines):
        spell = _first_spell(sorted(lines[account]), book.today)
        if spell is not None:
            listed.append((account, *spell, whole_months(spell[0], spell[1])))
    schema = {"account": pl.String, "since": pl.Date, "until": pl.Date, "done": pl.Boolean, "months": pl.Int64}
    return pl.DataFrame(listed, schema=schema, orient="row")


def _first_spell(lines: list[tuple[date, int, Decimal, str]], today: date) -> tuple[date, date, bool] | None:
    """(first ``new``, first expansion or the day nothing was left or today, whether it is an expansion); None without a ``new``."""
    since: date | None = None
    balance: dict[str, Decimal] = {}
    for day, kind, native, currency in lines:
        balance[currency] = balance.get(currency, Decimal(0)) + native
        if since is None:
            since = day if kind == _ORDER["new"] else None
        elif kind == _ORDER["expansion"]:
            return since, day, True
        elif not any(balance.values()):
            return since, day, False
    return None if since is None else (since, today, False)


@kpi("time_to_first_expansion", number=90, grain="account, company", units=dict.fromkeys(("", "mean", "km_median"), "months"), kind="lagging",
     write_back="K A", needs=("arr_ledger",), rests_on="none", source=f"average months to first upsell ({HEALTHCARE})")  # fmt: skip
def time_to_first_expansion(book: Book) -> Iterator[Row]:
    """Whole months from an account's first ``new`` row of the ledger to its first ``expansion``.

    Without one: months until its ARR fell to 0, else until today, ``censored``. A customer that left before it expanded and came back
    stays as it was when it left. Rows of one day count in the order new, expansion, contraction, churn. Company: ``mean`` of the
    completed (n) and ``km_median`` over all accounts; pending: those without an expansion.

    >>> from connector.kpis.example import example
    >>> old = {"account_key": "A1", "date": "2025-12-15", "type": "new", "delta": 100}
    >>> grown = {"account_key": "A1", "date": "2026-12-14", "type": "expansion", "delta": 25}
    >>> example().file("arr_ledger", old, grown).show("time_to_first_expansion", subject="account=A1")
    '11 months, n=1'
    """
    accounts = first_expansions(book)
    if accounts is None:
        yield from (missing("company", "ALL", variant) for variant in ("mean", "km_median"))
        return
    for place, (account, done, months) in enumerate(accounts.select("account", "done", "months").iter_rows()):
        told = accounts.slice(place, 1)
        yield Row(f"account={account}", "ALL", months, 1, pending=None if done else 1, reason=None if done else "censored", evidence=told)
    completed = accounts.filter("done")
    yield from middle("company", "ALL", completed["months"], {"mean": "mean"}, pending=accounts.height - completed.height, evidence=completed)
    yield from quantiles("company", "ALL", kaplan_meier(accounts["months"], accounts["done"]), ("km_median",), evidence=accounts)


@derived
def _installed(book: Book) -> dict[str, tuple[int, list[Line]]] | None:
    """Account → (units installed today, their lines), or None without installed_base.csv."""
    rows = book.inputs.rows("installed_base")
    if rows is None:
        return None
    units: dict[str, tuple[int, list[Line]]] = {}
    for row in rows:
        if row["installed_on"] <= book.today and (row["removed_on"] is None or row["removed_on"] > book.today):
            account = found(account_index(book), row["account_key"])
            number, lines = units.setdefault(account, (0, []))
            units[account] = number + row["units"], [*lines, row]
    return units


@kpi("consumable_pull_through_per_installed_base", number=91, grain="account, company", units="money_per_unit", kind="lagging", write_back="A K",
     needs=("installed_base", "consumables"), rests_on="none", source=f'"NRR" in medtech language ({MEDTECH})')  # fmt: skip
def consumable_pull_through_per_installed_base(book: Book) -> Iterator[Row]:
    """Consumables revenue of T12M ÷ units installed today, per account that has units; company: sum ÷ sum over these accounts.

    Revenue by invoice date and at its rate, credit notes taken off; invoices without a rate are ``missing_fx``. A unit is there from the
    day it was installed to the day before it was removed. Company: accounts with revenue and no units are counted in
    ``no_installed_units`` and left out. n: units.

    >>> from connector.kpis.example import example
    >>> base = {"account_key": "A1", "product": "P1", "units": 4, "installed_on": "2025-12-20"}
    >>> sold = {"account_key": "A1", "product": "P1", "date": "2026-11-10", "amount": 48000}
    >>> example().file("installed_base", base).file("consumables", sold).show("consumable_pull_through_per_installed_base")
    '12000 money_per_unit, n=4'
    """
    window, units, rows = book.windows.rolling, _installed(book), book.inputs.rows("consumables")
    if units is None or rows is None:
        yield missing("company", window.label, small=False)
        return
    sold: dict[str, list[Line]] = {}
    for row in rows:
        if window.holds(row["date"]):
            sold.setdefault(found(account_index(book), row["account_key"]), []).append(row)
    for account in sorted(units):
        yield _pull_through(book, f"account={account}", units[account][0], units[account][1], sold.get(account, []))
    bare = {"no_installed_units": len(sold.keys() - units.keys())}
    installed = [line for account in sorted(units) for line in units[account][1]]
    invoices = [line for account in sorted(units) for line in sold.get(account, [])]
    yield _pull_through(book, "company", sum(number for number, _ in units.values()), installed, invoices, bare)


def _pull_through(
    book: Book, subject: str, units: int, installed: list[Line], invoices: list[Line], excluded: Mapping[str, int] | None = None
) -> Row:
    values = [book.rates.convert(line["amount"], line["currency"], line["date"]) for line in invoices]
    known = [value for value in values if value is not None]
    revenue = None if values and not known else sum(known, Decimal(0))
    left_out = {**(excluded or {}), "missing_fx": len(values) - len(known)}
    told = together([of_inputs(installed, "account_key", "units", "installed_on"), of_inputs(invoices, "account_key", "date", "amount", "currency")])
    return quotient(subject, book.windows.rolling.label, revenue, units, units, small=False, excluded=left_out, evidence=told)
