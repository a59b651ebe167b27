"""The grammar and what the org refuses, and in which words."""

import pytest

from connector.sandbox.salesforce.query import run
from connector.sandbox.salesforce.soql import Combine, Compare, Constant, Query, SoqlError, parse


def found(org, soql, everything=True):
    result = run(org, soql, include_deleted=everything, version="68.0")
    return list(result.project(result.ids)) if result.rows is None else list(result.rows)


def names(org, condition, object_name="Account"):
    return [row["Name"] for row in found(org, f"SELECT Name FROM {object_name} WHERE {condition} ORDER BY Id")]


@pytest.fixture
def accounts(org):
    """Four accounts, one of them without a region."""
    for name, region, parent in (("Alpha", "East", "US"), ("beta", "West", "US"), ("Gamma 100%", None, "EU"), ("d'Arc", "EMEA", "EU")):
        org.insert("Account", {"Name": name, "Sales_Region__c": region, "Region__c": parent})
    return org


def test_all_clauses():
    query = parse("select Id, Account.Name from Opportunity o where Amount >= 1.5 order by Amount desc nulls last, Id limit 5 offset 2")
    assert isinstance(query, Query)
    assert [item.text for item in query.items] == ["Id", "Account.Name"]
    assert (query.source.text, query.alias, query.limit, query.offset) == ("Opportunity", "o", 5, 2)
    assert [(s.field.text, s.descending, s.nulls_first) for s in query.order] == [("Amount", True, False), ("Id", False, True)]
    assert query.where.values == (Constant("number", 1.5),)


def test_not_binds_closer_than_and():
    where = parse("SELECT Id FROM Account WHERE NOT Name = 'a' AND Type = 'b'").where
    assert isinstance(where, Combine)
    assert (where.operator, where.parts[0].operator, where.parts[1].operator) == ("and", "not", "=")


def test_parentheses_say_what_belongs_together(accounts):
    assert names(accounts, "(Name = 'alpha' OR Name = 'beta') AND Sales_Region__c = 'West'") == ["beta"]
    assert names(accounts, "Name = 'alpha' OR (Name = 'beta' AND Sales_Region__c = 'East')") == ["Alpha"]
    assert names(accounts, "NOT (Region__c = 'US' OR Sales_Region__c = null)") == ["d'Arc"]


def test_and_beside_or_needs_parentheses():
    with pytest.raises(SoqlError, match="unexpected token: 'OR'") as refused:
        parse("SELECT Id FROM Account WHERE Name = 'a' AND Type = 'b' OR Type = 'c'")
    assert refused.value.code == "MALFORMED_QUERY"


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("'it\\'s'", Constant("string", "it's")), ("'a\\\\b\\n'", Constant("string", "a\\b\n")), ("-3", Constant("number", -3.0)),
        ("TRUE", Constant("boolean", True)), ("null", Constant("null", None)), ("2026-03-08", Constant("date", "2026-03-08")),
        ("2026-05-01T07:25:37Z", Constant("datetime", "2026-05-01T07:25:37.000+0000")),
        ("2026-05-01T07:25:37+02:00", Constant("datetime", "2026-05-01T05:25:37.000+0000")),
        ("2026-05-01T07:25:37.250-0500", Constant("datetime", "2026-05-01T12:25:37.250+0000")),
    ],
)  # fmt: skip
def test_literals(literal, value):
    where = parse(f"SELECT Id FROM Account WHERE Name = {literal}").where
    assert isinstance(where, Compare)
    assert where.values == (value,)


def test_comparisons_of_text_ignore_case_and_nulls_differ_from_everything(accounts):
    assert names(accounts, "Name = 'ALPHA'") == ["Alpha"]
    assert names(accounts, "Sales_Region__c != 'East'") == ["beta", "Gamma 100%", "d'Arc"]
    assert names(accounts, "Sales_Region__c <> null") == ["Alpha", "beta", "d'Arc"]
    assert names(accounts, "Sales_Region__c = NULL") == ["Gamma 100%"]
    assert names(accounts, "Sales_Region__c > 'East'") == ["beta", "d'Arc"]


def test_in_and_not_in(accounts):
    assert names(accounts, "Name IN ('alpha', 'D\\'arc')") == ["Alpha", "d'Arc"]
    assert names(accounts, "Sales_Region__c NOT IN ('East', 'West')") == ["Gamma 100%", "d'Arc"]
    assert names(accounts, "Sales_Region__c IN ('East', null)") == ["Alpha", "Gamma 100%"]


def test_like(accounts):
    assert names(accounts, "Name LIKE '%A'") == ["Alpha", "beta"]
    assert names(accounts, "Name LIKE '_eta'") == ["beta"]
    assert names(accounts, "Name LIKE '%100\\%'") == ["Gamma 100%"]
    assert names(accounts, "Name LIKE 'Gamma 1__\\%'") == ["Gamma 100%"]
    assert names(accounts, "NOT Sales_Region__c LIKE 'E%'") == ["beta", "Gamma 100%"]


def test_numbers_dates_and_flags(org, deal):
    org.insert("Opportunity", {"Name": "None", "StageName": "Closed Lost", "CloseDate": "2026-12-01"})
    assert names(org, "Amount > 419999.99", "Opportunity") == ["Hospital A - infusion"]
    assert names(org, "Amount = null", "Opportunity") == ["None"]
    assert names(org, "Amount < 1", "Opportunity") == []
    assert names(org, "CloseDate <= 2026-12-01", "Opportunity") == ["None"]
    assert names(org, "IsClosed = false", "Opportunity") == ["Hospital A - infusion"]
    assert names(org, "CreatedDate >= 2026-11-20T18:00:00Z AND CreatedDate < 2026-11-20T18:00:01Z AND FiscalQuarter = 4", "Opportunity") == ["None"]


def test_sorting_puts_nulls_where_asked(accounts):
    def regions(order):
        return [row["Sales_Region__c"] for row in found(accounts, f"SELECT Sales_Region__c FROM Account ORDER BY Sales_Region__c {order}")]

    assert regions("") == [None, "East", "EMEA", "West"]
    assert regions("DESC NULLS LAST") == ["West", "EMEA", "East", None]
    assert regions("ASC NULLS LAST") == ["East", "EMEA", "West", None]


def test_second_key_decides_ties(accounts):
    rows = found(accounts, "SELECT Name FROM Account ORDER BY Region__c DESC, Name DESC")
    assert [row["Name"] for row in rows] == ["beta", "Alpha", "Gamma 100%", "d'Arc"]


def test_ids_keep_their_case_and_may_have_15_characters(org, deal):
    made = [org.insert("Account", {"Name": str(n)}) for n in range(80)]
    rows = found(org, "SELECT Id FROM Account ORDER BY Id")
    assert [row["Id"] for row in rows][1:] == made == sorted(made)
    assert names(org, f"Id = '{deal[:15]}'", "Opportunity") == ["Hospital A - infusion"]
    middle = made[40]
    assert [row["Id"] for row in found(org, f"SELECT Id FROM Account WHERE Id > '{middle}' ORDER BY Id")] == made[41:]


def test_parents_and_null_parents(org, deal):
    org.insert("Opportunity", {"Name": "Loose", "StageName": "Prospect", "CloseDate": "2027-01-01"})
    loose, held = found(org, "SELECT Name, Account.Customer_Type__c, Account.Owner.Name FROM Opportunity ORDER BY Name DESC")
    assert loose["Account"] is None
    assert held["Account"]["attributes"]["type"] == "Account"
    assert held["Account"]["Customer_Type__c"] == "General Hospital"
    assert held["Account"]["Owner"]["Name"] == "System Administrator"
    assert names(org, "Account.Customer_Type__c = 'General Hospital'", "Opportunity") == ["Hospital A - infusion"]
    assert names(org, "Account.Name = null", "Opportunity") == ["Loose"]
    assert found(org, "SELECT o.Account.Name FROM Opportunity o WHERE o.Name = 'loose'")[0]["Account"] is None


def test_a_parent_of_several_objects_shows_its_type(org, deal):
    org.insert("Task", {"WhatId": deal, "Subject": "Call", "Status": "Completed"})
    org.insert("Task", {"Subject": "Alone", "Status": "Completed"})
    first, second = found(org, "SELECT Id, What.Type, What.Name FROM Task ORDER BY Id")
    assert first["What"] == {
        "attributes": {"type": "Name", "url": f"/services/data/v68.0/sobjects/Opportunity/{deal}"},
        "Type": "Opportunity", "Name": "Hospital A - infusion",
    }  # fmt: skip
    assert second["What"] is None
    assert len(found(org, "SELECT Id FROM Task WHERE What.Type = 'Opportunity'")) == 1


def test_children(org, deal):
    contact = org.insert("Contact", {"LastName": "C"})
    org.insert("OpportunityContactRole", {"OpportunityId": deal, "ContactId": contact, "Role": "Surgeon"})
    row = found(org, "SELECT Id, (SELECT ContactId, Role FROM OpportunityContactRoles WHERE Role != null), (SELECT Id FROM Tasks) FROM Opportunity")[
        0
    ]
    assert row["OpportunityContactRoles"]["totalSize"] == 1
    assert row["OpportunityContactRoles"]["done"] is True
    assert row["OpportunityContactRoles"]["records"][0]["Role"] == "Surgeon"
    assert row["Tasks"] is None


def test_count_alone_and_aggregates(accounts):
    count = run(accounts, "SELECT COUNT() FROM Account WHERE Region__c = 'US'", include_deleted=False, version="68.0")
    assert (count.total, list(count.rows)) == (2, [])
    assert found(accounts, "SELECT Region__c, COUNT(Id), MAX(Name) last FROM Account GROUP BY Region__c ORDER BY Region__c DESC LIMIT 1") == [
        {"attributes": {"type": "AggregateResult"}, "Region__c": "US", "expr0": 2, "last": "beta"}
    ]
    assert found(accounts, "SELECT COUNT(Sales_Region__c) FROM Account")[0]["expr0"] == 3


@pytest.mark.parametrize(
    ("soql", "code", "words"),
    [
        ("SELECT Id, Nope FROM Opportunity", "INVALID_FIELD",
         "\nSELECT Id, Nope FROM Opportunity\n           ^\nERROR at Row:1:Column:12\nNo such column 'Nope' on entity 'Opportunity'. If"),
        ("SELECT Id FROM Opportunity WHERE Nope__c = 1", "INVALID_FIELD", "No such column 'Nope__c' on entity 'Opportunity'"),
        ("SELECT Id FROM Opportunity ORDER BY Nope", "INVALID_FIELD", "No such column 'Nope'"),
        ("SELECT Nope.Name FROM Opportunity", "INVALID_FIELD", "Didn't understand relationship 'Nope' in field path"),
        ("SELECT Id, Id FROM Opportunity", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT Id FROM Opportunities", "INVALID_TYPE", "               ^\nERROR at Row:1:Column:16\nsObject type 'Opportunities' is not supported"),
        ("SELECT Id, (SELECT Id FROM Roles) FROM Opportunity", "INVALID_TYPE", "Didn't understand relationship 'Roles'"),
        ("SELECT Id, (SELECT Id FROM Tasks WHERE Nope = 1) FROM Opportunity", "INVALID_FIELD", "No such column 'Nope' on entity 'Task'"),
        ("SELECT FROM Opportunity", "MALFORMED_QUERY", "unexpected token: 'Opportunity'"),
        ("SELECT Id FROM", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Account WHERE Name = 'open", "MALFORMED_QUERY", "unexpected token: ''open'"),
        ("SELECT Id FROM Account WHERE CreatedDate > 2026-13-01T00:00:00Z", "MALFORMED_QUERY", "no viable alternative"),
        ("SELECT Id FROM Opportunity WHERE CloseDate = '2026-01-01'", "INVALID_FIELD",
         "value of filter criterion for field 'CloseDate' must be of type date and should not be enclosed in quotes"),
        ("SELECT Id FROM Opportunity WHERE SystemModstamp > 2026-01-01", "INVALID_FIELD", "must be of type dateTime"),
        ("SELECT Id FROM Opportunity WHERE Name = 5", "INVALID_FIELD", "must be of type string and should be enclosed in quotes"),
        ("SELECT Id FROM Opportunity WHERE Amount = 'x'", "INVALID_FIELD", "must be of type currency"),
        ("SELECT Id FROM Opportunity WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: x"),
        ("SELECT Id FROM Opportunity WHERE Amount LIKE '1%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on currency field"),
        ("SELECT Id FROM Opportunity WHERE StageName INCLUDES ('a')", "INVALID_QUERY_FILTER_OPERATOR", "includes operator"),
        ("SELECT Id FROM Opportunity WHERE Description = 'x'", "INVALID_FIELD", "field 'Description' can not be filtered in a query call"),
        ("SELECT Id FROM Opportunity ORDER BY Description", "INVALID_FIELD", "field 'Description' can not be sorted in a query call"),
        ("SELECT Id FROM OpportunityFieldHistory WHERE OldValue = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Opportunity OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"),
        ("SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY", "Field must be grouped or aggregated: Name"),
    ],
)  # fmt: skip
def test_refused_queries(org, soql, code, words):
    with pytest.raises(SoqlError) as refused:
        run(org, soql, include_deleted=True, version="68.0")
    assert refused.value.code == code
    assert words in refused.value.message


def test_a_long_query_shows_only_the_place(org):
    with pytest.raises(SoqlError) as refused:
        parse("SELECT Id FROM Account WHERE " + " AND ".join(["Name = 'x'"] * 30) + " AND")
    drawing = refused.value.message.split("\n")
    assert len(drawing[1]) <= 80
    assert drawing[2].endswith("^")
