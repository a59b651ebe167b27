"""Properties, stages and values as HubSpot spells them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from connector.clock import FixedClock
from connector.crms.base import Meter, Rule
from connector.crms.hubspot import HubSpotSettings
from connector.crms.hubspot.schema import field, label_name, rules, stage
from connector.crms.hubspot.transport import Transport
from connector.crms.hubspot.wire import instant, millis, same, stamp, text, version_text, versions
from connector.errors import CrmConfigError
from connector.sandbox.hubspot.portal import Portal
from tests.crms.hubspot.portals import BEGIN, House, World, world_of
from tests.crms.scripted import Answer, serving


def raw(**keys: Any) -> dict[str, Any]:
    return {"name": "p", "label": "P", "type": "string", "fieldType": "text"} | keys


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "text"),
        ({"fieldType": "textarea"}, "long_text"),
        ({"type": "number", "fieldType": "number"}, "number"),
        ({"type": "number", "fieldType": "number", "numberDisplayHint": "currency"}, "money"),
        ({"type": "number", "fieldType": "number", "numberDisplayHint": "percentage"}, "percent"),
        ({"type": "bool", "fieldType": "booleancheckbox"}, "boolean"),
        ({"type": "enumeration", "fieldType": "booleancheckbox"}, "boolean"),
        ({"type": "enumeration", "fieldType": "select"}, "picklist"),
        ({"type": "enumeration", "fieldType": "checkbox"}, "multipicklist"),
        ({"type": "enumeration", "fieldType": "select", "name": "hubspot_owner_id", "externalOptions": True}, "reference"),
        ({"type": "date", "fieldType": "date"}, "date"),
        ({"type": "datetime", "fieldType": "date"}, "datetime"),
        ({"type": "number", "fieldType": "number", "name": "hs_object_id"}, "id"),
        ({"type": "json", "fieldType": "text"}, "other"),
    ],
)
def test_types(keys: dict[str, Any], expected: str) -> None:
    assert field(raw(**keys)).type == expected


@pytest.mark.parametrize("control", ["calculation_rollup", "calculation_score", "calculation_read_time", "calculation_equation"])
def test_calculated_is_not_what_the_flag_says(control: str) -> None:
    found = field(raw(type="number", fieldType=control, calculated=False, modificationMetadata={"readOnlyValue": False}))
    assert found.calculated
    assert not found.writable


def test_writable_sensitive_and_options() -> None:
    options = [{"label": "On pace", "value": "on_pace", "hidden": False}, {"label": "Old", "value": "old", "hidden": True}]
    found = field(raw(type="enumeration", fieldType="select", options=options, dataSensitivity="highly_sensitive"))
    assert found.writable
    assert found.sensitive
    assert found.restricted
    assert [(o.value, o.active) for o in found.options] == [("on_pace", True), ("old", False)]
    assert not field(raw(modificationMetadata={"readOnlyValue": True})).writable
    assert not field(raw(dataSensitivity="non_sensitive")).sensitive


def test_stage_metadata_are_text() -> None:
    won = stage({"id": "1", "label": "Won", "metadata": {"isClosed": "true", "probability": "1.0"}})
    lost = stage({"id": "2", "label": "Lost", "metadata": {"isClosed": "true", "probability": "0.0"}})
    bare = stage({"id": "3", "label": "New", "archived": True})
    assert (won.closed, won.won, won.probability) == (True, True, 1.0)
    assert (lost.closed, lost.won, lost.probability) == (True, False, 0.0)
    assert (bare.closed, bare.probability, bare.active) == (False, None, False)


def test_labels_by_name() -> None:
    assert label_name({"category": "HUBSPOT_DEFINED", "typeId": 3, "label": None}) is None
    assert label_name({"category": "HUBSPOT_DEFINED", "typeId": 5, "label": None}) == "Primary"
    assert label_name({"category": "USER_DEFINED", "typeId": 5, "label": "VAC chair"}) == "VAC chair"


def test_epoch_and_iso_spellings() -> None:
    at = datetime(2026, 11, 20, 16, 2, 11, 204_000, tzinfo=UTC)
    for spelling in ("2026-11-20T16:02:11.204Z", "1795190531204", "2026-11-20T16:02:11.204+00:00"):
        assert stamp({"properties": {"hs_lastmodifieddate": spelling}}, "deals") == millis(at)
    assert stamp({"properties": {"lastmodifieddate": "2026-11-20T16:02:11Z"}}, "contacts") == millis(at) - 204
    assert stamp({"properties": {}, "updatedAt": "2026-11-20T16:02:11.204Z"}, "deals") == millis(at)
    assert instant(millis(at)) == at
    assert version_text(millis(at) - 204) == "2026-11-20T16:02:11.000Z"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, ""), (True, "true"), (False, "false"), (3, "3"), (0.1, "0.1"), (1e-7, "0.0000001"), (1e22, "10000000000000000000000"), ("x", "x")],
)
def test_text(value: Any, expected: str) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    ("sent", "held", "agree"),
    [
        ("", None, True), ("", "", True), ("3600", "3600.0", True), ("2026-11-20T16:02:11Z", "2026-11-20T16:02:11.000Z", True),
        ("x", None, False), ("0", "", False), ("0", None, False), ("a", "b", False), ("2026-11-20", "2026-11-21", False), ("NA", "NaN", False),
    ],
)  # fmt: skip
def test_same(sent: str, held: str | None, agree: bool) -> None:
    assert same(sent, held) is agree


def test_versions_keep_no_address() -> None:
    told = versions(
        [
            {"value": "b", "timestamp": "2026-10-20T14:11:03.412Z", "sourceType": "API", "sourceId": "someone@example.com"},
            {"value": None, "timestamp": "2026-10-20T14:11:03.411Z", "sourceType": "CRM_UI", "updatedByUserId": 1000001},
        ]
    )
    assert [(version.value, version.by) for version in told] == [(None, "1000001"), ("b", "API")]


def test_an_unknown_object_has_no_schema(world: World) -> None:
    with pytest.raises(CrmConfigError):
        world.crm.discover("butterflies")
    assert world.crm.discover("owners")["firstName"].writable is False


def test_stage_and_pipeline_take_their_options_elsewhere(world: World) -> None:
    found = world.crm.discover("deals")["dealstage"]
    assert (found.options, found.restricted) == ((), False)


@pytest.mark.parametrize(("version", "fields"), [("2026-03", ["kpi_stage"]), ("2026-09", ["amount", "amount", "kpi_stage"])])
def test_rules_that_may_refuse_our_writes(house: House, portal: Portal, version: str, fields: list[str]) -> None:
    """From 2026-09 on a rule on another property may refuse a write of ours, too."""
    portal.add_rule("deals", "kpi_stage", "MAX_LENGTH", "40")
    portal.add_rule("deals", "amount", "MIN_NUMBER", "1")
    portal.add_rule("deals", "amount", "MAX_NUMBER", "9000000")
    portal.add_rule("companies", "name", "MIN_LENGTH", "2")
    with world_of(house, portal, api_version=version) as world:
        found = world.crm.rules("deals")
        assert world.calls() == [f"GET /crm/property-validations/{version}/0-3"]
    assert sorted(rule.field for rule in found) == fields
    assert Rule("kpi_stage", "MAX_LENGTH 40") in found


def test_a_portal_that_serves_no_rules_lists_none() -> None:
    with serving(lambda asked: Answer("<html>HTTP ERROR 404</html>", 404)) as server:
        transport = Transport(HubSpotSettings(token="key", base_url=server.url), FixedClock(BEGIN), Meter())
        assert rules(transport, "deals") == ()
        transport.close()
