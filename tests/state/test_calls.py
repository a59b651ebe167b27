"""What an account's day has cost: over connections, processes and restarts."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connector.clock import FixedClock
from connector.state.store import Store

HOUR = timedelta(hours=1)


def test_the_connections_of_one_account_share_a_day(store: Store, clock: FixedClock) -> None:
    for name, org in (("emea", "00D1"), ("apac", "00D1"), ("hubspot", "4512")):
        store.remember_org(name, org)
    store.calls.add("emea", 3)
    store.calls.add("apac", 4)
    store.calls.add("hubspot", 100)
    since = clock.now() - 24 * HOUR
    assert [store.calls.used(name, since) for name in ("emea", "apac", "hubspot")] == [7, 7, 100]


def test_an_account_that_nobody_proved_is_counted_alone(store: Store, clock: FixedClock) -> None:
    store.calls.add("new", 2)
    store.calls.add("newer", 5)
    assert store.calls.used("new", clock.now() - HOUR) == 2


def test_a_day_rolls_by_quarters_of_an_hour(store: Store, clock: FixedClock) -> None:
    clock.at = datetime(2026, 11, 20, 9, 50, tzinfo=UTC)
    store.calls.add("c", 1)
    clock.at = datetime(2026, 11, 20, 10, 5, tzinfo=UTC)
    store.calls.add("c", 10)
    assert store.calls.used("c", datetime(2026, 11, 20, 9, 59, tzinfo=UTC)) == 11  # the slot of 9:45 counts whole
    assert store.calls.used("c", datetime(2026, 11, 20, 10, tzinfo=UTC)) == 10
    assert store.calls.used("c", datetime(2026, 11, 20, 10, 15, tzinfo=UTC)) == 0


def test_what_is_over_is_dropped(store: Store, clock: FixedClock) -> None:
    store.calls.add("c", 9)
    long_ago = clock.now() - HOUR
    clock.sleep(4 * 86_400)
    store.calls.add("c", 1)
    assert store.calls.used("c", long_ago) == 1


def test_nothing_called_is_nothing_written(store: Store, clock: FixedClock) -> None:
    store.calls.add("c", 0)
    assert store.calls.used("c", clock.now() - HOUR) == 0


def test_another_process_sees_the_calls_of_one_that_still_runs(folder: Path, store: Store, clock: FixedClock) -> None:
    code = (
        "from datetime import UTC, datetime; from connector.clock import FixedClock; from connector.state.store import Store\n"
        f"store = Store.open({str(folder)!r}, FixedClock(datetime.fromisoformat({clock.now().isoformat()!r})))\n"
        "store.calls.add('c', 5); print('added', flush=True); input()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "added\n"
    store.calls.add("c", 2)
    assert store.calls.used("c", clock.now() - HOUR) == 7
    process.communicate("\n")
