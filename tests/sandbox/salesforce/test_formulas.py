"""Formulas: hand-worked values on each side of midnight and of a clock change, blanks, and every refusal in the org's words."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from connector.sandbox.salesforce.formulas import FormulaError, compiled
from connector.sandbox.salesforce.formulas.functions import text_of
from connector.sandbox.salesforce.formulas.names import Scope
from tests.sandbox.salesforce import bundles as b

STALLED = """IF( OR( IsClosed, ISBLANK(KPI_Stage_Entered_On__c) ), FALSE,
  TODAY() - KPI_Stage_Entered_On__c > CASE( KPI_Stage__c,
    "Clinical validation", 60, "Pilot", 90, "VAC review", 60, "Security review", 45, "Compliance and legal", 60, "On hold", 99999, 180 ) )"""
SHIPPED = {  # name → type, formula; of scorecard-fields.md §2, the anchor where the org has no field
    "KPI_Days_In_CRM_Stage__c": ("Number", "IF( OR( IsClosed, ISBLANK(LastStageChangeDate) ), NULL, TODAY() - DATEVALUE(LastStageChangeDate) )"),
    "KPI_Days_In_Stage__c": ("Number", "IF( OR( IsClosed, ISBLANK(KPI_Stage_Entered_On__c) ), NULL, TODAY() - KPI_Stage_Entered_On__c )"),
    "KPI_Stalled__c": ("Checkbox", STALLED),
    "KPI_Deal_Age__c": ("Number", "IF( IsClosed, CloseDate, TODAY() ) - DATEVALUE(CreatedDate)"),
    "KPI_Pilot_Days__c": ("Number", "IF( ISBLANK(Evaluation_Start__c), NULL, BLANKVALUE(Evaluation_End__c, TODAY()) - Evaluation_Start__c )"),
    "KPI_Pilot_Overrun__c": ("Checkbox", "AND( NOT(ISBLANK(KPI_Pilot_Limit_On__c)), TODAY() > KPI_Pilot_Limit_On__c )"),
    "KPI_SecQ_Days__c": ("Number", "IF( ISBLANK(Security_Questionnaire_Received__c), NULL, "
                         "BLANKVALUE(Security_Questionnaire_Returned__c, TODAY()) - Security_Questionnaire_Received__c )"),
    "KPI_LOI_To_SecQ_Days__c": ("Number", "IF( OR( ISBLANK(LOI_Signed_On__c), ISBLANK(Security_Questionnaire_Returned__c) ), NULL, "
                                "Security_Questionnaire_Returned__c - LOI_Signed_On__c )"),
    "KPI_Blended_ARR__c": ("Currency", "IF( AND( ISBLANK(Recurring_ARR__c), ISBLANK(Capital_Portion__c) ), NULL, "
                           "BLANKVALUE(Recurring_ARR__c, 0) + BLANKVALUE(Capital_Portion__c, 0) / 5 )"),
    "KPI_Weighted_Amount__c": ("Currency", "IF( OR( ISBLANK(Amount), ISBLANK(KPI_Win_Chance__c) ), NULL, Amount * KPI_Win_Chance__c )"),
    "KPI_Days_Since_Buyer__c": ("Number", "IF( ISBLANK(KPI_Last_Buyer_Activity__c), NULL, TODAY() - KPI_Last_Buyer_Activity__c )"),
}  # fmt: skip


def at(clock, text):
    clock.advance_to(datetime.fromisoformat(text).astimezone(UTC))


def value(org, deal, text, *, zero=False, user="", **more):
    """The value of a formula of Opportunity for a deal, as formulas see it."""
    formula = compiled(text, Scope(org, org.schema, "Opportunity", blank_as_zero=zero, **more))
    return formula.value(org.find(deal), org.moment(user or org.api_user))


def refused(org, text, wanted=None, **more):
    with pytest.raises(FormulaError) as caught:
        compiled(text, Scope(org, org.schema, "Opportunity", **more), wanted)
    return caught.value.message


@pytest.fixture
def shipped(client, org):
    """The shipped formulas deployed, with access for the connection's user and the reps."""
    client.token = f"sandbox-as-{org.admin}"
    fields = [b.formula(name, kind, text) for name, (kind, text) in SHIPPED.items()]
    names = [f"Opportunity.{name}" for name in SHIPPED]
    result = b.deploy(client, b.opportunity(*fields, members={"PermissionSet": ["KPI_Reader"]}, files={
        "permissionsets/KPI_Reader.permissionset": b.permission_set("KPI Reader", read=names),
    }))  # fmt: skip
    assert result["success"], b.problems(result)
    held = client.rows("SELECT Id FROM PermissionSet WHERE Name = 'KPI_Reader'")[0]["Id"]
    for user in [org.api_user, org.insert("User", {"LastName": "Reyes", "Username": "dana@x.example", "IsActive": True})]:
        org.insert("PermissionSetAssignment", {"PermissionSetId": held, "AssigneeId": user})
    client.token = "sandbox-test"
    return client


def read(client, deal):
    return client.rows(f"SELECT {', '.join(SHIPPED)} FROM Opportunity WHERE Id = '{deal}'")[0]


def test_the_shipped_formulas(shipped, org, clock, deal):
    org.update("Opportunity", deal, {
        "KPI_Stage__c": "VAC review", "KPI_Stage_Entered_On__c": date(2026, 9, 21), "Evaluation_Start__c": date(2026, 10, 1),
        "KPI_Pilot_Limit_On__c": date(2026, 11, 20), "Security_Questionnaire_Received__c": date(2026, 10, 30), "LOI_Signed_On__c": date(2026, 11, 2),
        "Recurring_ARR__c": 100_000, "Capital_Portion__c": 250_001, "KPI_Win_Chance__c": 29, "KPI_Last_Buyer_Activity__c": date(2026, 11, 17),
    })  # fmt: skip
    row = read(shipped, deal)
    assert {name: row[name] for name in SHIPPED} == {
        "KPI_Days_In_CRM_Stage__c": None, "KPI_Days_In_Stage__c": 60.0, "KPI_Stalled__c": False, "KPI_Deal_Age__c": 0.0, "KPI_Pilot_Days__c": 50.0,
        "KPI_Pilot_Overrun__c": False, "KPI_SecQ_Days__c": 21.0, "KPI_LOI_To_SecQ_Days__c": None, "KPI_Blended_ARR__c": 150_000.2,
        "KPI_Weighted_Amount__c": 121_800.0, "KPI_Days_Since_Buyer__c": 3.0,
    }  # fmt: skip
    stamp = org.find(deal)["SystemModstamp"]
    at(clock, "2026-11-21T18:00:00+00:00")
    row = read(shipped, deal)
    assert (row["KPI_Days_In_Stage__c"], row["KPI_Stalled__c"], row["KPI_Pilot_Overrun__c"], row["KPI_Deal_Age__c"]) == (61.0, True, True, 1.0)
    assert org.find(deal)["SystemModstamp"] == stamp
    org.update("Opportunity", deal, {
        "StageName": "Contracting", "Security_Questionnaire_Returned__c": date(2026, 11, 12), "Evaluation_End__c": date(2026, 11, 11),
        "KPI_Stage__c": "On hold",
    })  # fmt: skip
    at(clock, "2026-11-24T18:00:00+00:00")
    row = read(shipped, deal)
    assert (row["KPI_Days_In_CRM_Stage__c"], row["KPI_SecQ_Days__c"], row["KPI_LOI_To_SecQ_Days__c"], row["KPI_Pilot_Days__c"]) == (3, 13, 10, 41)
    assert row["KPI_Stalled__c"] is False
    org.update("Opportunity", deal, {"StageName": "Closed Won", "CloseDate": date(2026, 12, 1)})
    row = read(shipped, deal)
    assert (row["KPI_Days_In_Stage__c"], row["KPI_Days_In_CRM_Stage__c"], row["KPI_Stalled__c"], row["KPI_Deal_Age__c"]) == (None, None, False, 11.0)


def test_an_empty_deal_is_blank_and_no_zero(shipped, org, deal):
    org.update("Opportunity", deal, {"Amount": None})
    row = read(shipped, deal)
    assert {name for name in SHIPPED if row[name] is None} == set(SHIPPED) - {"KPI_Stalled__c", "KPI_Pilot_Overrun__c", "KPI_Deal_Age__c"}


def test_formulas_can_be_filtered_sorted_and_not_written(shipped, org, deal):
    org.update("Opportunity", deal, {"KPI_Stage_Entered_On__c": date(2026, 11, 1)})
    soql = "SELECT Id FROM Opportunity WHERE KPI_Days_In_Stage__c > 18 ORDER BY KPI_Days_In_Stage__c"
    assert [row["Id"] for row in shipped.rows(soql)] == [deal]
    assert shipped.rows(soql.replace("18", "19")) == []
    answer = shipped.patch(f"sobjects/Opportunity/{deal}", {"KPI_Days_In_Stage__c": 4})
    assert answer.json()[0]["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
    shown = {f["name"]: f for f in shipped.get("sobjects/Opportunity/describe").json()["fields"]}["KPI_Days_In_Stage__c"]
    assert (shown["calculated"], shown["updateable"], shown["formulaTreatNullNumberAsZero"], shown["type"]) == (True, False, False, "double")
    assert shown["calculatedFormula"] == SHIPPED["KPI_Days_In_Stage__c"][1]


# -- whose day -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "changed", "zone", "days"),
    [
        # New York leaves summer time on 1 November 2026 at 06:00Z
        ("2026-11-01T03:59:00+00:00", "2026-10-31T04:30:00+00:00", "America/New_York", 0),  # both on 31 October, 23:59 and 00:30
        ("2026-11-01T04:01:00+00:00", "2026-10-31T04:30:00+00:00", "America/New_York", 1),  # 00:01 on the day that has 25 hours
        ("2026-11-02T04:59:00+00:00", "2026-11-01T04:01:00+00:00", "America/New_York", 0),  # 23:59 of the same long day
        ("2026-11-02T05:01:00+00:00", "2026-11-01T04:01:00+00:00", "America/New_York", 1),
        ("2026-11-02T05:01:00+00:00", "2026-11-01T04:01:00+00:00", "Europe/Berlin", 1),
        ("2026-10-31T23:30:00+00:00", "2026-10-30T23:30:00+00:00", "Europe/Berlin", 1),
        ("2026-10-25T22:30:00+00:00", "2026-10-24T22:30:00+00:00", "Europe/Berlin", 0),  # Berlin's long day: both on 25 October
        # New York enters summer time on 14 March 2027
        ("2027-03-15T03:59:00+00:00", "2027-03-14T05:01:00+00:00", "America/New_York", 0),  # 23:59 of a day that has 23 hours
        ("2027-03-15T04:01:00+00:00", "2027-03-14T05:01:00+00:00", "America/New_York", 1),
    ],
)
def test_days_are_the_readers_own(org, deal, clock, now, changed, zone, days):
    clock.now = datetime.fromisoformat(now)
    org.set_silently("Opportunity", deal, {"LastStageChangeDate": datetime.fromisoformat(changed)})
    user = org.insert("User", {"LastName": "Reader", "Username": "r@x.example", "IsActive": True, "TimeZoneSidKey": zone})
    assert value(org, deal, "TODAY() - DATEVALUE(LastStageChangeDate)", user=user) == days


def test_two_readers_see_two_days(shipped, org, clock, deal):
    """At 03:30Z it is still yesterday in New York."""
    org.update("Opportunity", deal, {"KPI_Stage_Entered_On__c": date(2026, 11, 20)})
    at(clock, "2026-11-21T03:30:00+00:00")
    assert read(shipped, deal)["KPI_Days_In_Stage__c"] == 0
    org.update("User", org.login("dana"), {"TimeZoneSidKey": "Europe/Berlin"})
    shipped.token = "sandbox-as-dana"
    assert read(shipped, deal)["KPI_Days_In_Stage__c"] == 1


# -- the language ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 + 2 * 3 ^ 2 - -4 / 8", "19.5"), ("(1 + 2) * 3", "9"), ("IF(1 < 2 && !(2 >= 3), 'a', \"b\") & 'c'", "ac"), ("0.1 + 0.2 = 0.3", "True"),
        ("Amount / 0", "None"), ("Amount + Recurring_ARR__c", "None"), ("Amount * Probability", "252000"), ("AMOUNT > Recurring_ARR__c", "False"),
        ("ISPICKVAL(StageName, 'VAC Submitted')", "True"), ("CASE(StageName, 'Prospect', 1, 'VAC Submitted', 2, 3)", "2"),
        ("CASE(Amount, 420000, 'x', 'y')", "x"), ("TEXT(StageName) & '/' & TEXT(Amount) & '/' & TEXT(CloseDate)", "VAC Submitted/420000/2027-01-29"),
        ("CloseDate - 29", "2026-12-31"), ("CloseDate + 3.9", "2027-02-01"), ("CloseDate - DATE(2026, 2, 29)", "None"),
        ("NOW() - CreatedDate", "0"), ("ISBLANK(NextStep)", "True"), ("NextStep = ''", "True"), ("NextStep <> NULL", "False"),
        ("BLANKVALUE(NextStep, 'none')", "none"), ("LEN(Name) + VALUE('2.5')", "23.5"), ("ROUND(2.345, 2)", "2.35"), ("MOD(-7, 3)", "2"),
        ("MAX(1, 2, 3) - MIN(1, 2)", "2"), ("FLOOR(-2.5)", "-2"), ("CEILING(-2.5)", "-3"), ("ADDMONTHS(DATE(2027, 1, 31), 1)", "2027-02-28"),
        ("WEEKDAY(DATE(2026, 11, 22))", "1"), ("YEAR(CloseDate) * 100 + MONTH(CloseDate) + DAY(CloseDate)", "202730"),
        ("Account.Name", "Hospital A"), ("Opportunity.Account.Owner.Name", "System Administrator"), ("$User.LastName & $Profile.Name",
         "ConnectorSalesforce API Only System Integrations"), ("CONTAINS(Name, 'infusion') || BEGINS(Name, 'x')", "True"),
        ("SUBSTITUTE(LEFT(Name, 8), 'H', 'h') & RIGHT(Name, 2) & UPPER('a') & LOWER('B') & TRIM(' c ')", "hospitalonAbc"),
        ("SQRT(16) + ABS(-1)", "5"),
        ("/* nothing */ DATEVALUE('2026-11-20')", "2026-11-20"), ("DATEVALUE('soon')", "None"),
        ("DATETIMEVALUE('2026-11-20 10:00:00') < NOW()", "True"),
        ("Days_To_Close__c / 7", "10"),
    ],
)  # fmt: skip
def test_values(org, deal, text, wanted):
    found = value(org, deal, text)
    assert (text_of(found) if isinstance(found, Decimal) else str(found)) == wanted


def test_blank_numbers_are_zero_where_a_formula_says_so(org, deal):
    assert value(org, deal, "Amount + Recurring_ARR__c", zero=True) == 420_000
    assert value(org, deal, "Recurring_ARR__c > -1", zero=True) is True
    assert value(org, deal, "CloseDate - Evaluation_Start__c", zero=True) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("IF(", "Syntax error. Missing ')'"), ("IF(IsClosed, 1, 2))", "Syntax error. Extra ')'"), ("Amount,", "Syntax error. Extra ','"),
        ("Amount &", "Syntax error. Found end of formula"), ("1 2", "Syntax error. Found '2'"), ("Amount # 2", "Syntax error. Found '#'"),
        ("  ", "The formula is empty."), ("1" * 3901, "Formula is too long (3,901 characters). Maximum length is 3,900 characters."),
        ("Foo__c + 1", "Field Foo__c does not exist. Check spelling."), ("Account.Foo", "Field Account.Foo does not exist. Check spelling."),
        ("Nope.Name", "Field Nope.Name does not exist. Check spelling."), ("$Permission.X", "Field $Permission.X does not exist. Check spelling."),
        ("FOO(1)", "Unknown function FOO. Check spelling."), ("ISCHANGED(Amount)", "Unknown function ISCHANGED. Check spelling."),
        ("IF(IsClosed, 1)", "Incorrect number of parameters for function 'IF()'. Expected 3, received 2"),
        ("TODAY(1)", "Incorrect number of parameters for function 'TODAY()'. Expected 0, received 1"),
        ("CASE(Amount, 1, 2, 3, 4)", "Incorrect number of parameters for function 'CASE()'. Expected 6, received 5"),
        ("IF(Amount, 1, 2)", "Incorrect parameter type for function 'IF()'. Expected Boolean, received Number"),
        ("IF(IsClosed, 1, 'x')", "Incorrect parameter type for function 'IF()'. Expected Number, received Text"),
        ("Amount + Name", "Incorrect parameter type for operator '+'. Expected Number, received Text"),
        ("Amount = Name", "Incorrect parameter type for operator '='. Expected Number, received Text"),
        ("Name > 'x'", "Incorrect parameter type for operator '>'. Expected Number, Date, DateTime, received Text"),
        ("TODAY() - CreatedDate", "Incorrect parameter type for operator '-'. Expected Number, Date, received DateTime"),
        ("TODAY() + TODAY()", "Incorrect parameter type for operator '+'. Expected Number, received Date"),
        ("Amount & 'x'", "Incorrect parameter type for operator '&'. Expected Text, received Number"),
        ("DATEVALUE(Amount)", "Incorrect parameter type for function 'DATEVALUE()'. Expected DateTime, Date, Text, received Number"),
        ("StageName = 'x'", "Field StageName is a picklist field. Picklist fields are only supported in certain functions."),
        ("StageName", "Field StageName is a picklist field. Picklist fields are only supported in certain functions."),
        ("LEN(Description)", "You can't reference the long text area field Description in a formula."),
    ],
)  # fmt: skip
def test_refusals(org, text, words):
    assert refused(org, text) == words


def test_what_a_formula_gives_must_fit(org):
    words = "Formula result is data type ({}), incompatible with expected data type ({})."
    assert refused(org, "Amount", "Text") == words.format("Number", "Text")
    assert refused(org, "Amount", "Boolean") == words.format("Number", "true or false")
    assert compiled("NULL", Scope(org, org.schema, "Opportunity"), "Number").kind == "Any"
