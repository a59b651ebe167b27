"""The fields that Salesforce computes itself, compiled from the company's own stages, limits and field names.

Source: the scorecard-fields page, section 2 (F1 to F12). All of them are saved with BlankAsBlank: with BlankAsZero a deal without a date would
read "0 days" for ever and hide from every alert.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from connector.model.kpi_settings import KpiSettings
from connector.model.ladder import Ladder
from connector.scorecard.fields import shortest

NEVER = 99_999
"""Limit of stages in which a deal is parked on purpose, in days."""
LONGEST = 3_900
"""Characters that a formula may have."""


class Lacking(Exception):
    """What a formula needs and this company does not have."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What formulas are compiled from.

    ``own``: canonical name → the org's own field, as it stands in a formula (``Evaluation_Start__c``); ``ours``: key of a scorecard field that is
    there → its name; ``parent``: what stands before a field of the deal where the formula lies on another object (``KPI_Opportunity__r.``).
    """

    ladder: Ladder
    settings: KpiSettings
    own: Mapping[str, str]
    ours: Mapping[str, str]
    parent: str = ""
    instants: frozenset[str] = field(default_factory=frozenset)
    """Those of ``own`` that hold an instant: formulas count days."""

    def deal(self, name: str) -> str:
        """A standard field of the deal."""
        return self.parent + name

    def of_org(self, canonical: str) -> str:
        """The org's own field. Raises Lacking."""
        if canonical not in self.own:
            raise Lacking(f"no field is mapped to {canonical}")
        name = self.parent + self.own[canonical]
        return f"DATEVALUE({name})" if canonical in self.instants else name

    def of_ours(self, key: str) -> str:
        """A scorecard field. Raises Lacking."""
        if key not in self.ours:
            raise Lacking(f"{key} is switched off")
        return self.ours[key]

    def either(self, canonical: str) -> str:
        """The org's own field, or our anchor of that name. Raises Lacking."""
        if canonical not in self.own and canonical in self.ours:
            return self.ours[canonical]
        return self.of_org(canonical)


def compiled(terms: Terms) -> tuple[dict[str, str], dict[str, str]]:
    """(key → formula of each that can be compiled, key → why not of the others)."""
    made: dict[str, str] = {}
    lacking: dict[str, str] = {}
    for key, formula in FORMULAS.items():
        try:
            made[key] = formula(terms)
        except Lacking as why:
            lacking[key] = str(why)
    return made, lacking


def normal(formula: str | None) -> str:
    """A formula by which two spellings of one are equal: no white space and no difference of case outside quotes.

    >>> normal('IF( IsClosed, NULL,  "On hold" )') == normal('if(IsClosed,null,"On hold")')
    True
    """
    parts = re.split(r'("(?:\\.|[^"\\])*")', formula or "")
    return "".join(part if place % 2 else "".join(part.split()).casefold() for place, part in enumerate(parts))


def fields_of(formula: str) -> frozenset[str]:
    """Names of the custom fields that a formula reads, those of other objects with their path.

    >>> sorted(fields_of('IF( ISBLANK(LOI_Signed_On__c), NULL, KPI_Opportunity__r.Amount__c * 2 )'))
    ['KPI_Opportunity__r.Amount__c', 'LOI_Signed_On__c']
    """
    return frozenset(re.findall(r"(?:\w+\.)*\w+__c\b", re.sub(r'"(?:\\.|[^"\\])*"', '""', formula)))


def quoted(text: str) -> str:
    """A text as a literal of a formula."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _days_in_crm_stage(t: Terms) -> str:
    moved = t.deal("LastStageChangeDate")
    return f"IF( OR( {t.deal('IsClosed')}, ISBLANK({moved}) ), NULL, TODAY() - DATEVALUE({moved}) )"


def _days_in_stage(t: Terms) -> str:
    entered = t.of_ours("stage_entered_on")
    return f"IF( OR( {t.deal('IsClosed')}, ISBLANK({entered}) ), NULL, TODAY() - {entered} )"


def _stalled(t: Terms) -> str:
    entered, stage = t.of_ours("stage_entered_on"), t.of_ours("stage")
    usual = t.settings.thresholds.stale_after_days.get("default", 180)
    cases = "".join(f"{quoted(label)}, {days}, " for label, days in stage_limits(t.ladder, t.settings))
    limit = f"CASE( {stage}, {cases}{usual} )" if cases else str(usual)
    return f"IF( OR( {t.deal('IsClosed')}, ISBLANK({entered}) ), FALSE, TODAY() - {entered} > {limit} )"


def stage_limits(ladder: Ladder, settings: KpiSettings) -> Iterator[tuple[str, int]]:
    """(label, days) of every open stage that has a limit of its own, in the order of the ladder; parked ones never run out."""
    limits = settings.thresholds.stage_limit_days
    for rung in ladder.ladder:
        if rung.kind == "parked":
            yield rung.label, NEVER
        elif rung.key in limits and ladder.stage_class(rung.key) == "open":
            yield rung.label, limits[rung.key]


def _deal_age(t: Terms) -> str:
    return f"IF( {t.deal('IsClosed')}, {t.deal('CloseDate')}, TODAY() ) - DATEVALUE({t.deal('CreatedDate')})"


def _pilot_days(t: Terms) -> str:
    started, ended = t.either("pilot_started_on"), t.either("pilot_ended_on")
    return f"IF( ISBLANK({started}), NULL, BLANKVALUE({ended}, TODAY()) - {started} )"


def _pilot_overrun(t: Terms) -> str:
    limit = t.of_ours("pilot_limit_on")
    return f"AND( NOT(ISBLANK({limit})), TODAY() > {limit} )"


def _secq_days(t: Terms) -> str:
    received = t.either("secq_received_on")
    if "secq_returned_on" in t.own:
        return f"IF( ISBLANK({received}), NULL, BLANKVALUE({t.of_org('secq_returned_on')}, TODAY()) - {received} )"
    gate = t.ladder.gate_by_key.get("security")
    if gate is None:
        raise Lacking("no field is mapped to secq_returned_on")
    # Nothing says when it was answered: count while the gate is open, blank once it is not.
    still_open = f"CONTAINS({t.of_ours('open_gates')}, {quoted(f'{gate.label} since ')})"
    return f"IF( AND( NOT(ISBLANK({received})), {still_open} ), TODAY() - {received}, NULL )"


def _between(first: str, last: str) -> Callable[[Terms], str]:
    def days(t: Terms) -> str:
        start, end = t.of_org(first), t.of_org(last)
        return f"IF( OR( ISBLANK({start}), ISBLANK({end}) ), NULL, {end} - {start} )"

    return days


def _blended_arr(t: Terms) -> str:
    arr, capital = t.of_org("arr"), t.of_org("capital_amount")
    years = shortest(Decimal(str(t.settings.money.capital_normalisation_years)))
    return f"IF( AND( ISBLANK({arr}), ISBLANK({capital}) ), NULL, BLANKVALUE({arr}, 0) + BLANKVALUE({capital}, 0) / {years} )"


def _weighted_amount(t: Terms) -> str:
    amount, chance = t.deal("Amount"), t.of_ours("win_chance")
    return f"IF( OR( ISBLANK({amount}), ISBLANK({chance}) ), NULL, {amount} * {chance} )"


def _days_since_buyer(t: Terms) -> str:
    last = t.of_ours("last_buyer_activity")
    return f"IF( ISBLANK({last}), NULL, TODAY() - {last} )"


FORMULAS: Mapping[str, Callable[[Terms], str]] = {
    "days_in_stage": _days_in_stage,
    "days_in_crm_stage": _days_in_crm_stage,
    "stalled": _stalled,
    "deal_age": _deal_age,
    "pilot_days": _pilot_days,
    "pilot_overrun": _pilot_overrun,
    "secq_days": _secq_days,
    "loi_to_secq_days": _between("loi_signed_on", "secq_returned_on"),
    "clearance_to_order_days": _between("cleared_on", "first_order_on"),
    "blended_arr": _blended_arr,
    "weighted_amount": _weighted_amount,
    "days_since_buyer": _days_since_buyer,
}
