from __future__ import annotations

import csv
from pathlib import Path

import pytest

from connector.crms.base import Stage
from connector.mapping.load import MappingSet
from connector.mapping.suggest import suggest


def _first(own: MappingSet, label: str, probability: float | None = 0.5) -> str | None:
    found = suggest([Stage("s", label, probability=probability)], [], own.ladder)
    return found[0].canonical if found else None


@pytest.mark.parametrize(
    ("label", "canonical"),
    [
        ("New Lead", "lead"), ("Discovery meeting", "qualified_meeting"), ("Product Demo", "demo"), ("30-Day Evaluation", "pilot"),
        ("VAC", "vac"), ("Value Analysis Committee", "vac"), ("InfoSec Review", "security_review"), ("Negotation", "contracting"),
        ("On hold", "on_hold"), ("Letter of Intent", "verbal"), ("Clinical Evaluation", "clinical_validation"),
    ],
)  # fmt: skip
def test_general_words(own: MappingSet, label: str, canonical: str) -> None:
    assert _first(own, label) == canonical


@pytest.mark.parametrize("label", ["Not Interested", "Trialling Competitor Product", "S4", "Upside", "Evacuation", "Selling", "1st Case"])
def test_silence(own: MappingSet, label: str) -> None:
    assert _first(own, label) is None


def test_never_a_terminal_class_never_a_mapped_stage_and_the_reason_is_shown(own: MappingSet) -> None:
    live = [Stage("w", "Closed Won", closed=True, won=True), Stage("l", "Lost", closed=True), Stage("x", "Won deals"), Stage("p", "Pilot"),
            Stage("d", "Demo"), Stage("o", "Demo", active=False)]  # fmt: skip
    found = suggest(live, ["p"], own.ladder)
    assert [(s.stage, s.canonical, s.score, s.why) for s in found] == [("d", "demo", 100, '"demo"')]
    terminal = {rung.key for rung in own.ladder.ladder if rung.kind in ("won", "lost", "no_decision", "void", "post_sale")}
    assert not terminal & {s.canonical for s in found}


def test_nothing_below_the_threshold(own: MappingSet) -> None:
    stage = Stage("s", "A rather long name with the word pilot in it")
    assert suggest([stage], [], own.ladder, min_score=80)
    assert suggest([stage], [], own.ladder, min_score=95) == []


def test_no_wrong_hit_on_a_real_orgs_labels(own: MappingSet, shared: Path) -> None:
    folder = shared / "data" / "stage-labels"
    with (folder / "large-medtech-manufacturer.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with (folder / "wrong-hits.csv").open(encoding="utf-8", newline="") as file:
        wrong = {(row["label"], row["never"]) for row in csv.DictReader(file) if row["kind"] == "stage"}
    live = [
        Stage(r["label"], r["label"], True, r["is_closed"] == "true", r["is_won"] == "true", float(r["probability"]) / 100) for r in rows
    ]  # fmt: skip
    found = {s.stage: s.canonical for s in suggest(live, [], own.ladder)}
    assert {pair for pair in found.items() if pair in wrong} == set()
    judged = {r["label"]: r["canonical_stage"] for r in rows if r["confidence"] == "high"}
    open_high = {r["label"] for r in rows if r["confidence"] == "high" and r["is_closed"] == "false"}
    right = sum(found.get(label) == judged[label] for label in open_high)
    assert right >= len(open_high) / 3, (right, len(open_high))
