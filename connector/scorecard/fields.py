"""The written fields of every grain and the wire form of each value.

Source of every row: the scorecard-fields page, sections 1 and 4 to 6. ``wire`` gives the JSON value that is sent; ``text`` the
canonical text by which desired and observed are compared, so that 29, 29.0 and "29" are one value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Literal

from connector.crms.base import Value

Kind = Literal["text", "list", "date", "datetime", "number", "percent", "money", "flag", "stage", "choice"]
NUMERIC = frozenset({"number", "percent", "money"})
Cadence = Literal["move", "change", "crossing", "weekly", "with_others"]
PACE_LABELS = {"on_pace": "On pace", "slow": "Slow", "stuck": "Stuck"}
TEXT_LIMIT = 255


@dataclass(frozen=True, slots=True)
class ScorecardField:
    """One row of the manifest.

    ``empty_is_answer``: an empty value says something (no gate open) and is a change; else it is a loss and guarded.
    ``of_the_stage``: the value belongs to the present stage, so that losing it *because the stage changed* is no loss. ``labels``: of a choice,
    key → what people read.
    """

    key: str
    label: str
    salesforce: str
    hubspot: str
    kind: Kind
    cadence: Cadence
    scale: int = 0
    length: int = TEXT_LIMIT
    separator: str = ", "
    empty_is_answer: bool = True
    of_the_stage: bool = False
    labels: Mapping[str, str] | None = None

    def name(self, crm: str) -> str:
        """The field's default name in that CRM."""
        return self.salesforce if crm == "salesforce" else self.hubspot


MANIFEST: Mapping[str, ScorecardField] = {
    f.key: f
    for f in (
        ScorecardField("stage", "Canonical stage", "KPI_Stage__c", "kpi_stage", "stage", "move", length=40, empty_is_answer=False),
        ScorecardField(
            "stage_entered_on", "In stage since", "KPI_Stage_Entered_On__c", "kpi_stage_entered_on", "date", "move", empty_is_answer=False,
        ),
        ScorecardField(
            "stage_benchmark_days", "Usual days", "KPI_Stage_Benchmark_Days__c", "kpi_stage_benchmark_days",
            "number", "weekly", empty_is_answer=False, of_the_stage=True,
        ),
        ScorecardField(
            "pace", "Pace", "KPI_Pace__c", "kpi_pace", "choice", "crossing", empty_is_answer=False, of_the_stage=True, labels=PACE_LABELS,
        ),
        ScorecardField("open_gates", "Open gates", "KPI_Open_Gates__c", "kpi_open_gates", "list", "change"),
        ScorecardField("gate_progress", "Gate progress", "KPI_Gate_Progress__c", "kpi_gate_progress", "percent", "change"),
        ScorecardField("compliance_since", "In compliance since", "KPI_Compliance_Since__c", "kpi_compliance_since", "date", "change"),
        ScorecardField("secq_received_on", "Questionnaire received", "KPI_SecQ_Received_On__c", "kpi_secq_received_on", "date", "change"),
        ScorecardField("pilot_limit_on", "Pilot limit", "KPI_Pilot_Limit_On__c", "kpi_pilot_limit_on", "date", "change"),
        ScorecardField("personas", "Buyers engaged", "KPI_Personas__c", "kpi_personas", "list", "change"),
        ScorecardField("personas_missing", "Buyers missing", "KPI_Personas_Missing__c", "kpi_personas_missing", "list", "change"),
        ScorecardField("last_buyer_activity", "Last buyer activity", "KPI_Last_Buyer_Activity__c", "kpi_last_buyer_activity", "date", "change"),
        ScorecardField("touch_density", "Touches / 30 d", "KPI_Touch_Density__c", "kpi_touch_density", "number", "weekly", scale=1),
        ScorecardField("regressions", "Times moved back", "KPI_Regressions__c", "kpi_regressions", "number", "change", empty_is_answer=False),
        ScorecardField("close_pushes", "Close date pushes", "KPI_Close_Pushes__c", "kpi_close_pushes", "number", "change", empty_is_answer=False),
        ScorecardField("stale_reason", "Stale reason", "KPI_Stale_Reason__c", "kpi_stale_reason", "list", "crossing", separator="; "),
        ScorecardField(
            "win_chance", "Win chance from here", "KPI_Win_Chance__c", "kpi_win_chance",
            "percent", "weekly", empty_is_answer=False, of_the_stage=True,
        ),
        ScorecardField(
            "win_chance_n", "Win chance n", "KPI_Win_Chance_N__c", "kpi_win_chance_n",
            "number", "weekly", empty_is_answer=False, of_the_stage=True,
        ),
        ScorecardField("data_gaps", "Missing data", "KPI_Data_Gaps__c", "kpi_data_gaps", "list", "change"),
        ScorecardField("pilot_started_on", "Pilot started", "KPI_Pilot_Started_On__c", "kpi_pilot_started_on", "date", "change"),
        ScorecardField("pilot_ended_on", "Pilot ended", "KPI_Pilot_Ended_On__c", "kpi_pilot_ended_on", "date", "change"),
        ScorecardField("blended_arr", "Blended ARR", "KPI_Blended_ARR__c", "kpi_blended_arr", "money", "change", scale=2),
        ScorecardField("updated_at", "Updated", "KPI_Updated_At__c", "kpi_updated_at", "datetime", "with_others"),
        ScorecardField("definition", "Definition", "KPI_Definition__c", "kpi_definition", "text", "with_others", length=64),
    )
}  # fmt: skip
"""Of a deal, or of the companion beside it."""
TECHNICAL = ("updated_at", "definition")
KEYS = tuple(key for key in MANIFEST if key not in TECHNICAL)


def wire(field: ScorecardField, value: object, crm: str) -> Value:
    """The JSON value the CRM is sent for an inside value.

    Inside: str for text and stage (key for HubSpot, label for Salesforce is chosen by the caller), the key of a choice, list[str] for lists,
    date, aware datetime, bool for flags, int/float/Decimal for numbers and money, 0–1 for percent. None (and an empty list) is empty: JSON null on
    Salesforce, "" on HubSpot. Raises ValueError for a text that does not fit; lists are cut at a whole item.
    """
    if value is None or value in ([], ()):
        return None if crm == "salesforce" else ""
    if field.kind == "list":
        return _joined(field, [str(item) for item in value]) if isinstance(value, list | tuple) else str(value)
    if field.kind in NUMERIC:
        return _number(field, value, crm)
    if field.kind == "flag":
        return bool(value) if crm == "salesforce" else str(bool(value)).lower()
    if field.kind == "date" and isinstance(value, date):
        return value.isoformat()
    if field.kind == "datetime" and isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if field.labels is not None and crm == "salesforce":
        return field.labels[str(value)]
    if len(str(value)) > field.length:
        raise ValueError(f"{field.label} is longer than {field.length} characters")
    return str(value)


def text(field: ScorecardField, value: Value) -> str | None:
    """Canonical text of a wire value, ours or the CRM's: None for null and "", shortest decimal, ISO date, UTC instant by the second."""
    if value is None or value == "":
        return None
    if field.kind == "flag":
        return str(value).lower()
    if field.kind in NUMERIC:
        try:
            return shortest(Decimal(str(value)))
        except InvalidOperation:
            return str(value)
    if field.kind == "datetime":
        return str(value)[:19].rstrip("Z") + "Z"
    return str(value)


def sent(field: ScorecardField, text: str | None, crm: str) -> Value:
    """Canonical text as the JSON value to send: the way back from :func:`text`. Numbers are numbers on Salesforce."""
    if text is None:
        return None if crm == "salesforce" else ""
    if field.kind == "flag" and crm == "salesforce":
        return text == "true"
    if field.kind in NUMERIC and crm == "salesforce":
        try:
            number = Decimal(text)
        except InvalidOperation:
            return text
        return int(number) if number == number.to_integral_value() else float(number)
    return text


def shortest(number: Decimal) -> str:
    """A decimal without trailing zeros and without exponent: 29.0 → "29", 0.60 → "0.6"."""
    plain = format(number.normalize(), "f")
    return "0" if plain in ("-0", "0") else plain


def _number(field: ScorecardField, value: object, crm: str) -> Value:
    places = field.scale
    amount = Decimal(str(value))
    if field.kind == "percent":
        places = places + 2 if crm == "hubspot" else places
        amount = amount if crm == "hubspot" else amount * 100
    rounded = amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
    if crm == "hubspot":
        return shortest(rounded)
    return int(rounded) if places == 0 else float(rounded)


def _joined(field: ScorecardField, items: list[str]) -> str:
    """Items joined; past the limit cut at a whole item, then ``+2 more``."""
    whole = field.separator.join(items)
    kept = len(items)
    while len(whole) > field.length and kept > 1:
        kept -= 1
        whole = f"{field.separator.join(items[:kept])} +{len(items) - kept} more"
    if len(whole) > field.length:
        raise ValueError(f"one item of {field.label} is longer than {field.length} characters")
    return whole
