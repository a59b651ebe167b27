"""What people look at: list views, compact layouts, Lightning components."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from connector.sandbox.salesforce.metadata.draft import NOT_FOUND, Commit, Draft, Refused, one_of, shaped, within
from connector.sandbox.salesforce.metadata.fields import BAD_NAME
from connector.sandbox.salesforce.metadata.package import Component
from connector.sandbox.salesforce.metadata.shapes import BUNDLE, COMPACT_LAYOUT, LIST_VIEW
from connector.sandbox.salesforce.metadata.xml import Node, XmlProblem, parse
from connector.sandbox.salesforce.schema import ObjectDef

NAME = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*")
BUNDLE_NAME = re.compile(r"[a-z][A-Za-z0-9_]*")
OPERATIONS = frozenset({
    "equals", "notEqual", "lessThan", "greaterThan", "lessOrEqual", "greaterOrEqual", "contains", "notContain", "startsWith", "includes",
    "excludes", "within",
})  # fmt: skip
SCOPES = frozenset({"Everything", "Mine", "Queue", "Delegated", "MyTerritory", "MyTeamTerritory", "Team", "AssignedToMe", "SalesTeam"})
COLUMNS: Mapping[str, frozenset[str]] = {
    "Opportunity": frozenset({
        "OPPORTUNITY.NAME", "ACCOUNT.NAME", "OPPORTUNITY.AMOUNT", "OPPORTUNITY.CLOSE_DATE", "OPPORTUNITY.STAGE_NAME", "CORE.USERS.ALIAS",
        "OPPORTUNITY.PROBABILITY", "OPPORTUNITY.TYPE", "OPPORTUNITY.LEAD_SOURCE", "OPPORTUNITY.NEXT_STEP", "OPPORTUNITY.CREATED_DATE",
        "OPPORTUNITY.LAST_UPDATE", "OPPORTUNITY.CLOSED", "OPPORTUNITY.WON", "OPPORTUNITY.EXP_AMOUNT", "OPPORTUNITY.FORECAST_CATEGORY",
        "OPPORTUNITY.LAST_ACTIVITY", "OPPORTUNITY.RECORDTYPE", "CORE.USERS.FIRST_NAME", "CORE.USERS.LAST_NAME",
    }),
    "Account": frozenset({
        "ACCOUNT.NAME", "ACCOUNT.TYPE", "ACCOUNT.INDUSTRY", "ACCOUNT.PHONE1", "ACCOUNT.ADDRESS1_STATE", "ACCOUNT.CREATED_DATE", "CORE.USERS.ALIAS",
        "ACCOUNT.LAST_UPDATE", "ACCOUNT.LAST_ACTIVITY",
    }),
    "Contact": frozenset({"FULL_NAME", "ACCOUNT.NAME", "CONTACT.TITLE", "CONTACT.PHONE1", "CONTACT.EMAIL", "CORE.USERS.ALIAS"}),
}  # fmt: skip
CUSTOM_COLUMNS = frozenset({"NAME", "OWNER.ALIAS", "OWNER.FIRST_NAME", "OWNER.LAST_NAME", "CREATED_DATE", "LAST_UPDATE", "CREATEDBY_USER"})
LABEL_BELOW = 40
MOST_COLUMNS, MOST_FILTERS, MOST_COMPACT = 15, 10, 10
TARGETS = frozenset({
    "lightning__RecordPage", "lightning__AppPage", "lightning__HomePage", "lightning__Tab", "lightning__RecordAction", "lightning__FlowScreen",
    "lightning__UtilityBar", "lightningCommunity__Page", "lightningCommunity__Default",
})  # fmt: skip
_IMPORT = re.compile(r"""from\s+['"]@salesforce/schema/([\w.]+)['"]""")
_EXPORT = re.compile(r"export\s+default\s+class\s+\w+\s+extends\s+LightningElement\b")


def _developer_name(node: Node, what: str) -> str:
    name = node.get("fullName") or ""
    if not NAME.fullmatch(name) or len(name) > 80:
        raise Refused(BAD_NAME.format(what=what), node.first("fullName"))
    return name


def list_view(draft: Draft, component: Component) -> Commit:
    """Check a list view. Raises Refused."""
    node, definition = component.node, draft.object_of(component)
    shaped(node, LIST_VIEW)
    _developer_name(node, "View Unique Name")
    if len(node.get("label") or "") >= LABEL_BELOW:
        raise Refused(f"Value too long for field: Name maximum length is:{LABEL_BELOW - 1}", node.first("label"))
    one_of(node, "filterScope", SCOPES, "FilterScope")
    columns, filters = list(node.all("columns")), list(node.all("filters"))
    if len(columns) > MOST_COLUMNS or len(filters) > MOST_FILTERS:
        raise Refused(f"A list view has at most {MOST_COLUMNS} columns and {MOST_FILTERS} filters")
    for column in columns:
        _column(definition, column)
    for entry in filters:
        named = entry.first("field")
        assert named is not None
        _column(definition, named)
        one_of(entry, "operation", OPERATIONS, "FilterOperation")
    if (logic := node.first("booleanFilter")) is not None:
        _logic(logic, len(filters))
    draft.named.add(component.key)

    def commit() -> str:
        values = {"Name": node.get("label"), "DeveloperName": node.get("fullName"), "SobjectType": definition.name, "IsSoqlCompatible": True}
        return draft.org.put_record(component.key, "ListView", values)

    return commit


def _column(definition: ObjectDef, at: Node) -> None:
    known = COLUMNS.get(definition.name, CUSTOM_COLUMNS if definition.custom else frozenset())
    field = definition.fields.get(at.text) if at.text.endswith("__c") else None
    if at.text not in known and field is None:
        raise Refused(f"Could not resolve list view column: {at.text}", at)


def _logic(at: Node, filters: int) -> None:
    """``1 AND (2 OR 3)`` over the filters there are."""
    words = re.findall(r"\d+|[A-Za-z]+|[()]", at.text)
    numbers = {int(word) for word in words if word.isdigit()}
    if numbers != set(range(1, filters + 1)) or any(word.upper() not in ("AND", "OR", "NOT", "(", ")") for word in words if not word.isdigit()):
        raise Refused(f"Invalid filter logic: {at.text}", at)


def compact_layout(draft: Draft, component: Component) -> Commit:
    """Check a compact layout. Raises Refused."""
    node, definition = component.node, draft.object_of(component)
    shaped(node, COMPACT_LAYOUT)
    _developer_name(node, "Compact Layout Name")
    within(node, "label", 80, "MasterLabel")
    named = list(node.all("fields"))
    if not 1 <= len(named) <= MOST_COMPACT:
        raise Refused(f"A compact layout has from 1 to {MOST_COMPACT} fields")
    for each in named:
        if each.text not in definition.fields:
            raise Refused(NOT_FOUND.format(element="fields", type="CustomField", name=f"{definition.name}.{each.text}"), each)
    draft.named.add(component.key)
    values = {"DeveloperName": node.get("fullName"), "MasterLabel": node.get("label"), "SobjectType": definition.name}
    return lambda: draft.org.put_record(component.key, "CompactLayout", values)


def bundle(draft: Draft, component: Component) -> Commit:
    """Check a Lightning web component: its three files, where it may be placed, the fields it imports. Raises Refused."""
    name, home = component.name, component.file
    files = {path.removeprefix(home + "/"): content for path, content in component.files.items()}
    if not BUNDLE_NAME.fullmatch(name):
        raise Refused(f"Invalid component name {name}: it must begin with a lowercase letter and hold only alphanumeric characters and underscores")
    if f"{name}.js-meta.xml" not in files:
        raise Refused(f"Cannot find Lightning Component Bundle {name}: {name}.js-meta.xml is missing")
    if f"{name}.js" not in files:
        raise Refused(f"No MODULE named markup://c:{name} found: {name}.js is missing")
    try:
        meta = parse(files[f"{name}.js-meta.xml"])
    except XmlProblem as problem:
        raise Refused(f"Error parsing file: {problem.message}", Node("", problem.line, problem.column)) from None
    if meta.tag != "LightningComponentBundle":
        raise Refused(f"Error parsing file: Element {meta.tag} invalid at this location, LightningComponentBundle expected", meta)
    shaped(meta, BUNDLE)
    for target in _targets(meta):
        if target.text not in TARGETS:
            raise Refused(f"'{target.text}' is not a valid target", target)
    _objects(draft, meta)
    _code(draft, name, files)
    draft.named.add(component.key)
    sources = {path: content.decode("utf-8", "replace") for path, content in component.files.items()}

    def commit() -> str:
        key = draft.org.put_record(component.key, component.type, {"DeveloperName": name, "MasterLabel": meta.get("masterLabel") or name})
        draft.org.put_sources(key, sources)
        return key

    return commit


def _targets(meta: Node) -> Iterator[Node]:
    for targets in meta.all("targets"):
        yield from targets.all("target")


def _objects(draft: Draft, meta: Node) -> None:
    offered = {target.text for target in _targets(meta)}
    for configs in meta.all("targetConfigs"):
        for config in configs.all("targetConfig"):
            for target in config.attributes.get("targets", "").split(","):
                if target.strip() not in offered:
                    raise Refused(f"'{target.strip()}' in targetConfig is not among the component's targets", config)
            for objects in config.all("objects"):
                for each in objects.all("object"):
                    if each.text not in draft.schema:
                        raise Refused(f"'{each.text}' is not a valid object", each)


def _code(draft: Draft, name: str, files: Mapping[str, bytes]) -> None:
    source = files[f"{name}.js"].decode("utf-8", "replace")
    if not _EXPORT.search(source):
        raise Refused(f"Invalid class: {name}.js must export a default class that extends LightningElement")
    for path, content in files.items():
        if path.endswith(".js"):
            for reference in _IMPORT.findall(content.decode("utf-8", "replace")):
                _reference(draft, reference, path)
        if path.endswith(".html") and not re.match(r"\s*(<!--.*?-->\s*)*<template\b", content.decode("utf-8", "replace"), re.DOTALL):
            raise Refused(f"LWC1012: Invalid root tag of {path}: the root must be a template")


def _reference(draft: Draft, reference: str, path: str) -> None:
    about, _, rest = reference.partition(".")
    definition = draft.schema.get(about)
    *walk, last = rest.split(".")
    for step in walk:
        parent = definition.parent(step) if definition is not None else None
        definition = draft.schema.get(parent.reference_to[0]) if parent is not None else None
    if definition is None or (rest and last not in definition.fields):
        raise Refused(f"Invalid reference {reference} of type {'sobjectField' if rest else 'sobjectClass'} in file {path}")
