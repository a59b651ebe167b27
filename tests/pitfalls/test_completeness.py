"""Missed records: what today's connectors lose, and ours must not."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from connector import reconcile, runs
from connector.sandbox.salesforce.schema import FieldDef
from tests.pitfalls.catalogue import BOTH, HS, SF
from tests.pitfalls.requests_seen import asked
from tests.rig import NAME

both = pytest.mark.parametrize("crm", BOTH)
hubspot = pytest.mark.parametrize("crm", [HS])


@both
@pytest.mark.pitfall("1")
def test_late_commit_below_bookmark_is_read(rig: Any) -> None:
    """A deal that becomes visible after a pull, with a stamp from before it, is picked up by the next one."""
    rig.pull()
    rig.advance(120)
    if rig.crm == SF:
        with rig.committed_late(90):
            late = rig.open_deal()
    else:
        rig.portal.index_lag = 90
        late = rig.open_deal()
        rig.advance(30)
        rig.pull()
        assert late not in _ids(rig)
        rig.advance(120)
    rig.pull()
    assert late in _ids(rig)
    rig.assert_same()


@both
@pytest.mark.pitfall("2")
def test_equal_stamps_across_page_border(rig: Any) -> None:
    """260 deals of one instant, read in pages of at most 200: each once."""
    with rig.one_instant():
        made = [rig.open_deal() for _ in range(260)]
    _small_pages(rig)
    rig.pull()
    assert set(made) <= set(_ids(rig))
    rig.assert_same()


@both
@pytest.mark.pitfall("3")
def test_no_silent_default_start_date(rig: Any) -> None:
    """A deal untouched for six years is in the first pull, and no request of it has a lower bound of its own making."""
    rig.advance(days=6 * 365)
    rig.world.journal.clear()
    rig.pull()
    assert rig.deals[0] in _ids(rig)
    bounds = [request for request in asked(rig) if "SystemModstamp >=" in request or '"GTE"' in request]
    assert not [request for request in bounds if "1970" not in request and '"value":"0"' not in request.replace(" ", "")], bounds
    rig.assert_same()


@both
@pytest.mark.pitfall("4")
def test_full_pull_equals_crm_count(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a full pull the CRM is asked for its own count of every stream. A row that got lost on the way and that no second read brings
    is named, and blocks the push."""
    rig.world.journal.clear()
    report = rig.pull()
    assert not [f for f in report.findings if f.code == "SC-E071"]
    compared = {found.stream for found in rig.app.store.census.compared(NAME).values()}
    assert {"opportunities", "accounts", "contacts", "owners"} - compared <= {"owners"}
    lost = rig.deals[0]
    _forget(rig, lost)
    monkeypatch.setattr(reconcile, "READ", 0)
    done = runs.sync_all(rig.app, [NAME])
    assert lost in " ".join(f.message for f in done.pulls[0].findings if f.code == "SC-E071")
    assert [push.trips for push in done.pushes]
    assert not [push for push in done.pushes if push.outcomes]


@both
@pytest.mark.pitfall("5")
def test_many_rows_per_distinct_stamp(rig: Any) -> None:
    """Five instants of 70 deals each, in small pages: the keyset moves inside an instant."""
    for _ in range(5):
        rig.advance(1)
        with rig.one_instant():
            for _ in range(70):
                rig.open_deal()
    _small_pages(rig)
    rig.pull()
    assert len(_ids(rig)) == 353
    rig.assert_same()


@both
@pytest.mark.pitfall("6")
def test_added_field_clears_nothing(rig: Any) -> None:
    """A field that appears in the CRM's schema empties no row of the state."""
    rig.pull()
    before = rig.rows("opportunities")
    _add_field(rig)
    rig.advance(600)
    rig.pull()
    assert rig.rows("opportunities") == before
    rig.assert_same()


@both
@pytest.mark.pitfall("7")
def test_bookmark_compares_with_ge(rig: Any) -> None:
    """Two deals of one instant, the second written after the first was pulled at that very instant: both are held."""
    with rig.one_instant():
        first = rig.open_deal()
        rig.pull()
        second = rig.open_deal()
    rig.pull()
    assert {first, second} <= set(_ids(rig))
    rig.assert_same()


@hubspot
@pytest.mark.pitfall("8")
def test_hubspot_total_reconciles(rig: Any) -> None:
    """The portal's own total is compared with the rows held: equal totals say nothing, a lost row is read again."""
    rig.pull()
    rig.advance(days=8)
    assert not [f for f in rig.pull().findings if f.code == "SC-E071"]
    _forget(rig, rig.deals[2])
    assert [(found.stream, found.live, found.brought) for found in rig.pull().reconciled if found.brought] == [("opportunities", 3, 1)]
    rig.assert_same()


@hubspot
@pytest.mark.pitfall("9")
def test_search_index_lag_second_pass(rig: Any) -> None:
    """An index that trails by half an hour, far beyond the overlap: the settled pass finds what the fresh one could not."""
    rig.pull()
    rig.portal.index_lag = 1_800
    late = rig.open_deal()
    for _ in range(3):
        rig.advance(600)
        rig.pull()
    rig.advance(2 * 3_600)
    rig.pull()
    assert late in _ids(rig)
    rig.assert_same()


@both
@pytest.mark.pitfall("10")
def test_short_page_with_next_is_not_the_end(rig: Any) -> None:
    """Pages shorter than asked for, with a next one behind them."""
    for _ in range(40):
        rig.open_deal()
    _small_pages(rig, 7)
    rig.pull()
    assert len(_ids(rig)) == 43
    rig.assert_same()


@hubspot
@pytest.mark.pitfall("11")
def test_no_recent_endpoints(rig: Any) -> None:
    """Only dated paths of objects, search, batch reads and associations are called."""
    rig.world.journal.clear()
    rig.pull()
    rig.advance(600)
    rig.pull()
    paths = {request.split("?")[0].split()[1] for request in asked(rig)}
    assert not [path for path in paths if "recent" in path or "/v1/" in path or "/v2/" in path or "/v3/" in path or "/v4/" in path], paths


@both
@pytest.mark.pitfall("12")
def test_single_missing_record_found_by_reconcile(rig: Any) -> None:
    """One row is gone from the state behind the connector's back: the weekly count finds it by its id, and reads it."""
    rig.pull()
    gone = rig.deals[1]
    _forget(rig, gone)
    report = rig.pull()
    assert [found.brought for found in report.reconciled if found.stream == "opportunities"] == [1]
    assert not [f for f in report.findings if f.code == "SC-E071"]
    assert gone in _ids(rig)
    rig.assert_same()


@hubspot
@pytest.mark.pitfall("13")
def test_beyond_10000_is_not_dropped(rig: Any) -> None:
    """11,000 tasks in one window, each with an instant of its own."""
    _many_tasks(rig, 11_000, step=timedelta(milliseconds=20))
    rig.pull(stream="tasks")
    assert len([row for row in rig.rows("activities") if row["kind"] == "task"]) == 11_000


@hubspot
@pytest.mark.pitfall("14")
def test_sort_sent_as_objects_and_verified(rig: Any) -> None:
    """``sorts`` are objects; where the portal ignores them, the pull stops with what is wrong instead of losing rows."""
    rig.pull()
    for _ in range(250):
        rig.open_deal()
    rig.world.journal.clear()
    rig.pull()
    bodies = [json.loads(a.body) for a in rig.world.journal if a.path.endswith("/search") and a.body]
    sent = [body["sorts"] for body in bodies if '"LT"' in json.dumps(body["filterGroups"])]
    assert sent
    assert all(isinstance(sort, dict) and sort["direction"] == "ASCENDING" for sorts in sent for sort in sorts)


# -- hands on both CRMs ------------------------------------------------------------------------------------------------


def _ids(rig: Any) -> list[str]:
    return [row["id"] for row in rig.rows("opportunities")]


def _small_pages(rig: Any, rows: int = 50) -> None:
    if rig.crm == SF:
        rig.org.page_size = rows
    else:
        rig.portal.page_shortfall = 200 - rows if rows >= 50 else 100 - rows


def _forget(rig: Any, deal: str) -> None:
    """The row is gone from the state, as if a page had been lost; then a week passes, and no overlap or second pass reaches it."""
    for _ in range(2):
        rig.advance(2 * 3_600)
        rig.pull()
    with rig.app.store.database.write() as db:
        gone = db.execute(text("DELETE FROM opportunities WHERE id = :id"), {"id": deal})
        assert gone.rowcount == 1
    rig.advance(days=8)


def _add_field(rig: Any) -> None:
    if rig.crm == SF:
        rig.org.add_field("Opportunity", FieldDef("Brand_New__c", "string"))
    else:
        rig.portal.define_property("deals", "brand_new", "string")


def _many_tasks(rig: Any, count: int, step: timedelta) -> None:
    for _ in range(count):
        rig.advance(step.total_seconds())
        rig.portal.create("tasks", {"hs_timestamp": "2026-11-01T12:00:00Z", "hs_task_status": "NOT_STARTED"})
