"""Each event of the business as an org writes it down."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from connector.sandbox import events
from connector.sandbox.business import Business
from connector.sandbox.clock import VirtualClock
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.stages import NAMES, RETIRED
from connector.sandbox.salesforce.story import FIELDS, tell

START = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


class Teller:
    """An org and a clock that goes on by an hour with each event."""

    def __init__(self):
        self.clock = VirtualClock(START)
        self.org = Org(self.clock)

    def __call__(self, event, **values):
        self.clock.advance_to(self.clock.now + timedelta(hours=1))
        tell(self.org, event(self.clock.now, **values))

    def row(self, kind, key):
        return self.org.find(self.org.keys[kind, key])


@pytest.fixture
def told():
    told = Teller()
    told(events.OwnerJoined, owner="dana", name="Dana Reyes")
    told(events.OwnerJoined, owner="robot", name="Sync Robot", robot=True)
    told(events.AccountFound, account="a1", name="St. Anne", facility="university_hospital", territory="EMEA", region="EU")
    told(events.ContactFound, contact="c1", account="a1", title="Chief of surgery", kol=True)
    told(
        events.DealOpened, deal="d1", name="St. Anne - tower", account="a1", owner="dana", pipeline="capital", stage="trial",
        deal_type="new_business", amount=Decimal("250000.50"), currency="EUR", closes_on=date(2026, 9, 30), product="Tower", lead_source="referral",
        arr=Decimal(12000), capital=None,
    )  # fmt: skip
    return told


def test_people_and_accounts(told):
    assert told.row("owner", "dana")["Name"] == "Dana Reyes"
    assert told.row("owner", "robot")["UserType"] == "AutomatedProcess"
    account = told.row("account", "a1")
    assert (account["Customer_Type__c"], account["Sales_Region__c"], account["Region__c"]) == ("University Hospital", "EMEA", "EU")
    contact = told.row("contact", "c1")
    assert (contact["AccountId"], contact["Title"], contact["KOL__c"]) == (account["Id"], "Chief of surgery", True)
    told(events.OwnerLeft, owner="dana")
    assert told.row("owner", "dana")["IsActive"] is False


def test_a_deal(told):
    deal = told.row("deal", "d1")
    assert deal["RecordTypeId"] == told.org.record_types["Capital_Equipment"]
    assert (deal["Amount"], deal["CurrencyIsoCode"], deal["CloseDate"], deal["Type"]) == (250000.5, "EUR", "2026-09-30", "New Business")
    assert (deal["StageName"], deal["Primary_Product__c"], deal["LeadSource"], deal["Recurring_ARR__c"]) == ("Trial", "Tower", "referral", 12000.0)
    assert deal["CreatedById"] == deal["OwnerId"] == told.row("owner", "dana")["Id"]
    assert "Capital_Portion__c" not in deal


def test_retired_names_stay_in_the_history(told):
    told(events.StageMoved, deal="d1", stage="old_vac", by="robot")
    told(events.StageMoved, deal="d1", stage="no_decision", by="dana")
    rows = list(told.org.tables["OpportunityHistory"].rows.values())
    assert [row["StageName"] for row in rows] == ["Trial", "4 - VAC Approval", "Stopped - No Decision"]
    assert rows[1]["CreatedById"] == told.row("owner", "robot")["Id"]
    assert (told.row("deal", "d1")["IsClosed"], told.row("deal", "d1")["IsWon"]) == (True, False)


def test_edits(told):
    told(events.OwnerJoined, owner="eve", name="Eve")
    told(events.DealEdited, deal="d1", by="dana", values={
        "amount": None, "closes_on": date(2026, 12, 1), "owner": "eve", "vac_needed": "no", "vac_status": "tabled", "security_status": "waiting",
        "evaluation_result": "failure", "gpo_status": "off_contract", "baa": True, "secq_received_on": date(2026, 5, 1), "next_step": "Call",
    })  # fmt: skip
    deal = told.row("deal", "d1")
    assert "Amount" not in deal
    assert (deal["CloseDate"], deal["OwnerId"], deal["NextStep"]) == ("2026-12-01", told.row("owner", "eve")["Id"], "Call")
    assert (deal["VAC_Needed__c"], deal["VAC_Status__c"], deal["Security_Status__c"]) == ("NA", "Tabled", "On hold")
    assert (deal["Evaluation_Result__c"], deal["GPO_Status__c"], deal["BAA_Signed__c"]) == ("Unsuccessful", "Off contract", True)
    assert deal["Security_Questionnaire_Received__c"] == "2026-05-01"
    assert len(told.org.tables["OpportunityFieldHistory"].rows) == 2


def test_every_field_of_an_edit_exists(told):
    assert set(FIELDS.values()) <= set(told.org.schema["Opportunity"].fields)


def test_roles(told):
    told(events.RoleAdded, deal="d1", contact="c1", role="surgeon", primary=True)
    told(events.RoleAdded, deal="d1", contact="c1", role="none")
    rows = list(told.org.tables["OpportunityContactRole"].rows.values())
    assert [(row.get("Role"), row["IsPrimary"]) for row in rows] == [("Surgeon", True), (None, False)]


def test_activities(told):
    common = {"deal": "d1", "account": "a1", "contact": "c1", "owner": "dana", "by": "dana"}
    told(events.ActivityLogged, activity="m", kind="meeting", subject="First meeting", type="First meeting", outcome="no_show", **common)
    told(events.ActivityLogged, activity="c", kind="call", subject="Intro", direction="outbound", outcome="connected", **common)
    told(events.ActivityLogged, activity="e", kind="email", subject="Re: quote", direction="inbound", **common)
    told(events.ActivityLogged, activity="t", kind="task", subject="Send contract", due_on=date(2026, 4, 1), **common)
    meeting, call, email, task = (told.row("activity", key) for key in "mcet")
    assert (meeting["Type"], meeting["Meeting_Outcome__c"], meeting["StartDateTime"]) == ("First meeting", "No Show", "2026-03-02T20:00:00.000+0000")
    assert (meeting["WhatId"], meeting["WhoId"]) == (told.row("deal", "d1")["Id"], told.row("contact", "c1")["Id"])
    assert (call["TaskSubtype"], call["CallType"], call["CallDisposition"], call["IsClosed"]) == ("Call", "Outbound", "Connected", True)
    assert (email["TaskSubtype"], email["Direction__c"], email["ActivityDate"]) == ("Email", "Inbound", "2026-03-02")
    assert (task["Status"], task["ActivityDate"], task["IsClosed"]) == ("Not Started", "2026-04-01", False)
    told(events.ActivityLogged, activity="t", kind="task", subject="Send contract", due_on=date(2026, 4, 1), done=True, **common)
    assert (task["IsClosed"], task["CompletedDateTime"]) == (True, "2026-03-03T00:00:00.000+0000")


def test_an_activity_on_an_account_alone(told):
    told(events.ActivityLogged, activity="w", kind="meeting", subject="Workshop", deal=None, account="a1", contact=None, owner="dana", by="robot")
    meeting = told.row("activity", "w")
    assert (meeting["WhatId"], meeting["AccountId"]) == (told.row("account", "a1")["Id"],) * 2
    assert meeting["CreatedById"] == told.row("owner", "robot")["Id"]


def test_deletion_restoring_and_merging(told):
    told(events.DealDeleted, deal="d1")
    assert told.row("deal", "d1")["IsDeleted"] is True
    told(events.DealRestored, deal="d1")
    assert told.row("deal", "d1")["IsDeleted"] is False
    told(events.AccountFound, account="a2", name="St Anne", facility="idn", territory="EMEA", region="EU")
    loser = told.row("account", "a1")
    told(events.AccountsMerged, loser="a1", winner="a2")
    winner = told.row("account", "a2")
    assert (loser["IsDeleted"], loser["MasterRecordId"], told.row("deal", "d1")["AccountId"]) == (True, winner["Id"], winner["Id"])
    assert told.row("account", "a1") is winner


def test_of_two_merged_deals_the_duplicate_is_deleted(told):
    twin = told.org.insert("Opportunity", {"Name": "Twin", "StageName": "Prospect", "CloseDate": "2026-09-30"})
    told.org.keys["deal", "d2"] = twin
    told(events.DealsMerged, loser="d2", winner="d1")
    assert told.row("deal", "d2")["IsDeleted"] is True
    assert told.row("deal", "d1")["IsDeleted"] is False


def test_a_renamed_stage_counts_from_now_on(told):
    told(events.StageMoved, deal="d1", stage="vac", by="dana")
    told(events.StageRenamed, pipeline="capital", stage="vac", label="Value Analysis")
    deal = told.row("deal", "d1")
    assert deal["StageName"] == "VAC Submitted"
    stages = {row["ApiName"]: row["IsActive"] for row in told.org.tables["OpportunityStage"].rows.values()}
    assert (stages["Value Analysis"], stages["VAC Submitted"]) == (True, False)
    offered = told.org.offered[told.org.record_types["Capital_Equipment"]]
    assert "Value Analysis" in offered
    assert "VAC Submitted" not in offered
    told(events.StageMoved, deal="d1", stage="demo", by="dana")
    told(events.StageMoved, deal="d1", stage="vac", by="dana")
    assert (deal["StageName"], deal["Probability"]) == ("Value Analysis", 60.0)


def test_names_cover_every_stage_of_the_business():
    for pipeline, stages in events.STAGES.items():
        assert set(NAMES[pipeline]) - RETIRED == set(stages)


def test_the_whole_business_can_be_told():
    business = Business(1)
    clock = VirtualClock(datetime(2024, 1, 1, tzinfo=UTC))
    org = Org(clock)
    for event in business.history():
        clock.advance_to(event.at)
        tell(org, event)
    deals = org.tables["Opportunity"].rows
    last = {row["OpportunityId"]: row["StageName"] for row in org.tables["OpportunityHistory"].rows.values()}
    assert len(deals) > 300
    assert {key: row["StageName"] for key, row in deals.items()} == last
    assert {"Trial", "4 - VAC Approval", "InfoSec"} & {row["StageName"] for row in org.tables["OpportunityHistory"].rows.values()}
