"""Objects read only when a mapping asks for them: leads, cases, mail, products; relations of shared activities; calendar and automation."""

from __future__ import annotations

from connector.sandbox.salesforce.schema import (
    CURRENCY,
    ID,
    IS_DELETED,
    Child,
    FieldDef,
    ObjectDef,
    address,
    audit,
    day,
    flag,
    instant,
    integer,
    lookup,
    money,
    number,
    pick,
    read_only,
    sobject,
    text,
)

LEAD = sobject(
    "Lead", "00Q",
    (
        ID,
        IS_DELETED,
        read_only(lookup("MasterRecordId", "Lead", relationship="MasterRecord")),
        text("LastName", 80, "Last Name", nillable=False),
        text("FirstName", 40, "First Name"),
        read_only(text("Name", 121, "Full Name", nillable=False, name_field=True)),
        text("Title", 128),
        text("Company", 255, nillable=False),
        *address("", "Address"),
        FieldDef("Phone", "phone", "Phone", 40),
        FieldDef("Email", "email", "Email", 80),
        pick("LeadSource", "Web", "Phone Inquiry", "Partner Referral", "Trade show", "Other", label="Lead Source"),
        pick(
            "Status", "Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted",
            nillable=False, options_default=True, default="Open - Not Contacted",
        ),
        pick("Industry", "Hospital & Health Care", "Medical Devices", "Biotechnology"),
        pick("Rating", "Hot", "Warm", "Cold"),
        CURRENCY,
        lookup("OwnerId", "User", nillable=False),
        read_only(flag("IsConverted", "Converted")),
        read_only(day("ConvertedDate", "Converted Date")),
        read_only(lookup("ConvertedAccountId", "Account")),
        read_only(lookup("ConvertedContactId", "Contact")),
        read_only(lookup("ConvertedOpportunityId", "Opportunity")),
        flag("IsUnreadByOwner", "Unread By Owner"),
        *audit(),
    ),
    mergeable=True,
    children=(Child("Task", "WhoId", "Tasks"), Child("Event", "WhoId", "Events")),
)  # fmt: skip

CASE = sobject(
    "Case", "500",
    (
        ID,
        IS_DELETED,
        read_only(text("CaseNumber", 30, "Case Number", name_field=True)),
        lookup("ContactId", "Contact"),
        lookup("AccountId", "Account"),
        lookup("ParentId", "Case"),
        text("Subject", 255),
        FieldDef("Description", "textarea", "Description", 32000, filterable=False, sortable=False),
        pick("Type", "Mechanical", "Electrical", "Question", label="Case Type"),
        pick("Status", "New", "Working", "Escalated", "Closed", default="New", options_default=True),
        pick("Reason", "Installation", "Performance", "User error", label="Case Reason"),
        pick("Origin", "Phone", "Email", "Web", label="Case Origin"),
        pick("Priority", "High", "Medium", "Low", default="Medium", options_default=True),
        read_only(flag("IsClosed", "Closed")),
        read_only(instant("ClosedDate", "Closed Date")),
        read_only(flag("IsEscalated", "Escalated")),
        CURRENCY,
        lookup("OwnerId", "User", nillable=False),
        *audit(),
    ),
    children=(Child("EmailMessage", "ParentId", "EmailMessages", cascade=True), Child("Task", "WhatId", "Tasks"), Child("Event", "WhatId", "Events")),
)  # fmt: skip

EMAIL = sobject(
    "EmailMessage", "02s",
    (
        ID,
        lookup("ParentId", "Case"),
        lookup("ActivityId", "Task"),
        lookup("RelatedToId", "Opportunity", "Account", "Case"),
        text("Subject", 3000),
        FieldDef("TextBody", "textarea", "Text Body", 131072, filterable=False, sortable=False),
        FieldDef("HtmlBody", "textarea", "HTML Body", 131072, filterable=False, sortable=False),
        FieldDef("FromAddress", "email", "From Address", 1000),
        text("FromName", 1000, "From Name"),
        text("ToAddress", 4000, "To Address"),
        flag("Incoming", "Is Incoming"),
        read_only(flag("HasAttachment", "Has Attachment")),
        pick("Status", "New", "Read", "Replied", "Sent", "Forwarded", "Draft", nillable=False, default="New", options_default=True),
        instant("MessageDate", "Message Date"),
        IS_DELETED,
        *audit(),
    ),
    label="Email Message", undeletable=False,
)  # fmt: skip

PRODUCT = sobject(
    "Product2", "01t",
    (
        ID,
        text("Name", 255, nillable=False, name_field=True),
        text("ProductCode", 255, "Product Code"),
        pick("Family", "Capital", "Disposables", "Software", label="Product Family"),
        flag("IsActive", "Active"),
        CURRENCY,
        IS_DELETED,
        *audit(),
    ),
    label="Product", plural="Products",
)  # fmt: skip

LINE_ITEM = sobject(
    "OpportunityLineItem", "00k",
    (
        ID,
        lookup("OpportunityId", "Opportunity", nillable=False, updateable=False),
        lookup("Product2Id", "Product2", relationship="Product2", updateable=False),
        read_only(text("ProductCode", 255, "Product Code")),
        read_only(text("Name", 376, "Opportunity Product Name", name_field=True)),
        number("Quantity", 10, 2, nillable=False),
        money("UnitPrice", "Sales Price"),
        money("TotalPrice", "Total Price"),
        day("ServiceDate", "Date"),
        text("Description", 255, "Line Description"),
        integer("SortOrder", "Sort Order"),
        read_only(CURRENCY),
        *audit(),
        IS_DELETED,
    ),
    label="Opportunity Product",
)  # fmt: skip


def _relation(name: str, prefix: str, activity: str, *more: FieldDef) -> ObjectDef:
    """Who takes part in an activity beside its first name."""
    return sobject(
        name, prefix,
        (
            ID,
            lookup("RelationId", "Contact", "Lead", "Account", "Opportunity", nillable=False),
            lookup(activity + "Id", activity, nillable=False),
            flag("IsWhat", "Is What"),
            read_only(lookup("AccountId", "Account")),
            *more,
            *audit(),
            IS_DELETED,
        ),
        undeletable=False,
    )  # fmt: skip


TASK_RELATION = _relation("TaskRelation", "0RT", "Task")
EVENT_RELATION = _relation(
    "EventRelation", "0RE", "Event", flag("IsParent", "Is Parent"), flag("IsInvitee", "Is Invitee"),
    pick("Status", "New", "Accepted", "Declined", "Maybe", label="Status"), instant("RespondedDate", "Responded Date"),
)  # fmt: skip


def _setting(name: str, prefix: str, *fields: FieldDef, **more: str) -> ObjectDef:
    """An object of the set-up pages: read, never written through the API."""
    return sobject(
        name, prefix, tuple(read_only(f) for f in (ID, *fields)),
        createable=False, updateable=False, deletable=False, undeletable=False, replicateable=False, **more,
    )  # fmt: skip


PERIOD = _setting(
    "Period", "026",
    lookup("FiscalYearSettingsId", "FiscalYearSettings"),
    pick("Type", "Month", "Quarter", "Week", "Year", label="Type", restricted=True),
    day("StartDate", "Start Date"), day("EndDate", "End Date"), integer("Number"),
    text("FullyQualifiedLabel", 100, "Fully Qualified Label"), flag("IsForecastPeriod", "Is Forecast Period"),
    instant("SystemModstamp", "System Modstamp", nillable=False),
)  # fmt: skip
FISCAL_YEAR = _setting(
    "FiscalYearSettings", "022",
    text("Name", 80, name_field=True), day("StartDate", "Start Date"), day("EndDate", "End Date"), flag("IsStandardYear", "Is Standard Year"),
    pick("YearType", "Standard", "Custom", label="Year Type", restricted=True), instant("SystemModstamp", "System Modstamp", nillable=False),
)  # fmt: skip
ENTITY = _setting(
    "EntityDefinition", "4ie",
    text("QualifiedApiName", 70, "Qualified API Name", name_field=True), text("Label", 80), text("KeyPrefix", 3, "Key Prefix"),
)  # fmt: skip
VALIDATION_RULE = _setting(
    "ValidationRule", "03d",
    text("ValidationName", 80, "Validation Name"), flag("Active"), lookup("EntityDefinitionId", "EntityDefinition"),
    text("ErrorMessage", 255, "Error Message"), text("Description", 255), text("NamespacePrefix", 15, "Namespace Prefix"), *audit(),
)  # fmt: skip
FLOW = _setting(
    "FlowDefinitionView", "3dd",
    text("ApiName", 80, "API Name"), text("Label", 80), pick("ProcessType", "AutoLaunchedFlow", "Flow", "Workflow", label="Process Type"),
    pick("TriggerType", "RecordBeforeSave", "RecordAfterSave", "Scheduled", label="Trigger Type"),
    lookup("TriggerObjectOrEventId", "EntityDefinition", relationship="TriggerObjectOrEvent"),
    pick("RecordTriggerType", "Create", "Update", "CreateAndUpdate", "Delete", label="Record Trigger Type"),
    flag("IsActive", "Active"), instant("LastModifiedDate", "Last Modified Date"),
)  # fmt: skip
LIST_VIEW = _setting(
    "ListView", "00B",
    text("Name", 80, "View Name", name_field=True), text("DeveloperName", 80, "API Name"), text("SobjectType", 40, "SObject Type"),
    flag("IsSoqlCompatible", "Is SOQL Compatible"), text("NamespacePrefix", 15, "Namespace Prefix"), *audit(), label="List View",
)  # fmt: skip
FOLDER = _setting(
    "Folder", "00l",
    text("Name", 80, name_field=True), text("DeveloperName", 80, "Folder Unique Name"), text("Type", 40), text("AccessType", 40, "Access Type"),
    *audit(),
)  # fmt: skip
REPORT = _setting(
    "Report", "00O",
    text("Name", 40, "Report Name", name_field=True), text("DeveloperName", 80, "Report Unique Name"), text("FolderName", 256, "Folder Name"),
    text("Format", 40), text("Description", 255), *audit(),
)  # fmt: skip
FIELD_DEFINITION = _setting(
    "FieldDefinition", "00F",
    text("DurableId", 255, "Durable ID"), text("QualifiedApiName", 70, "Qualified API Name", name_field=True),
    text("DeveloperName", 70, "Developer Name"), text("Label", 80), text("DataType", 255, "Data Type"),
    lookup("EntityDefinitionId", "EntityDefinition"), flag("IsCalculated", "Is Calculated"), flag("IsNillable", "Is Nillable"),
    integer("Length"), integer("Precision"), integer("Scale"), text("ExtraTypeInfo", 255, "Extra Type Info"), text("Description", 1000),
)  # fmt: skip
CUSTOM_FIELD = _setting(
    "CustomField", "00N",
    text("DeveloperName", 40, "Developer Name", name_field=True), text("TableEnumOrId", 80, "Table Enum or ID"), text("FullName", 255, "Full Name"),
    lookup("EntityDefinitionId", "EntityDefinition"),
    text("Description", 1000), text("InlineHelpText", 510, "Inline Help Text"), text("NamespacePrefix", 15, "Namespace Prefix"),
)  # fmt: skip
ENTITY_LIMIT = _setting(
    "EntityLimit", "7sl",
    text("DurableId", 255, "Durable ID"), lookup("EntityDefinitionId", "EntityDefinition"), text("Label", 80), text("Type", 80),
    integer("Max"), integer("Remaining"),
)  # fmt: skip
FLEXIPAGE = _setting(
    "FlexiPage", "0M0",
    text("DeveloperName", 80, "API Name"), text("MasterLabel", 80, "Label", name_field=True), lookup("EntityDefinitionId", "EntityDefinition"),
    pick("Type", "AppPage", "HomePage", "RecordPage", label="Type", restricted=True), text("NamespacePrefix", 15, "Namespace Prefix"), *audit(),
    label="Lightning Page",
)  # fmt: skip
COMPACT_LAYOUT = _setting(
    "CompactLayout", "0AH",
    text("DeveloperName", 80, "API Name"), text("MasterLabel", 80, "Label", name_field=True), text("SobjectType", 40, "SObject Type"),
    text("NamespacePrefix", 15, "Namespace Prefix"), *audit(), label="Compact Layout",
)  # fmt: skip
LIGHTNING_BUNDLE = _setting(
    "LightningComponentBundle", "0Rb",
    text("DeveloperName", 80, "API Name", name_field=True), text("MasterLabel", 80, "Label"), text("NamespacePrefix", 15, "Namespace Prefix"),
    *audit(), label="Lightning Component Bundle",
)  # fmt: skip
LIGHTNING_RESOURCE = _setting(
    "LightningComponentResource", "0Rd",
    lookup("LightningComponentBundleId", "LightningComponentBundle"), text("FilePath", 255, "File Path"), text("Format", 40),
    FieldDef("Source", "textarea", "Source", 131_072, filterable=False, sortable=False), *audit(), label="Lightning Component Resource",
)  # fmt: skip

SET_UP = frozenset({"EntityLimit", "FlexiPage", "CompactLayout", "LightningComponentBundle", "LightningComponentResource"})
"""Objects of the Tooling API that are there only for whoever may look into the set-up (unverified which of them an org hides)."""
TOOLING_ONLY = frozenset({"ValidationRule", "CustomField"}) | SET_UP
TOOLING = TOOLING_ONLY | {"FlowDefinitionView", "EntityDefinition", "FieldDefinition", "PermissionSet", "PermissionSetAssignment", "Profile"}

OBJECTS: tuple[ObjectDef, ...] = (
    LEAD, CASE, EMAIL, PRODUCT, LINE_ITEM, TASK_RELATION, EVENT_RELATION, PERIOD, FISCAL_YEAR, ENTITY, VALIDATION_RULE, FLOW,
    LIST_VIEW, FOLDER, REPORT, FIELD_DEFINITION, CUSTOM_FIELD, ENTITY_LIMIT, FLEXIPAGE, COMPACT_LAYOUT, LIGHTNING_BUNDLE, LIGHTNING_RESOURCE,
)  # fmt: skip
