"""Report types, reports and dashboards with their folders."""

from __future__ import annotations

from collections.abc import Iterator

from connector.sandbox.salesforce.metadata.draft import NOT_FOUND, Commit, Draft, Refused, one_of, shaped, within
from connector.sandbox.salesforce.metadata.fields import BAD_NAME
from connector.sandbox.salesforce.metadata.package import Component
from connector.sandbox.salesforce.metadata.pages import NAME
from connector.sandbox.salesforce.metadata.shapes import DASHBOARD, FOLDER, REPORT, REPORT_TYPE
from connector.sandbox.salesforce.metadata.xml import Node
from connector.sandbox.salesforce.schema import ObjectDef

CATEGORIES = frozenset({
    "accounts", "opportunities", "forecasts", "cases", "leads", "campaigns", "activities", "busop", "products", "admin", "territory", "territory2",
    "other", "content", "usage_entitlement", "wdc", "calibration", "quotes", "individual", "employee", "data_cloud", "commerce", "flow",
})  # fmt: skip
FORMATS = frozenset({"Tabular", "Summary", "Matrix", "MultiBlock"})
OPERATORS = frozenset({
    "equals", "notEqual", "lessThan", "greaterThan", "lessOrEqual", "greaterOrEqual", "contains", "notContain", "startsWith", "includes",
    "excludes", "within",
})  # fmt: skip
GRAINS = frozenset({"None", "Day", "Week", "Month", "Quarter", "Year", "FiscalQuarter", "FiscalYear", "MonthInYear", "DayInMonth"})
PLATFORM_COLUMNS = frozenset({
    "OPPORTUNITY_NAME", "ACCOUNT_NAME", "AMOUNT", "CLOSE_DATE", "STAGE_NAME", "PROBABILITY", "FULL_NAME", "TYPE", "LEAD_SOURCE", "NEXT_STEP",
    "CREATED_DATE", "AGE", "FISCAL_QUARTER", "FISCAL_YEAR", "EXP_AMOUNT", "LAST_UPDATE", "LAST_ACTIVITY", "CREATED", "CLOSED", "WON", "PIPELINE",
    "FORECAST_CATEGORY", "RECORDTYPE", "ROLLUP_DESCRIPTION", "OPPORTUNITY_ID", "ACCOUNT_ID", "CLOSE_MONTH", "INDUSTRY", "ACCOUNT_OWNER",
})  # fmt: skip
STANDARD = {"Opportunity": "Opportunity", "AccountList": "Account", "ContactList": "Contact", "OpportunityHistory": "Opportunity"}
"""Report types of the platform → the object whose custom fields they show."""
LONGEST_NAME, LONGEST_DESCRIPTION = 40, 255


def report_type(draft: Draft, component: Component) -> Commit:
    """Check a report type and remember its columns. Raises Refused."""
    node, name = component.node, component.name
    shaped(node, REPORT_TYPE)
    if not NAME.fullmatch(name):
        raise Refused(BAD_NAME.format(what="Report Type Name"))
    within(node, "label", 50, "Label")
    within(node, "description", 1000, "Description")
    one_of(node, "category", CATEGORIES, "ReportTypeCategory")
    base = draft.schema.get(node.get("baseObject") or "")
    if base is None:
        raise Refused(NOT_FOUND.format(element="baseObject", type="CustomObject", name=node.get("baseObject")), node.first("baseObject"))
    columns: set[str] = set()
    for section in node.all("sections"):
        for column in section.all("columns"):
            columns.add(_type_column(base, column))
    if not columns:
        raise Refused("Report type must have at least one column")
    draft.report_columns[f"{name}__c"] = columns
    draft.named.add(component.key)

    def commit() -> str:
        draft.org.report_columns[f"{name}__c"] = frozenset(columns)
        return draft.org.put_record(component.key)

    return commit


def _type_column(base: ObjectDef, column: Node) -> str:
    """``Opportunity$Field``, which is how reports of the type call it."""
    table, field = column.get("table") or "", column.get("field") or ""
    if table.split(".")[0] != base.name:
        raise Refused(NOT_FOUND.format(element="table", type="CustomObject", name=table), column.first("table"))
    first = field.split(".")[0]
    if first not in base.fields and base.parent(first) is None:
        raise Refused(NOT_FOUND.format(element="field", type="CustomField", name=f"{base.name}.{field}"), column.first("field"))
    return f"{base.name}${field}"


def folder_or_report(draft: Draft, component: Component) -> Commit:
    """Check a report, or the folder of reports. Raises Refused."""
    if "/" not in component.name:
        return _folder(draft, component)
    node = component.node
    _in_folder(draft, component)
    shaped(node, REPORT)
    within(node, "name", LONGEST_NAME, "Name")
    within(node, "description", LONGEST_DESCRIPTION, "Description")
    one_of(node, "format", FORMATS, "ReportFormat")
    kind = node.get("reportType") or ""
    if kind not in STANDARD and kind not in draft.report_columns:
        raise Refused(f"invalid report type: {kind}", node.first("reportType"))
    for at in _columns(node):
        _column(draft, kind, at)
    for tag in ("groupingsDown", "groupingsAcross"):
        for grouping in node.all(tag):
            one_of(grouping, "dateGranularity", GRAINS, "UserDateGranularity")
            one_of(grouping, "sortOrder", frozenset({"Asc", "Desc"}), "SortOrder")
    grouped = node.first("groupingsDown") is not None
    if node.get("format") in ("Summary", "Matrix") and not grouped:
        raise Refused(f"A report of the format {node.get('format')} must have at least one grouping", node.first("format"))
    if node.get("format") == "Tabular" and grouped:
        raise Refused("A report of the format Tabular cannot have groupings", node.first("groupingsDown"))
    draft.named.add(component.key)
    return lambda: draft.org.put_record(component.key, "Report", _row(component))


def _row(component: Component) -> dict[str, object]:
    folder, _, name = component.name.rpartition("/")
    node = component.node
    return {
        "Name": node.get("name"), "DeveloperName": name, "FolderName": folder, "Format": node.get("format"), "Description": node.get("description"),
    }  # fmt: skip


def _columns(node: Node) -> Iterator[Node]:
    """Every element that names a column."""
    for tag, key in (("columns", "field"), ("groupingsDown", "field"), ("groupingsAcross", "field"), ("timeFrameFilter", "dateColumn")):
        for entry in node.all(tag):
            yield from entry.all(key)
    for found in node.all("filter"):
        for item in found.all("criteriaItems"):
            one_of(item, "operator", OPERATORS, "FilterOperation")
            yield from item.all("column")
    yield from node.all("sortColumn")


def _column(draft: Draft, kind: str, at: Node) -> None:
    if kind in draft.report_columns:
        fine = at.text in draft.report_columns[kind]
    else:
        about, _, name = at.text.partition(".")
        fine = at.text in PLATFORM_COLUMNS or (about == STANDARD[kind] and name.endswith("__c") and name in draft.schema[about].fields)
    if not fine:
        raise Refused(f"{at.tag}: invalid value for field: {at.text}", at)


def _folder(draft: Draft, component: Component) -> Commit:
    shaped(component.node, FOLDER)
    if not NAME.fullmatch(component.name):
        raise Refused(BAD_NAME.format(what="Folder Unique Name"))
    for share in component.node.all("folderShares"):
        one_of(share, "accessLevel", frozenset({"View", "EditAllContents", "Manage"}), "FolderAccessTypes")
    draft.named.add(component.key)
    values = {"Name": component.node.get("name"), "DeveloperName": component.name, "Type": component.type}
    return lambda: draft.org.put_record(component.key, "Folder", values)


def _in_folder(draft: Draft, component: Component) -> None:
    folder, _, name = component.name.rpartition("/")
    if (component.type, folder) not in draft.named:
        raise Refused(f"Cannot find folder:{folder}")
    if not NAME.fullmatch(name):
        raise Refused(BAD_NAME.format(what=f"{component.type} Unique Name"))


def folder_or_dashboard(draft: Draft, component: Component) -> Commit:
    """Check a dashboard, or the folder of dashboards: the reports behind its components are there. Raises Refused."""
    if "/" not in component.name:
        return _folder(draft, component)
    _in_folder(draft, component)
    shaped(component.node, DASHBOARD)
    within(component.node, "title", 80, "Title")
    for at in _reports(component.node):
        if ("Report", at.text) not in draft.named:
            raise Refused(NOT_FOUND.format(element="report", type="Report", name=at.text), at)
    draft.named.add(component.key)
    return lambda: draft.org.put_record(component.key)


def _reports(node: Node) -> Iterator[Node]:
    for child in node.children:
        if child.tag == "report":
            yield child
        yield from _reports(child)
