"""The seeded sales processes of the org: stages, record types, and which record type offers which stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StageDef:
    """One value of StageName. ``probability`` 0–100; ``category`` is the forecast category's API value."""

    name: str
    probability: float
    category: str = "Pipeline"
    closed: bool = False
    won: bool = False
    active: bool = True


CATEGORY_LABELS = {
    "Omitted": "Omitted", "Pipeline": "Pipeline", "BestCase": "Best Case", "MostLikely": "Most Likely", "Forecast": "Commit", "Closed": "Closed",
}  # fmt: skip

STAGES: tuple[StageDef, ...] = (
    StageDef("Prospect", 5),
    StageDef("Discover", 10),
    StageDef("Demo Complete", 20),
    StageDef("Sample Requested", 20),
    StageDef("Clinical Evaluation", 30),
    StageDef("30-Day Pilot", 45),
    StageDef("Evaluation", 45),
    StageDef("60-Day Pilot", 45, "BestCase"),
    StageDef("Security Review", 50),
    StageDef("Legal / BAA", 55),
    StageDef("VAC Submitted", 60),
    StageDef("GPO / Supply Chain", 70, "BestCase"),
    StageDef("Renewal Out", 75, "BestCase"),
    StageDef("Pricing", 80, "BestCase"),
    StageDef("Contracting", 80, "BestCase"),
    StageDef("Commit", 90, "Forecast"),
    StageDef("Internal Transfer", 10, "Omitted"),
    StageDef("Deferred", 0, "Omitted"),
    StageDef("Closed Won", 100, "Closed", closed=True, won=True),
    StageDef("First Case", 100, "Closed", closed=True, won=True),
    StageDef("Closed Lost", 0, "Omitted", closed=True),
    StageDef("Stopped - No Decision", 0, "Omitted", closed=True),
    StageDef("Closed Duplicate", 0, "Omitted", closed=True),
    StageDef("Trial", 45, active=False),
    StageDef("4 - VAC Approval", 60, active=False),
    StageDef("InfoSec", 50, active=False),
)

NAMES: dict[str, dict[str, str]] = {
    "capital": {
        "prospect": "Prospect", "discovery": "Discover", "demo": "Demo Complete", "clinical_evaluation": "Clinical Evaluation",
        "pilot": "30-Day Pilot", "vac": "VAC Submitted", "gpo": "GPO / Supply Chain", "contracting": "Contracting", "commit": "Commit",
        "won": "Closed Won", "lost": "Closed Lost", "no_decision": "Stopped - No Decision", "duplicate": "Closed Duplicate",
        "deferred": "Deferred", "trial": "Trial", "old_vac": "4 - VAC Approval",
    },
    "disposables": {
        "prospect": "Prospect", "demo": "Sample Requested", "pilot": "Evaluation", "contracting": "Pricing", "won": "Closed Won",
        "lost": "Closed Lost", "first_case": "First Case",
    },
    "software": {
        "prospect": "Prospect", "discovery": "Discover", "demo": "Demo Complete", "security_review": "Security Review",
        "legal_review": "Legal / BAA", "pilot": "60-Day Pilot", "contracting": "Contracting", "won": "Closed Won", "lost": "Closed Lost",
        "no_decision": "Stopped - No Decision", "duplicate": "Closed Duplicate", "old_security": "InfoSec",
    },
    "renewals": {"renewal_out": "Renewal Out", "contracting": "Contracting", "won": "Closed Won", "lost": "Closed Lost"},
}  # fmt: skip
"""Neutral pipeline → neutral stage → StageName."""

RECORD_TYPES: dict[str, tuple[str, str]] = {
    "capital": ("Capital_Equipment", "Capital Equipment"),
    "disposables": ("Disposables", "Disposables"),
    "software": ("Software", "Software"),
    "renewals": ("Renewals", "Renewals"),
}
"""Neutral pipeline → record type's developer name and label."""

RETIRED = frozenset({"trial", "old_vac", "old_security"})


def offered(pipeline: str) -> tuple[str, ...]:
    """The stages that the pipeline's record type offers, in the order of the whole list."""
    names = {name for key, name in NAMES[pipeline].items() if key not in RETIRED}
    if pipeline != "renewals":
        names.add("Internal Transfer")
    return tuple(stage.name for stage in STAGES if stage.name in names)
