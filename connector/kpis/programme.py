"""Is the data good enough, and does the programme work? (catalogue 8.11)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from connector.errors import MappingError
from connector.kpis.book import Book, derived
from connector.kpis.compliance import deals_stuck_in_compliance_review
from connector.kpis.coverage import weighted_pipeline_coverage
from connector.kpis.definition import Row, kpi
from connector.kpis.personas import personas
from connector.kpis.pipeline import expected_arr_by_quarter_end, weighted_pipeline_value
from connector.kpis.shapes import by, deal, quotient

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


@kpi("data_health_score", number=101, grain="opportunity, owner, company", units="ratio", kind="leading", write_back="O U",
     needs=("setting:required_fields",), source="first deliverable of the first 30 days (healthtech CRO KPIs)", rests_on="none")  # fmt: skip
def data_health_score(book: Book) -> Iterator[Row]:
    """Filled required fields ÷ required fields of open deals; company and owner: new business. The text of the next step is never read."""
    gaps = data_gaps(book)
    for subject, ids in [("company", book.open_new["id"].to_list()), *((f"owner={o}", p["id"].to_list()) for o, p in by(book.open_new, "owner"))]:
        required = sum(gaps[id][1] for id in ids)
        filled = required - sum(len(gaps[id][0]) for id in ids)
        yield quotient(subject, "asof", filled, required if book.settings.required_fields else None, len(ids), small=False)
    for id, (lacking, required) in gaps.items():
        if required:
            yield Row(deal(id), "asof", 1 - len(lacking) / required, required)
        else:
            yield Row(deal(id), "asof", None, 0, reason="not_applicable" if book.settings.required_fields else "missing_input")


@kpi("weekly_three", number=103, grain="company", kind="leading", write_back="K", needs=("quotas",),
     units={"coverage": "x", "weighted_funnel": "money", "expected_arr": "money", "in_compliance_review": "count"},
     source="weekly review of three numbers and one more (healthtech CRO KPIs)")  # fmt: skip
def weekly_three(book: Book) -> Iterator[Row]:
    """Weighted coverage, weighted funnel, expected ARR by the quarter's end, and deals in compliance review."""
    parts = {
        "coverage": weighted_pipeline_coverage, "weighted_funnel": weighted_pipeline_value,
        "expected_arr": expected_arr_by_quarter_end, "in_compliance_review": deals_stuck_in_compliance_review,
    }  # fmt: skip
    for variant, source in parts.items():
        yield next(source(book))._replace(variant=variant, window="asof", excluded=None)
