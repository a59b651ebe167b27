"""What people and administrators do in the org, as the API shows it afterwards."""

import base64
import json
from datetime import UTC, date, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from connector.sandbox.salesforce.org import RowError
from connector.sandbox.salesforce.schema import flag, money


@pytest.fixture
def rep(org):
    names = {"FirstName": "Ann", "LastName": "Rep", "Username": "ann@x.example", "Email": "ann@x.example"}
    return org.insert("User", {**names, "IsActive": True, "TimeZoneSidKey": "America/New_York"})


def stamps(org, deal):
    return org.find(deal)["SystemModstamp"]


def test_a_field_hidden_from_a_user_is_not_there(client, org, deal, rep):
    org.hide_field("Opportunity", "Amount", org.api_user)
    assert all(f["name"] != "Amount" for f in client.get("sobjects/Opportunity/describe").json()["fields"])
    for soql in ("SELECT Amount FROM Opportunity", "SELECT Id, (SELECT Amount FROM Opportunities) FROM Account"):
        assert client.query(soql).json()[0]["errorCode"] == "INVALID_FIELD"
    body = {"allOrNone": False, "records": [{"attributes": {"type": "Opportunity"}, "id": deal, "Amount": 1}]}
    assert client.patch("composite/sobjects", body).json()[0]["errors"][0]["statusCode"] == "INVALID_FIELD"
    client.token = f"sandbox-as-{rep}"
    assert client.rows("SELECT Amount FROM Opportunity")[0]["Amount"] == 420000.0
    org.show_field("Opportunity", "Amount", org.api_user)
    client.token = "sandbox-test"
    assert client.rows("SELECT Amount FROM Opportunity")[0]["Amount"] == 420000.0


def test_a_field_hidden_from_all_comes_back_with_its_values(client, org, deal):
    org.hide_field("Opportunity", "Amount")
    assert client.query("SELECT Amount FROM Opportunity").status_code == 400
    org.show_field("Opportunity", "Amount")
    assert client.rows("SELECT Amount FROM Opportunity")[0]["Amount"] == 420000.0


def test_scorecard_fields_are_read_only_for_reps(client, org, deal, rep):
    client.token = f"sandbox-as-{rep}"
    assert client.patch(f"sobjects/Opportunity/{deal}", {"KPI_Pace__c": "Slow"}).json()[0]["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
    assert client.patch(f"sobjects/Opportunity/{deal}", {"NextStep": "call"}).status_code == 204


def test_a_hidden_object_is_an_invalid_type(client, org):
    org.hide_object("Contact", org.api_user)
    assert client.query("SELECT Id FROM Contact").json()[0]["errorCode"] == "INVALID_TYPE"
    assert client.get("sobjects/Contact/describe").status_code == 404
    org.show_object("Contact", org.api_user)
    assert client.query("SELECT Id FROM Contact").status_code == 200


def test_late_work_is_seen_later_with_an_older_stamp(client, org, clock, deal):
    stamped, visible = clock.now, clock.now + timedelta(minutes=7)
    values = {"Name": "late", "StageName": "Prospect", "CloseDate": date(2027, 1, 1)}
    late = org.late_insert("Opportunity", values, stamped=stamped, visible=visible)
    org.late_update("Opportunity", deal, {"NextStep": "later"}, stamped=stamped, visible=visible)
    soql = f"SELECT Id FROM OpportunityHistory WHERE OpportunityId = '{late}'"
    clock.advance_to(clock.now + timedelta(minutes=6))
    assert [row["Id"] for row in client.rows("SELECT Id FROM Opportunity", everything=True)] == [deal]
    assert client.rows(soql) == []
    clock.advance_to(visible)
    shown = {row["Id"]: row for row in client.rows("SELECT Id, NextStep, SystemModstamp FROM Opportunity")}
    assert shown[late]["SystemModstamp"] == shown[deal]["SystemModstamp"] == "2026-11-20T18:00:00.000+0000"
    assert shown[deal]["NextStep"] == "later"
    assert len(client.rows(soql)) == 1


def test_what_moves_no_stamp(client, org, clock, deal):
    before = stamps(org, deal)
    clock.advance_to(clock.now + timedelta(days=3))
    days = client.rows("SELECT Days_To_Close__c FROM Opportunity")[0]["Days_To_Close__c"]
    org.set_silently("Opportunity", deal, {"Products_Total__c": 5})
    org.add_field("Opportunity", money("Extra__c"), 7)
    org.add_field("Opportunity", flag("Odd__c"))
    org.retype_field("Opportunity", "Recurring_ARR__c", "string", length=80)
    org.deactivate_stage("VAC Submitted")
    org.retype_stage("VAC Submitted", closed=True, won=True, probability=100)
    clock.advance_to(clock.now + timedelta(days=1))
    row = client.rows("SELECT Days_To_Close__c, Products_Total__c, Extra__c, Odd__c, IsWon, SystemModstamp FROM Opportunity")[0]
    assert (row["Days_To_Close__c"], days) == (None, 67.0)
    assert (row["Products_Total__c"], row["Extra__c"], row["Odd__c"], row["IsWon"], row["SystemModstamp"]) == (5.0, 7.0, False, True, before)
    offered = client.get(f"ui-api/object-info/Opportunity/picklist-values/{org.record_types['Capital_Equipment']}").json()
    assert "VAC Submitted" not in [v["value"] for v in offered["picklistFieldValues"]["StageName"]["values"]]


def test_products_roll_up_and_move_the_deal(client, org, clock, deal):
    clock.advance_to(clock.now + timedelta(hours=1))
    item = org.insert("OpportunityLineItem", {"OpportunityId": deal, "Quantity": 3, "UnitPrice": 10.5})
    row = client.rows("SELECT Products_Total__c, HasOpportunityLineItem, SystemModstamp FROM Opportunity")[0]
    assert (row["Products_Total__c"], row["HasOpportunityLineItem"]) == (31.5, True)
    assert row["SystemModstamp"] == "2026-11-20T19:00:00.000+0000"
    org.vanish("OpportunityLineItem", item)
    assert client.rows("SELECT Id FROM OpportunityLineItem", everything=True) == []
    assert client.rows("SELECT Products_Total__c FROM Opportunity")[0]["Products_Total__c"] is None


def test_the_bin_is_emptied(client, org, clock, deal):
    org.delete("Opportunity", deal)
    assert org.empty_bin(timedelta(days=15)) == []
    clock.advance_to(clock.now + timedelta(days=16))
    assert org.empty_bin(timedelta(days=15)) == [deal]
    assert client.rows("SELECT Id FROM Opportunity", everything=True) == []


def test_series_invitations_and_shared_activities(client, org, deal, rep):
    contacts = [org.insert("Contact", {"LastName": name}) for name in "ab"]
    series, days = org.repeat("Task", {"Subject": "weekly", "WhatId": deal}, [date(2026, 11, day) for day in (2, 9)])
    found = {row["Id"]: row for row in client.rows("SELECT Id, IsRecurrence, RecurrenceActivityId FROM Task")}
    assert found[series]["IsRecurrence"]
    assert [found[key]["RecurrenceActivityId"] for key in days] == [series, series]
    event = org.insert("Event", {"Subject": "demo", "WhatId": deal, "StartDateTime": datetime(2026, 11, 3, 15, tzinfo=UTC), "DurationInMinutes": 30})
    copies = org.invite(event, [rep])
    events = {row["Id"]: row for row in client.rows("SELECT Id, IsChild, IsGroupEvent, OwnerId, ActivityDate FROM Event")}
    assert (events[event]["IsChild"], events[copies[0]]["IsChild"], events[copies[0]]["OwnerId"]) == (False, True, rep)
    assert events[event]["IsGroupEvent"]
    org.share(event, contacts)
    assert {row["RelationId"] for row in client.rows(f"SELECT RelationId FROM EventRelation WHERE EventId = '{event}'")} == set(contacts)


def test_tracked_fields_have_history(client, org, deal):
    org.update("Opportunity", deal, {"VAC_Submitted_On__c": date(2026, 1, 1)})
    org.track_field("VAC_Submitted_On__c")
    org.update("Opportunity", deal, {"VAC_Submitted_On__c": date(2026, 2, 2)})
    history = client.rows("SELECT Field, OldValue, NewValue FROM OpportunityFieldHistory")
    assert [(row["Field"], row["OldValue"], row["NewValue"]) for row in history] == [("VAC_Submitted_On__c", "2026-01-01", "2026-02-02")]


def test_rules_and_flows_act_and_are_listed(client, org, deal):
    org.add_rule("Amount_floor", "Opportunity", lambda name, row, values, user: RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", "no")
                 if values.get("Amount") == 1 else None, "no")  # fmt: skip
    org.add_flow("Note", "Opportunity", lambda row, before: {"NextStep": "by flow"} if "Amount" in before else None)
    assert client.patch(f"sobjects/Opportunity/{deal}", {"Amount": 1}).json()[0]["errorCode"] == "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    assert client.patch(f"sobjects/Opportunity/{deal}", {"Amount": 2}).status_code == 204
    assert org.find(deal)["NextStep"] == "by flow"
    soql = "SELECT ValidationName, Active FROM ValidationRule WHERE EntityDefinition.QualifiedApiName = 'Opportunity'"
    assert client.get("tooling/query", params={"q": soql}).json()["records"][0]["ValidationName"] == "Amount_floor"
    assert client.query(soql).json()[0]["errorCode"] == "INVALID_TYPE"
    flows = "SELECT ApiName FROM FlowDefinitionView WHERE IsActive = true AND TriggerObjectOrEvent.QualifiedApiName = 'Opportunity'"
    assert [row["ApiName"] for row in client.rows(flows)] == ["Note"]


def test_a_converted_lead_cannot_be_changed(client, org):
    lead = org.insert("Lead", {"LastName": "L", "Company": "Clinic"})
    account, contact, deal = org.convert_lead(lead)
    assert (org.find(account)["Name"], org.find(contact)["AccountId"], deal) == ("Clinic", account, None)
    assert client.patch(f"sobjects/Lead/{lead}", {"Title": "x"}).json()[0]["errorCode"] == "CANNOT_UPDATE_CONVERTED_LEAD"


def test_sessions_end_in_the_middle_of_paging(client, org):
    for number in range(450):
        org.insert("Account", {"Name": f"A{number}"})
    org.expire_sessions(after_calls=2)
    first = client.query("SELECT Id FROM Account", headers={"Sforce-Query-Options": "batchSize=200"}).json()
    second = client.get(first["nextRecordsUrl"]).json()
    assert client.get(second["nextRecordsUrl"]).status_code == 401
    client.log_in()
    assert client.get(second["nextRecordsUrl"]).json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_a_jwt_needs_the_registered_key(client, org):
    ours, other = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    org.certificates["key"] = ours.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def signed(key, issuer="key"):
        claims = {"iss": issuer, "sub": "kpi.connector@beacon-surgical.example", "aud": "https://login.salesforce.com", "exp": 1}
        head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "RS256"}, claims))
        mark = key.sign(f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{head}.{body}.{base64.urlsafe_b64encode(mark).decode().rstrip('=')}"

    def grant(assertion):
        return client.grant(grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion=assertion)

    assert grant(signed(ours)).status_code == 200
    assert grant(signed(other)).json() == {"error": "invalid_grant", "error_description": "invalid assertion"}
    assert grant(signed(ours, "stranger")).json()["error"] == "invalid_client_id"
