"""Notes which pitfall was passed on which CRM; ``make pitfalls`` prints the table."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pitfalls.catalogue import BOTH, HS, PITFALLS, RECORDED, SF
from tests.rig import opened

_seen: dict[str, dict[str, str]] = defaultdict(dict)


@pytest.fixture
def rig(crm: str, tmp_path: Path) -> Iterator[Any]:
    """The small company of tests.rig behind the CRM that the test's ``crm`` parameter names."""
    with opened(crm, tmp_path) as made:
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    marker = item.get_closest_marker("pitfall")
    if marker is not None and (report.when == "call" or report.failed):
        for crm in _crms(item):
            for number in marker.args:
                before = _seen[str(number)].get(crm, "pass")
                _seen[str(number)][crm] = "FAIL" if report.failed or before == "FAIL" else "pass"
    return report


def _crms(item: pytest.Item) -> tuple[str, ...]:
    """The test's ``crm`` parameter, else the CRMs that its marker names, else those to which the pitfall applies."""
    marker = item.get_closest_marker("pitfall")
    assert marker is not None
    spec = getattr(item, "callspec", None)
    if spec is not None and spec.params.get("crm") in BOTH:
        return (spec.params["crm"],)
    if "crm" in marker.kwargs:
        return (marker.kwargs["crm"],)
    return tuple({crm for number in marker.args for crm in (PITFALLS | RECORDED)[str(number)].crms})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if "pitfall" not in (config.option.markexpr or "") and not os.environ.get("CI"):
        return
    write = terminalreporter.write_line
    for title, entries in (("pitfalls", PITFALLS), ("seen in recorded traffic", RECORDED)):
        write("")
        write(f"{title:<58} Salesforce  HubSpot  peers, as observed")
        for number, entry in entries.items():
            cells = [_seen[number].get(crm, "-" if crm in entry.crms else " ") for crm in (SF, HS)]
            write(f"{number:>4} {entry.test.removeprefix('test_'):<53} {cells[0]:<11} {cells[1]:<8} {entry.peers}")
    claimed = sum(len(cells) for cells in _seen.values())
    write(f"\n{claimed} results for {len(_seen)} of {len(PITFALLS) + len(RECORDED)} situations")
