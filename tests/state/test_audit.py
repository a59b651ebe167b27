"""The audit chain: written with what it records, and no row can be changed, dropped or cut off unseen."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from connector.clock import FixedClock
from connector.errors import StateError
from connector.state import audit
from connector.state.ledger import Image, Outcome
from connector.state.store import Store

OLD = "587d1aa6a61605502d3d7018fb1335800aa1101a7086e37deb6cfc0fbfc44330"  # as revision 0008 wrote it


def deeds(store: Store) -> None:
    """One of everything that records itself."""
    store.plans.save("0001", path="p", sha256="a" * 64, status="awaiting", reason="too many")
    store.plans.set_status("0001", "approved", expected=("awaiting",))
    store.ledger.before_images(7, "0001", "c", [Image("deals", "d1", "f", "secret-value", "new")], fence=None)
    store.ledger.results(7, "c", [Outcome("deals", "d1", "written")], {"plan": "0001", "sha256": "a" * 64})
    store.connections.pause("c", "rollback")
    store.connections.resume("c")
    store.audit.add("push.ended", "c run 7", {"run": 7})


def test_everything_that_was_decided_stands_in_the_chain(store: Store) -> None:
    deeds(store)
    rows = store.audit.after(0)
    assert [row.action for row in rows] == [
        "plan.saved", "plan.approved", "batch.written", "connection.paused", "connection.resumed", "push.ended",
    ]  # fmt: skip
    assert {row.actor for row in rows} == {audit.actor()}
    assert rows[2].as_dict()["detail"] == {"run": 7, "plan": "0001", "sha256": "a" * 64, "records": {"written": ["d1"]}}
    assert store.audit.verify() == audit.Verdict(6, rows[-1].hash)


def test_values_of_records_are_not_in_it(store: Store) -> None:
    deeds(store)
    assert not [row for row in store.audit.after(0) if "secret-value" in row.detail]


def test_who_acted(store: Store) -> None:
    with audit.acting("schedule"):
        store.connections.pause("c", "x")
    store.connections.resume("c")
    assert [row.actor for row in store.audit.tail()] == ["schedule", audit.actor()]


def test_where_from(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    store.audit.add("x", "at the machine")
    monkeypatch.setenv("SSH_CONNECTION", "203.0.113.7 50022 10.0.0.5 22")
    store.audit.add("x", "by a remote shell")
    with audit.acting("console:ada", "198.51.100.4"):
        store.audit.add("x", "in the console")
    with audit.acting("schedule"):
        store.audit.add("x", "by itself")
    assert [row.address for row in store.audit.after(0)] == [None, "203.0.113.7", "198.51.100.4", None]
    assert store.audit.verify().broken is None


@pytest.mark.parametrize(("seq", "address"), [(1, "203.0.113.9"), (2, None), (2, "203.0.113.9")])
def test_an_address_is_under_the_hash(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, seq: int, address: str | None) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    store.audit.add("x", "at the machine")
    with audit.acting("console:ada", "198.51.100.4"):
        store.audit.add("x", "in the console")
    with sqlite3.connect(folder / "connector.db") as db:
        db.execute("update audit set address = ? where seq = ?", (address, seq))
    db.close()
    assert store.audit.verify().broken == seq


def test_rows_from_before_there_were_addresses_still_prove_themselves() -> None:
    row = audit.Entry(1, "2026-11-20T18:00:00+00:00", "cli:ada", None, "plan.saved", "plan 0001", "{}", audit.FIRST, OLD)
    assert row.right()


@pytest.mark.parametrize("column", ["at", "actor", "action", "subject", "detail", "previous", "hash"])
@pytest.mark.parametrize("row", [1, 3, 6])
def test_one_changed_byte_names_its_row(store: Store, folder: Path, column: str, row: int) -> None:
    deeds(store)
    with sqlite3.connect(folder / "connector.db") as db:
        text = db.execute(f"select {column} from audit where seq = ?", (row,)).fetchone()[0]
        flipped = text[:-1] + chr(ord(text[-1]) ^ 1)
        db.execute(f"update audit set {column} = ? where seq = ?", (flipped, row))
    db.close()
    found = store.audit.verify()
    assert found.broken == row
    with pytest.raises(StateError) as refused:
        audit.proven(found)
    assert refused.value.code == "SC-E185"
    assert f"row {row}" in refused.value.message


def test_a_dropped_row_and_a_cut_tail(store: Store, folder: Path) -> None:
    deeds(store)
    head = store.audit.verify().head
    with sqlite3.connect(folder / "connector.db") as db:
        db.execute("delete from audit where seq > 4")
    db.close()
    assert store.audit.verify().broken is None, "a chain cannot tell by itself"
    assert store.audit.verify(head).broken == 5
    with sqlite3.connect(folder / "connector.db") as db:
        db.execute("delete from audit where seq = 2")
    db.close()
    assert store.audit.verify().broken == 2


def test_what_fails_is_not_recorded(store: Store) -> None:
    store.plans.save("0001", path="p", sha256="a" * 64)
    with pytest.raises(StateError):
        store.plans.save("0001", path="other", sha256="b" * 64)
    assert [row.action for row in store.audit.after(0)] == ["plan.saved"]


def test_two_stores_write_one_chain(store: Store, folder: Path, clock: FixedClock) -> None:
    with Store.open(folder, clock) as other:
        for turn in range(10):
            (store if turn % 2 else other).audit.add("x", str(turn))
    assert store.audit.verify().broken is None
    assert [row.subject for row in store.audit.after(0)] == [str(n) for n in range(10)]
