"""The CRM's schema moves: the next run names what moved, breaks only the stream concerned, and clears nothing that is stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.cli.mapping import _drift, live_findings
from connector.errors import Finding
from connector.sandbox.hubspot.schema import Property
from connector.sandbox.salesforce.schema import FieldDef
from connector.sync import PullReport
from tests.rig import NAME, Rig, opened


@pytest.fixture(params=["salesforce", "hubspot"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with opened(request.param, tmp_path) as made:
        made.pull()
        made.advance(days=1)
        yield made


@pytest.fixture
def salesforce(tmp_path: Path) -> Iterator[Rig]:
    with opened("salesforce", tmp_path) as made:
        made.pull()
        made.advance(days=1)
        yield made


def told(pulled: PullReport, code: str = "SC-W035") -> list[str]:
    return [f.message for f in pulled.findings if f.code == code]


def values(rig: Rig, column: str) -> list[Any]:
    return [row[column] for row in rig.rows("opportunities")]


def test_an_unchanged_schema_says_nothing(rig: Rig) -> None:
    assert not rig.pull().findings
    answer = _drift(rig.app, [NAME], 2)
    assert (answer.exit_code, answer.text) == (0, ["the schema is as it was accepted"])


def test_added_field_clears_nothing(salesforce: Rig) -> None:
    before = salesforce.rows("opportunities")
    salesforce.world.org.add_field("Opportunity", FieldDef("Extra__c", "string", "Extra", 80))
    pulled = salesforce.pull()
    assert told(pulled) == [f"{NAME}: Opportunity.Extra__c is new; it is not mapped, so it is not read"]
    assert pulled.exit_code == 0
    assert salesforce.rows("opportunities") == before
    assert told(salesforce.pull()) == told(pulled)  # told until somebody accepts it, or it is gone
    salesforce.world.org.hide_field("Opportunity", "Extra__c")
    assert not told(salesforce.pull())


def test_hidden_field_breaks_its_stream_and_no_other(salesforce: Rig) -> None:
    rig, org = salesforce, salesforce.world.org
    before = rig.rows("opportunities")
    org.hide_field("Opportunity", "Recurring_ARR__c", user=org.api_user)
    rig.edit(rig.deals[0], amount=None)
    contact = rig.meet(rig.accounts[0])
    pulled = rig.pull()
    assert [f.stream for f in pulled.failures] == ["opportunities"]
    (found,) = [f for f in pulled.findings if f.code == "SC-E021"]
    assert "Opportunity.Recurring_ARR__c" in found.message
    assert (found.path, found.line is not None) == ("opportunities.fields.arr.from", True)
    assert pulled.exit_code == 4
    assert contact in {row["id"] for row in rig.rows("contacts")}
    assert rig.rows("opportunities") == before  # read neither wrongly nor cleared
    assert rig.sync().pushes[0].trips[0].code == "SC-E021"
    org.show_field("Opportunity", "Recurring_ARR__c", user=org.api_user)
    assert not rig.pull().findings
    rig.assert_same()


def test_a_field_of_another_kind_breaks_its_stream_until_it_is_accepted(salesforce: Rig) -> None:
    rig = salesforce
    rig.world.org.retype_field("Opportunity", "Primary_Product__c", "date")
    pulled = rig.pull()
    (found,) = [f for f in pulled.findings if f.code == "SC-E021"]
    assert "was text, is now date" in found.message or "was picklist, is now date" in found.message
    assert [f.stream for f in pulled.failures] == ["opportunities"]


def test_new_option_is_named(salesforce: Rig) -> None:
    salesforce.world.org.add_option("Opportunity", "LeadSource", "Carrier pigeon")
    assert told(salesforce.pull()) == [f'{NAME}: Opportunity.LeadSource new option "Carrier pigeon"']


def test_renamed_stage_is_named(rig: Rig) -> None:
    rig.rename_stage("demo", "Shown it")
    pulled = rig.pull()
    (said,) = told(pulled, "SC-W036")
    assert '"Shown it"' in said
    if rig.crm == "salesforce":  # the value of the picklist changed
        assert said.startswith(f'{NAME}: stage "Demo Complete" is gone and "Shown it" is new: renamed? (pipeline Capital_Equipment')
    else:
        assert said == f'{NAME}: stage "qualifiedtobuy" was called "Demo / in-service", is now "Shown it" (pipeline default)'
    assert pulled.exit_code == 0


def test_drift_is_asked_read_only_and_accepted_by_discover(rig: Rig) -> None:
    from connector.cli.mapping import look

    rig.rename_stage("demo", "Shown it")
    answer = _drift(rig.app, [NAME], 2)
    assert (answer.exit_code, len(answer.findings)) == (2, 1)
    assert _drift(rig.app, [NAME], 2).exit_code == 2  # looking accepts nothing
    rig.app.store.schemas.accept(NAME, look(rig.app, NAME)[1], rig.now)  # as connector discover does
    assert _drift(rig.app, [NAME], 2).exit_code == 0
    assert not told(rig.pull(), "SC-W036")


def test_archived_property_breaks_deals_and_names_the_place(tmp_path: Path) -> None:
    with opened("hubspot", tmp_path) as rig:
        rig.pull()
        before = rig.rows("opportunities")
        rig.advance(days=1)
        gone = rig.world.portal.properties["deals"].pop("capital_amount")
        assert isinstance(gone, Property)
        pulled = rig.pull()
        assert [f.stream for f in pulled.failures] == ["opportunities"]
        assert [f.path for f in pulled.findings if f.code == "SC-E021"] == ["opportunities.fields.capital_amount.from"]
        assert rig.rows("opportunities") == before
        rig.world.portal.properties["deals"]["capital_amount"] = gone
        assert not rig.pull().findings


def test_check_names_what_the_connectors_user_cannot_see(salesforce: Rig) -> None:
    org = salesforce.world.org
    org.hide_field("OpportunityHistory", "CreatedById", user=org.api_user)
    org.hide_object("Contact", org.api_user)
    found: list[Finding] = [f for f in live_findings(salesforce.app, NAME) if f.code == "SC-E021"]
    said = " ".join(f.message for f in found)
    assert "OpportunityHistory.CreatedById is hidden" in said
    assert "no object Contact" in said
    assert "Contact is not there, or hidden" in said


def test_idle_runs_on_salesforce_cost_no_more_for_it(salesforce: Rig) -> None:
    """The adapter describes each object once a run anyway; who asks first changes nothing."""
    seen: list[str] = []
    with salesforce.app.connected(NAME) as connected:
        describe = connected.crm._schema.describe  # type: ignore[attr-defined]

        def counted(object_: str) -> Any:
            seen.append(object_)
            return describe(object_)

        connected.crm._schema.describe = counted  # type: ignore[attr-defined]
        from connector import sync

        sync.pull(connected, salesforce.app.store, salesforce.app.definitions, salesforce.app.store.runs.start(NAME, "pull", "test"))
    assert sorted(seen) == sorted(set(seen))
