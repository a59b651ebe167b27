"""Is the data good enough, and does the programme work? (catalogue 8.11)"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Literal

import polars as pl

from connector.errors import InputError, MappingError
from connector.kpis.book.book import Book, derived
from connector.kpis.book.windows import Window, parse
from connector.kpis.definition import REGISTRY, Measure, Row, kpi
from connector.kpis.evidence import of_deals, of_snapshots, together
from connector.kpis.personas import personas
from connector.kpis.shapes import deal, missing, quotient, slices

FIELDS = {
    "amount": "Amount", "arr": "ARR", "closes_on": "Close date", "next_step": "Next step", "lead_source": "Lead source",
    "primary_contact": "Primary contact", "segment": "Segment", "product": "Product", "persona": "Buyer contact",
}  # fmt: skip
"""Keys of ``required_fields`` and their labels."""
_COLUMNS = {"amount": "native_amount", "arr": "native_arr", "lead_source": "source", "next_step": "has_next_step"}


def _filled(deal_row: dict[str, Any], key: str, today: date, known: set[str]) -> bool:
    if key == "amount":
        return deal_row["native_amount"] is not None and deal_row["native_amount"] > 0
    if key == "closes_on":
        return deal_row["closes_on"] is not None and deal_row["closes_on"] >= today
    if key == "persona":
        return deal_row["id"] in known
    value = deal_row[_COLUMNS.get(key, key)]
    return value is not None and value is not False


def _known_fields(setting: Mapping[str, tuple[str, ...]]) -> None:
    for stage, keys in setting.items():
        for key in keys:
            if key not in FIELDS:
                raise MappingError(f"required_fields.{stage}: unknown field {key}; known are {', '.join(FIELDS)}", code="SC-E022")


@derived
def data_gaps(book: Book) -> dict[str, tuple[list[str], int]]:
    """Open deal → (missing required fields in the order of the setting, how many are required).

    Required: the union of ``required_fields`` of every rung at or below the present one (parked or unmapped: the last ranked one).
    """
    ranks, setting = book.ladder.ranks, book.settings.required_fields
    _known_fields(setting)
    rungs = [(ranks[stage], fields) for stage, fields in setting.items() if stage in ranks]
    last_ranked = dict(book.visits.drop_nulls("rank").group_by("opportunity", maintain_order=True).last().select("opportunity", "rank").iter_rows())
    known = set(personas(book)["opportunity"])
    found: dict[str, tuple[list[str], int]] = {}
    columns = ["id", "rank", "closes_on", *dict.fromkeys(_COLUMNS.get(key, key) for key in FIELDS if key not in ("closes_on", "persona"))]
    for row in book.open_deals.select(columns).iter_rows(named=True):
        rank = row["rank"] if row["rank"] is not None else last_ranked.get(row["id"], -1)
        required = list(dict.fromkeys(key for at, fields in rungs if at <= rank for key in fields))
        found[row["id"]] = [key for key in required if not _filled(row, key, book.today, known)], len(required)
    return found


@derived
def _told(book: Book) -> pl.DataFrame:
    """Open deals with filled, required and missing (the keys of the fields that are not filled)."""
    gaps = data_gaps(book)
    lists = pl.Series("missing", [gaps[id][0] for id in book.open_deals["id"]], dtype=pl.List(pl.String))
    required = pl.Series("required", [gaps[id][1] for id in book.open_deals["id"]], dtype=pl.Int64)
    return book.open_deals.with_columns(lists, required).with_columns(filled=pl.col("required") - pl.col("missing").list.len())


@kpi("data_health_score", number=101, grain="opportunity, owner, company", units="ratio", kind="leading", write_back="O U",
     needs=("setting:required_fields",), source="first deliverable of the first 30 days (healthtech CRO KPIs)", rests_on="none")  # fmt: skip
def data_health_score(book: Book) -> Iterator[Row]:
    """Filled required fields ÷ required fields of open deals; company and owner: open new business.

    Required: the union of ``required_fields`` of every rung at or below the deal's present one (parked or unmapped: its last ranked one).
    Filled: an amount above 0, a close date that is not past, any other field by its presence; the text of the next step is never read. The
    evidence lists per deal what is missing. A deal of which nothing is required is null. *n*: deals; per deal: required fields.

    >>> from connector.kpis.example import example
    >>> company = example().set("required_fields", {"demo": ["amount", "closes_on", "product"]}).deal("D1", "demo 2026-12-01")
    >>> company.show("data_health_score", subject="opportunity=D1")
    '0.6666666667 ratio, n=3'
    """
    asked, all_open = book.settings.required_fields, _told(book)
    evidence = "filled", "required", "missing"
    for subject, part in slices(all_open.filter(pl.col("deal_type") == "new_business"), "owner"):
        below = int(part["required"].sum()) if asked else None
        yield quotient(subject, "asof", int(part["filled"].sum()), below, part.height, small=False, evidence=of_deals(part, *evidence))
    for told in of_deals(all_open, *evidence).iter_slices(1):
        id, filled, required, _ = told.row(0)
        if required:
            yield Row(deal(id), "asof", filled / required, required, evidence=told)
        else:
            yield Row(deal(id), "asof", None, 0, reason="not_applicable" if asked else "missing_input", evidence=told)


def _role(label: str | None, day: date, book: Book) -> str:
    """What a window is to a day: the running quarter, the one before, T12M …, so that a window of now meets its like of an earlier day.

    A snapshot without a window meets any.
    """
    if label is None:
        return ""
    if m := re.fullmatch(r"FY(\d{4})(?:-Q([1-4]))?", label):
        now_year, _, now_quarter = book.calendar.fiscal_quarter(day).removeprefix("FY").partition("-Q")
        back = 4 * (int(now_year) - int(m[1])) + (int(now_quarter) - int(m[2]) if m[2] else 0)
        return f"{'quarter' if m[2] else 'year'} -{back}"
    if re.fullmatch(r"\d{4}-W\d{2}", label):
        monday = _window(label, book).first
        return label if monday is None else f"week -{(day - monday).days // 7}"
    return label


def _window(label: str, book: Book) -> Window:
    try:
        return parse(label, book.today, book.calendar)
    except InputError:
        return Window(label)


@derived
def _baselines(book: Book) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """(KPI, variant) → its company snapshots with a number on or before ``programme.baseline_on``, the latest first."""
    day = book.settings.programme.baseline_on
    held: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in book.snapshots:
        usable = row["subject"] == "company" and row.get("value") is not None and row["kpi"] != "kpi_delta_vs_baseline"
        if day is not None and usable and row["date"] <= min(day, book.today):
            held.setdefault((row["kpi"], row.get("variant") or ""), []).append(row)
    return {key: sorted(held[key], key=lambda row: (row["date"], row.get("window") or ""), reverse=True) for key in sorted(held)}


def _then(book: Book, now: Measure) -> Mapping[str, Any] | None:
    """The last snapshot of the same measure, of the window that was then what its window is now."""
    wanted = _role(now.window, book.today, book)
    rows = _baselines(book).get((now.kpi, now.variant), [])
    return next((row for row in rows if _role(row.get("window"), row["date"], book) in ("", wanted)), None)


def _verdict(now: Measure, then: Mapping[str, Any], delta: float) -> Literal["up", "down", "no_visible_change"]:
    sides = [then.get("ci_low"), then.get("ci_high"), now.ci_low, now.ci_high]
    low, high, now_low, now_high = (None if side is None else float(side) for side in sides)
    overlap = low is not None and high is not None and now_low is not None and now_high is not None and low <= now_high and now_low <= high
    if overlap or math.isclose(delta, 0, abs_tol=1e-9 * max(1.0, abs(float(then["value"])))):
        return "no_visible_change"
    return "up" if delta > 0 else "down"


@kpi("kpi_delta_vs_baseline", number=102, grain="as the KPI", units={"": "ratio", "verdict": "label"}, kind="qualitative", write_back="K",
     needs=("setting:programme.baseline_on",), source="30-60-90 day plans (medtech CRO KPIs, healthtech CRO KPIs)",
     rests_on="none", of_deals=False)  # fmt: skip
def kpi_delta_vs_baseline(book: Book) -> Iterator[Row]:
    """Value now − the last own snapshot on or before ``programme.baseline_on``, in the unit of the KPI, for every company value with a snapshot.

    ``verdict``: up, down or no_visible_change (equal, or both have intervals and they overlap); it does not say which way is good. A quarter
    is compared with the quarter that ran then, T12M with T12M. The subject names the KPI, and a variant behind a dot:
    ``company,kpi=average_deal_size.median``; of several windows the first stands. Null as the KPI is now; one null row
    where no baseline is set or no snapshot is old enough. *n*: as the KPI.

    >>> from connector.kpis.example import example
    >>> company = example().set("programme.baseline_on", "2026-12-31").deal("D1", "demo 2026-12-01")
    >>> company.given["state"]["kpi_snapshots"] = [{"kpi": "active_opportunity_count", "subject": "company", "date": "2026-12-31", "value": 3}]
    >>> company.show("kpi_delta_vs_baseline", subject="company,kpi=active_opportunity_count")
    '-2 count, n=1'
    """
    told = False
    for name in dict.fromkeys(measured for measured, _ in _baselines(book)):
        seen = set()
        for now, evidence in REGISTRY[name].evidenced(book) if name in REGISTRY else ():
            then = _then(book, now) if now.subject == "company" and now.variant not in seen else None
            if then is None or now.unit in ("label", "list", "bool"):
                continue
            seen.add(now.variant)
            told = True
            subject = f"company,kpi={name}" + (f".{now.variant}" if now.variant else "")
            yield from _delta(subject, now, then, evidence)
    if not told:
        yield missing("company", "asof", small=False)


def _delta(subject: str, now: Measure, then: Mapping[str, Any], evidence: pl.DataFrame | None) -> Iterator[Row]:
    both = together([of_snapshots([then]), evidence])
    if not isinstance(now.value, (int, float)):
        yield Row(subject, "asof", None, now.n or 0, reason=now.reason, evidence=both, unit=now.unit)
        yield Row(subject, "asof", None, now.n or 0, "verdict", reason=now.reason, evidence=both)
        return
    delta = now.value - float(then["value"])
    yield Row(subject, "asof", delta, now.n or 0, evidence=both, unit=now.unit)
    yield Row(subject, "asof", _verdict(now, then, delta), now.n or 0, "verdict", evidence=both)


WEEKLY = {
    "coverage": ("weighted_pipeline_coverage", ""), "weighted_funnel": ("weighted_pipeline_value", ""),
    "expected_arr": ("expected_arr_by_quarter_end", ""), "in_compliance_review": ("deals_stuck_in_compliance_review", "in_review"),
}  # fmt: skip
"""Variant of ``weekly_three`` → the company value it repeats."""


@kpi("weekly_three", number=103, grain="company", kind="leading", write_back="K", needs=("quotas",),
     units={"coverage": "x", "weighted_funnel": "money", "expected_arr": "money", "in_compliance_review": "count"},
     source="weekly review of three numbers and one more (healthtech CRO KPIs)")  # fmt: skip
def weekly_three(book: Book) -> Iterator[Row]:
    """The numbers of the weekly review, as of: ``coverage`` (weighted, 4), ``weighted_funnel`` (2), ``expected_arr`` by the quarter's end (8).

    And one of healthtech: deals ``in_compliance_review`` (52). *n* and evidence: as these; what they left out stands there.

    >>> from connector.kpis.example import example
    >>> example().deal("D1", "demo 2026-12-01").show("weekly_three", "weighted_funnel")
    '200 money, n=1'
    """
    for variant, (name, of) in WEEKLY.items():
        row = next(row for row in REGISTRY[name].rows(book) if (row.subject, row.variant) == ("company", of))
        yield row._replace(variant=variant, window="asof", excluded=None)
