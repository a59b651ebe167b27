"""The golden org goes through the state and comes out as it went in, so that a book built from either is the same."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from connector.clock import Calendar, parse_instant
from connector.model.records import (
    Account,
    Activity,
    CanonicalRecord,
    Change,
    Contact,
    ContactRole,
    GateEvidence,
    Mapped,
    Opportunity,
    Owner,
)
from connector.state.frames import RENAMED, sections
from connector.state.store import Store

INPUTS = json.loads((Path(__file__).parents[1] / "kpis" / "golden.json").read_text())["inputs"]
CRM = INPUTS["crm"]
MONEY = ("amount", "arr", "capital_amount", "projected_pull_through", "probability", "contract_years")
STORED = {book: stored for stored, book in RENAMED.items()}


def day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def deal(row: dict[str, Any]) -> Opportunity:
    values: dict[str, Any] = {STORED.get(name, name): value for name, value in row.items()}
    for name, value in values.items():
        if name in MONEY and value is not None:
            values[name] = Decimal(str(value))
        elif name.endswith("_on"):
            values[name] = day(value)
    last = [move["raw_stage"] for move in CRM["stage_history"] if move["opportunity"] == row["id"]]
    values.update(created_at=parse_instant(row["created_at"]), native_pipeline=values.pop("pipeline"), raw_stage=last[-1] if last else None)
    return Opportunity(**values)


def records() -> list[CanonicalRecord]:
    close_dates = []
    for number, row in enumerate(CRM["closes_on_history"]):
        start = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
        if not any(change.opportunity == row["opportunity"] for change in close_dates):
            close_dates.append(Change(f"c{number}-", row["opportunity"], "closes_on", row["old"], start))
        close_dates.append(Change(f"c{number}", row["opportunity"], "closes_on", row["new"], start.replace(day=number + 2)))
    return [
        *(Account(**row) for row in CRM["accounts"]),
        *(Owner(**row) for row in CRM["owners"]),
        *(deal(row) for row in CRM["opportunities"]),
        *(
            Change(f"s{number:04d}", row["opportunity"], "stage", row["raw_stage"], parse_instant(row["entered_at"]))
            for number, row in enumerate(CRM["stage_history"])
        ),
        *close_dates,
        *(Contact(row["id"], title=row["title"], persona=row["persona"]) for row in CRM["contacts"]),
        *(ContactRole(row["opportunity"], row["contact"], added_on=day(row["added_on"])) for row in CRM["opportunity_contacts"]),
        *(activity(row) for row in CRM["activities"]),
    ]


def activity(row: dict[str, Any]) -> Activity:
    values = {name: day(value) if name in ("on", "due_on", "completed_on") else value for name, value in row.items()}
    values["participants"] = tuple(row.get("participants") or ())
    return Activity(**values)


def replay_gates(store: Store) -> None:
    """A CRM holds one attempt per gate: later ones overwrite earlier ones, and our log keeps those."""
    for row in CRM["gates"]:
        dates = {"opened_on": day(row.get("opened_on")), "decided_on": day(row.get("decided_on"))}
        evidence = GateEvidence(row["opportunity"], row["gate"], result=row.get("result"), required=row.get("required"), **dates)
        store.save_page("c", "gates", [Mapped((evidence,))], [], {}, run=None, fence=None)


def comparable(value: Any) -> Any:
    """Both sides as text, numbers by value, without what is empty."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal | int | float) and not isinstance(value, bool):
        return str(Decimal(str(value)).normalize())
    if isinstance(value, str) and value.endswith("Z") and "T" in value:
        return parse_instant(value).isoformat()
    return value


def plain(rows: list[dict[str, Any]], *without: str) -> list[list[tuple[str, Any]]]:
    shown = [sorted((name, comparable(value)) for name, value in row.items() if value not in (None, [], {}) and name not in without) for row in rows]
    return sorted(shown, key=repr)


def test_the_golden_org_comes_out_as_it_went_in(store: Store) -> None:
    store.save_page("c", "all", [Mapped((record,)) for record in records()], [], {}, run=None, fence=None)
    replay_gates(store)
    stage_map = INPUTS["stage_map"]
    found = sections(
        store,
        "c",
        day=Calendar("America/New_York").day,
        stage_of=lambda pipeline, stage: stage_map[pipeline or ""].get(stage),
        pipeline_of=lambda native: native,
    )
    for name in ("accounts", "owners", "gates", "opportunity_contacts", "activities"):
        assert plain(found[name], "quality") == plain(CRM[name]), name
    assert plain(found["opportunities"], "raw_stage") == plain(CRM["opportunities"])
    assert plain(found["stage_history"], "id", "quality") == plain(CRM["stage_history"])
    assert plain(found["closes_on_history"], "at") == plain(CRM["closes_on_history"])
    assert plain(found["contacts"]) == plain(CRM["contacts"], "role")
