"""Describe, stages per record type and the org itself, over HTTP against the sandbox."""

from __future__ import annotations

import pytest

from connector.clock import FixedClock
from connector.crms.base import Window
from connector.crms.registry import ADAPTERS, adapter
from connector.crms.salesforce import SalesforceCrm, SalesforceSettings
from connector.crms.salesforce.schema import field_of
from connector.errors import CrmConfigError, SettingsError
from tests.crms.salesforce.bench import START, SalesforceBench
from tests.crms.scripted import Answer, Asked, serving


@pytest.fixture
def crm(bench: SalesforceBench) -> SalesforceCrm:
    return bench.open()


def test_fields_keep_what_a_writer_must_know(crm: SalesforceCrm) -> None:
    fields = crm.discover("Opportunity")
    assert (fields["KPI_Stage__c"].type, fields["KPI_Stage__c"].length, fields["KPI_Stage__c"].writable) == ("text", 40, True)
    assert (fields["KPI_Touch_Density__c"].type, fields["KPI_Touch_Density__c"].scale) == ("number", 1)
    assert [option.value for option in fields["KPI_Pace__c"].options] == ["On pace", "Slow", "Stuck"]
    assert not fields["KPI_Pace__c"].restricted
    assert (fields["Amount"].type, fields["CloseDate"].type, fields["CreatedDate"].type) == ("money", "date", "datetime")
    assert (fields["IsWon"].writable, fields["AccountId"].type) == (False, "reference")
    calculated = [field for field in fields.values() if field.calculated]
    assert calculated
    assert not any(field.writable for field in calculated)


def test_an_unchanged_description_is_not_sent_again_and_a_changed_one_is(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    bench.wait(60)
    first = crm.discover("Opportunity")
    assert crm.discover("Opportunity") == first
    bench.wait(60)
    bench.org.add_option("Opportunity", "KPI_Pace__c", "Frozen")
    bench.wait(60)
    assert "Frozen" in {option.value for option in crm.discover("Opportunity")["KPI_Pace__c"].options}
    assert bench.paths().count("GET describe") == 3


def test_a_description_is_asked_for_only_if_it_changed() -> None:
    described = {"fields": [{"name": "Name", "type": "string", "label": "Name", "updateable": True}]}

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/token"):
            return Answer({"access_token": "t", "instance_url": f"https://{asked.headers['host']}"})
        if "if-modified-since" in asked.headers:
            return Answer(status=304)
        return Answer(described, headers={"Last-Modified": "Fri, 20 Nov 2026 09:00:00 GMT"})

    with serving(answer) as server:
        crm = SalesforceCrm(SalesforceSettings(server.url, flow="sandbox"), FixedClock(START))
        assert crm.discover("Account") == crm.discover("Account")
        crm.close()
    assert server.asked[2].headers["if-modified-since"] == "Fri, 20 Nov 2026 09:00:00 GMT"
    assert len(server.asked) == 3


def test_a_read_uses_the_description_of_the_run(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    crm.discover("Opportunity")
    bench.create(1)
    list(crm.read(bench.deals, Window(None, crm.now())))
    assert bench.paths().count("GET describe") == 1


def test_pipelines_are_record_types_with_their_own_stages(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    found = {pipeline.id: pipeline for pipeline in crm.pipelines()}
    assert {"Capital_Equipment", "Disposables", "Software", "Renewals"} <= set(found)
    capital = {stage.id: stage for stage in found["Capital_Equipment"].stages}
    assert {"VAC Submitted", "30-Day Pilot", "Internal Transfer"} <= {id_ for id_, stage in capital.items() if stage.active}
    assert "Sample Requested" not in capital
    assert "Internal Transfer" not in {stage.id for stage in found["Renewals"].stages if stage.active}
    stopped = capital["Stopped - No Decision"]
    assert (stopped.closed, stopped.won, stopped.probability) == (True, False, 0.0)
    assert (capital["Closed Won"].won, capital["Closed Won"].probability) == (True, 1.0)


@pytest.mark.fault
def test_a_dictionary_whose_cursor_is_lost_is_read_again(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    whole = crm.pipelines()
    lost: list[str] = []

    def lose(line: str) -> tuple[int, object] | None:
        if "/query/0r8" in line and len(lost) < 2:
            lost.append(line)
            return 400, [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}]
        return None

    bench.server.recorder.intercept = lose
    assert crm.pipelines() == whole
    assert len(lost) == 2


def test_inactive_stages_are_listed_as_inactive(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    for pipeline in crm.pipelines():
        assert {"Trial", "4 - VAC Approval", "InfoSec"} <= {stage.id for stage in pipeline.stages if not stage.active}


def test_a_stage_that_was_renamed_keeps_its_old_name_as_inactive(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    bench.org.rename_stage("Commit", "Verbal")
    capital = next(pipeline for pipeline in crm.pipelines() if pipeline.id == "Capital_Equipment")
    assert {stage.id: stage.active for stage in capital.stages if stage.id in ("Commit", "Verbal")} == {"Verbal": True, "Commit": False}


def test_without_record_types_there_is_one_pipeline(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    for row in list(bench.org.tables["RecordType"].rows):
        bench.org.tables["RecordType"].remove(row)
    [master] = crm.pipelines()
    assert master.id == "Master"
    assert {"Prospect", "Closed Won"} <= {stage.id for stage in master.stages if stage.active}


def test_check_reads_the_org_its_user_and_its_gauge(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    org = crm.check()
    assert (org.name, org.time_zone, org.currency, org.api_version) == ("Beacon Surgical", "America/New_York", "USD", "68.0")
    assert (org.org_id, org.user_id) == (bench.org.org_id, bench.org.api_user)
    assert org.calls_max == 100_000
    assert org.calls_used is not None
    assert 0 < org.calls_used < 10


def test_an_org_that_knows_no_currency_is_not_given_one(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    bench.server.recorder.intercept = lambda line: (
        (400, [{"errorCode": "INVALID_TYPE", "message": "sObject type 'CurrencyType' is not supported."}]) if "Currency" in line else None
    )
    assert crm.check().currency == ""


def test_a_version_that_the_org_does_not_offer_is_named(bench: SalesforceBench) -> None:
    crm = bench.open(api_version="99.0")
    with pytest.raises(CrmConfigError, match=r"99\.0") as caught:
        crm.check()
    assert caught.value.code == "SC-E055"


def test_an_encrypted_field_is_sensitive_and_an_odd_type_is_other() -> None:
    assert field_of({"name": "Ssn__c", "type": "encryptedstring", "encrypted": True}).sensitive
    assert field_of({"name": "BillingAddress", "type": "address"}).type == "other"


def test_adapters_are_found_by_kind() -> None:
    assert adapter("salesforce") is SalesforceCrm
    for kind in ADAPTERS:
        assert adapter(kind).kind == kind  # type: ignore[attr-defined]
    with pytest.raises(SettingsError, match="dynamics"):
        adapter("dynamics")
