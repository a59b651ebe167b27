"""A pull tells what really changed in the state from what was only read again: overlaps, daily sweeps, our own writes coming back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector import keeping, runs
from connector.sync import PullReport
from tests.pitfalls.catalogue import BOTH, SF
from tests.rig import NAME, opened
from tests.scorecards import OBJECT


@pytest.fixture(params=BOTH)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with opened(request.param, tmp_path) as made:
        made.own_mappings()
        made.advance(60)
        yield made


def by_stream(pulled: PullReport) -> dict[str, int]:
    return {s.stream: s.changed for s in pulled.streams if s.changed}


def test_what_is_read_again_is_no_change(rig: Any) -> None:
    first = rig.pull()
    assert first.changed >= 3 + 3 + 4 + 2, "deals, accounts, contacts, owners"
    again = rig.pull()
    assert again.records > 0, "the overlap, and what is listed every time"
    assert again.changed == 0
    full = rig.pull(full=True)
    assert full.records >= 12
    assert full.changed == 0
    for hours in (2, 26, 8 * 24):
        rig.advance(hours * 3600)
        assert by_stream(rig.pull()) == {}, "index settled, daily sweeps, the weekly count"


def test_each_kind_of_change_counts_once(rig: Any) -> None:
    rig.settle()
    deal, account, contact = rig.deals[0], rig.accounts[0], rig.contacts[1]

    def pulled(after: float = 900) -> dict[str, int]:
        rig.advance(after)
        return by_stream(rig.pull())

    rig.edit(deal, amount=None)
    assert pulled()["opportunities"] >= 1
    assert pulled() == {}
    rig.edit_account(account, name="Mercy General")
    assert pulled() == {"accounts": 1}
    assert pulled() == {}
    rig.log(deal, contact, "call")
    assert sum(pulled().values()) >= 1
    assert pulled() == {}
    rig.add_role(deal, contact, "surgeon")
    assert sum(pulled(26 * 3600).values()) >= 1
    assert pulled() == {}
    rig.remove_role(deal, contact)
    assert sum(pulled(26 * 3600).values()) >= 1
    assert pulled(26 * 3600) == {}
    rig.delete(rig.deals[1])
    assert sum(pulled().values()) >= 1
    assert pulled() == {}, "a tombstone that comes again"
    rig.restore(rig.deals[1])
    assert sum(pulled(26 * 3600).values()) >= 1
    rig.set(OBJECT[rig.crm], deal, **{"Description" if rig.crm == SF else "hs_priority": "high"})
    assert pulled() == {}, "nobody maps it"


def test_measures_are_computed_where_something_changed(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own write comes back and is no reason; a person's edit is, and so is a new day."""
    taken: list[set[str]] = []
    kept = keeping.remember
    monkeypatch.setattr(keeping, "remember", lambda app, known: (taken.append(set(known)), kept(app, known)))
    rig.sync()
    taken.clear()
    read = 0
    for _ in range(2):
        rig.advance(900)
        read += runs.pull_all(rig.app, [NAME]).pulls[0].records
    assert read > 0
    assert taken == [set(), set()]
    rig.edit(rig.deals[0], amount=None)
    rig.advance(900)
    runs.pull_all(rig.app, [NAME])
    rig.advance(days=1)
    runs.pull_all(rig.app, [NAME])
    assert taken == [set(), set(), {NAME}, {NAME}]
