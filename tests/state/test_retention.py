"""What goes when its time is over, and what never does; a dry run says the same and takes nothing."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest

from connector.clock import FixedClock
from connector.model.records import DeadLetter
from connector.pulls import StreamPull
from connector.state.ledger import Image, Outcome
from connector.state.retention import Gone, Spans
from connector.state.store import Store

DAY = timedelta(days=1)
SPANS = Spans(runs=90 * DAY, before_images=30 * DAY, dead_letters=14 * DAY)


def push(store: Store, record: str, before: str, after: str, *, status: str | None = "written") -> int:
    run = store.runs.start("c", "push", "test")
    store.ledger.before_images(run, "0001", "c", [Image("deals", record, "f", before, after)], fence=None)
    if status is not None:
        store.ledger.results(run, "c", [Outcome("deals", record, status)])  # type: ignore[arg-type]
    store.runs.finish(run, "ok")
    return run


def pull(store: Store, *, complete: bool = False) -> int:
    run = store.runs.start("c", "pull", "test")
    store.runs.count(run, StreamPull("opportunities", "deals", 1, 5, 5, 0, 0, 1, 0.1), complete=complete)
    store.runs.finish(run, "ok")
    return run


def test_before_images_go_and_what_we_wrote_last_stays(store: Store, clock: FixedClock, folder: Path) -> None:
    first = push(store, "d1", "canary-before-1", "a")
    second = push(store, "d1", "a", "canary-last")
    push(store, "d2", "canary-before-2", "x", status="rejected")
    lost = push(store, "d3", "canary-unsettled", "y", status=None)
    clock.at += 31 * DAY
    late = push(store, "d1", "canary-last", "c")
    rows = len(store.audit.after(0))
    told = store.retention.purge(SPANS, dry_run=True)
    assert (len(store.ledger.of_run(first)), len(store.audit.after(0))) == (1, rows), "a dry run takes nothing and records nothing"
    assert store.retention.purge(SPANS) == told == Gone(before_images=3)
    assert store.ledger.of_run(first) == store.ledger.of_run(second) == []
    assert [w.before for w in store.ledger.of_run(late)] == ["canary-last"]
    assert [w.status for w in store.ledger.of_run(lost)] == ["pending"], "nobody knows yet what became of it"
    assert {at: last.value for at, last in store.ledger.last_written("c", "deals").items()} == {("d1", "f"): "c"}
    clock.at += 31 * DAY
    store.retention.purge(SPANS)
    [kept] = store.ledger.of_run(late)
    assert (kept.status, kept.before, kept.after) == ("expired", None, "c")
    assert {at: last.value for at, last in store.ledger.last_written("c", "deals").items()} == {("d1", "f"): "c"}
    assert store.ledger.fields_written("c") == {"f"}
    assert store.retention.purge(SPANS) == Gone()
    everything = b"".join(path.read_bytes() for path in folder.glob("connector.db*"))
    assert b"canary-before" not in everything
    assert b"canary-last" not in everything
    assert b"canary-unsettled" in everything
    assert store.audit.verify().broken is None


def test_a_field_written_again_leaves_one_row(store: Store, clock: FixedClock) -> None:
    for turn in range(5):
        push(store, "d1", str(turn), str(turn + 1))
        clock.at += 40 * DAY
        store.retention.purge(SPANS)
    assert [(w.after, w.status) for w in store.ledger.of_record("c", "d1")] == [("5", "expired")]


def test_runs_go_but_not_those_that_others_are_measured_against(store: Store, clock: FixedClock) -> None:
    first = pull(store)
    second = pull(store)
    complete = [pull(store, complete=True) for _ in range(12)]
    pushed = push(store, "d1", "a", "b")
    idle = pull(store)
    clock.at += 91 * DAY
    fresh = pull(store)
    keep_images = Spans(runs=90 * DAY, before_images=200 * DAY, dead_letters=14 * DAY)
    assert store.retention.purge(keep_images).runs == 4
    alive = {run.id for run in store.runs.recent(limit=100)}
    assert alive == {first, *complete[2:], pushed, fresh}
    assert second not in alive
    assert idle not in alive
    assert store.runs.get(fresh).streams
    assert len(store.runs.row_counts("c", "opportunities", complete=True, limit=100)) == 10


def test_dead_letters_go_after_they_were_resolved(store: Store, clock: FixedClock) -> None:
    store.dead_letters.add("c", [DeadLetter("push", record, "SC-E121", "no") for record in ("old", "open", "late")])
    store.dead_letters.mended("c", "push", ["old"])
    clock.at += 13 * DAY
    store.dead_letters.mended("c", "push", ["late"])
    clock.at += 2 * DAY
    assert store.retention.purge(SPANS).dead_letters == 1
    assert {letter.record for letter in store.dead_letters.find(status=None)} == {"open", "late"}
    store.dead_letters.add("c", [DeadLetter("push", "late", "SC-E121", "no")])
    clock.at += 100 * DAY
    assert store.retention.purge(SPANS).dead_letters == 0, "it failed again, so it is open"


def test_rows_about_plans_keep_their_numbers(store: Store, clock: FixedClock) -> None:
    for number in (1, 2, 3):
        store.plans.save(f"{number:04d}", path="p", sha256="a" * 64, status="awaiting" if number == 2 else "saved")
    store.plans.set_status("0001", "applied")
    clock.at += 91 * DAY
    assert store.retention.purge(SPANS).plans == 1
    assert [plan.id for plan in store.plans.find()] == ["0003", "0002"]
    assert store.plans.next_id() == "0004"


def test_a_purge_is_recorded(store: Store, clock: FixedClock) -> None:
    push(store, "d1", "a", "b")
    push(store, "d1", "b", "c")
    clock.at += 31 * DAY
    gone = store.retention.purge(SPANS)
    [row] = [row for row in store.audit.after(0) if row.action == "state.purged"]
    detail = row.as_dict()["detail"]
    assert {name: detail[name] for name in asdict(gone)} == asdict(gone)
    assert detail["kept"]["before_images"] == "30 days, 0:00:00"


# -- the audit -----------------------------------------------------------------------------------------------------------------


def months(store: Store, clock: FixedClock) -> None:
    for month in range(6):
        store.audit.add("x", str(month))
        clock.at += 30 * DAY


def test_the_audit_is_proven_from_where_it_was_purged(store: Store, clock: FixedClock) -> None:
    months(store, clock)
    second = store.audit.after(0)[1].hash
    cutoff = clock.now() - 100 * DAY
    assert store.audit.old(cutoff) == 3
    assert store.audit.purge(cutoff) == 3
    found = store.audit.verify()
    assert (found.broken, found.rows) == (None, 4)
    assert [row.seq for row in store.audit.after(0)] == [4, 5, 6, 7]
    assert store.audit.verify(second).broken is not None, "nobody can tell any more that it was there"
    through = store.audit.after(6)[0].as_dict()["detail"]
    assert store.audit.verify(through["hash"]).broken is None, "the last row that went is named"
    assert store.audit.purge(cutoff) == 0
    assert store.audit.purge(clock.now() + DAY) == 3, "the last row of all stays"
    assert store.audit.verify().broken is None


@pytest.mark.parametrize("rows", [1, 2])
def test_rows_that_go_without_a_purge_are_missed(store: Store, clock: FixedClock, folder: Path, rows: int) -> None:
    months(store, clock)
    store.audit.purge(clock.now() - 100 * DAY)
    with sqlite3.connect(folder / "connector.db") as db:
        db.execute("delete from audit where seq < ?", (4 + rows,))
    db.close()
    found = store.audit.verify()
    assert found.broken == 3 + rows
    assert "no purge" in str(found.why)


def test_an_empty_audit_is_whole(store: Store, clock: FixedClock) -> None:
    assert store.audit.verify().broken is None
    assert store.audit.purge(clock.now()) == 0
