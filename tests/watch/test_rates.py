"""Exchange rates: the CRM's own serve where the admin gives none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connector import sync
from connector.cli import check
from tests.rig import NAME, opened

BOTH = pytest.mark.parametrize("crm", ["salesforce", "hubspot"])


@pytest.fixture
def rig(crm: str, tmp_path: Path) -> Iterator[Any]:
    with opened(crm, tmp_path) as made:
        yield made


def _amounts(rig: Any) -> dict[str, Decimal | None]:
    """Deal → amount in the reporting currency."""
    book = sync.book(rig.app.mapped(NAME), rig.app.store, rig.app.definitions, rig.now)
    return dict(book.deals.select("id", "amount").iter_rows())


def _with_fx(rig: Any) -> None:
    """The starter's own inputs/fx.csv."""
    rig.own_mappings()
    rig.reopen()


@BOTH
def test_the_crms_own_rates_serve_where_the_admin_gives_none(rig: Any) -> None:
    deal = rig.open_deal(amount=Decimal(1000), currency="EUR")
    rig.pull()
    known = rig.app.store.rates.known(NAME)
    assert known is not None
    assert known.home == "USD"
    rate = [value for code, day, value in known.rates if code == "EUR" and day <= rig.now.date()][-1]
    assert Decimal("1.05") < rate < Decimal("1.25")  # dollars for a euro, not euros for a dollar
    assert _amounts(rig)[deal] == (1000 * rate).quantize(Decimal("1e-10"))


@BOTH
def test_the_admins_rates_come_first(rig: Any) -> None:
    deal = rig.open_deal(amount=Decimal(1000), currency="EUR")
    _with_fx(rig)
    rig.pull()
    assert _amounts(rig)[deal] == Decimal(1100)  # 1.10 in that file, and another rate in Salesforce


@BOTH
def test_they_are_asked_once_a_day(rig: Any) -> None:
    rig.pull()
    first = rig.app.store.rates.known(NAME).taken_at
    rig.advance(3_600)
    rig.pull()
    assert rig.app.store.rates.known(NAME).taken_at == first
    rig.advance(days=1)
    rig.pull()
    assert rig.app.store.rates.known(NAME).taken_at > first


@pytest.mark.parametrize("crm", ["hubspot"])
def test_a_credential_without_the_right_is_told_and_everything_else_goes_on(rig: Any) -> None:
    rig.portal.denied_scopes = {"settings.currencies.read"}
    report = rig.pull()
    assert [f.code for f in report.findings if f.code == "SC-W077"] == ["SC-W077"]
    rig.assert_same()


@BOTH
def test_a_calendar_that_differs_from_the_crms_is_told(rig: Any) -> None:
    """Quarters and sums of the CRM's own reports would be others."""
    with rig.app.connected(NAME) as connected:
        info = connected.crm.check()
    assert info.fiscal_year_starts == {"salesforce": 1, "hubspot": None}[rig.crm]
    assert check._calendar(rig.app, NAME, info).state == "ok"
    elsewhere = check._calendar(rig.app, NAME, replace(info, fiscal_year_starts=7, currency="EUR"))
    assert elsewhere.state == "warn"
    assert "month 7" in elsewhere.said
    assert "EUR" in elsewhere.said
