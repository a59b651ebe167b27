"""Snapshots of a schema and how two of them differ, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connector.crms.base import Field, FieldType, Option, Pipeline, Stage, StreamSpec
from connector.mapping import drift
from connector.mapping.apply import Mapper

AMOUNT = Field("Amount", "Amount", "money", True, scale=2)
TYPE = Field("Type", "Type", "picklist", True, options=(Option("New", "New"), Option("Old", "Old")), length=255)
LIVE = {"Amount": AMOUNT, "Type": TYPE, "Other__c": Field("Other__c", "Other", "text", True)}
ASKED = drift.Asked("Opportunity", frozenset({"Amount", "Type"}))
SPEC = StreamSpec("opportunities", "Opportunity", ("Amount", "Type"))


def told(**changed: Field | None) -> list[str]:
    live: dict[str, Any] = {**LIVE, **changed}
    now = {name: field for name, field in live.items() if field is not None}
    found = drift.differences("sf", ASKED, drift.of_object(ASKED, LIVE), drift.of_object(ASKED, now))
    assert all(f.message.startswith("sf: Opportunity.") for f in found)
    return [f.message.removeprefix("sf: Opportunity.") for f in found]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"Amount": replace(AMOUNT, type="number")}, ["Amount was money, is now number"]),
        ({"Amount": replace(AMOUNT, scale=4)}, ["Amount scale was 2, is now 4"]),
        ({"Amount": replace(AMOUNT, writable=False)}, ["Amount may no longer be edited by the connection's user"]),
        ({"Amount": replace(AMOUNT, calculated=True)}, ["Amount is calculated now"]),
        ({"Amount": replace(AMOUNT, label="Value")}, []),
        ({"Amount": None}, ["Amount is gone, or hidden from the connection's user"]),
        ({"Type": replace(TYPE, options=(*TYPE.options, Option("Renewal", "R")))}, ['Type new option "Renewal"']),
        ({"Type": replace(TYPE, options=(Option("New", "N"), Option("Old", "O", active=False)))}, ['Type no longer offers option "Old"']),
        ({"New__c": Field("New__c", "n", "text", True)}, ["New__c is new; it is not mapped, so it is not read"]),
        ({"KPI_Pace__c": Field("KPI_Pace__c", "n", "text", True)}, []),  # ours
        ({"Other__c": None}, []),  # nobody uses it
    ],
)
def test_differences(changed: dict[str, Field | None], said: list[str]) -> None:
    assert told(**changed) == said


def test_a_snapshot_is_canonical_and_sorted() -> None:
    backwards = {name: LIVE[name] for name in sorted(LIVE, reverse=True)}
    turned = {**backwards, "Type": replace(TYPE, options=TYPE.options[::-1])}
    assert str(drift.of_object(ASKED, turned)) == str(drift.of_object(ASKED, LIVE))


def test_a_field_mapped_since_is_no_drift() -> None:
    narrow = drift.Asked("Opportunity", frozenset({"Amount"}))
    accepted = drift.of_object(narrow, LIVE)
    now = drift.of_object(ASKED, LIVE)
    assert drift.differences("sf", ASKED, accepted, now) == []
    grown = drift.grown(accepted, now)
    assert set(grown["fields"]) == {"Amount", "Type"}
    changed = drift.of_object(ASKED, {**LIVE, "Type": replace(TYPE, type="text", options=())})
    assert [f.message for f in drift.differences("sf", ASKED, grown, changed)] == ["sf: Opportunity.Type was picklist, is now text"]


@pytest.mark.parametrize(
    ("was", "is_", "breaks"),
    [
        ("money", "number", False),
        ("text", "picklist", False),
        ("text", "number", True),
        ("date", "datetime", True),
        ("picklist", "multipicklist", True),
    ],
)
def test_which_changes_of_type_break_a_stream(salesforce: Mapper, was: FieldType, is_: FieldType, breaks: bool) -> None:
    accepted = drift.of_object(ASKED, {**LIVE, "Amount": replace(AMOUNT, type=was)})
    found = drift.unreadable(salesforce.mapping, SPEC, {**LIVE, "Amount": replace(AMOUNT, type=is_)}, accepted)
    assert bool(found) == breaks
    if breaks:
        assert found["Amount"].path == "opportunities.fields.amount.from"
        assert found["Amount"].line
        assert f"was {was}, is now {is_}" in found["Amount"].message


def test_a_gone_field_breaks_a_stream_with_or_without_a_snapshot(salesforce: Mapper) -> None:
    (found,) = drift.unreadable(salesforce.mapping, SPEC, {"Type": TYPE}, None).values()
    assert (found.code, found.path) == ("SC-E021", "opportunities.fields.amount.from")
    assert "opportunities is not read, what is stored stays" in found.message


def stages(*made: Stage, label: str = "Capital", active: bool = True, id: str = "cap") -> Pipeline:
    return Pipeline(id, label, made, active)


DEMO, WON, OLD = Stage("Demo", "Demo"), Stage("Won", "Won", closed=True, won=True), Stage("Old", "Old", active=False)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ((stages(DEMO, WON, OLD),), []),
        ((stages(replace(DEMO, label="Show"), WON, OLD),), ['stage "Demo" was called "Demo", is now "Show" (pipeline cap)']),
        ((stages(DEMO, WON, OLD, Stage("VAC", "VAC review")),), ['stage "VAC" is new ("VAC review") (pipeline cap)']),
        ((stages(DEMO, WON, OLD, Stage("Past", "Past", active=False)),), []),
        ((stages(replace(DEMO, active=False), WON, OLD),), ['stage "Demo" was retired (pipeline cap)']),
        ((stages(WON, OLD),), ['stage "Demo" is gone (pipeline cap)']),
        (
            (stages(replace(DEMO, active=False), WON, OLD, Stage("Show", "Show")),),
            ['stage "Demo" is gone and "Show" is new: renamed? (pipeline cap)'],
        ),
        ((stages(DEMO, WON, replace(OLD, active=True)),), ['stage "Old" is in use again (pipeline cap)']),
        ((stages(DEMO, replace(WON, won=False), OLD),), ['stage "Won" was closed, won, is now closed, not won (pipeline cap)']),
        ((stages(DEMO, WON, OLD, label="Devices"),), ['pipeline cap was called "Capital", is now "Devices"']),
        ((stages(DEMO, WON, OLD, active=False),), ["pipeline cap was retired"]),
        ((stages(DEMO, WON, OLD), stages(DEMO, id="new", label="New")), ['pipeline new ("New") is new']),
        ((), ['pipeline cap ("Capital") is gone']),
    ],
)
def test_stages(now: tuple[Pipeline, ...], said: list[str]) -> None:
    accepted = drift.of_pipelines([stages(DEMO, WON, OLD)], ())
    found = drift.stage_differences("sf", accepted, drift.of_pipelines(now, ()))
    assert [f.message for f in found] == [f"sf: {text}" for text in said]
    assert {f.code for f in found} <= {"SC-W036"}


def test_one_change_in_several_pipelines_is_said_once_and_ignored_ones_are_not() -> None:
    made = [stages(DEMO, id="a"), stages(DEMO, id="b"), stages(DEMO, id="c")]
    renamed = [replace(p, stages=(replace(DEMO, label="Show"),)) for p in made]
    found = drift.stage_differences("sf", drift.of_pipelines(made, ["c"]), drift.of_pipelines(renamed, ["c"]))
    assert [f.message for f in found] == ['sf: stage "Demo" was called "Demo", is now "Show" (pipeline a, b)']
