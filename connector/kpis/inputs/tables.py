"""The tables of inputs that no CRM holds: their columns, as kpis/inputs.md section 2 has them. Data only; inputs.py reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PLACE = "place"
"""Key of an input row that says where it stands: ``inputs/quotas.csv:3``."""
ColumnKind = Literal["text", "date", "month", "week", "period", "quarter", "money", "int", "number", "bool", "choice"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: ``required`` cells may not be empty, ``key`` columns together name a row, ``low``/``high`` are inclusive bounds."""

    name: str
    kind: ColumnKind
    required: bool = False
    key: bool = False
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    default: str | None = None


def _key(name: str, kind: ColumnKind = "text", *, required: bool = True, choices: tuple[str, ...] = (), default: str | None = None) -> Column:
    return Column(name, kind, required=required, key=True, choices=choices, default=default)


def _must(
    name: str,
    kind: ColumnKind = "text",
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] = (),
) -> Column:
    return Column(name, kind, required=True, low=low, high=high, above=above, choices=choices)


def _may(name: str, kind: ColumnKind = "text", *, low: float | None = None, high: float | None = None) -> Column:
    return Column(name, kind, low=low, high=high)


_BASIS = _key("basis", "choice", required=False, choices=("bookings", "arr"), default="bookings")
_CURRENCY = _may("currency")
_LEDGER_TYPES = ("new", "expansion", "contraction", "churn")
_SPEND = ("sales", "marketing", "onboarding", "compliance", "legal", "demo", "travel")
_TIME = ("selling", "admin", "travel", "training", "show", "compliance", "other")

TABLES: dict[str, tuple[Column, ...]] = {
    "quotas": (_key("owner_key"), _key("period", "period"), _must("amount", "money", low=0), _CURRENCY, _BASIS),
    "people": (_key("owner_key"), _may("hired_on", "date"), _may("left_on", "date"), _may("team"), _may("quota_from", "date")),
    "spend": (_must("month", "month"), _must("category", "choice", choices=_SPEND), _may("segment"), _must("amount", "money", low=0), _CURRENCY),
    "clearances": (
        _key("product"), _key("region", required=False), _must("kind", "choice", choices=("510k", "pma", "de_novo", "ce", "other")),
        _may("number"), _key("cleared_on", "date"),
    ),
    "product_finance": (_must("product"), _must("month", "month"), _must("revenue", "money"), _must("cogs", "money")),
    "readiness": (_key("product"), _key("date", "date"), _must("score", "int", low=1, high=10)),
    "arr_ledger": (
        _must("account_key"), _must("date", "date"), _must("type", "choice", choices=_LEDGER_TYPES), _must("delta", "money"), _CURRENCY,
    ),
    "renewals": (
        _key("account_key"), _key("due_on", "date"), _must("available", "money", above=0), _may("renewed", "money", low=0),
        _may("renewed_on", "date"), _CURRENCY,
    ),
    "installed_base": (
        _must("account_key"), _must("product"), _must("units", "int", low=1), _must("installed_on", "date"), _may("removed_on", "date"),
    ),
    "consumables": (_must("account_key"), _may("product"), _must("date", "date"), _must("amount", "money"), _CURRENCY),
    "milestones": (
        _key("account_key"), _key("opportunity_key", required=False), _key("name"), _must("due_on", "date"), _may("done_on", "date"),
        _may("budget", "money", low=0), _may("actual", "money", low=0),
    ),
    "adoption": (
        _key("account_key"), _key("date", "date"), _key("role", required=False), _must("active", "int", low=0), _must("licensed", "int", low=0),
    ),
    "sentiment": (
        _key("account_key"), _key("date", "date"), _may("nps", "int", low=-100, high=100), _may("qbr", "int", low=1, high=5),
        _may("support_csat", "number", low=0, high=100),
    ),
    "expansion_events": (_key("account_key"), _key("date", "date"), _key("event")),
    "time_log": (
        _must("owner_key"), _must("week", "week"), _must("category", "choice", choices=_TIME), _must("hours", "number", low=0, high=168),
    ),
    "kol": (_key("contact_key"), _may("advisory_board", "bool"), _may("published_on", "date")),
    "forecast_snapshots": (
        _key("period", "quarter"), _key("owner_key", required=False), _key("submitted_on", "date"), _must("amount", "money"), _CURRENCY, _BASIS,
    ),
    "lms": (_must("owner_key"), _must("date", "date"), _may("topic"), _must("correct", "int", low=0), _must("asked", "int", low=1)),
    "coaching": (_key("owner_key"), _key("date", "date"), _must("submitted", "bool"), _may("good_articulation", "bool"), _may("best", "bool")),
    "outreach": (_must("owner_key"), _must("week", "week"), _must("contacts_reached", "int", low=0), _must("meetings_booked", "int", low=0)),
    "persona_ratings": (_must("persona"), _must("date", "date"), _must("score", "number", low=0, high=10)),
    "fx": (_key("currency"), _key("date", "date"), _must("rate", "money", above=0)),
}  # fmt: skip
"""Input name (file name without ``.csv``) → its columns."""
