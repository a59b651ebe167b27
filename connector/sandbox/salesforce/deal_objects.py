"""Opportunity and the objects that hang on it: history, field history, contact roles."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from connector.sandbox.salesforce.schema import (
    CURRENCY,
    ID,
    IS_DELETED,
    Child,
    FieldDef,
    Moment,
    ObjectDef,
    Row,
    audit,
    day,
    flag,
    instant,
    integer,
    lookup,
    money,
    number,
    percent,
    pick,
    read_only,
    sobject,
    text,
)
from connector.sandbox.salesforce.stages import CATEGORY_LABELS

FORECAST = pick("ForecastCategory", *CATEGORY_LABELS, label="Forecast Category", restricted=True)


def _fiscal_year(row: Row, moment: Moment) -> int:
    return int(row["CloseDate"][:4])


def _fiscal_quarter(row: Row, moment: Moment) -> int:
    return (int(row["CloseDate"][5:7]) + 2) // 3


def _fiscal(row: Row, moment: Moment) -> str:
    return f"{row['CloseDate'][:4]} {_fiscal_quarter(row, moment)}"


def _days_to_close(row: Row, moment: Moment) -> float | None:
    if row.get("IsClosed") or "CloseDate" not in row:
        return None
    return float((date.fromisoformat(row["CloseDate"]) - date.fromisoformat(moment.today)).days)


STANDARD = (
    ID,
    IS_DELETED,
    lookup("AccountId", "Account"),
    lookup("ContactId", "Contact", updateable=False),
    lookup("RecordTypeId", "RecordType"),
    text("Name", 120, nillable=False, name_field=True),
    FieldDef("Description", "textarea", "Description", 32000, filterable=False, sortable=False),
    pick("StageName", label="Stage", nillable=False),
    money("Amount"),
    percent("Probability", label="Probability (%)"),
    read_only(money("ExpectedRevenue", "Expected Amount")),
    day("CloseDate", "Close Date", nillable=False),
    pick("Type", "New Business", "Expansion", "Renewal", label="Opportunity Type"),
    text("NextStep", 255, "Next Step"),
    pick("LeadSource", label="Lead Source"),
    read_only(flag("IsClosed", "Closed")),
    read_only(flag("IsWon", "Won")),
    read_only(FORECAST),
    pick("ForecastCategoryName", *CATEGORY_LABELS.values(), label="Forecast Category", restricted=True),
    CURRENCY,
    lookup("OwnerId", "User", nillable=False),
    *audit(),
    read_only(day("LastActivityDate", "Last Activity")),
    read_only(instant("LastStageChangeDate", "Last Stage Change Date")),
    read_only(integer("FiscalQuarter", "Fiscal Quarter", compute=_fiscal_quarter)),
    read_only(integer("FiscalYear", "Fiscal Year", compute=_fiscal_year)),
    read_only(text("Fiscal", 6, "Fiscal Period", compute=_fiscal)),
    read_only(flag("HasOpportunityLineItem", "Has Line Item")),
    read_only(flag("HasOpenActivity", "Has Open Activity", filterable=False, sortable=False)),
    read_only(flag("HasOverdueTask", "Has Overdue Task", filterable=False, sortable=False)),
    flag("IsPrivate", "Private"),
    number("TotalOpportunityQuantity", 16, 2, "Quantity"),
    read_only(lookup("LastAmountChangedHistoryId", "OpportunityHistory")),
    read_only(lookup("LastCloseDateChangedHistoryId", "OpportunityHistory")),
)

OWN = (
    money("Recurring_ARR__c", "Recurring ARR"),
    money("Capital_Portion__c", "Capital portion"),
    pick("Primary_Product__c", label="Primary product"),
    day("LOI_Signed_On__c", "LOI signed on"),
    day("Security_Questionnaire_Received__c", "Security questionnaire received"),
    day("Security_Questionnaire_Returned__c", "Security questionnaire returned"),
    day("Evaluation_Start__c", "Evaluation start"),
    day("Evaluation_End__c", "Evaluation end"),
    pick("Evaluation_Result__c", "Successful", "Unsuccessful", label="Evaluation result", restricted=True),
    day("Contract_Docs_Sent__c", "Contract docs sent"),
    day("Contract_Signed__c", "Contract signed"),
    pick("VAC_Needed__c", "Y", "NA", label="VAC needed", restricted=True),
    day("VAC_Submitted_On__c", "VAC submitted on"),
    day("VAC_Decision_On__c", "VAC decision on"),
    pick("VAC_Status__c", "Approved", "Denied", "Tabled", label="VAC status", restricted=True),
    pick("Security_Status__c", "Passed", "Failed", "On hold", label="Security status", restricted=True),
    flag("Connects_To_Network__c", "Connects to network"),
    pick("GPO_Status__c", "On contract", "Off contract", label="GPO status", restricted=True),
    flag("Budget_Approved__c", "Budget approved"),
    day("First_Case_On__c", "First case on"),
    day("Go_Live_On__c", "Go-live on"),
    day("Proposal_Sent_On__c", "Proposal sent on"),
    day("First_Order_On__c", "First order on"),
    flag("Standard_Terms__c", "Standard terms"),
    flag("BAA_Signed__c", "BAA signed"),
    replace(read_only(money("Products_Total__c", "Products total")), calculated=True),
    number(
        "Days_To_Close__c", 18, label="Days to close", createable=False, updateable=False, calculated=True,
        formula="IF( IsClosed, NULL, CloseDate - TODAY() )", compute=_days_to_close,
    ),
)  # fmt: skip

SCORECARD = tuple(replace(field, guarded=True) for field in (
    text("KPI_Stage__c", 40, "Canonical stage"),
    day("KPI_Stage_Entered_On__c", "In stage since"),
    number("KPI_Stage_Benchmark_Days__c", 4, label="Usual days"),
    pick("KPI_Pace__c", "On pace", "Slow", "Stuck", label="Pace"),
    text("KPI_Open_Gates__c", 255, "Open gates"),
    percent("KPI_Gate_Progress__c", label="Gate progress"),
    day("KPI_Compliance_Since__c", "In compliance since"),
    day("KPI_SecQ_Received_On__c", "Questionnaire received"),
    day("KPI_Pilot_Limit_On__c", "Pilot limit"),
    text("KPI_Personas__c", 255, "Buyers engaged"),
    text("KPI_Personas_Missing__c", 255, "Buyers missing"),
    day("KPI_Last_Buyer_Activity__c", "Last buyer activity"),
    number("KPI_Touch_Density__c", 4, 1, "Touches / 30 d"),
    number("KPI_Regressions__c", 3, label="Times moved back"),
    number("KPI_Close_Pushes__c", 3, label="Close date pushes"),
    text("KPI_Stale_Reason__c", 255, "Stale reason"),
    percent("KPI_Win_Chance__c", label="Win chance from here"),
    number("KPI_Win_Chance_N__c", 5, label="Win chance n"),
    text("KPI_Data_Gaps__c", 255, "Missing data"),
    instant("KPI_Updated_At__c", "Updated"),
    text("KPI_Definition__c", 64, "Definition"),
))  # fmt: skip
"""The scorecard fields, empty until somebody writes them. An org that was never provisioned has none."""

OPPORTUNITY = sobject(
    "Opportunity", "006", (*STANDARD, *OWN, *SCORECARD), label="Opportunity", plural="Opportunities", record_types=True,
    children=(
        Child("OpportunityContactRole", "OpportunityId", "OpportunityContactRoles", cascade=True),
        Child("OpportunityHistory", "OpportunityId", "OpportunityHistories", cascade=True),
        Child("OpportunityLineItem", "OpportunityId", "OpportunityLineItems", cascade=True),
        Child("OpportunityFieldHistory", "OpportunityId", "Histories", cascade=True),
        Child("Task", "WhatId", "Tasks", cascade=True),
        Child("Event", "WhatId", "Events", cascade=True),
    ),
)  # fmt: skip

HISTORY = sobject(
    "OpportunityHistory", "008",
    tuple(read_only(f) for f in (
        ID,
        lookup("OpportunityId", "Opportunity", nillable=False),
        lookup("CreatedById", "User", relationship="CreatedBy", nillable=False),
        instant("CreatedDate", "Created Date", nillable=False),
        pick("StageName", label="Stage"),
        money("Amount"),
        money("ExpectedRevenue", "Expected Amount"),
        day("CloseDate", "Close Date"),
        percent("Probability", label="Probability (%)"),
        FORECAST,
        CURRENCY,
        money("PrevAmount", "Previous Amount"),
        day("PrevCloseDate", "Previous Close Date"),
        instant("SystemModstamp", "System Modstamp", nillable=False),
        IS_DELETED,
    )),
    plural="Opportunity Histories", createable=False, updateable=False, deletable=False, undeletable=False, retrieveable=True,
)  # fmt: skip

FIELD_HISTORY = sobject(
    "OpportunityFieldHistory", "017",
    tuple(read_only(f) for f in (
        ID,
        IS_DELETED,
        lookup("OpportunityId", "Opportunity", nillable=False),
        lookup("CreatedById", "User", relationship="CreatedBy", nillable=False),
        instant("CreatedDate", "Created Date", nillable=False),
        pick("Field", "Owner", "created", label="Changed Field", nillable=False),
        pick("DataType", "EntityId", "Text", label="Datatype"),
        FieldDef("OldValue", "anyType", "Old Value", 255, filterable=False, sortable=False),
        FieldDef("NewValue", "anyType", "New Value", 255, filterable=False, sortable=False),
    )),
    plural="Opportunity Field Histories", createable=False, updateable=False, deletable=False, undeletable=False,
)  # fmt: skip

CONTACT_ROLE = sobject(
    "OpportunityContactRole", "00K",
    (
        ID,
        lookup("OpportunityId", "Opportunity", nillable=False, updateable=False),
        lookup("ContactId", "Contact", nillable=False),
        pick(
            "Role", "Business User", "Decision Maker", "Economic Buyer", "Economic Decision Maker", "Evaluator", "Executive Sponsor",
            "Influencer", "Technical Buyer", "Surgeon", "Champion", "Value Analysis", "Blocker", "Other",
        ),
        flag("IsPrimary", "Primary"),
        CURRENCY,
        *audit(),
        IS_DELETED,
    ),
    undeletable=False,
)  # fmt: skip

OBJECTS: tuple[ObjectDef, ...] = (OPPORTUNITY, HISTORY, FIELD_HISTORY, CONTACT_ROLE)
