"""Custom objects, and the rules that guard saves of any object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connector.sandbox.salesforce.formulas import FormulaError, compiled
from connector.sandbox.salesforce.formulas.functions import BOOLEAN
from connector.sandbox.salesforce.formulas.names import Scope
from connector.sandbox.salesforce.metadata.draft import Commit, Draft, Refused, one_of, shaped, within
from connector.sandbox.salesforce.metadata.fields import BAD_NAME, LONGEST_NAME, NAME
from connector.sandbox.salesforce.metadata.package import Component
from connector.sandbox.salesforce.metadata.shapes import OBJECT, RULE
from connector.sandbox.salesforce.metadata.xml import Node
from connector.sandbox.salesforce.org import Org, RowError, Rule
from connector.sandbox.salesforce.schema import CURRENCY, ID, IS_DELETED, FieldDef, ObjectDef, Row, audit, lookup, read_only, sobject, text

RULE_NAME = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*")
SHARING = frozenset({"Private", "Read", "ReadWrite", "ReadWriteTransfer", "FullAccess", "ControlledByParent"})
LONGEST_MESSAGE = 255


def custom_object(draft: Draft, component: Component) -> Commit:
    """Check an object and put it into the draft; of an object of the platform the file brings only parts. Raises Refused."""
    node, name = component.node, component.name
    shaped(node, OBJECT)
    if not name.endswith("__c"):
        if name not in draft.schema:
            raise Refused(f"The object '{name}' of type CustomObject does not exist in the org")
        return lambda: ""
    _complete(node, name)
    made = _definition(draft, node, name)
    if name not in draft.schema:
        draft.schema[name] = made

    def commit() -> str:
        draft.org.new_object(made)
        return next(key for key, row in draft.org.tables["EntityDefinition"].rows.items() if row["QualifiedApiName"] == name)

    return commit


def _complete(node: Node, name: str) -> None:
    if not NAME.fullmatch(name):
        raise Refused(BAD_NAME.format(what="Object Name"))
    if len(name.removesuffix("__c")) > LONGEST_NAME:
        raise Refused(f"Value too long for field: DeveloperName maximum length is:{LONGEST_NAME}")
    for tag, what in (("label", "label"), ("pluralLabel", "pluralLabel")):
        if not node.get(tag):
            raise Refused(f"Must specify a non-empty {what} for the CustomObject")
    if node.first("nameField") is None:
        raise Refused("Must specify a nameField for the CustomObject")
    if not node.get("sharingModel"):
        raise Refused("Must specify a sharingModel for the CustomObject")
    within(node, "label", 40, "MasterLabel")
    within(node, "pluralLabel", 40, "PluralLabel")
    within(node, "description", 1000, "Description")
    one_of(node, "sharingModel", SHARING, "SharingModel")
    one_of(node, "deploymentStatus", frozenset({"Deployed", "InDevelopment"}), "DeploymentStatus")


def _definition(draft: Draft, node: Node, name: str) -> ObjectDef:
    named = node.first("nameField")
    assert named is not None
    kind, shown = named.get("type"), named.get("displayFormat") or ""
    if kind not in ("Text", "AutoNumber"):
        raise Refused("The name field must be of type Text or AutoNumber", named)
    if kind == "AutoNumber" and not re.fullmatch(r"[^{}]*\{0+\}[^{}]*", shown):
        raise Refused("Must specify a valid 'displayFormat' for a CustomField of type AutoNumber", named)
    label: FieldDef = text("Name", 80, named.get("label") or "Name", name_field=True, auto=shown)
    made = sum(1 for other in draft.schema if other.endswith("__c") and other not in draft.org.schema)
    return sobject(
        name, draft.org.next_prefix(made),
        (
            ID, lookup("OwnerId", "User", nillable=False, options_default=True), IS_DELETED, read_only(label) if shown else label, CURRENCY, *audit(),
        ),
        label=node.get("label") or "", plural=node.get("pluralLabel") or "", guarded=True,
    )  # fmt: skip


def validation_rule(draft: Draft, component: Component) -> Commit:
    """Check a rule: its condition compiles to true or false. Raises Refused."""
    node, definition = component.node, draft.object_of(component)
    shaped(node, RULE)
    name = node.get("fullName") or ""
    if not RULE_NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise Refused(BAD_NAME.format(what="Rule Name"), node.first("fullName"))
    within(node, "errorMessage", LONGEST_MESSAGE, "ErrorMessage")
    within(node, "description", 255, "Description")
    shown = node.get("errorDisplayField")
    if shown is not None:
        draft.field(f"{definition.name}.{shown}", node.first("errorDisplayField"), "errorDisplayField")
    try:
        rule = breaking(
            draft.org, draft.scope(definition.name, rule=True), node.get("errorConditionFormula") or "", node.get("errorMessage") or "", shown
        )
    except FormulaError as problem:
        raise Refused(problem.message, node.first("errorConditionFormula")) from None
    draft.named.add(component.key)

    def commit() -> str:
        draft.org.set_rule(component.name, rule, node.get("errorMessage") or "", active=node.flag("active"))
        return draft.org.metadata[component.key]

    return commit


def breaking(org: Org, scope: Scope, condition: str, message: str, shown: str | None = None) -> Rule:
    """A rule that refuses a save after which its condition is true. Raises FormulaError."""
    about, formula = scope.about, compiled(condition, scope, BOOLEAN)

    def rule(name: str, row: Mapping[str, Any], values: Mapping[str, Any], user: str) -> RowError | None:
        if name != about:
            return None
        after: Row = {key: value for key, value in {**row, **values}.items() if value is not None}
        if formula.value(_saved(org, name, after), org.moment(user), before=dict(row), new=not row):
            return RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", message, (shown,) if shown else ())
        return None

    return rule


def _saved(org: Org, name: str, row: Row) -> Row:
    """What a stage says of a deal is there before rules run."""
    stage = org.stages.get(row.get("StageName", "")) if name == "Opportunity" else None
    return row if stage is None else {**row, "IsClosed": stage["IsClosed"], "IsWon": stage["IsWon"]}
