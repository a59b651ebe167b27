"""Everything beside the deal: accounts, contacts, activities, users, and the org's settings objects."""

from __future__ import annotations

from datetime import date, timedelta

from connector.sandbox.salesforce.schema import (
    CURRENCY,
    ID,
    IS_DELETED,
    Child,
    FieldDef,
    Moment,
    ObjectDef,
    Row,
    address,
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

ARCHIVED_AFTER = timedelta(days=365)


def _task_archived(row: Row, moment: Moment) -> bool:
    """Closed tasks of more than a year ago: only queryAll shows them."""
    return bool(row.get("IsClosed")) and _older(row.get("ActivityDate"), moment)


def _event_archived(row: Row, moment: Moment) -> bool:
    return _older(row.get("ActivityDate"), moment)


def _older(value: str | None, moment: Moment) -> bool:
    return value is not None and value < (date.fromisoformat(moment.today) - ARCHIVED_AFTER).isoformat()


ACCOUNT = sobject(
    "Account", "001",
    (
        ID,
        IS_DELETED,
        read_only(lookup("MasterRecordId", "Account", relationship="MasterRecord")),
        text("Name", 255, nillable=False, name_field=True),
        pick("Type", "Customer", "Prospect", "Partner"),
        pick("Industry", "Hospital & Health Care", "Medical Devices", "Biotechnology"),
        *address("Billing", "BillingAddress"),
        *address("Shipping", "ShippingAddress"),
        lookup("ParentId", "Account"),
        FieldDef("Phone", "phone", "Account Phone", 40),
        FieldDef("Fax", "phone", "Account Fax", 40),
        text("AccountNumber", 40, "Account Number"),
        FieldDef("Website", "url", "Website", 255),
        money("AnnualRevenue", "Annual Revenue"),
        integer("NumberOfEmployees", "Employees"),
        pick("Ownership", "Public", "Private", "Subsidiary", "Other"),
        pick("Rating", "Hot", "Warm", "Cold"),
        pick("AccountSource", label="Account Source"),
        FieldDef("Description", "textarea", "Account Description", 32000, filterable=False, sortable=False),
        CURRENCY,
        lookup("OwnerId", "User", nillable=False),
        pick("Customer_Type__c", "ASC", "Medical Practice", "General Hospital", "University Hospital", "IDN", label="Customer type", restricted=True),
        pick("Sales_Region__c", "East", "West", "Central", "EMEA", label="Sales region"),
        pick("Region__c", "US", "EU", label="Region"),
        *audit(),
    ),
    mergeable=True,
    children=(
        Child("Opportunity", "AccountId", "Opportunities"),
        Child("Contact", "AccountId", "Contacts"),
        Child("Task", "WhatId", "Tasks"),
        Child("Event", "WhatId", "Events"),
        Child("Task", "AccountId"),
        Child("Event", "AccountId"),
    ),
)  # fmt: skip

CONTACT = sobject(
    "Contact", "003",
    (
        ID,
        IS_DELETED,
        read_only(lookup("MasterRecordId", "Contact", relationship="MasterRecord")),
        lookup("AccountId", "Account"),
        text("LastName", 80, "Last Name", nillable=False),
        text("FirstName", 40, "First Name"),
        read_only(text("Name", 121, "Full Name", nillable=False, name_field=True)),
        text("Title", 128),
        text("Department", 80),
        FieldDef("Phone", "phone", "Business Phone", 40),
        FieldDef("MobilePhone", "phone", "Mobile Phone", 40),
        FieldDef("Email", "email", "Email", 80),
        *address("Mailing", "MailingAddress"),
        FieldDef("Description", "textarea", "Contact Description", 32000, filterable=False, sortable=False),
        pick("LeadSource", label="Lead Source"),
        CURRENCY,
        lookup("OwnerId", "User", nillable=False),
        flag("KOL__c", "Key opinion leader"),
        pick("Buying_Function__c", "Champion", "Economic Buyer", "Technical Buyer", "Blocker", label="Buying function"),
        *audit(),
    ),
    mergeable=True,
    children=(
        Child("OpportunityContactRole", "ContactId", "OpportunityContactRoles", cascade=True),
        Child("Opportunity", "ContactId", "Opportunities"),
        Child("Task", "WhoId", "Tasks"),
        Child("Event", "WhoId", "Events"),
        Child("TaskRelation", "RelationId", "TaskRelations", cascade=True),
        Child("EventRelation", "RelationId", "EventRelations", cascade=True),
    ),
)  # fmt: skip

ACTIVITY = (
    ID,
    IS_DELETED,
    lookup("WhoId", "Contact", "Lead", label="Name ID"),
    lookup("WhatId", "Opportunity", "Account", "Case", label="Related To ID"),
    read_only(lookup("AccountId", "Account")),
    lookup("OwnerId", "User", nillable=False),
    FieldDef("Subject", "combobox", "Subject", 255),
    FieldDef("Description", "textarea", "Comments", 32000, filterable=False, sortable=False),
    pick("Type", "First meeting", "Demo", "Evaluation visit", "HCP presentation", "Workshop", "Follow-up", "Call", "Email", "Meeting", "Other"),
    CURRENCY,
    *audit(),
)
RECURRENCE = (
    read_only(flag("IsRecurrence", "Create Recurring Series")),
    read_only(lookup("RecurrenceActivityId", "Task", "Event", relationship="RecurrenceActivity")),
)

TASK = sobject(
    "Task", "00T",
    (
        *ACTIVITY,
        day("ActivityDate", "Due Date Only"),
        pick("Status", "Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred", nillable=False, options_default=True,
             default="Not Started"),
        pick("Priority", "High", "Normal", "Low", nillable=False, options_default=True, default="Normal"),
        read_only(flag("IsClosed", "Closed")),
        read_only(instant("CompletedDateTime", "Completed Date")),
        read_only(flag("IsArchived", "Archived", compute=_task_archived)),
        pick("TaskSubtype", "Task", "Email", "Call", "LinkedIn", label="Task Subtype", restricted=True, updateable=False),
        integer("CallDurationInSeconds", "Call Duration"),
        pick("CallType", "Internal", "Inbound", "Outbound", label="Call Type", restricted=True),
        text("CallDisposition", 255, "Call Result"),
        pick("Direction__c", "Inbound", "Outbound", label="Direction", restricted=True),
        *RECURRENCE,
    ),
    children=(Child("TaskRelation", "TaskId", "TaskRelations", cascade=True), Child("EmailMessage", "ActivityId", "EmailMessages")),
)  # fmt: skip

EVENT = sobject(
    "Event", "00U",
    (
        *ACTIVITY,
        day("ActivityDate", "Due Date Only"),
        instant("StartDateTime", "Start Date Time"),
        instant("EndDateTime", "End Date Time"),
        day("EndDate", "End Date"),
        integer("DurationInMinutes", "Duration"),
        text("Location", 255),
        flag("IsAllDayEvent", "All-Day Event"),
        flag("IsPrivate", "Private"),
        read_only(flag("IsChild", "Is Child")),
        read_only(flag("IsGroupEvent", "Is Group Event")),
        read_only(flag("IsArchived", "Archived", compute=_event_archived)),
        read_only(flag("IsRecurrence2", "Repeat")),
        pick("EventSubtype", "Event", label="Event Subtype", restricted=True, updateable=False),
        pick("Meeting_Outcome__c", "Held", "No Show", "Canceled", "Rescheduled", label="Meeting outcome", restricted=True),
        *RECURRENCE,
    ),
    children=(Child("EventRelation", "EventId", "EventRelations", cascade=True),),
)  # fmt: skip

USER = sobject(
    "User", "005",
    (
        ID,
        text("Username", 80, nillable=False),
        text("LastName", 80, "Last Name", nillable=False),
        text("FirstName", 40, "First Name"),
        read_only(text("Name", 121, "Full Name", nillable=False, name_field=True)),
        FieldDef("Email", "email", "Email", 128, nillable=False),
        flag("IsActive", "Active"),
        pick("UserType", "Standard", "AutomatedProcess", label="User Type", createable=False, updateable=False),
        text("UserRoleId", 18, "Role ID"),
        lookup("ProfileId", "Profile", nillable=False, options_default=True),
        lookup("ManagerId", "User"),
        pick("TimeZoneSidKey", "America/New_York", "America/Chicago", "Europe/Berlin", label="Time Zone", nillable=False),
        text("DefaultCurrencyIsoCode", 3, "Default Currency ISO Code"),
        *audit(),
    ),
    deletable=False, undeletable=False,
)  # fmt: skip

ORGANIZATION = sobject(
    "Organization", "00D",
    tuple(read_only(f) for f in (
        ID,
        text("Name", 80, nillable=False, name_field=True),
        pick("OrganizationType", "Enterprise Edition", "Developer Edition", label="Edition"),
        flag("IsSandbox", "Is Sandbox"),
        text("InstanceName", 5, "Instance Name"),
        text("TimeZoneSidKey", 40, "Time Zone", nillable=False),
        text("LanguageLocaleKey", 40, "Language"),
        text("DefaultLocaleSidKey", 40, "Locale"),
        integer("FiscalYearStartMonth", "Fiscal Year Starts In"),
        flag("UsesStartDateAsFiscalYearName", "Fiscal Year Name by Start"),
        text("NamespacePrefix", 15, "Namespace Prefix"),
        *audit(),
    )),
    createable=False, updateable=False, deletable=False, undeletable=False, replicateable=False,
)  # fmt: skip

STAGE = sobject(
    "OpportunityStage", "01J",
    tuple(read_only(f) for f in (
        ID,
        text("MasterLabel", 255, "Master Label", nillable=False),
        text("ApiName", 255, "API Name"),
        flag("IsActive", "Is Active"),
        integer("SortOrder", "Sort Order"),
        flag("IsClosed", "Closed"),
        flag("IsWon", "Won"),
        pick("ForecastCategory", *CATEGORY_LABELS, label="Forecast Category", restricted=True),
        pick("ForecastCategoryName", *CATEGORY_LABELS.values(), label="Forecast Category Name", restricted=True),
        percent("DefaultProbability", label="Probability (%)"),
        text("Description", 255),
        *audit(),
    )),
    createable=False, updateable=False, deletable=False, undeletable=False, replicateable=False,
)  # fmt: skip

RECORD_TYPE = sobject(
    "RecordType", "012",
    tuple(read_only(f) for f in (
        ID,
        text("Name", 80, nillable=False, name_field=True),
        text("DeveloperName", 80, "Record Type Name", nillable=False),
        text("NamespacePrefix", 15, "Namespace Prefix"),
        text("Description", 255),
        text("BusinessProcessId", 18, "Business Process ID"),
        pick("SobjectType", "Opportunity", "Account", label="SObject Type Name", restricted=True),
        flag("IsActive", "Active"),
        *audit(),
    )),
    createable=False, updateable=False, deletable=False, undeletable=False, replicateable=False,
)  # fmt: skip

CURRENCY_TYPE = sobject(
    "CurrencyType", "01L",
    tuple(read_only(f) for f in (
        ID,
        pick("IsoCode", "USD", "EUR", label="Currency ISO Code", restricted=True),
        number("ConversionRate", 12, 6, "Conversion Rate"),
        integer("DecimalPlaces", "Decimal Places"),
        flag("IsActive", "Active"),
        flag("IsCorporate", "Is Corporate Currency"),
        *audit(),
    )),
    createable=False, updateable=False, deletable=False, undeletable=False,
)  # fmt: skip

DATED_RATE = sobject(
    "DatedConversionRate", "04w",
    tuple(read_only(f) for f in (
        ID,
        pick("IsoCode", "USD", "EUR", label="ISO Code", restricted=True),
        day("StartDate", "Start Date"),
        day("NextStartDate", "Next Start Date"),
        number("ConversionRate", 12, 6, "Conversion Rate"),
        *audit(),
    )),
    createable=False, updateable=False, deletable=False, undeletable=False,
)  # fmt: skip

RECORD_ACCESS = sobject(
    "UserRecordAccess", "0rA",
    tuple(read_only(f) for f in (
        ID,
        lookup("UserId", "User"),
        FieldDef("RecordId", "reference", "Record ID", 18),
        flag("HasReadAccess", "Has Read Access"),
        flag("HasEditAccess", "Has Edit Access"),
        flag("HasDeleteAccess", "Has Delete Access"),
        pick("MaxAccessLevel", "None", "Read", "Edit", "Delete", "Transfer", "All", label="Maximum Access Level"),
    )),
    createable=False, updateable=False, deletable=False, undeletable=False, replicateable=False, retrieveable=False,
)  # fmt: skip
"""Nothing is stored: rows are worked out for the user and the records that a query names."""

OBJECTS: tuple[ObjectDef, ...] = (
    ACCOUNT, CONTACT, TASK, EVENT, USER, ORGANIZATION, STAGE, RECORD_TYPE, CURRENCY_TYPE, DATED_RATE, RECORD_ACCESS,
)  # fmt: skip
