"""The live fields of a deal, what each of its fields says of itself, and shapes in figures.

Source of every row: the scorecard-fields page, sections 1 to 6. Shapes are written as set-up pages write them: ``Number(4,1)`` has four digits
before the point and one after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connector.crms.provisioning import SpecType
from connector.model.scorecard_fields import MOST_DIGITS, Row, figures

WORDS: Mapping[str, SpecType] = {
    "Text": "text", "Number": "number", "Percent": "percent", "Currency": "money", "Date": "date", "DateTime": "datetime",
    "Picklist": "picklist", "Checkbox": "boolean", "Lookup": "lookup",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape in figures: ``precision`` counts all digits, of which there are at most eighteen; ``length`` characters."""

    type: SpecType
    length: int = 0
    precision: int = 0
    scale: int = 0

    @classmethod
    def of(cls, text: str) -> Shape:
        """
        >>> Shape.of("Number(4,1)")
        Shape(type='number', length=0, precision=5, scale=1)
        >>> Shape.of("Currency(18,2)").precision, Shape.of("Text(40)").length
        (18, 40)
        """
        word, first, scale = figures(text)
        if (kind := WORDS.get(word)) is None:
            raise ValueError(f"{text!r} is no shape of a field")
        return cls(kind, first) if kind == "text" else cls(kind, 0, min(MOST_DIGITS, first + scale), scale)


LIVE = (
    Row("days_in_stage", "Days in stage", "KPI_Days_In_Stage__c", "Number(18,0)",
        "Days since this deal entered its present stage. Moves every day by itself. Empty while no stage date is known."),
    Row("days_in_crm_stage", "Days in CRM stage", "KPI_Days_In_CRM_Stage__c", "Number(18,0)",
        "Days since the CRM's own stage changed. Two of them may be one canonical stage, and it is empty on deals that have not moved."),
    Row("stalled", "Stalled", "KPI_Stalled__c", "Checkbox",
        "Longer in its stage than the stage may take. Limits of segments are in Stale reason only."),
    Row("deal_age", "Deal age", "KPI_Deal_Age__c", "Number(18,0)",
        "Days since the deal was created. A closed deal stops at its close date, which can be edited."),
    Row("pilot_days", "Pilot days", "KPI_Pilot_Days__c", "Number(18,0)",
        "Days from the pilot's start to its end, or to today. Gaps between pilots count here; Pilot limit leaves them out."),
    Row("pilot_overrun", "Pilot over its limit", "KPI_Pilot_Overrun__c", "Checkbox", "Today is past the Pilot limit."),
    Row("secq_days", "Questionnaire days", "KPI_SecQ_Days__c", "Number(18,0)",
        "Days from the security questionnaire's arrival to its return, or to today."),
    Row("loi_to_secq_days", "LOI to questionnaire", "KPI_LOI_To_SecQ_Days__c", "Number(18,0)",
        "Days from the letter of intent to the returned security questionnaire."),
    Row("clearance_to_order_days", "Clearance to first order", "KPI_Clearance_To_Order_Days__c", "Number(18,0)",
        "Days from clearance to the first order, by the dates of this record."),
    Row("blended_arr", "Blended ARR", "KPI_Blended_ARR__c", "Currency(18,2)", "Recurring ARR plus the yearly share of the capital portion."),
    Row("weighted_amount", "Weighted amount", "KPI_Weighted_Amount__c", "Currency(18,2)", "Amount times the win chance from here."),
    Row("days_since_buyer", "Days since buyer activity", "KPI_Days_Since_Buyer__c", "Number(18,0)",
        "Days since the buyer last took part. Moves every day by itself. Empty while no activity is known."),
)  # fmt: skip
"""What the CRM computes."""

DIGITS: Mapping[str, int] = {
    "stage_benchmark_days": 4, "gate_progress": 3, "touch_density": 4, "regressions": 3, "close_pushes": 3, "win_chance": 3, "win_chance_n": 5,
}  # fmt: skip
"""Digits before the point of the deal's written numbers."""

HELP: Mapping[str, str] = {
    "stage": "The deal's rung on the company's own ladder, the same in every pipeline.",
    "stage_entered_on": "The day the deal entered its present stage.",
    "stage_benchmark_days": "What is usual for deals like this in this stage (median). Written about once a week.",
    "pace": "Days in stage against what is usual: On pace, Slow, Stuck.",
    "open_gates": "Decisions that others still have to take, and since when. Empty: none is open.",
    "gate_progress": "Approved of required gates. Empty: nothing is required.",
    "compliance_since": "Since when the deal has been in compliance review. Empty: it is in none.",
    "secq_received_on": "The day the security questionnaire came in.",
    "pilot_limit_on": "The day the running pilot reaches its limit. Empty: no pilot is running.",
    "personas": "Functions of the buyer that take part.",
    "personas_missing": "Functions that deals like this need and that nobody has spoken to.",
    "last_buyer_activity": "The last touch in which the buyer took part.",
    "touch_density": "Touches per 30 days in this stage. Empty on its first day. Written about once a week.",
    "regressions": "How often the deal moved back.",
    "close_pushes": "How often the close date was moved out.",
    "stale_reason": "Why the deal counts as stale. Empty: it does not.",
    "win_chance": "Share of deals like this that were won from this stage on. Written about once a week.",
    "win_chance_n": "Deals that the win chance rests on.",
    "pilot_started_on": "The day the pilot began.",
    "pilot_ended_on": "The day the pilot ended. Empty: it runs, or there was none.",
    "blended_arr": "Recurring ARR plus the yearly share of the capital portion.",
    "data_gaps": "Fields that deals at this stage should have filled. Empty: none is missing.",
    "updated_at": "When the connector last changed a field of this record.",
    "definition": "Version of the definitions and mappings behind these values.",
}
"""What a rep reads beside each written field of a deal."""
