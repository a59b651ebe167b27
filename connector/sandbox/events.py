"""What can happen in the business, in neutral words. ``business`` tells it, each CRM's ``story`` writes it down in its own way.

Instants are aware UTC. Keys (``deal``, ``account`` …) are the business's own; each CRM gives its own ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class OwnerJoined:
    at: datetime
    owner: str
    name: str
    active: bool = True
    robot: bool = False  # an integration user


@dataclass(frozen=True, slots=True)
class OwnerLeft:
    at: datetime
    owner: str


@dataclass(frozen=True, slots=True)
class AccountFound:
    at: datetime
    account: str
    name: str
    facility: str  # clinic | asc | hospital | university_hospital | idn
    territory: str  # East | West | Central | EMEA
    region: str  # US | EU


@dataclass(frozen=True, slots=True)
class AccountsMerged:
    at: datetime
    loser: str
    winner: str


@dataclass(frozen=True, slots=True)
class ContactFound:
    at: datetime
    contact: str
    account: str
    title: str
    kol: bool = False


@dataclass(frozen=True, slots=True)
class DealOpened:
    at: datetime
    deal: str
    name: str
    account: str
    owner: str
    pipeline: str  # capital | disposables | software | renewals
    stage: str  # a neutral stage key of STAGES below
    deal_type: str  # new_business | expansion | renewal
    amount: Decimal | None
    currency: str
    closes_on: date
    product: str | None
    lead_source: str | None
    arr: Decimal | None = None
    capital: Decimal | None = None


@dataclass(frozen=True, slots=True)
class StageMoved:
    """Also a close (won, lost, no_decision, void), a regression, a reopening."""

    at: datetime
    deal: str
    stage: str
    by: str


@dataclass(frozen=True, slots=True)
class DealEdited:
    """Fields of the deal itself. A key of ``values`` is one of: amount (Decimal|None), closes_on (date), owner (owner key),
    next_step (str|None), loi_signed_on, secq_received_on, secq_returned_on, evaluation_started_on, evaluation_ended_on,
    contract_sent_on, contract_signed_on, vac_submitted_on, vac_decided_on, first_case_on, go_live_on, proposal_sent_on (date|None),
    vac_needed (yes|no), vac_status (approved|denied|tabled|None), security_status (passed|failed|waiting|None),
    evaluation_result (success|failure|None), gpo_status (on_contract|off_contract|None), budget_approved (bool), standard_terms (bool), baa (bool),
    connects_to_network (bool)."""

    at: datetime
    deal: str
    by: str
    values: dict[str, object]


@dataclass(frozen=True, slots=True)
class RoleAdded:
    at: datetime
    deal: str
    contact: str
    role: str  # surgeon | champion | economic_buyer | it_security | vac_chair | executive_sponsor | blocker | none
    primary: bool = False


@dataclass(frozen=True, slots=True)
class ActivityLogged:
    """Told again under the same key, the activity changes: a task that was open is done. ``at`` is then the moment of the change."""

    at: datetime
    activity: str
    kind: str  # meeting | call | email | task
    deal: str | None
    account: str | None
    contact: str | None
    owner: str
    by: str
    subject: str
    type: str | None = None  # First meeting | Demo | Evaluation visit | HCP presentation | Workshop | Follow-up | None
    direction: str | None = None  # inbound | outbound
    outcome: str | None = None  # held | no_show | canceled | rescheduled | connected | not_connected | None
    due_on: date | None = None
    done: bool = False


@dataclass(frozen=True, slots=True)
class DealDeleted:
    at: datetime
    deal: str


@dataclass(frozen=True, slots=True)
class DealRestored:
    at: datetime
    deal: str


@dataclass(frozen=True, slots=True)
class DealsMerged:
    """A duplicate is folded into another deal. HubSpot gives the pair a new record; Salesforce cannot merge deals and deletes the loser."""

    at: datetime
    loser: str
    winner: str


@dataclass(frozen=True, slots=True)
class StageRenamed:
    """The CRM's own list changes: a label (HubSpot keeps the id, Salesforce changes the value for the future)."""

    at: datetime
    pipeline: str
    stage: str
    label: str


Event = (
    OwnerJoined | OwnerLeft | AccountFound | AccountsMerged | ContactFound | DealOpened | StageMoved | DealEdited
    | RoleAdded | ActivityLogged | DealDeleted | DealRestored | DealsMerged | StageRenamed
)  # fmt: skip

STAGES: dict[str, tuple[str, ...]] = {
    "capital": ("prospect", "discovery", "demo", "clinical_evaluation", "pilot", "vac", "gpo", "contracting", "commit",
                "won", "lost", "no_decision", "duplicate", "deferred"),
    "disposables": ("prospect", "demo", "pilot", "contracting", "won", "lost", "first_case"),
    "software": ("prospect", "discovery", "demo", "security_review", "legal_review", "pilot", "contracting",
                 "won", "lost", "no_decision", "duplicate"),
    "renewals": ("renewal_out", "contracting", "won", "lost"),
}  # fmt: skip
"""Neutral stage keys per pipeline, in order. Each CRM's schema gives every one its own name or id;
retired ones stand in RETIRED below: only history holds them."""

RETIRED: dict[str, dict[str, str]] = {
    "capital": {"trial": "pilot", "old_vac": "vac"},
    "software": {"old_security": "security_review"},
}
"""Retired stage key per pipeline → the stage that took its place on 2025-06-02. The oldest deals moved through the old ones."""

PRODUCTS: tuple[str, ...] = ("Beacon Navigator", "Beacon Navigator Mini", "Beacon Disposable Kit", "Beacon Cloud", "Beacon Insights")
"""Every value that ``DealOpened.product`` takes (or None)."""

LEAD_SOURCES: tuple[str, ...] = ("conference", "existing", "inbound", "kol_referral", "outbound", "partner")
"""Every value that ``DealOpened.lead_source`` takes (or None)."""
