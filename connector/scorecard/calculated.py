"""The properties that HubSpot computes itself, compiled from the company's own property names.

Source: the scorecard-fields page, section 3 (H1 to H6). The language has no today(), counts times in milliseconds, and a missing term blanks the
result even where its branch is not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from connector.scorecard.formulas import Lacking, Terms

DAY = 86_400_000
"""Milliseconds."""


def compiled(terms: Terms) -> tuple[dict[str, str], dict[str, str]]:
    """(key → formula of each that can be compiled, key → why not of the others)."""
    made: dict[str, str] = {}
    lacking: dict[str, str] = dict(INSTEAD)
    for key, formula in FORMULAS.items():
        try:
            made[key] = formula(terms)
        except Lacking as why:
            lacking[key] = str(why)
    return made, lacking


def _day(terms: Terms, canonical: str, *, anchor: bool = False) -> str:
    """A property that holds a day. Raises Lacking."""
    name = terms.own.get(canonical)
    if name is None:
        return terms.either(canonical) if anchor else terms.of_org(canonical)
    if "." in name:
        raise Lacking(f"{name} lies on another object")
    if canonical in terms.instants:
        raise Lacking(f"{name} holds an instant: the days would be fractions")
    return name


def _between(first: str, last: str, *, anchors: bool = False) -> Callable[[Terms], str]:
    def days(t: Terms) -> str:
        start, end = _day(t, first, anchor=anchors), _day(t, last, anchor=anchors)
        return f"if is_present({end}) and is_present({start}) then ({end} - {start}) / {DAY} endif"

    return days


def _secq_days(t: Terms) -> str:
    start, end = _day(t, "secq_received_on", anchor=True), _day(t, "secq_returned_on")
    return f"if is_present({end}) and is_present({start}) then ({end} - {start}) / {DAY} endif"


def _weighted_amount(t: Terms) -> str:
    return f"if is_present(amount) then amount * {t.of_ours('win_chance')} else 0 endif"


FORMULAS: Mapping[str, Callable[[Terms], str]] = {
    "pilot_days": _between("pilot_started_on", "pilot_ended_on", anchors=True),
    "secq_days": _secq_days,
    "loi_to_secq_days": _between("loi_signed_on", "secq_returned_on"),
    "clearance_to_order_days": _between("cleared_on", "first_order_on"),
    "weighted_amount": _weighted_amount,
}
INSTEAD: Mapping[str, str] = {
    "days_in_stage": "HubSpot has no today(): filter views and lists on In stage since",
    "days_in_crm_stage": "HubSpot has it: Date entered current stage (hs_v2_date_entered_current_stage)",
    "stalled": "HubSpot has no today(): filter on In stage since, or on Stale reason",
    "deal_age": "HubSpot has it: Create date, and Days to close once it is closed",
    "pilot_overrun": "HubSpot has no today(): filter on Pilot limit is before today",
    "days_since_buyer": "HubSpot has it: Last contacted (notes_last_contacted); or filter on Last buyer activity",
}
"""What cannot be computed there → where a rep finds it instead."""
