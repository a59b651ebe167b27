"""Ids, saves, history, the recycle bin, activities: the org beneath the API."""

from datetime import UTC, datetime, timedelta

import pytest

from connector.sandbox.salesforce.ids import checksum, full_id, new_id


def history(org, deal):
    names = ("StageName", "Amount", "CloseDate", "Probability", "CreatedDate")
    return [tuple(row.get(name) for name in names) for row in org.tables["OpportunityHistory"].rows.values() if row["OpportunityId"] == deal]


def later(org, **span):
    org.clock.advance_to(org.clock.now + timedelta(**span))


def test_checksums_of_ids():
    assert checksum("001D000000IRFma") == "IAH"
    assert full_id("001D000000IRFma") == "001D000000IRFmaIAH" == full_id("001D000000IRFmaIAH")
    assert full_id("001D000000IRFmaIAI") is None
    assert full_id("001d000000irfma") == "001d000000irfmaAAA"
    assert full_id("short") is None


def test_ids_sort_as_they_were_made():
    made = [new_id("006", number) for number in range(1, 4000)]
    assert made == sorted(made)
    assert len({key[:15].lower() for key in made}) < len(made)


def test_one_history_row_at_the_start_and_one_for_each_change(org, deal):
    later(org, days=1)
    org.update("Opportunity", deal, {"StageName": "Contracting", "Amount": 400000})
    org.update("Opportunity", deal, {"NextStep": "Call"})
    later(org, days=1)
    org.update("Opportunity", deal, {"CloseDate": "2027-03-01"})
    org.update("Opportunity", deal, {"CloseDate": "2027-03-01"})
    assert history(org, deal) == [
        ("VAC Submitted", 420000.0, "2027-01-29", 60.0, "2026-11-20T18:00:00.000+0000"),
        ("Contracting", 400000.0, "2027-01-29", 80.0, "2026-11-21T18:00:00.000+0000"),
        ("Contracting", 400000.0, "2027-03-01", 80.0, "2026-11-22T18:00:00.000+0000"),
    ]
    rows = list(org.tables["OpportunityHistory"].rows.values())
    assert (rows[1]["PrevAmount"], rows[1]["PrevCloseDate"], rows[1]["ExpectedRevenue"]) == (420000.0, "2027-01-29", 320000.0)
    assert "PrevAmount" not in rows[0]
    assert (org.find(deal)["LastStageChangeDate"], org.find(deal)["LastAmountChangedHistoryId"]) == ("2026-11-21T18:00:00.000+0000", rows[1]["Id"])


def test_only_the_owner_is_tracked_and_as_two_rows(org, deal):
    rep = org.insert("User", {"FirstName": "Dana", "LastName": "Reyes", "Username": "d@example.com", "IsActive": True})
    org.update("Opportunity", deal, {"OwnerId": rep, "NextStep": "Call", "VAC_Status__c": "Approved"}, by=rep)
    rows = [{k: row[k] for k in ("Field", "DataType", "OldValue", "NewValue")} for row in org.tables["OpportunityFieldHistory"].rows.values()]
    assert rows == [
        {"Field": "Owner", "DataType": "Text", "OldValue": "System Administrator", "NewValue": "Dana Reyes"},
        {"Field": "Owner", "DataType": "EntityId", "OldValue": org.admin, "NewValue": rep},
    ]


def test_an_explicit_probability_wins_over_the_stage(org, deal):
    org.update("Opportunity", deal, {"StageName": "Contracting", "Probability": 35})
    assert org.find(deal)["Probability"] == 35.0
    org.update("Opportunity", deal, {"StageName": "Closed Won"})
    row = org.find(deal)
    assert (row["Probability"], row["IsClosed"], row["IsWon"], row["ForecastCategory"]) == (100.0, True, True, "Closed")
    org.update("Opportunity", deal, {"StageName": "Stopped - No Decision"})
    assert (row["Probability"], row["IsClosed"], row["IsWon"]) == (0.0, True, False)


def test_data_loads_keep_audit_dates_but_stamp_now(org):
    made = org.insert(
        "Opportunity", {"Name": "Old", "StageName": "Prospect", "CloseDate": "2017-01-01", "CreatedDate": datetime(2016, 10, 3, tzinfo=UTC)}
    )
    row = org.find(made)
    assert (row["CreatedDate"], row["SystemModstamp"]) == ("2016-10-03T00:00:00.000+0000", "2026-11-20T18:00:00.000+0000")
    assert history(org, made)[0][-1] == "2016-10-03T00:00:00.000+0000"


def test_unknown_fields_are_errors(org):
    with pytest.raises(ValueError, match="Opportunity has no field Nope"):
        org.insert("Opportunity", {"Nope": 1})


def test_deals_go_and_come_back_with_what_hangs_on_them(org, deal):
    contact = org.insert("Contact", {"LastName": "C"})
    role = org.insert("OpportunityContactRole", {"OpportunityId": deal, "ContactId": contact})
    task = org.insert("Task", {"WhatId": deal, "Subject": "Call", "Status": "Completed"})
    later(org, minutes=1)
    org.delete("Opportunity", deal)
    assert all(org.find(key)["IsDeleted"] for key in (deal, role, task))
    assert org.find(deal)["SystemModstamp"] == "2026-11-20T18:01:00.000+0000"
    later(org, minutes=1)
    org.undelete("Opportunity", deal)
    assert not any(org.find(key)["IsDeleted"] for key in (deal, role, task))
    assert org.find(deal)["SystemModstamp"] == "2026-11-20T18:02:00.000+0000"
    assert org.deleted_at == {}


def test_a_role_deleted_by_itself_leaves_no_trace(org, deal):
    role = org.insert("OpportunityContactRole", {"OpportunityId": deal, "ContactId": org.insert("Contact", {"LastName": "C"})})
    before = org.find(deal)["SystemModstamp"]
    later(org, minutes=1)
    org.delete("OpportunityContactRole", role)
    assert org.find(role) is None
    assert org.find(deal)["SystemModstamp"] == before


def test_activities_know_their_account_and_end(org, deal):
    account = org.find(deal)["AccountId"]
    meeting = org.find(org.insert("Event", {"WhatId": deal, "Subject": "Demo", "StartDateTime": datetime(2026, 11, 21, 2, 30, tzinfo=UTC),
                                            "DurationInMinutes": 60}))  # fmt: skip
    assert (meeting["AccountId"], meeting["ActivityDate"], meeting["EndDateTime"]) == (account, "2026-11-20", "2026-11-21T03:30:00.000+0000")
    all_day = org.find(org.insert("Event", {"WhatId": account, "IsAllDayEvent": True, "StartDateTime": datetime(2026, 11, 21, tzinfo=UTC)}))
    assert (all_day["AccountId"], all_day["ActivityDate"]) == (account, "2026-11-21")


def test_tasks_are_closed_by_their_status(org, deal):
    task = org.insert("Task", {"WhatId": deal, "Subject": "Send", "Status": "Not Started", "ActivityDate": "2026-11-25"})
    assert "LastActivityDate" not in org.find(deal)
    stamp = org.find(deal)["SystemModstamp"]
    later(org, hours=1)
    org.update("Task", task, {"Status": "Completed"})
    row = org.find(task)
    assert (row["IsClosed"], row["CompletedDateTime"]) == (True, "2026-11-20T19:00:00.000+0000")
    assert (org.find(deal)["LastActivityDate"], org.find(deal)["SystemModstamp"]) == ("2026-11-25", stamp)
    org.update("Task", task, {"Status": "In Progress"})
    assert "CompletedDateTime" not in row


def test_late_commits_carry_an_older_stamp(org, deal):
    org.update("Opportunity", deal, {"NextStep": "x"}, at=org.clock.now - timedelta(minutes=9))
    assert org.find(deal)["SystemModstamp"] == "2026-11-20T17:51:00.000+0000"


def test_reset_forgets_everything(org, deal):
    token = org.sessions.issue(org.api_user)
    org.reset()
    assert org.find(deal) is None
    assert org.sessions.user_of(token) is None
    assert org.find(org.api_user)["Name"] == "KPI Connector"
