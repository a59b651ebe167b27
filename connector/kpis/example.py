"""Small companies on which a definition can be tried: the examples in the docstrings of KPIs are made of them.

>>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02").deal("D2", "demo 2026-05-04", "closed_lost 2026-07-01")
>>> company.show("win_rate")
'0.5 ratio, n=2, 0.09–0.91, low n'
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

from connector.kpis.book.book import Book
from connector.kpis.definition import REGISTRY, Measure

LADDER = {
    "lead": "sequential", "qualified_meeting": "sequential", "demo": "sequential", "clinical_validation": "sequential", "pilot": "sequential",
    "security_review": "gate", "compliance_legal": "gate", "vac": "gate", "procurement": "gate", "contracting": "sequential",
    "verbal": "sequential", "closed_won": "won", "closed_lost": "lost", "closed_no_decision": "no_decision", "closed_void": "void",
    "on_hold": "parked", "go_live": "post_sale",
}  # fmt: skip
CHANCES = {
    "lead": 0.05, "qualified_meeting": 0.1, "demo": 0.2, "clinical_validation": 0.3, "pilot": 0.45, "security_review": 0.5,
    "compliance_legal": 0.55, "vac": 0.6, "procurement": 0.7, "contracting": 0.8, "verbal": 0.9,
}  # fmt: skip
GATED = {
    "clinical_validation": "clinical", "pilot": "clinical", "security_review": "security", "compliance_legal": "legal", "vac": "vac",
}  # fmt: skip
GATES = {"clinical": (), "security": ("security", "vp_it"), "legal": ("legal",), "vac": ("value_analysis",)}
STAGES: Mapping[str, Any] = {
    "ladder": [
        {"key": k, "label": k.replace("_", " ").capitalize(), "kind": kind, "probability": CHANCES.get(k), "gate": GATED.get(k)}
        for k, kind in LADDER.items()
    ],
    "gates": [{"key": k, "label": k.capitalize(), "held_by": list(by), "compliance": k in ("security", "vac")} for k, by in GATES.items()],
    "required": {"hospital": {"gates": ["security", "vac"]}},
}
KPIS: Mapping[str, Any] = {"calendar": {"time_zone": "America/New_York", "fiscal_year_starts": 1, "currency": "USD"}}
NOON = "T17:00:00Z"


class Example:
    """A company that grows by calls: an account A1 (hospital), owners R1 and R2, today 15 February 2027 in New York.

    ``given`` has the form of ``inputs`` of a book file (kpis/golden.md): as_of, stages, kpis, crm, files, state.
    """

    def __init__(self, stages: Mapping[str, Any] = STAGES, kpis: Mapping[str, Any] = KPIS, as_of: str = f"2027-02-15{NOON}") -> None:
        self.given: dict[str, Any] = copy.deepcopy({"as_of": as_of, "stages": stages, "kpis": kpis})
        self.given |= {"crm": {}, "files": {}, "state": {}, "windows": []}
        self.add("accounts", id="A1", segment="hospital", territory="East", region="US")
        self.add("owners", id="R1", active=True)
        self.add("owners", id="R2", active=True)

    def add(self, section: str, **row: Any) -> Self:
        """A row of a section of ``crm``."""
        self.given["crm"].setdefault(section, []).append(row)
        return self

    def file(self, name: str, *rows: Mapping[str, Any]) -> Self:
        """The rows of an input file, by its name without ``.csv``."""
        self.given["files"][f"{name}.csv"] = [dict(row) for row in rows]
        return self

    def set(self, path: str, value: Any) -> Self:
        """A setting of kpis.yaml, such as ``thresholds.low_n``."""
        place = self.given["kpis"]
        *parents, last = path.split(".")
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = value
        return self

    def deal(self, id: str, *stays: str | tuple[str | None, str], **values: Any) -> Self:
        """A new-business deal over 1,000 USD of A1 and R1, created when it entered its first stage, expected to close on 2027-03-15.

        A stay is ``"demo 2026-05-04"`` or (stage, date or instant); a stage that is None is not mapped.
        """
        pairs = [tuple(stay.split()) if isinstance(stay, str) else stay for stay in stays]
        instants = [when if "T" in when else f"{when}T15:00:00Z" for _, when in pairs]
        usual = {
            "account": "A1", "owner": "R1", "deal_type": "new_business", "amount": 1000, "arr": 1000, "currency": "USD",
            "closes_on": "2027-03-15", "created_at": instants[0] if instants else "2026-06-01T15:00:00Z",
        }  # fmt: skip
        self.add("opportunities", id=id, **(usual | values))
        for (stage, _), when in zip(pairs, instants, strict=True):
            self.add("stage_history", opportunity=id, raw_stage=stage or "Whatever", stage=stage, entered_at=when)
        return self

    def book(self) -> Book:
        """The book of all that was added."""
        from connector.kpis.compute import from_inputs

        return from_inputs(copy.deepcopy(self.given), "example")

    def measure(self, kpi: str, variant: str = "", subject: str = "company", window: str | None = None) -> Measure:
        """One measure; without ``window`` the first. Raises LookupError where there is none."""
        import connector.kpis.compute  # noqa: F401  (fills the registry)

        for found in REGISTRY[kpi].measures(self.book()):
            if (found.variant, found.subject) == (variant, subject) and window in (None, found.window):
                return found
        raise LookupError(f"no row {kpi}.{variant} of {subject} in {window or 'any window'}")

    def show(self, kpi: str, variant: str = "", subject: str = "company", window: str | None = None) -> str:
        """The same as a line: value, unit, n, interval, marks, reason."""
        found = self.measure(kpi, variant, subject, window)
        value = f"{found.value:.10g}" if isinstance(found.value, float) else found.value
        parts = [f"{value} {found.unit}", *([] if found.n is None else [f"n={found.n}"])]
        parts += [f"{found.ci_low:.2f}–{found.ci_high:.2f}"] if found.ci_low is not None and found.ci_high is not None else []
        parts += ["low n"] if found.low_n else []
        parts += [f"pending={found.pending}"] if found.pending else []
        parts += [f"{name}={number}" for name, number in found.excluded.items()]
        return ", ".join(parts + ([found.reason] if found.reason else []))


def example(**given: Any) -> Example:
    """A new small company."""
    return Example(**given)
