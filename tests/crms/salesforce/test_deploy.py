"""How the end of a deployment is judged: as a whole, from answers in either spelling, and never by the first one alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from connector.clock import FixedClock
from connector.crms.salesforce.deploy import deploy
from connector.errors import MissingScope, Transient
from tests.crms.salesforce.test_transport import START, Script, client_of
from tests.crms.scripted import Answer, serving

ID = "0Af000000000001AAA"


def told(status: str, *, done: object = False, **more: Any) -> Answer:
    return Answer({"id": ID, "deployResult": {"id": ID, "status": status, "done": done, **more}}, 201 if status == "Pending" else 200)


def failure(name: str, problem: str, kind: str = "CustomField") -> dict[str, str]:
    return {"fullName": name, "componentType": kind, "problemType": "Error", "problem": problem, "fileName": "objects/Opportunity.object"}


PENDING, WORKING = told("Pending"), told("InProgress")
FINE = told("Succeeded", done=True, success=True, numberComponentsDeployed=24, numberComponentsTotal=24)


def ended(*answers: Answer, check_only: bool = False) -> Any:
    with serving(Script(PENDING, *answers)) as server:
        client = client_of(server, FixedClock(START))
        try:
            return deploy(client, b"zip", check_only=check_only)
        finally:
            client.close()


def test_it_asks_with_growing_pauses_until_the_end() -> None:
    clock = FixedClock(START)
    with serving(Script(PENDING, *[WORKING] * 5, FINE)) as server:
        client = client_of(server, clock)
        assert deploy(client, b"zip", check_only=True).ok
        client.close()
        sent = next(asked for asked in server.asked if asked.method == "POST" and asked.path.endswith("deployRequest"))
        polls = [asked for asked in server.asked if asked.path.endswith(ID)]
    assert clock.now() - START == timedelta(seconds=2 + 4 + 8 + 16 + 20 + 20)
    assert all(asked.query["includeDetails"] == "true" for asked in polls)
    assert sent.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'"checkOnly":true' in sent.body
    assert b'"rollbackOnError":true' in sent.body
    assert b'filename="deploy.zip"' in sent.body


def test_numbers_and_flags_may_be_text() -> None:
    text = told("Succeeded", done="true", success="true", numberComponentsDeployed="24", numberComponentsTotal="24")
    found = ended(text)
    assert (found.ok, found.done, found.total) == (True, 24, 24)


@pytest.mark.parametrize("status", ["SucceededPartial", "Failed", "Canceled"])
def test_anything_but_a_whole_success_has_failed(status: str) -> None:
    found = ended(told(status, done=True, success=status == "SucceededPartial", details={"componentFailures": []}))
    assert (found.ok, found.status) == (False, status)
    assert len(found.refusals) == 1


def test_a_success_with_a_failed_component_has_failed() -> None:
    found = ended(told("Succeeded", done=True, success=True, details={"componentFailures": failure("Opportunity.KPI_X__c", "no")}))
    assert not found.ok


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        ("Field Not_There__c does not exist. Check spelling.", "it reads a field that the org does not have"),
        ("Incorrect parameter type for operator '+'. Expected Number, received Date", "a field it reads is of another type than the mapping says"),
        ("Compiled formula is too big to execute (5,200 characters).", "the compiled formula is too big for this org"),
        ("You have reached the maximum number of custom fields", "the object has as many custom fields as the org allows"),
        ("Cannot change field type from Number to Text", "a field of this name is there with another type"),
        ("something new", "the org refuses this component"),
    ],
)
def test_each_refusal_keeps_the_orgs_words_and_gets_ours(problem: str, reason: str) -> None:
    (refusal,) = ended(told("Failed", done=True, details={"componentFailures": [failure("Opportunity.KPI_X__c", problem)]})).refusals
    assert (refusal.name, refusal.problem, refusal.reason) == ("Opportunity.KPI_X__c", problem, reason)
    assert refusal.next_step


def test_warnings_are_no_refusals() -> None:
    warning = {**failure("Opportunity.KPI_X__c", "label is long"), "problemType": "Warning"}
    assert ended(told("Succeeded", done=True, success=True, details={"componentFailures": [warning]})).ok


def test_a_user_who_may_not_deploy_is_told_what_it_takes() -> None:
    denied = told("Failed", done=True, errorStatusCode="INSUFFICIENT_ACCESS", errorMessage="not allowed", details={})
    with pytest.raises(MissingScope) as error:
        ended(denied)
    assert "Customize Application" in str(error.value.next_step)


def test_an_org_that_never_ends_is_left_after_half_an_hour() -> None:
    with pytest.raises(Transient, match=ID):
        ended(WORKING)
