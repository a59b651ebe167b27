"""Inputs against the records of a CRM: keys that name nothing, gaps, words nobody knows, a ledger that says otherwise (kpis/inputs.md §1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import NamedTuple

import polars as pl

from connector.errors import Finding
from connector.kpis.book.book import Book
from connector.kpis.book.keys import account_index, contact_index, deal_index, found, owner_index
from connector.kpis.book.ledger import ledger
from connector.kpis.book.money import total
from connector.kpis.book.windows import add_months, parse
from connector.kpis.definition import REGISTRY
from connector.kpis.inputs.tables import TABLES
from connector.model.records import PERSONAS


def against(book: Book) -> list[Finding]:
    """Every finding: SC-W094 keys without a record (their rows are kept, counted), SC-W096 gaps with the KPIs concerned, SC-E091 words that
    neither mapping files nor records know."""
    return [*_unmatched(book), *_spend_gaps(book), *_quota_gaps(book), *_rateless(book), *_unknown_words(book)]


def _shown(words: Iterable[str]) -> str:
    """The first three of some words, and how many more.

    >>> _shown(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    listed = list(words)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def _unmatched(book: Book) -> Iterator[Finding]:
    indexes = {
        "owner_key": owner_index(book), "account_key": account_index(book), "contact_key": contact_index(book),
        "opportunity_key": deal_index(book),
    }  # fmt: skip
    for name, rows in book.inputs.tables.items():
        for column, index in indexes.items():
            keys = {row[column] for row in rows if row.get(column) is not None}
            known = set(index.values())
            strange = sorted(key for key in keys if found(index, key) not in known)
            if strange:
                said = f"{len(strange)} of {len(keys)} keys name no record: {_shown(strange)}"
                yield Finding("SC-W094", said, "warning", file=f"inputs/{name}.csv", path=column)


def _concerned(name: str) -> str:
    kpis = [kpi.name for kpi in REGISTRY.values() if name in kpi.needs]
    return f"; it concerns {_shown(kpis)}" if kpis else ""


def _gap(name: str, said: str) -> Finding:
    return Finding("SC-W096", f"{said}{_concerned(name)}", "warning", file=f"inputs/{name}.csv")


def _months(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first = add_months(first, 1)


def _spend_gaps(book: Book) -> Iterator[Finding]:
    """Months without a row, from the first row to the last complete month."""
    there = {row["month"] for row in book.inputs.rows("spend") or ()}
    lacking = [m for m in _months(min(there), add_months(book.today.replace(day=1), -1)) if m not in there] if there else []
    if lacking:
        yield _gap("spend", f"no spend in {_shown(f'{month:%Y-%m}' for month in lacking)}")


def _quota_gaps(book: Book) -> Iterator[Finding]:
    """Quarters in which an owner has only one or two of three months; and the current quarter, where an owner of the last one has no quota."""
    held: dict[tuple[str, str], set[str]] = {}
    for row in book.inputs.rows("quotas") or ():
        first = parse(row["period"], book.today, book.calendar).first
        assert first is not None
        whole = row["period"].startswith("FY")
        quarter = row["period"] if whole else book.calendar.fiscal_quarter(first)
        held.setdefault((found(owner_index(book), row["owner_key"]), quarter), set()).add("whole" if whole else row["period"])
    partial = [f"{owner} {quarter}" for (owner, quarter), parts in sorted(held.items()) if "whole" not in parts and len(parts) < 3]
    if partial:
        yield _gap("quotas", f"one or two months are no quota of a quarter: {_shown(partial)}")
    now = book.windows.quarter.label
    previous = next((window.label for window in book.windows.quarters if window.label != now), None)
    lapsed = sorted(owner for owner, quarter in held if quarter == previous and (owner, now) not in held)
    if lapsed:
        yield _gap("quotas", f"no quota in {now} for {_shown(lapsed)}, who had one in {previous}")


def _rateless(book: Book) -> Iterator[Finding]:
    """Currencies in use without a rate on the day they are needed."""
    deals = book.deals.filter((pl.col("amount_why") == "missing_fx") | (pl.col("arr_why") == "missing_fx"))
    for currency, number in sorted(deals.group_by("currency").len().iter_rows()):
        said = f"no rate for {currency}: {number} {'deal counts' if number == 1 else 'deals count'} in no sum of money"
        yield Finding("SC-W096", said, "warning", file="inputs/fx.csv", next=f"add rows of {currency} to inputs/fx.csv")
    for name in ("quotas", "spend", "arr_ledger", "renewals", "consumables"):
        rows = book.inputs.rows(name) or ()
        lacking = sorted({str(row["currency"]) for row in rows if row["currency"] and book.rates.on(row["currency"], book.today) is None})
        if lacking:
            yield _gap(name, f"no rate for {_shown(lacking)}")


def _unknown_words(book: Book) -> Iterator[Finding]:
    """Personas and segments that no mapping file and no record knows."""
    segments = {*book.ladder.required, *book.settings.required_personas, *book.accounts["segment"].drop_nulls(), *book.deals["segment"].drop_nulls()}
    known: Mapping[str, set[str]] = {"persona": set(PERSONAS), "segment": segments}
    for name, rows in book.inputs.tables.items():
        for column, words in known.items():
            if column in {c.name for c in TABLES[name]} and words:
                strange = sorted({row[column] for row in rows if row[column] is not None} - words)
                if strange:
                    yield Finding("SC-E091", f"unknown {column} {_shown(strange)}", file=f"inputs/{name}.csv", path=column)


class NewArr(NamedTuple):
    """New ARR of one fiscal quarter as the ledger and as the CRM have it, in the reporting currency."""

    quarter: str
    ledger: float
    crm: float


def new_arr_twice(book: Book) -> list[NewArr]:
    """New ARR of the current and previous fiscal quarter: the ledger's rows of type new, and the ARR of won new business. Empty without a ledger."""
    entries = ledger(book)
    if entries is None:
        return []
    rows = []
    for window in book.windows.quarters:
        last = min(window.last or book.today, book.today)
        new = entries.at(last).filter((pl.col("type") == "new") & window.covers("date"))
        rows.append(NewArr(window.label, total(new["delta"]), total(book.won(window)["arr"])))
    return rows
