from datetime import UTC, datetime, timedelta

import pytest

from connector.sandbox.clock import VirtualClock

AT = datetime(2026, 11, 20, 18, tzinfo=UTC)


def test_it_only_goes_forward():
    clock = VirtualClock(AT)
    clock.advance_to(AT - timedelta(days=1))
    assert clock.now == AT
    clock.advance_to(AT + timedelta(seconds=1))
    assert clock.now == AT + timedelta(seconds=1)


def test_other_zones_become_utc():
    assert VirtualClock(datetime.fromisoformat("2026-11-20T13:00:00-05:00")).now.isoformat() == "2026-11-20T18:00:00+00:00"


def test_a_naive_instant_is_refused():
    with pytest.raises(ValueError, match="aware"):
        VirtualClock(datetime(2026, 11, 20))
    with pytest.raises(ValueError, match="aware"):
        VirtualClock(AT).advance_to(datetime(2026, 11, 21))
