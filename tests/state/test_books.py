"""Leases, runs, plans, the ledger, measures and what is known of connections."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.clock import FixedClock
from connector.errors import LeaseHeld, StateError
from connector.model.records import DeadLetter, Mapped, Opportunity, Tombstone
from connector.model.standing import Standing
from connector.state.ledger import Image, Outcome
from connector.state.runs import StreamCounts
from connector.state.store import Store

# -- leases --------------------------------------------------------------------------------------------------------


def test_one_of_twelve_threads_wins(store: Store) -> None:
    won: list[str] = []
    refused: list[str] = []
    start = threading.Barrier(12)

    def compete(name: str) -> None:
        start.wait()
        try:
            store.leases.take("c", "deals", name, heartbeat=None)
            won.append(name)
        except LeaseHeld as error:
            refused.append(error.message)

    threads = [threading.Thread(target=compete, args=(f"t{n}",)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert refused == [f"c deals is held by {won[0]} until 2026-11-20 18:01:00 UTC"] * 11


def test_a_lease_is_exclusive_even_for_its_owner_and_free_after_release(store: Store) -> None:
    with store.leases.take("c", "deals", "me") as lease:
        with pytest.raises(LeaseHeld):
            store.leases.take("c", "deals", "me")
        with store.leases.take("c", "calls", "me") as other, store.leases.take("d", "deals", "me") as third:
            assert len({lease.fence, other.fence, third.fence}) == 3
            assert [held.stream for held in store.leases.held("c")] == ["calls", "deals"]
    assert store.leases.held() == []
    with store.leases.take("c", "deals", "you") as again:
        assert again.fence > third.fence


def test_an_expired_lease_is_taken_over_and_the_old_holder_told(store: Store, clock: FixedClock) -> None:
    old = store.leases.take("c", "deals", "crashed", ttl=60, heartbeat=None)
    clock.sleep(59)
    with pytest.raises(LeaseHeld):
        store.leases.take("c", "deals", "me", heartbeat=None)
    clock.sleep(1)
    new = store.leases.take("c", "deals", "me", heartbeat=None)
    with pytest.raises(LeaseHeld):
        old.renew()
    old.release()
    assert [held.owner for held in store.leases.held()] == ["me"]
    assert new.fence > old.fence


def test_renewing_and_working_both_prolong(store: Store, clock: FixedClock) -> None:
    lease = store.leases.take("c", "deals", "me", ttl=60, heartbeat=None)
    clock.sleep(50)
    lease.renew()
    clock.sleep(50)
    store.save_page("c", "deals", [], [], {}, run=None, fence=lease.fence)
    clock.sleep(50)
    with pytest.raises(LeaseHeld):
        store.leases.take("c", "deals", "other", heartbeat=None)


def test_the_heartbeat_renews_and_reports_a_loss(store: Store, clock: FixedClock) -> None:
    lease = store.leases.take("c", "deals", "me", ttl=60, heartbeat=0.02)
    clock.sleep(30)
    waited = threading.Event()
    for _ in range(200):
        if store.leases.held("c")[0].until == clock.now() + timedelta(seconds=60):
            break
        waited.wait(0.02)
    assert store.leases.held("c")[0].until == clock.now() + timedelta(seconds=60)
    with store.database.write() as db:
        db.exec_driver_sql("UPDATE leases SET fence = fence + 1, owner = 'other'")
    for _ in range(200):
        if lease.lost:
            break
        waited.wait(0.02)
    with pytest.raises(LeaseHeld):
        lease.check()
    lease.release()
    assert [held.owner for held in store.leases.held()] == ["other"]


def test_leases_hold_between_processes(folder: Path, store: Store, clock: FixedClock) -> None:
    code = textwrap.dedent(
        f"""
        from datetime import UTC, datetime
        from connector.clock import FixedClock
        from connector.errors import LeaseHeld
        from connector.state.store import Store
        store = Store.open({str(folder)!r}, FixedClock(datetime(2026, 11, 20, 18, 0, 30, tzinfo=UTC)))
        try:
            store.leases.take("c", "deals", "other", heartbeat=None)
        except LeaseHeld as error:
            print(error.message)
        """
    )
    with store.leases.take("c", "deals", "me"):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "c deals is held by me until 2026-11-20 18:01:00 UTC\n"


# -- runs ----------------------------------------------------------------------------------------------------------


def test_a_run_and_its_streams(store: Store, clock: FixedClock) -> None:
    run = store.runs.start("c", "pull", "schedule", as_of=clock.now())
    store.runs.count(run, StreamCounts("deals", pages=1, records=10))
    store.runs.count(run, StreamCounts("deals", pages=2, records=20, upserts=19, dead_letters=1, calls=3, seconds=1.5), complete=True)
    clock.sleep(5)
    store.runs.finish(run, "partial", summary={"rejected": 1}, error_code="SC-E079", error_message="one record")
    found = store.runs.get(run)
    assert (found.status, found.trigger, found.summary, found.error_code) == ("partial", "schedule", {"rejected": 1}, "SC-E079")
    assert found.ended_at == clock.now()
    assert found.streams == (StreamCounts("deals", True, 2, 20, 19, 0, 1, 3, 1.5),)
    assert store.runs.recent("c") == [found]
    for call in (lambda: store.runs.get(99), lambda: store.runs.finish(99, "ok")):
        with pytest.raises(StateError) as caught:
            call()
        assert caught.value.code == "SC-E184"


def test_row_counts_of_like_runs(store: Store) -> None:
    for n, status in enumerate(("ok", "failed", "partial", "ok", "running")):
        run = store.runs.start("c", "pull", "test")
        store.runs.count(run, StreamCounts("deals", records=100 + n), complete=n == 3)
        if status != "running":
            store.runs.finish(run, status)  # type: ignore[arg-type]
    assert store.runs.row_counts("c", "deals", complete=False) == [102, 100]
    assert store.runs.row_counts("c", "deals", complete=True) == [103]
    assert store.runs.row_counts("c", "deals", complete=False, limit=1) == [102]
    assert store.runs.row_counts("other", "deals", complete=False) == []


def test_runs_of_the_dead_are_interrupted(store: Store) -> None:
    dead, other = store.runs.start("c", "pull", "test"), store.runs.start("d", "pull", "test")
    mine = store.runs.start("c", "pull", "test")
    assert store.runs.interrupt_dead("c", before=mine) == [dead]
    assert [store.runs.get(run).status for run in (dead, other, mine)] == ["interrupted", "running", "running"]
    last = store.runs.last("c", kinds=("pull",), statuses=("interrupted",))
    assert last is not None
    assert last.id == dead


# -- plans ---------------------------------------------------------------------------------------------------------


def test_plans_are_numbered_saved_and_decided_once(store: Store, clock: FixedClock) -> None:
    assert store.plans.next_id() == "0001"
    store.plans.save("9999", path="plans/9999.json", sha256="ab", as_of=clock.now(), status="awaiting", summary={"records": 3}, reason="first fill")
    assert store.plans.next_id() == "10000"
    store.plans.save("10000", path="plans/10000.json", sha256="cd")
    assert [plan.id for plan in store.plans.find()] == ["10000", "9999"]
    assert [plan.id for plan in store.plans.find(statuses=("awaiting",))] == ["9999"]
    assert store.plans.set_status("9999", "rejected", reason="no", expected=("awaiting",)) is True
    assert store.plans.set_status("9999", "applied", expected=("awaiting", "saved")) is False
    assert (store.plans.get("9999").status, store.plans.get("9999").reason) == ("rejected", "no")
    with pytest.raises(StateError, match="exists already"):
        store.plans.save("10000", path="x", sha256="y")
    with pytest.raises(StateError) as caught:
        store.plans.set_status("77", "applied")
    assert caught.value.code == "SC-E184"


# -- ledger --------------------------------------------------------------------------------------------------------


def last_written(store: Store) -> dict[tuple[str, str], object]:
    return {at: last.value for at, last in store.ledger.last_written("c", "Opportunity").items()}


def image(record: str, field: str, before: object, after: object) -> Image:
    return Image("Opportunity", record, field, before, after)  # type: ignore[arg-type]


def test_before_images_then_results(store: Store) -> None:
    store.save_page("c", "deals", [Mapped((Opportunity("d1", version="v1", observed={"f": "old"}),))], [], {}, run=None, fence=None)
    lease = store.leases.take("c", "push", "me", heartbeat=None)
    run = store.runs.start("c", "push", "test")
    images = [image("d1", "f", "old", "new"), image("d1", "n", None, 10.0), image("d2", "f", "x", None)]
    store.ledger.before_images(run, "0001", "c", images, fence=lease.fence)
    assert [(w.record, w.field, w.before, w.after) for w in store.ledger.pending("c")] == [(i.record, i.field, i.before, i.after) for i in images]
    assert last_written(store) == {}
    store.ledger.results(
        run, "c", [Outcome("Opportunity", "d1", "written", version="v2"), Outcome("Opportunity", "d2", "rejected", code="SC-E121", message="rule")]
    )
    assert store.ledger.pending("c") == []
    assert last_written(store) == {("d1", "f"): "new", ("d1", "n"): 10.0}
    assert [(w.status, w.code) for w in store.ledger.of_run(run)] == [("written", None), ("written", None), ("rejected", "SC-E121")]
    assert [w.field for w in store.ledger.of_run(run, connection="c", fields=("n",))] == ["n"]
    assert store.observed("c")["d1"][:4] == ("v2", None, None, {"f": "new", "n": "10.0"})
    assert store.ledger.fields_written("c") == {"f", "n"}


@pytest.mark.parametrize("value", ["10", 10, 10.0, "10.0", True, "true", None, "", "0012345678901234567890"])
def test_wire_values_keep_their_kind(store: Store, value: object) -> None:
    store.ledger.before_images(1, "0001", "c", [image("d1", "f", value, value)], fence=None)
    [write] = store.ledger.pending("c")
    assert (write.before, type(write.before)) == (value, type(value))


def test_the_last_of_several_writes(store: Store) -> None:
    for run, value in ((1, "a"), (2, "b"), (3, "c")):
        store.ledger.before_images(run, "0001", "c", [image("d1", "f", None, value)], fence=None)
        store.ledger.results(run, "c", [Outcome("Opportunity", "d1", "written" if run < 3 else "skipped", code="SC-E108")])
    assert last_written(store) == {("d1", "f"): "b"}
    assert [write.status for write in store.ledger.of_record("c", "d1")] == ["written", "written", "skipped"]


def test_without_the_lease_there_are_no_before_images(store: Store, clock: FixedClock) -> None:
    lease = store.leases.take("c", "push", "me", heartbeat=None)
    clock.sleep(3600)
    store.leases.take("c", "push", "other", heartbeat=None)
    with pytest.raises(LeaseHeld):
        store.ledger.before_images(1, "0001", "c", [image("d1", "f", None, "x")], fence=lease.fence)
    assert store.ledger.pending("c") == []


def test_a_deleted_deal_is_scrubbed_from_the_ledger(store: Store) -> None:
    store.save_page("c", "deals", [Mapped((Opportunity("d1"),))], [], {}, run=None, fence=None)
    store.ledger.before_images(1, "0001", "c", [image("d1", "f", "before", "after")], fence=None)
    store.ledger.results(1, "c", [Outcome("Opportunity", "d1", "written")])
    store.save_page("c", "deals", [Mapped(tombstones=(Tombstone("opportunities", "d1"),))], [], {}, run=None, fence=None)
    [write] = store.ledger.of_run(1)
    assert (write.before, write.after, write.status, write.scrubbed) == (None, None, "written", True)
    assert last_written(store) == {}


@pytest.mark.fault
def test_before_images_survive_a_kill(folder: Path, clock: FixedClock) -> None:
    code = textwrap.dedent(
        f"""
        import os, signal
        from connector.clock import SystemClock
        from connector.state.ledger import Image
        from connector.state.store import Store
        store = Store.open({str(folder)!r}, SystemClock())
        store.ledger.before_images(1, "0001", "c", [Image("deals", f"d{{n}}", "f", "old", "new") for n in range(100)], fence=None)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    with Store.open(folder, clock) as store:
        assert [(write.before, write.after) for write in store.ledger.pending("c")] == [("old", "new")] * 100


# -- measures and connections --------------------------------------------------------------------------------------


def test_snapshots_keep_the_last_word_of_a_day(store: Store) -> None:
    row = {"kpi": "win_rate", "variant": "", "subject": "company", "window": "T12M", "value": 0.4, "ci_low": 0.1, "ci_high": 0.8, "n": 4}
    store.measures.save("c", date(2026, 12, 31), [{**row, "value": 0.3}, {"kpi": "coverage", "subject": "company", "value": 2.1}])
    store.measures.save("c", date(2026, 12, 31), [row])
    store.measures.save("c", date(2027, 1, 31), [{**row, "value": None}])
    assert store.measures.read("c", kpis=("win_rate",)) == [{**row, "date": date(2026, 12, 31)}, {**row, "value": None, "date": date(2027, 1, 31)}]
    assert store.snapshots("c")[0] == {
        "kpi": "coverage", "variant": "", "subject": "company", "window": None, "date": date(2026, 12, 31),
        "value": 2.1, "ci_low": None, "ci_high": None, "n": None,
    }  # fmt: skip
    assert store.measures.read("c", since=date(2027, 1, 1))[0]["value"] is None


def test_pause_and_resume(store: Store, clock: FixedClock) -> None:
    assert not store.is_paused("c")
    since = clock.now()
    store.connections.pause("c", "rollback")
    clock.sleep(60)
    store.connections.pause("c", "rollback of run 7")
    paused = store.connections.paused("c")
    assert paused is not None
    assert (paused.reason, paused.since) == ("rollback of run 7", since)
    assert store.connections.resume("c") is True
    assert store.connections.resume("c") is False
    assert not store.is_paused("c")


def test_a_latch_holds_for_the_refused_credential_only(store: Store, clock: FixedClock) -> None:
    assert store.connections.latched("c") is None
    store.remember_org("c", "00D1")
    store.connections.latch("c", "SC-E051", "invalid_client", credential="hash1")
    latch = store.connections.latched("c", credential="hash1")
    assert latch is not None
    assert (latch.code, latch.since) == ("SC-E051", clock.now())
    assert store.connections.latched("c", credential="hash2") is None
    assert store.connections.latched("c") is not None
    assert store.connections.org_id("c") == "00D1"
    store.remember_org("c", "00D1")
    assert store.connections.latched("c") is None
    store.connections.latch("c", "SC-E051", "again")
    store.connections.unlatch("c")
    assert store.connections.latched("c") is None
    assert store.connections.checked_at("c") == clock.now()


def test_push_rejections_are_dead_letters(store: Store) -> None:
    store.dead_letters.add("c", [DeadLetter("push", "d1", "SC-E121", "a rule refused it", "kpi_stage")], run=3)
    assert [(letter.stream, letter.run, letter.field) for letter in store.dead_letters.find("c", stream="push")] == [("push", 3, "kpi_stage")]
    assert store.dead_letters.mended("c", "push", ["d1"]) == 1
    assert store.dead_letters.find("c") == []


@pytest.mark.fault
def test_a_writer_that_dies_holding_the_lock_frees_it(folder: Path, store: Store) -> None:
    code = textwrap.dedent(
        f"""
        import sqlite3, time
        db = sqlite3.connect({str(folder / "connector.db")!r}, isolation_level=None)
        db.execute("BEGIN IMMEDIATE"); db.execute("DELETE FROM alembic_version")
        print("locked", flush=True); time.sleep(60)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert store.runs.start("c", "pull", "test") == 1


def test_a_lease_of_a_dead_process_is_free_at_once(store: Store) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    dead = f"{socket.gethostname()}:{child.pid}"
    first = store.leases.take("c", "deals", owner=dead, heartbeat=None)
    second = store.leases.take("c", "deals", owner=store.owner, heartbeat=None)
    assert second.fence > first.fence
    with pytest.raises(LeaseHeld):
        store.leases.take("c", "deals", owner="elsewhere:1", heartbeat=None)


def snapshots_of(store: Store, connection: str = "c") -> list[date]:
    return [row["date"] for row in store.measures.read(connection)]


def days(first: date, count: int) -> list[date]:
    return [first + timedelta(days=number) for number in range(count)]


def test_snapshots_are_daily_for_a_hundred_days_then_the_first_and_the_last_of_a_month(store: Store) -> None:
    every = days(date(2026, 11, 10), 113)  # to 2 March 2027
    for day in every:
        store.measures.save("c", day, [{"kpi": "coverage", "subject": "company", "value": 1}])
    today = date(2027, 3, 2)
    assert today - timedelta(days=100) == date(2026, 11, 22)
    assert store.measures.prune("c", today) == 11  # 10 and 30 November are its first and last; of the old ones the 11th to the 21st go
    assert snapshots_of(store) == [date(2026, 11, 10), *days(date(2026, 11, 22), 101)]
    assert store.measures.prune("c", today) == 0
    later = date(2027, 6, 1)
    store.measures.prune("c", later)
    assert snapshots_of(store)[:8] == [
        date(2026, 11, 10), date(2026, 11, 30), date(2026, 12, 1), date(2026, 12, 31), date(2027, 1, 1), date(2027, 1, 31),
        date(2027, 2, 1), date(2027, 2, 21),
    ]  # fmt: skip


def test_pruning_keeps_what_the_baseline_goes_by_and_looks_at_each_measure_alone(store: Store) -> None:
    for day in (5, 12, 20, 28):
        store.measures.save("c", date(2026, 6, day), [{"kpi": "coverage", "subject": "company", "value": day}])
    store.measures.save("c", date(2026, 6, 15), [{"kpi": "win_rate", "subject": "company", "value": 0.1}])
    store.measures.save("d", date(2026, 6, 20), [{"kpi": "coverage", "subject": "company", "value": 0.1}])
    assert store.measures.prune("c", date(2027, 1, 1), keep=[date(2026, 6, 19), date(2026, 9, 1)]) == 1
    assert snapshots_of(store) == [date(2026, 6, 5), date(2026, 6, 12), date(2026, 6, 15), date(2026, 6, 28)]
    assert snapshots_of(store, "d") == [date(2026, 6, 20)]


def test_whether_a_day_was_taken(store: Store) -> None:
    store.measures.save("c", date(2026, 6, 5), [{"kpi": "coverage", "subject": "company", "value": None}])
    assert [store.measures.taken("c", date(2026, 6, day)) for day in (4, 5)] == [False, True]
    assert not store.measures.taken("d", date(2026, 6, 5))


def standing(target: str, subject: str = "company", **more: Any) -> Standing:
    plain = {
        "connection": "c", "target": target, "subject": subject, "kpi": target, "variant": "", "window": "asof", "unit": "x", "value": 1.5,
        "wanted": "at_least 3", "since": date(2026, 11, 1), "no_go": False, "certain": None, "low_n": False, "on": date(2026, 11, 20), "words": "…",
    }  # fmt: skip
    return Standing(**plain | more)


def test_standing_breaches_are_replaced_and_what_cannot_be_judged_stays(store: Store) -> None:
    first = [standing("b", no_go=True, certain=True), standing("a"), standing("a", "owner=R1")]
    store.alerts.stand("c", first)
    store.alerts.stand("d", [standing("a", connection="d")])
    assert store.alerts.standing("c") == first
    changed = standing("a", value=1.0)
    store.alerts.stand("c", [changed], unjudged=[("b", "company"), ("never", "stood")])
    assert sorted(store.alerts.standing("c"), key=lambda s: s.target) == [changed, first[0]]
    assert store.alerts.standing("d") == [standing("a", connection="d")]
    store.alerts.stand("c", [])
    assert store.alerts.standing("c") == []


def test_each_channel_knows_what_it_was_told(store: Store) -> None:
    one, at = standing("a"), store.clock.now()
    store.alerts.tell("mail", [(one, False)], at)
    store.alerts.tell("webhook", [(one, False), (standing("b"), True)], at)
    store.alerts.tell("webhook", [(one, True)], at + timedelta(hours=1))
    assert {id: (t.standing, t.over, t.at) for id, t in store.alerts.told("mail", ["c"]).items()} == {one.id: (one, False, at)}
    told = store.alerts.told("webhook", ["c"])
    assert (told[one.id].over, told[one.id].at) == (True, at + timedelta(hours=1))
    assert store.alerts.told("webhook", ["d"]) == {}
    store.alerts.stand("c", [one])
    store.forget("c")
    assert (store.alerts.told("webhook", ["c"]), store.alerts.standing("c")) == ({}, [])
