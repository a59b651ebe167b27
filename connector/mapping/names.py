"""The closed list of canonical names, in one place, and the search for the nearest one.

Sources: the command-line page §3.1 (canonical names), the golden org §2 (fields), the scorecard page §1 (scorecard keys).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from rapidfuzz import fuzz, process

from connector.model import scorecard_fields
from connector.model.records import DealType, GateResult, Outcome, Requirement, Severity, Topic
from connector.model.scorecard_fields import Row

Kind = Literal["text", "reference", "money", "number", "probability", "boolean", "date", "instant", "choice"]

DATES = (
    "proposal_sent_on", "loi_signed_on", "secq_received_on", "secq_returned_on", "legal_sent_on", "legal_signed_on", "baa_on",
    "pilot_started_on", "pilot_ended_on", "go_live_on", "first_order_on", "first_case_on", "cleared_on",
)  # fmt: skip
OPPORTUNITY_FIELDS: Mapping[str, Kind] = {
    "name": "text", "account": "reference", "owner": "reference", "created_at": "instant", "closes_on": "date",
    "amount": "money", "arr": "money", "capital_amount": "money", "projected_pull_through": "money", "currency": "text",
    "probability": "probability", "lead_source": "text", "product": "text", "has_next_step": "boolean", "primary_contact": "boolean",
    "lost_reason": "text", "contract_years": "number", "deal_type": "choice", "standard_terms": "boolean", "baa": "boolean",
    "segment": "choice", "territory": "text", "region": "text", "reference": "boolean",
    **dict.fromkeys(DATES, "date"),
}  # fmt: skip
"""Key of ``opportunities.fields`` → what it holds."""

KEY_OBJECTS: Mapping[str, Mapping[str, str]] = {
    "salesforce": {"owners": "User", "accounts": "Account", "contacts": "Contact", "opportunities": "Opportunity"},
    "hubspot": {"owners": "owners", "accounts": "companies", "contacts": "contacts", "opportunities": "deals"},
}
"""What ``input_keys`` names → the object its field lies on."""

DIMENSIONS = ("segment", "territory", "size", "source", "product", "owner", "type", "persona", "pipeline")
"""What a company may be divided by without further mapping."""
POPULATIONS = ("new_business", "open_pipeline", "ageing", "win_rate")
POPULATION_FIELDS = ("segment", "territory", "size", "source", "product", "owner", "deal_type", "pipeline", "stage", "kind", "lost_reason")
"""What a population of kpis.yaml may name. A test holds both to the KPI engine's own."""

ACCOUNT_FIELDS = ("segment", "territory", "region", "reference")
"""Those that may come from the account (``Account.…``, ``companies.…``)."""
ACCOUNT_ONLY = ("region", "reference")
REQUIRED_FIELDS = ("owner", "created_at", "closes_on", "amount")

ALIASES: Mapping[str, str] = {
    "security_questionnaire_received_on": "secq_received_on",
    "security_questionnaire_completed_on": "secq_returned_on",
    "contract_sent_on": "legal_sent_on",
    "contract_signed_on": "legal_signed_on",
}
"""The golden org's longer names of four dates; a mapping may use either."""

TOPICS: tuple[str, ...] = get_args(Topic)
OUTCOMES: tuple[str, ...] = get_args(Outcome)
DIRECTIONS = ("inbound", "outbound")
DEAL_TYPES: tuple[str, ...] = get_args(DealType)
GATE_RESULTS: tuple[str, ...] = get_args(GateResult)
REQUIREMENTS: tuple[str, ...] = get_args(Requirement)
SEVERITIES: tuple[str, ...] = get_args(Severity)

SECTION_FIELDS: Mapping[str, Mapping[str, Kind]] = {
    "leads": {"lead_source": "text", "mql_on": "date", "sql_on": "date", "sqo_on": "date", "opportunity": "reference"},
    "tickets": {"account": "reference", "severity": "choice", "opened_on": "date"},
    "line_items": {"product": "text", "family": "text", "quantity": "number", "amount": "money", "on": "date"},
}
"""Sections that are read only where a mapping has them → their fields and what these hold."""
SECTION_OBJECTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "leads": {"salesforce": ("Lead",), "hubspot": ("contacts", "leads")},
    "tickets": {"salesforce": ("Case",), "hubspot": ("tickets",)},
    "line_items": {"salesforce": ("OpportunityLineItem",), "hubspot": ()},
}
SECTION_LINKS: Mapping[tuple[str, str], str] = {("leads", "opportunity"): "deals", ("tickets", "account"): "companies"}
"""(section, field) → the HubSpot association it may come from."""
LINE_PARENTS = ("Product2", "PricebookEntry")
"""Parents of a line item whose fields may be read through it."""

DATA_FIELDS = ("amount", "arr", "closes_on", "next_step", "lead_source", "primary_contact", "segment", "product", "buyer_contact")
"""What ``required_fields`` of kpis.yaml may name."""

INPUTS = (
    "quotas", "people", "spend", "clearances", "product_finance", "readiness", "arr_ledger", "renewals", "installed_base", "consumables",
    "milestones", "adoption", "sentiment", "expansion_events", "time_log", "kol", "forecast_snapshots", "lms", "coaching", "outreach",
    "persona_ratings", "fx",
)  # fmt: skip

ScorecardKind = Literal["text", "date", "datetime", "number", "flag"]
WRITTEN: Mapping[str, ScorecardKind] = {
    "stage": "text", "stage_entered_on": "date", "stage_benchmark_days": "number", "pace": "text", "open_gates": "text",
    "gate_progress": "number", "compliance_since": "date", "secq_received_on": "date", "pilot_limit_on": "date", "personas": "text",
    "personas_missing": "text", "last_buyer_activity": "date", "touch_density": "number", "regressions": "number", "close_pushes": "number",
    "stale_reason": "text", "win_chance": "number", "win_chance_n": "number", "data_gaps": "text", "updated_at": "datetime",
    "definition": "text", "pilot_started_on": "date", "pilot_ended_on": "date", "blended_arr": "number",
}  # fmt: skip
"""Scorecard keys of a deal that the connector writes → the type the CRM field must have."""
COMPUTED = (
    "days_in_stage", "days_in_crm_stage", "stalled", "deal_age", "pilot_days", "pilot_overrun", "secq_days", "loi_to_secq_days",
    "clearance_to_order_days", "days_since_buyer", "weighted_amount",
)  # fmt: skip
"""Scorecard keys that a formula of the CRM shows: named so that check can look for them, never written."""
_KINDS: Mapping[str, ScorecardKind] = {
    "Text": "text", "Number": "number", "Percent": "number", "Currency": "number", "Date": "date", "DateTime": "datetime", "Picklist": "text",
    "Checkbox": "flag", "Lookup": "text",
}  # fmt: skip


def kinds(rows: Iterable[Row]) -> Mapping[str, ScorecardKind]:
    """Key → the type the CRM field must have."""
    return {row.key: _KINDS[row.shape.partition("(")[0]] for row in rows}


ACCOUNT_SCORECARD, CONTACT_SCORECARD = kinds(scorecard_fields.ACCOUNT), kinds(scorecard_fields.CONTACT)
RECORD_CURRENCY = "CurrencyIsoCode"
"""There where an org has several currencies: each record is in one of them."""
PARENT = "ParentId"
"""The account above an account of Salesforce, with which some figures are added up."""


ACTIVITY_OBJECTS: Mapping[str, tuple[str, ...]] = {
    "salesforce": ("Task", "Event", "EmailMessage"), "hubspot": ("calls", "emails", "meetings", "tasks"),
}  # fmt: skip
DEAL_OBJECT: Mapping[str, str] = {"salesforce": "Opportunity", "hubspot": "deals"}
ACCOUNT_OBJECT: Mapping[str, str] = {"salesforce": "Account", "hubspot": "companies"}
CONTACT_OBJECT: Mapping[str, str] = {"salesforce": "Contact", "hubspot": "contacts"}

SYNONYMS: Mapping[str, str] = {
    "poc": "pilot", "proof_of_concept": "pilot", "trial": "pilot", "evaluation": "pilot", "value_analysis": "vac", "value_analysis_committee": "vac",
    "product_committee": "vac", "hitrust": "security", "soc_2": "security", "infosec": "security_review", "hecvat": "security", "loi": "verbal",
    "letter_of_intent": "verbal", "commit": "verbal", "baa_review": "compliance_legal", "negotiation": "contracting", "proposal": "contracting",
    "gpo_review": "procurement", "discovery_meeting": "qualified_meeting", "won": "closed_won", "lost": "closed_lost", "duplicate": "closed_void",
    "no_decision": "closed_no_decision", "close_date": "closes_on", "closedate": "closes_on", "create_date": "created_at", "created_on": "created_at",
    "value": "amount", "type": "deal_type", "source": "lead_source", "surgeon": "surgeon_champion", "cio": "vp_it", "ciso": "security",
    "nextstep": "next_step", "has_nextstep": "has_next_step",
}  # fmt: skip


def nearest(word: str, choices: Iterable[str], *, least: int = 60) -> tuple[str, int] | None:
    """The choice nearest to a mistyped word and its score 0–100: a synonym first, else rapidfuzz WRatio; None below ``least``.

    WRatio forgives a part for the whole, so that of nearly equal scores the choice nearest as a whole is taken (``dat``: date, not datetime).

    >>> nearest("vac_review", ["security_review", "vac", "demo"])
    ('vac', 90)
    >>> nearest("loi", ["verbal", "lead"])
    ('verbal', 100)
    """
    options = sorted(set(choices))
    known = SYNONYMS.get(word.casefold().replace(" ", "_").replace("-", "_"))
    if known in options:
        return known, 100
    found = process.extract(word, options, scorer=fuzz.WRatio, processor=str.casefold, score_cutoff=least, limit=5)
    close = [(choice, score) for choice, score, _ in found if score >= found[0][1] - 5]
    if not close:
        return None
    choice, score = max(close, key=lambda pair: (fuzz.ratio(word.casefold(), pair[0].casefold()), pair[1]))
    return choice, round(score)
