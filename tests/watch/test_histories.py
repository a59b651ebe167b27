"""The last word of a deal's history is what the deal says now, else a finding names the deal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from connector import watch
from connector.errors import Finding
from connector.state.tables.canonical import Changes, Opportunities
from connector.state.tables.columns import table
from tests.rig import NAME, Rig, opened

CHANGES, DEALS = table(Changes), table(Opportunities)


@pytest.fixture(params=["salesforce", "hubspot"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with opened(request.param, tmp_path) as made:
        yield made


def found(rig: Rig) -> list[Finding]:
    return watch.histories(rig.app.mapped(NAME), rig.app.store, rig.now)


def test_history_ends_at_current_value(rig: Rig) -> None:
    deal, other = rig.deals[:2]
    rig.move(deal, "demo")
    rig.edit(deal, amount=None)
    rig.move(deal, "pilot")
    rig.advance(seconds=7200)
    pulled = rig.pull()
    assert not [f for f in pulled.findings if f.code == "SC-W072"]
    assert not found(rig)
    with rig.app.store.database.write() as db:  # the last move is lost
        last = max(row.at for row in db.execute(CHANGES.select().where(CHANGES.c.opportunity == deal, CHANGES.c.field == "stage")))
        db.execute(delete(CHANGES).where(CHANGES.c.opportunity == deal, CHANGES.c.field == "stage", CHANGES.c.at == last))
    (said,) = found(rig)
    assert (said.code, said.severity) == ("SC-W072", "warning")
    assert f"the history of stage does not end at the present value of {deal}" in said.message
    assert other not in said.message


def test_the_next_run_tells_and_a_full_read_mends(rig: Rig) -> None:
    deal = rig.deals[2]  # closed: no daily sweep reads it again
    for _ in range(2):
        rig.pull()
        rig.advance(seconds=7200)
    with rig.app.store.database.write() as db:
        db.execute(update(DEALS).where(DEALS.c.id == deal).values(raw_stage="Nowhere"))
    rig.edit(rig.deals[0], amount=None)  # something moves: the run looks
    rig.advance(seconds=7200)
    pulled = rig.pull()
    said = [f.message for f in pulled.findings if f.code == "SC-W072"]
    assert said
    assert deal in said[0]
    assert pulled.exit_code == 0  # told, not blocked
    assert not [f for f in rig.pull(full=True).findings if f.code == "SC-W072"]


def test_what_moved_just_now_may_be_read_in_parts(rig: Rig) -> None:
    rig.pull()
    rig.move(rig.deals[0], "pilot")
    with rig.app.store.database.write() as db:
        db.execute(update(DEALS).where(DEALS.c.id == rig.deals[0]).values(raw_stage="Nowhere", modified_at=rig.now))
    assert not found(rig)


def test_a_renamed_stage_is_the_same_stage(tmp_path: Path) -> None:
    """Salesforce's history keeps the text of the time: two texts of one canonical stage are no contradiction."""
    with opened("salesforce", tmp_path) as rig:
        rig.move(rig.deals[0], "pilot")
        rig.advance(seconds=7200)
        rig.pull()
        with rig.app.store.database.write() as db:
            db.execute(update(CHANGES).where(CHANGES.c.opportunity == rig.deals[0], CHANGES.c.value == "30-Day Pilot").values(value="Trial"))
        assert not found(rig)


def test_reading_history_again_appends_nothing(rig: Rig) -> None:
    rig.move(rig.deals[0], "pilot")
    rig.pull()
    before = rig.rows("changes")
    assert rig.rows("changes")
    rig.pull(full=True)
    assert rig.rows("changes") == before
