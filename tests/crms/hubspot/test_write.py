"""Writing: every update gets one true result, whatever the batch, the portal or the net did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connector.clock import FixedClock
from connector.crms.base import Update, WriteResult
from connector.crms.hubspot import HubSpotCrm, HubSpotSettings
from connector.crms.hubspot.write import faults_of
from connector.errors import CrmConfigError, OutsideManifest
from connector.sandbox.hubspot.values import Problem
from tests.crms.hubspot.portals import BEGIN, MANIFEST, World, world_of
from tests.crms.scripted import Answer, Asked, serving


def update(id_: str, **values: Any) -> Update:
    return Update("deals", id_, values)


def by_id(results: Any) -> dict[str, WriteResult]:
    told = list(results)
    assert len({result.id for result in told}) == len(told)
    return {result.id: result for result in told}


def bodies(world: World) -> int:
    return sum(call.endswith("/batch/update") for call in world.calls())


def test_values_are_text_and_read_back_as_written(world: World) -> None:
    deal = world.deal()
    values = {"kpi_pace": "stuck", "kpi_stage_entered_on": "2026-10-20", "kpi_win_chance": 0.25, "kpi_definition": "v1"}
    [result] = world.crm.write([update(deal.id, **values)])
    assert result.status == "written"
    assert deal.values["kpi_win_chance"] == "0.25"
    assert result.version == world.crm.fetch("deals", [deal.id], ("kpi_pace",))[deal.id].version
    [result] = world.crm.write([update(deal.id, kpi_pace=None, kpi_stage_entered_on="")])
    assert result.status == "written"
    assert not deal.values.get("kpi_pace")
    assert not deal.values.get("kpi_stage_entered_on")
    assert deal.values["kpi_definition"] == "v1"


def test_250_updates_are_three_batches(world: World) -> None:
    deals = [world.deal(f"Deal {n}") for n in range(250)]
    world.crm.fetch("deals", [deal.id for deal in deals], ("kpi_pace",))
    results = by_id(world.crm.write([update(deal.id, kpi_pace="slow") for deal in deals]))
    assert {result.status for result in results.values()} == {"written"}
    assert bodies(world) == 3


def test_updates_of_one_record_travel_as_one(world: World) -> None:
    deal = world.deal()
    results = list(world.crm.write([update(deal.id, kpi_pace="slow"), update(deal.id, kpi_pace="stuck", kpi_definition="v1")]))
    assert [result.status for result in results] == ["written", "written"]
    assert (deal.values["kpi_pace"], deal.values["kpi_definition"]) == ("stuck", "v1")
    assert bodies(world) == 1


def test_bad_row_does_not_stop_the_batch(world: World) -> None:
    deals = [world.deal(f"Deal {n}") for n in range(64)]
    updates = [update(deal.id, kpi_pace="slow") for deal in deals]
    for n in (5, 6, 40):
        updates[n] = update(deals[n].id, kpi_pace="sideways")
    results = by_id(world.crm.write(updates))
    assert {id_ for id_, result in results.items() if result.status == "rejected"} == {deals[n].id for n in (5, 6, 40)}
    assert all(deal.values.get("kpi_pace") == "slow" for n, deal in enumerate(deals) if n not in (5, 6, 40))
    refused = results[deals[5].id]
    assert (refused.code, refused.crm_code) == ("SC-E123", "INVALID_OPTION")
    assert "sideways" not in str(refused.message)
    assert "correlationId" in str(refused.message)
    assert bodies(world) <= 1 + 2 * 3 * 6


def test_a_bad_date_is_a_value_error(world: World) -> None:
    [result] = world.crm.write([update(world.deal().id, kpi_stage_entered_on="tomorrow")])
    assert (result.status, result.code) == ("rejected", "SC-E129")
    assert str(result.crm_code).startswith("INVALID_")


def test_207_is_not_success(world: World) -> None:
    here, gone = world.deal("Here"), world.deal("Gone")
    world.crm.fetch("deals", [here.id, gone.id], ("kpi_pace",))
    world.portal.archive(gone)  # after we looked
    results = by_id(world.crm.write([update(here.id, kpi_pace="slow"), update(gone.id, kpi_pace="slow")]))
    assert (results[here.id].status, results[gone.id].status, results[gone.id].code) == ("written", "gone", "SC-E128")


def test_silent_no_op_is_noticed(world: World) -> None:
    lost, fine = world.deal("Lost"), world.deal("Fine")
    world.portal.lost_effects.append(lambda record, wanted: record.id == lost.id)
    results = by_id(world.crm.write([update(lost.id, kpi_pace="slow"), update(fine.id, kpi_pace="slow")]))
    assert results[fine.id].status == "written"
    assert (results[lost.id].status, results[lost.id].code) == ("rejected", "SC-E129")
    assert "kpi_pace" in str(results[lost.id].message)
    assert not any(call.endswith("/search") for call in world.calls())


def test_clearing_what_is_empty_is_written(world: World) -> None:
    [result] = world.crm.write([update(world.deal().id, kpi_pace=None)])
    assert result.status == "written"


def test_a_rule_of_the_portal_is_a_rejection_with_its_words(world: World) -> None:
    deal, other = world.deal(), world.deal("Other")

    def rule(record: Any, wanted: Any) -> Problem | None:
        return Problem("closedate", "CONDITIONAL_RULE", "Close date is required in this stage") if record.id == deal.id else None

    world.portal.rules.append(rule)
    results = by_id(world.crm.write([update(deal.id, kpi_pace="slow"), update(other.id, kpi_pace="slow")]))
    assert results[other.id].status == "written"
    assert (results[deal.id].status, results[deal.id].code) == ("rejected", "SC-E121")
    assert "Close date is required" in str(results[deal.id].message)


@pytest.mark.parametrize(("version", "status"), [("2026-03", "written"), ("2026-09", "rejected")])
def test_the_admins_rules_bind_writes_under_2026_09(world: World, version: str, status: str) -> None:
    """A write of one of our values is refused for a rule about another property; the words of the rule reach the dead letter."""
    bad, fine = world.deal("Closed without a date"), world.deal("Fine")
    rule = Problem("closedate", "REQUIRED_PROPERTY", "Close date is required when the deal is won")
    world.portal.rules_2026_09.append(lambda record, wanted: rule if record.id == bad.id else None)
    with world_of(world.house, world.portal, api_version=version) as newer:
        results = by_id(newer.crm.write([update(bad.id, kpi_pace="slow"), update(fine.id, kpi_pace="slow")]))
    assert (results[bad.id].status, results[fine.id].status) == (status, "written")
    if status == "rejected":
        assert (results[bad.id].code, results[bad.id].crm_code) == ("SC-E121", "REQUIRED_PROPERTY")
        assert "Close date is required when the deal is won" in str(results[bad.id].message)


def test_the_one_error_schema_of_2026_09_is_read() -> None:
    """A 207 whose rows are whole errors: the input in the context of the row, of a detail, or only in the text."""

    def answer(asked: Asked) -> Answer:
        first, second, third, fourth = asked.json["inputs"]
        rows = [
            {"status": "error", "category": "VALIDATION_ERROR", "message": "refused", "context": {}, "links": {}, "errors": [
                {"message": "Close date is required", "code": "CONDITIONAL_REQUIRED", "in": "properties",
                 "context": {"objectWriteTraceId": [first["objectWriteTraceId"]]}}]},
            {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"ids": [second["id"]]}, "errors": [], "links": {}},
            {"status": "error", "category": "VALIDATION_ERROR", "message": f"Object {third['id']} is not valid", "context": {}, "errors": [
                {"message": "kpi_pace has no such option", "code": "INVALID_OPTION"}]},
        ]  # fmt: skip
        return Answer({"status": "COMPLETE", "results": [took(fourth)], "numErrors": 3, "errors": rows}, 207)

    told: list[WriteResult] = []
    scripted(told, [update(str(n), kpi_pace="slow") for n in range(101, 105)], answer)
    assert [(result.status, result.code) for result in told] == [
        ("rejected", "SC-E121"), ("gone", "SC-E128"), ("rejected", "SC-E123"), ("written", None),
    ]  # fmt: skip
    assert told[0].crm_code == "CONDITIONAL_REQUIRED"
    assert "Close date is required" in str(told[0].message)


@pytest.mark.parametrize("body", ["<html><h2>HTTP ERROR 404</h2></html>", ""])
def test_a_version_that_is_retired_buries_no_record(body: str) -> None:
    """404 on the path says nothing of the records: nobody is gone, the push stops."""
    told: list[WriteResult] = []
    with pytest.raises(CrmConfigError) as caught:
        scripted(told, [update("101", kpi_pace="slow")], lambda asked: Answer(body, 404))
    assert caught.value.code == "SC-E055"
    assert told == []


def test_outside_the_manifest_nothing_is_sent(world: World) -> None:
    deal = world.deal()
    with pytest.raises(OutsideManifest):
        world.crm.write([update(deal.id, kpi_pace="slow"), update(deal.id, dealstage="closedwon")])
    assert world.calls() == []
    with pytest.raises(OutsideManifest):
        HubSpotCrm(HubSpotSettings(token="x"), FixedClock(BEGIN), {"deals": frozenset({"amount"})})


def test_a_property_the_portal_lacks_stops_the_push(world: World) -> None:
    deals = [world.deal(f"Deal {n}") for n in range(4)]
    with pytest.raises(CrmConfigError, match="kpi_next_gate"):
        list(world.crm.write([update(deal.id, kpi_next_gate="vac") for deal in deals]))
    assert bodies(world) == 1


def scripted(told: list[WriteResult], updates: list[Update], answer: Callable[[Asked], Answer]) -> list[Asked]:
    """Write against a server that answers by hand; reads find every record under its own id."""

    def both(asked: Asked) -> Answer:
        if asked.path.endswith("/batch/read"):
            results = [{"id": i["id"], "properties": {"hs_object_id": i["id"]}, "updatedAt": "2026-11-20T18:00:00Z"} for i in asked.json["inputs"]]
            return Answer({"results": results})
        return answer(asked)

    with serving(both) as server:
        crm = HubSpotCrm(HubSpotSettings(token="key", base_url=server.url), FixedClock(BEGIN), MANIFEST)
        told.extend(crm.write(updates))
        crm.close()
    return [asked for asked in server.asked if asked.path.endswith("/batch/update")]


def took(one: dict[str, Any]) -> dict[str, Any]:
    return {"id": one["id"], "properties": one["properties"], "updatedAt": "2026-11-20T18:00:01.5Z"}


def test_the_answer_is_reconciled_by_id_and_by_value(world: World) -> None:
    """Answers in another order, a fault named by trace id, one only in the text, one not at all."""

    def answer(asked: Asked) -> Answer:
        inputs = asked.json["inputs"]
        if len(inputs) == 1:  # the unexplained one, sent again alone
            return Answer({"status": "COMPLETE", "results": [took(inputs[0])]})
        errors = [
            {"category": "VALIDATION_ERROR", "message": "no", "context": {"objectWriteTraceId": [inputs[0]["objectWriteTraceId"]]}},
            {"category": "VALIDATION_ERROR", "message": "DEAL=102 is not valid"},
        ]
        return Answer({"status": "COMPLETE", "results": [took(inputs[4]), took(inputs[2])], "numErrors": 2, "errors": errors}, 207)

    told: list[WriteResult] = []
    sent = scripted(told, [update(str(n), kpi_pace="slow") for n in range(101, 106)], answer)
    status = {result.id: result.status for result in told}
    assert status == {"101": "rejected", "102": "rejected", "103": "written", "104": "written", "105": "written"}
    assert {result.version for result in told if result.status == "written"} == {"2026-11-20T18:00:01.500Z"}
    assert [len(asked.json["inputs"]) for asked in sent] == [5, 1]
    assert all(isinstance(value, str) for asked in sent for one in asked.json["inputs"] for value in one["properties"].values())


def test_silence_about_a_record_is_no_success() -> None:
    told: list[WriteResult] = []
    scripted(told, [update("101", kpi_pace="slow"), update("102", kpi_pace="slow")], lambda asked: Answer({"status": "COMPLETE", "results": []}))
    assert [result.status for result in told] == ["deferred", "deferred"]


@pytest.mark.parametrize("status", [503, 423, 429])
def test_limits_and_outages_defer(status: int) -> None:
    told: list[WriteResult] = []
    sent = scripted(told, [update(str(n), kpi_pace="slow") for n in range(101, 104)], lambda asked: Answer({"message": "no"}, status))
    assert [(result.status, result.code) for result in told] == [("deferred", "SC-E070")] * 3
    assert len(sent) == 5


def test_an_outage_defers_the_rest_without_trying_each() -> None:
    told: list[WriteResult] = []
    sent = scripted(told, [update(str(n), kpi_pace="slow") for n in range(1_000, 1_650)], lambda asked: Answer({"message": "no"}, 503))
    assert [result.status for result in told] == ["deferred"] * 650
    assert len(sent) == 10


def test_a_used_up_budget_defers(world: World) -> None:
    deals = [world.deal(f"Deal {n}") for n in range(250)]
    with world_of(world.house, world.portal, daily_calls=3) as short:
        results = list(short.crm.write([update(deal.id, kpi_pace="slow") for deal in deals]))
    assert [result.status for result in results] == ["written"] * 100 + ["deferred"] * 150
    assert {result.code for result in results[100:]} == {"SC-E078"}
    assert sum(deal.values.get("kpi_pace") == "slow" for deal in deals) == 100


def test_a_batch_too_large_is_halved() -> None:
    told: list[WriteResult] = []

    def answer(asked: Asked) -> Answer:
        inputs = asked.json["inputs"]
        return Answer("", 413) if len(inputs) > 3 else Answer({"results": [took(one) for one in inputs]})

    scripted(told, [update(str(n), kpi_pace="slow") for n in range(101, 111)], answer)
    assert [result.status for result in told] == ["written"] * 10


def test_json_inside_the_message_is_read() -> None:
    message = (
        'Property values were not valid: [{"isValid":false,"message":"kpi_pace was not one of the allowed options","error":"INVALID_OPTION",'
        '"name":"kpi_pace"},{"isValid":false,"message":"x is read only","error":"READ_ONLY_VALUE","name":"x"}]'
    )
    faults = faults_of({"status": "error", "message": message, "correlationId": "c-7", "category": "VALIDATION_ERROR"})
    assert faults.codes == ("INVALID_OPTION", "READ_ONLY_VALUE", "VALIDATION_ERROR")
    assert faults.message == "kpi_pace was not one of the allowed options; x is read only; correlationId c-7"
    assert faults.code() == "SC-E123"
    assert faults_of({}).code() == "SC-E129"
