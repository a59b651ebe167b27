"""How owners keep their deals: pushed close dates, changed amounts, next steps, hand-overs, and deals nobody looks at."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from functools import partial

from connector.sandbox.business import hours, paths
from connector.sandbox.business.company import Company, Deal

_NEXT_STEPS = (
    "Call the OR director",
    "Send VAC package",
    "Agree evaluation dates",
    "Get the quote signed off",
    "Meet the CFO",
    "Return questionnaire",
)


def begin(co: Company, deal: Deal) -> None:
    """The owner starts (again) to look after the deal every few weeks."""
    co.while_open(deal, co.span(6, 25), partial(_review, co, deal))


def estimate(co: Company, deal: Deal) -> date:
    """When a hopeful owner expects the close: often the end of a quarter."""
    days = paths.expected_days(deal.pipeline, deal.stage, deal.segment) * co.span(0.7, 1.4)
    day = co.today + timedelta(days=min(max(7, round(days)), 500))
    return hours.quarter_end(day) if co.chance(0.4) else day


def after_move(co: Company, deal: Deal) -> None:
    """A new stage makes the owner think about date and money again."""
    values: dict[str, object] = {}
    if co.chance(0.3):
        values["closes_on"] = estimate(co, deal)
    if deal.amount is None and deal.stage in {"demo", "pilot", "contracting"} and co.chance(0.35):
        values["amount"] = list_price(co, deal.pipeline, deal.segment)
    if co.chance(0.35):
        values["next_step"] = co.rng.choice(_NEXT_STEPS)
    if values:
        co.edit(deal, values, pause=co.span(0, 35))


def list_price(co: Company, pipeline: str, segment: str) -> Decimal:
    """An amount in the deal's currency, by what is sold and to whom, to the nearest 500."""
    low, high = {
        "capital": {"clinic": (55, 120), "asc": (80, 190), "hospital": (150, 420), "university_hospital": (240, 650), "idn": (450, 1600)},
        "disposables": {"clinic": (5, 15), "asc": (8, 30), "hospital": (15, 60), "university_hospital": (20, 80), "idn": (40, 150)},
        "software": {"clinic": (12, 30), "asc": (18, 45), "hospital": (40, 140), "university_hospital": (60, 200), "idn": (120, 420)},
        "renewals": {"clinic": (12, 30), "asc": (18, 45), "hospital": (40, 140), "university_hospital": (60, 200), "idn": (120, 420)},
    }[pipeline][segment]
    return Decimal(round(co.rng.triangular(low, high, low + (high - low) * 0.35) * 2)) * 500


def _review(co: Company, deal: Deal) -> None:
    if deal.neglected:
        return
    values: dict[str, object] = {}
    if deal.closes_on < co.today + timedelta(days=8) and co.chance(0.78):
        values["closes_on"] = max(deal.closes_on, co.today) + timedelta(days=co.rng.choice((14, 28, 30, 31, 45, 60, 92)))
    if deal.amount and co.chance(0.09):
        values["amount"] = (deal.amount * Decimal(co.rng.choice(("0.8", "0.9", "0.95", "1.1", "1.25"))) / 500).quantize(Decimal(1)) * 500
    if co.chance(0.3):
        values["next_step"] = None if co.chance(0.15) else co.rng.choice(_NEXT_STEPS)
    if co.chance(0.02) or (not co.owners[deal.owner].active and co.chance(0.1)):
        values["owner"] = co.rep_for(co.accounts[deal.account].territory)
    if values:
        co.edit(deal, values)
    co.while_open(deal, co.span(14, 40), partial(_review, co, deal))
