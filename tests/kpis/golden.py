"""``make golden``: how much of the golden org agrees, counted. Ends with 1 if anything does not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connector.kpis.cards.deal import scorecards
from connector.kpis.compute import compute, from_inputs
from connector.kpis.definition import REGISTRY, Measure

FILE = Path(__file__).with_name("golden.json")
GOLDEN: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
DEFAULTS = {"value": None, "unit": None, "n": None, "low_n": False, "ci_low": None, "ci_high": None, "pending": None, "excluded": {}, "reason": None}


def agree(ours: Any, theirs: Any) -> bool:
    """R17: |a − b| ≤ 5·10⁻⁶ · max(1, |b|) for numbers; everything else exactly."""
    numbers = all(isinstance(side, (int, float)) and not isinstance(side, bool) for side in (ours, theirs))
    return abs(ours - theirs) <= 5e-6 * max(1, abs(theirs)) if numbers else isinstance(ours, bool) == isinstance(theirs, bool) and ours == theirs


def differences(measure: Measure | None, expected: dict[str, Any]) -> list[str]:
    """What of a measure is not as expected, in words."""
    place = "{kpi}.{variant} {subject} {window}".format(**expected)
    if measure is None:
        return [f"{place}: absent"]
    ours = measure.as_dict()
    wanted = {name: expected.get(name, default) for name, default in DEFAULTS.items()}
    return [f"{place} {name}: {ours[name]!r}, expected {value!r}" for name, value in wanted.items() if not agree(ours[name], value)]


def _keyed(measures: list[Measure]) -> dict[tuple[str, str, str, str], Measure]:
    return {(m.kpi, m.variant, m.subject, m.window): m for m in measures}


def _off(ours: dict[tuple[str, str, str, str], Measure]) -> Iterator[str]:
    expected = {(r["kpi"], r["variant"], r["subject"], r["window"]): r for r in GOLDEN["expected"]}
    for key, row in expected.items():
        yield from differences(ours.get(key), row)
        for mistake, wrong in row.get("traps", {}).items():
            if key in ours and agree(ours[key].value, wrong):
                yield f"{' '.join(key)}: makes the mistake {mistake}"
    yield from (f"{' '.join(key)}: nobody expects it" for key in ours.keys() - expected.keys())


def main() -> int:
    book = from_inputs(GOLDEN["inputs"])
    off = list(_off(_keyed(compute(book, list(REGISTRY)))))
    cards = {id: card.as_dict() for id, card in scorecards(book).items()}
    for id, expected in GOLDEN["expected_scorecards"].items():
        off += [
            f"scorecard {id} {key}: {cards[id][key]!r}, expected {value!r}" for key, value in expected.items() if not agree(cards[id][key], value)
        ]
    print("\n".join(off), end="\n" if off else "")
    traps = sum(len(row.get("traps", ())) for row in GOLDEN["expected"])
    by_hand = sum(1 for row in GOLDEN["expected"] if row.get("arithmetic"))
    print(
        f"{len(REGISTRY)} KPIs, {len(GOLDEN['expected']):,} golden measures ({by_hand} worked by hand), {traps} traps, "
        f"{len(GOLDEN['expected_scorecards'])} scorecards: {len(off)} not as they must be"
    )
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())
