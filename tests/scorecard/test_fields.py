"""Wire forms: what is sent, and that comparing by text finds no difference where there is none."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.scorecard import fields
from connector.scorecard.fields import KEYS, MANIFEST


@pytest.mark.parametrize(
    ("key", "value", "salesforce", "hubspot"),
    [
        ("stage_entered_on", date(2026, 11, 19), "2026-11-19", "2026-11-19"),
        ("win_chance", Decimal("0.545455"), 55, "0.55"),
        ("gate_progress", 0.666667, 67, "0.67"),
        ("gate_progress", 0, 0, "0"),
        ("touch_density", 0.65, 0.6, "0.6"),
        ("touch_density", 2, 2.0, "2"),
        ("stage_benchmark_days", 20.0, 20, "20"),
        ("pace", "on_pace", "On pace", "on_pace"),
        ("personas", ["CFO", "CMIO"], "CFO, CMIO", "CFO, CMIO"),
        ("stale_reason", [], None, ""),
        ("pilot_limit_on", None, None, ""),
        ("updated_at", datetime(2026, 11, 21, 6, 0, tzinfo=UTC), "2026-11-21T06:00:00Z", "2026-11-21T06:00:00Z"),
    ],
)
def test_wire(key: str, value: object, salesforce: object, hubspot: object) -> None:
    assert fields.wire(MANIFEST[key], value, "salesforce") == salesforce
    assert fields.wire(MANIFEST[key], value, "hubspot") == hubspot


@pytest.mark.parametrize(("seen", "sent"), [("29.0", 29), ("0.5500", "0.55"), ("2", 2.0), ("", None), (None, "")])
def test_spellings_of_one_number_are_one_text(seen: str | None, sent: object) -> None:
    field = MANIFEST["win_chance"]
    assert fields.text(field, seen) == fields.text(field, sent)  # type: ignore[arg-type]


def test_instants_compare_by_the_second() -> None:
    field = MANIFEST["updated_at"]
    assert fields.text(field, "2026-11-21T06:00:00.000+0000") == fields.text(field, "2026-11-21T06:00:00Z")


@given(st.lists(st.text("abc ", min_size=1, max_size=60), min_size=1, max_size=30))
def test_a_list_is_cut_at_a_whole_item(items: list[str]) -> None:
    text = fields.wire(MANIFEST["personas"], items, "salesforce")
    assert isinstance(text, str)
    assert len(text) <= 255
    if " more" in text:
        kept, _, more = text.rpartition(" +")
        assert kept == ", ".join(items[: len(items) - int(more.split()[0])])


@given(st.sampled_from([k for k in KEYS if MANIFEST[k].kind in fields.NUMERIC]), st.decimals(0, 1000, places=6))
@pytest.mark.property
def test_a_number_survives_the_round_trip(key: str, number: Decimal) -> None:
    for crm in ("salesforce", "hubspot"):
        sent = fields.wire(MANIFEST[key], number, crm)
        again = fields.text(MANIFEST[key], sent)
        assert again == fields.text(MANIFEST[key], again)


def test_too_long_is_refused_not_cut() -> None:
    with pytest.raises(ValueError, match="longer than 40"):
        fields.wire(MANIFEST["stage"], "x" * 41, "salesforce")


def test_names_carry_the_managed_prefix() -> None:
    assert all(f.salesforce.startswith("KPI_") and f.salesforce.endswith("__c") and f.hubspot.startswith("kpi_") for f in MANIFEST.values())
    assert len(KEYS) == 19 + 3  # 18 rows of the page, win chance comes with its n; two anchors and what HubSpot cannot add up
