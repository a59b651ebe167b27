"""The refresh token survives: encrypted, saved before it is used, one refresher at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from connector.clock import FixedClock
from connector.crms.base import RefreshTokens
from connector.errors import LeaseHeld, SettingsError
from connector.state.store import Store
from connector.state.tokens import PAUSE, STREAM, TRIES, StoredTokens

KEY = Fernet.generate_key().decode()


def tokens(store: Store, clock: FixedClock, initial: str = "first", keys: tuple[str, ...] = (KEY,)) -> StoredTokens:
    return StoredTokens(store.database, clock, "sf", initial=initial, keys=keys)


def test_it_is_what_an_adapter_wants(store: Store, clock: FixedClock) -> None:
    kept: RefreshTokens = tokens(store, clock)
    with kept.exclusive():
        assert kept.load() is None
        kept.save("second")
        assert kept.load() == "second"


def test_the_newest_token_survives_a_restart(folder: Path, store: Store, clock: FixedClock) -> None:
    for token in ("second", "third"):
        tokens(store, clock).save(token)
    store.close()
    with Store.open(folder, clock) as again:
        assert tokens(again, clock).load() == "third"


def test_on_the_disk_it_is_encrypted(folder: Path, store: Store, clock: FixedClock) -> None:
    tokens(store, clock, initial="initial-canary").save("token-canary")
    for file in folder.iterdir():
        assert b"canary" not in file.read_bytes(), file.name


def test_another_token_in_the_environment_replaces_the_stored_one(store: Store, clock: FixedClock) -> None:
    tokens(store, clock).save("second")
    anew = tokens(store, clock, initial="consented again")
    assert anew.load() is None
    anew.save("third")
    assert anew.load() == "third"
    assert tokens(store, clock).load() is None


def test_connections_do_not_share(store: Store, clock: FixedClock) -> None:
    tokens(store, clock).save("second")
    assert StoredTokens(store.database, clock, "hs", initial="first", keys=(KEY,)).load() is None


def test_a_key_is_rotated_by_putting_the_new_one_first(store: Store, clock: FixedClock) -> None:
    tokens(store, clock).save("second")
    newer = Fernet.generate_key().decode()
    assert tokens(store, clock, keys=(newer, KEY)).load() == "second"
    tokens(store, clock, keys=(newer, KEY)).save("third")
    assert tokens(store, clock, keys=(newer,)).load() == "third"


def test_a_lost_key_says_so_and_a_new_consent_mends_it(store: Store, clock: FixedClock) -> None:
    tokens(store, clock).save("second")
    other = (Fernet.generate_key().decode(),)
    with pytest.raises(SettingsError, match="another CONNECTOR_SECRETS_KEY") as caught:
        tokens(store, clock, keys=other).load()
    assert "second" not in str(caught.value)
    assert tokens(store, clock, initial="consented again", keys=other).load() is None


def test_a_key_that_is_none_is_refused_without_being_shown(store: Store, clock: FixedClock) -> None:
    with pytest.raises(SettingsError, match="CONNECTOR_SECRETS_KEY") as caught:
        tokens(store, clock, keys=("not-a-key-canary",))
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_forgetting_goes_back_to_the_environments_token(store: Store, clock: FixedClock) -> None:
    tokens(store, clock).save("second")
    tokens(store, clock).forget()
    assert tokens(store, clock).load() is None


def test_one_refresher_at_a_time(folder: Path, store: Store, clock: FixedClock) -> None:
    """Eight threads, each with a connection of its own to the file, rotate one token: none is used twice."""
    spent: list[str] = []

    class Patient(FixedClock):
        def sleep(self, seconds: float) -> None:
            threading.Event().wait(0.002)

    def refresh() -> None:
        with Store.open(folder, clock) as own:
            kept = StoredTokens(own.database, Patient(clock.now()), "sf", initial="0", keys=(KEY,))
            with kept.exclusive():
                token = kept.load() or "0"
                spent.append(token)
                kept.save(str(int(token) + 1))

    threads = [threading.Thread(target=refresh) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(spent, key=int) == [str(n) for n in range(8)]


def test_waiting_for_a_turn_ends(store: Store, clock: FixedClock) -> None:
    held = store.leases.take("sf", STREAM, "elsewhere:1", ttl=3600, heartbeat=None)
    before = clock.now()
    with pytest.raises(LeaseHeld, match="elsewhere:1"), tokens(store, clock).exclusive():
        pass
    assert (clock.now() - before).total_seconds() == PAUSE * TRIES
    held.release()
    with tokens(store, clock).exclusive():
        pass


@pytest.mark.fault
def test_a_refresher_killed_after_saving_loses_nothing_and_blocks_nobody(folder: Path, store: Store, clock: FixedClock) -> None:
    code = textwrap.dedent(
        f"""
        import time
        from connector.clock import FixedClock, parse_instant
        from connector.state.store import Store
        from connector.state.tokens import StoredTokens
        clock = FixedClock(parse_instant({clock.now().isoformat()!r}))
        kept = StoredTokens(Store.open({str(folder)!r}, clock).database, clock, "sf", initial="first", keys=({KEY!r},))
        with kept.exclusive():
            kept.save("second")
            print("saved", flush=True); time.sleep(60)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "saved\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    kept, before = tokens(store, clock), clock.now()
    with kept.exclusive():
        assert kept.load() == "second"
    assert clock.now() == before  # the dead one's lease was not waited for
