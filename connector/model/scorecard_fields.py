"""The fields of every grain beside the deal's written ones: what the mapping may name and the scorecard writes, said once for both.

Source of every row: the scorecard-fields page, sections 4 to 6. Shapes are written as set-up pages write them: ``Number(4,1)`` has four digits
before the point and one after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

MOST_DIGITS = 18
COMPANION_OBJECT = "KPI_Scorecard__c"
ANCHORS = ("pilot_started_on", "pilot_ended_on")
"""Keys of a deal that are made and written only where the company has no field of its own for the day."""
CALCULATED: Mapping[str, tuple[str, ...]] = {"salesforce": ("blended_arr",), "hubspot": ()}
"""Of a deal's written keys those that a formula of that CRM shows."""
TWO_FIELDS: Mapping[str, Mapping[str, str]] = {
    "salesforce": {"pace": "KPI_Pace__c", "stale_reason": "KPI_Stale_Reason__c"},
    "hubspot": {"pace": "kpi_pace", "stale_reason": "kpi_stale_reason"},
}
"""CRM → all that is made and written of a deal in the two-field mode, and the name of each field that the mapping does not name."""


@cache
def figures(shape: str) -> tuple[str, int, int]:
    """(kind, first figure, figure behind the comma) of a shape, 0 where it has none. Raises ValueError for what is no shape.

    >>> figures("Number(4,1)"), figures("Text(40)"), figures("Date")
    (('Number', 4, 1), ('Text', 40, 0), ('Date', 0, 0))
    """
    match = re.fullmatch(r"(\w+)(?:\((\d+)(?:,(\d+))?\))?", shape)
    if match is None:
        raise ValueError(f"{shape!r} is no shape of a field")
    return match[1], int(match[2] or 0), int(match[3] or 0)


@dataclass(frozen=True, slots=True)
class Row:
    """One field. ``salesforce`` is its name there; HubSpot's is ``kpi_`` and the key."""

    key: str
    label: str
    salesforce: str
    shape: str
    help: str

    @property
    def hubspot(self) -> str:
        return f"kpi_{self.key}"

    @property
    def digits(self) -> int | None:
        """Digits before the point that its number may have, of at most eighteen in all; None: it is no number."""
        kind, first, scale = figures(self.shape)
        return min(first, MOST_DIGITS - scale) if kind in ("Number", "Percent", "Currency") else None

    def holds(self, value: int | float | Decimal) -> bool:
        """Whether a number fits, once it is rounded as the field has it. A percent is 0–1 here and 0–100 there.

        >>> [row.holds(value) for row in ACCOUNT[1:2] for value in (1.25, 99.99, 99.995, 250)]
        [True, True, False, False]
        """
        if (digits := self.digits) is None:
            return True
        kind, _, scale = figures(self.shape)
        amount = abs(Decimal(str(value))) * (100 if kind == "Percent" else 1)
        return amount < Decimal(10) ** digits - Decimal(5).scaleb(-scale - 1)


ACCOUNT = (
    Row("arr", "ARR", "KPI_ARR__c", "Currency(18,2)", "Balance of the ARR ledger, with that of accounts below."),
    Row("nrr_12m", "NRR 12 months", "KPI_NRR_12M__c", "Percent(4,0)", "Net revenue retention of twelve months, with accounts below."),
    Row("renewal_on", "Next renewal", "KPI_Renewal_On__c", "Date", "The earliest renewal that is not decided."),
    Row("health_tier", "Health", "KPI_Health_Tier__c", "Picklist", "At risk, stable, or ready to expand; the reason stands beside it."),
    Row("health_reason", "Health: why", "KPI_Health_Reason__c", "Text(255)", "The rules that decided the health tier."),
    Row("adoption", "Adoption", "KPI_Adoption__c", "Percent(3,0)", "Share of the licensed or installed use that takes place."),
    Row("milestones_on_time", "Milestones on time", "KPI_Milestones_On_Time__c", "Text(20)", "Milestones reached by their day, of those due."),
    Row("go_live_days", "Contract to go-live", "KPI_Go_Live_Days__c", "Number(4,0)", "Days from the contract to go-live, of the last project."),
    Row("pull_through_per_unit", "Pull-through per unit", "KPI_Pull_Through_Per_Unit__c", "Currency(18,2)", "Consumables a month per unit."),
    Row("open_pipeline", "Open pipeline", "KPI_Open_Pipeline__c", "Currency(18,2)", "Open deals, with those of accounts below."),
    Row("active_kols", "Active KOLs", "KPI_Active_KOLs__c", "Number(3,0)", "Key opinion leaders of the account with a touch in 90 days."),
    Row("expansion_triggers", "Expansion triggers", "KPI_Expansion_Triggers__c", "Text(255)", "What happened that calls for a conversation."),
    Row("first_contact_on", "First contact", "KPI_First_Contact_On__c", "Date", "The first touch in which the buyer took part."),
)  # fmt: skip
TIERS = (("at_risk", "At risk"), ("stable", "Stable"), ("expansion_ready", "Expansion ready"))

CONTACT = (
    Row("kol_score", "KOL score", "KPI_KOL_Score__c", "Number(3,0)", "How engaged this key opinion leader is, 0 to 100."),
    Row("kol_last_touch", "KOL last touch", "KPI_KOL_Last_Touch__c", "Date", "The last touch with this key opinion leader."),
    Row("kol_referred_deals", "KOL referred deals", "KPI_KOL_Referred_Deals__c", "Number(3,0)", "Deals this key opinion leader referred."),
)

REP = (
    Row("key", "Key", "KPI_Key__c", "Text(80)", "User and period; rows are found again by it."),
    Row("user", "Rep", "KPI_User__c", "Lookup", "Whose scorecard it is."),
    Row("period", "Period", "KPI_Period__c", "Text(20)", "The period of the row."),
    Row("quota", "Quota", "KPI_Quota__c", "Currency(18,2)", "Quota of the period."),
    Row("won", "Won", "KPI_Won__c", "Currency(18,2)", "Won in the period."),
    Row("attainment", "Attainment", "KPI_Attainment__c", "Percent(5,0)", "Won of quota."),
    Row("coverage", "Coverage", "KPI_Coverage__c", "Number(6,2)", "Open pipeline that closes in the period, for each unit of quota."),
    Row(
        "weighted_coverage",
        "Weighted coverage",
        "KPI_Weighted_Coverage__c",
        "Number(6,2)",
        "Open pipeline that closes in the period, each deal by its chance, for each unit of quota.",
    ),
    Row("pipeline_created", "Pipeline created", "KPI_Pipeline_Created__c", "Currency(18,2)", "Pipeline created in the period."),
    Row(
        "win_rate",
        "Win rate",
        "KPI_Win_Rate__c",
        "Percent(3,0)",
        "Won of the deals decided in the last twelve months; empty where there are too few.",
    ),
    Row("win_rate_n", "Win rate n", "KPI_Win_Rate_N__c", "Number(5,0)", "Deals decided in the last twelve months, on which the win rate rests."),
    Row("cycle_days", "Cycle days", "KPI_Cycle_Days__c", "Number(5,0)", "Median days from start to close, over deals of all time."),
    Row(
        "show_rate",
        "Show rate",
        "KPI_Show_Rate__c",
        "Percent(3,0)",
        "Meetings held, of those held or missed in the last twelve months; empty where there are too few.",
    ),
    Row("stuck_deals", "Stuck deals", "KPI_Stuck_Deals__c", "Number(4,0)", "Open deals whose pace is Stuck."),
    Row("data_health", "Data health", "KPI_Data_Health__c", "Percent(3,0)", "Required fields that are filled, over open deals."),
    Row("first_order_days", "First order days", "KPI_First_Order_Days__c", "Number(5,0)", "Days from hire to the first order."),
    Row("capacity", "Capacity", "KPI_Capacity__c", "Number(6,2)", "Selling hours for each hour logged, of the last 90 days."),
)

SNAPSHOT = (
    Row("key", "Key", "KPI_Key__c", "Text(255)", "KPI, variant, subject, window and date; rows are found again by it."),
    Row("name", "KPI", "KPI_Name__c", "Text(80)", "Name of the KPI."),
    Row("variant", "Variant", "KPI_Variant__c", "Text(80)", "Variant of the KPI."),
    Row("subject", "Subject", "KPI_Subject__c", "Text(255)", "What it is of: the company, or a segment."),
    Row("window", "Window", "KPI_Window__c", "Text(40)", "The span of time it is over."),
    Row("value", "Value", "KPI_Value__c", "Number(18,6)", "The value; empty where it cannot be computed."),
    Row("unit", "Unit", "KPI_Unit__c", "Text(20)", "Unit of the value."),
    Row("n", "n", "KPI_N__c", "Number(9,0)", "How many records the value rests on."),
    Row("low_n", "Few records", "KPI_Low_N__c", "Checkbox", "The value rests on few records."),
    Row("ci_low", "Interval from", "KPI_CI_Low__c", "Number(18,6)", "Lower end of the 95 % interval."),
    Row("ci_high", "Interval to", "KPI_CI_High__c", "Number(18,6)", "Upper end of the 95 % interval."),
    Row("reason", "Reason", "KPI_Reason__c", "Text(255)", "Why there is no value."),
    Row("as_of", "As of", "KPI_As_Of__c", "Date", "The day of the snapshot."),
)

COMPANION = (
    Row("key", "Key", "KPI_Key__c", "Text(18)", "Id of the deal; the row is found again by it."),
    Row("deal", "Deal", "KPI_Opportunity__c", "Lookup", "The deal this is the scorecard of."),
)
