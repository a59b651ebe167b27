"""The fault matrix as a table: ``make faults``. Ends with 1 if a cell is not as it must be."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Sequence

from tests.faults import matrix, pushes
from tests.faults.bench import HS, SF, VARIANTS, Outcome, bench


def main() -> int:
    warnings.simplefilter("error")
    began, cells, bad = time.monotonic(), 0, 0
    for variant in VARIANTS:
        with bench(variant) as made:
            streams = [target.stream for target in made.targets]
            rows = []
            for fault, found in matrix.read_rows(made):
                rows.append([fault, *(_cell(found.get(stream)) for stream in streams)])
                cells += sum(1 for outcome in found.values() if outcome.struck)
                bad += sum(1 for outcome in found.values() if not outcome.ok)
            _table(f"{variant}: reading", ["fault", *streams], rows)
    for crm in (SF, HS):
        with bench(crm) as made:
            found_ = list(pushes.push_rows(made))
            cells += len(found_)
            bad += sum(1 for _, outcome in found_ if not outcome.ok)
            _table(f"{crm}: writing", ["fault", "push"], [[fault, _cell(outcome)] for fault, outcome in found_])
    print(f"{cells} cells, {bad} not as they must be, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    return outcome.text if outcome.ok else f"WRONG: {outcome.text}"


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    print(f"\n{title}\n")
    for row in (heads, *rows):
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip(), flush=True)
    print()


if __name__ == "__main__":
    sys.exit(main())
