"""Pipelines of deals, tickets and leads, and their stages.

An id never follows its label: renaming keeps it, and some ids say something else than the label.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

HUBSPOT_BORN = "1970-01-01T00:00:00Z"
"""The stamp of everything HubSpot put into the default pipeline itself."""


@dataclass
class Stage:
    """``neutral`` is the business's own key; ``probability`` 0–1 in steps of 0.1, 1.0 = won. ``deleted``: in history only."""

    id: str
    label: str
    neutral: str
    probability: float
    closed: bool = False
    deleted: bool = False
    created: str = "2025-01-10T09:00:00Z"
    updated: str = "2025-01-10T09:00:00Z"
    state: str = ""  # of tickets (OPEN, CLOSED) and leads

    @property
    def won(self) -> bool:
        return self.closed and self.probability == 1.0

    def wire(self, order: int, kind: str = "deals") -> dict[str, object]:
        """As the pipelines API shows it; metadata are strings, and differ by object type."""
        known = {"deals": ("probability", f"{self.probability:.1f}"), "tickets": ("ticketState", self.state), "leads": ("leadState", self.state)}
        return {
            "label": self.label, "displayOrder": order, "id": self.id, "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT", "archived": False,
            "metadata": dict((("isClosed", "true" if self.closed else "false"), known[kind])),
            "createdAt": self.created, "updatedAt": self.updated,
        }  # fmt: skip


@dataclass
class Pipeline:
    id: str
    label: str
    neutral: str
    stages: list[Stage] = field(default_factory=list)
    created: str = "2025-01-10T09:00:00Z"
    updated: str = "2025-01-10T09:00:00Z"
    kind: str = "deals"

    @property
    def native(self) -> bool:
        """HubSpot's own default pipeline: it cannot be deleted."""
        return self.created == HUBSPOT_BORN

    def wire(self, order: int) -> dict[str, object]:
        """As the pipelines API shows it: deleted stages are not in it."""
        live = [stage for stage in self.stages if not stage.deleted]
        return {
            "label": self.label, "displayOrder": order, "id": self.id, "stages": [stage.wire(n, self.kind) for n, stage in enumerate(live)],
            "createdAt": self.created, "updatedAt": self.updated, "archived": False,
        }  # fmt: skip

    def timer(self, stage: Stage, what: str) -> str:
        """The name of a stage timer (``date_entered``, ``date_exited`` …). Stages that an admin made carry a suffix nobody can guess."""
        own = "" if stage.created == HUBSPOT_BORN else f"_{zlib.crc32(f'{self.id}/{stage.id}'.encode()) % 10**9}"
        return f"hs_v2_{what}_{stage.id}{own}"


_ROWS: dict[tuple[str, str, str], str] = {
    ("capital", "default", "Devices"): """
        prospect 168402300 0.1 New lead
        discovery appointmentscheduled 0.2 Discovery meeting
        demo qualifiedtobuy 0.3 Demo / in-service
        clinical_evaluation 168402305 0.3 Clinical evaluation
        pilot presentationscheduled 0.5 30-day evaluation
        vac 168402311 0.6 VAC
        gpo 168402315 0.7 GPO contract
        contracting decisionmakerboughtin 0.8 Price agreement
        commit contractsent 0.9 LOI received
        won closedwon won Closed won
        lost closedlost lost Closed lost
        no_decision 168402340 lost No decision
        duplicate 168402341 lost Duplicate
        deferred 168402355 0.1 Budget frozen
        trial 168402199 retired:0.5 Trial
        old_vac 168402198 retired:0.6 VAC approval""",
    ("disposables", "77120044", "Disposables"): """
        prospect 172000101 0.1 Prospect
        demo 172000102 0.3 Sample requested
        pilot 172000103 0.5 Evaluation
        contracting 172000104 0.8 Pricing
        won 172000105 won Closed won
        lost 172000106 lost Closed lost
        first_case 172000107 won First case""",
    ("software", "88213305", "Software"): """
        prospect 171000101 0.1 Prospect
        discovery 171000110 0.2 Discovery
        demo 171000102 0.3 Demo
        security_review 171000103 0.5 Security review
        legal_review 171000104 0.6 Legal / BAA
        pilot 171000105 0.5 60-day pilot
        contracting 171000106 0.8 Contracting
        won 171000107 won Closed won
        lost 171000108 lost Closed lost
        no_decision 171000109 lost No decision
        duplicate 171000111 lost Duplicate
        old_security 171000099 retired:0.5 InfoSec""",
    ("renewals", "90417722", "Renewals"): """
        renewal_out 173000101 0.5 Renewal out
        contracting 173000102 0.8 Contracting
        won 173000103 won Closed won
        lost 173000104 lost Closed lost""",
}


def _stage(line: str) -> Stage:
    neutral, id_, odds, label = line.split(maxsplit=3)
    deleted = odds.startswith("retired:")
    closed = odds in ("won", "lost")
    probability = {"won": 1.0, "lost": 0.0}[odds] if closed else float(odds.removeprefix("retired:"))
    born = "2025-01-10T09:00:00Z" if id_.isdigit() else HUBSPOT_BORN
    return Stage(id_, label, neutral, probability, closed=closed, deleted=deleted, created=born, updated=born)


_SERVICE: dict[str, tuple[str, str, tuple[tuple[str, str, str], ...]]] = {
    "tickets": ("0", "Support Pipeline", (
        ("1", "New", "OPEN"), ("2", "Waiting on contact", "OPEN"), ("3", "Waiting on us", "OPEN"), ("4", "Closed", "CLOSED"))),
    "leads": ("lead-pipeline-id", "Lead pipeline", (
        ("new-stage-id", "New", "NEW"), ("attempting-stage-id", "Attempting", "IN_PROGRESS"), ("connected-stage-id", "Connected", "IN_PROGRESS"),
        ("qualified-stage-id", "Qualified", "QUALIFIED"), ("unqualified-stage-id", "Disqualified", "UNQUALIFIED"))),
}  # fmt: skip
_CLOSED_STATES = ("CLOSED", "QUALIFIED", "UNQUALIFIED")


def of_service() -> dict[str, list[Pipeline]]:
    """Object type → its default pipeline, for tickets and leads."""
    made = {}
    for kind, (id_, label, rows) in _SERVICE.items():
        stages = [
            Stage(stage, name, stage, 0.0, closed=state in _CLOSED_STATES, created=HUBSPOT_BORN, updated=HUBSPOT_BORN, state=state)
            for stage, name, state in rows
        ]
        made[kind] = [Pipeline(id_, label, kind, stages, HUBSPOT_BORN, HUBSPOT_BORN, kind)]
    return made


def seeded() -> list[Pipeline]:
    """Fresh deal pipelines, in display order."""
    made = []
    for (neutral, id_, label), text in _ROWS.items():
        born = HUBSPOT_BORN if id_ == "default" else "2025-01-10T09:00:00Z"
        made.append(Pipeline(id_, label, neutral, [_stage(line) for line in text.strip().splitlines()], born, born))
    return made
