"""The org as a deployment would leave it: what components are checked against, and what committing them does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from connector.sandbox.salesforce.formulas.names import Scope
from connector.sandbox.salesforce.metadata.package import Component
from connector.sandbox.salesforce.metadata.shapes import Shape, ShapeProblem, check
from connector.sandbox.salesforce.metadata.xml import Node
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.schema import FieldDef, ObjectDef

Commit = Callable[[], str]
"""What makes a component part of the org; returns its id, "" where it has none that is shown."""
NOT_FOUND = "In field: {element} - no {type} named {name} found"


class Refused(Exception):
    """A component that the org will not have. ``at``: the element that is wrong, None: the component's own."""

    def __init__(self, message: str, at: Node | None = None) -> None:
        super().__init__(message)
        self.message, self.at = message, at


@dataclass
class Draft:
    """``schema``: objects by name, those of the deployment included; ``permissions``: developer names of custom permissions; ``named``:
    the other components there are, (type, full name); ``by``: the deploying user."""

    org: Org
    by: str
    schema: dict[str, ObjectDef] = field(default_factory=dict)
    permissions: set[str] = field(default_factory=set)
    named: set[tuple[str, str]] = field(default_factory=set)
    report_columns: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        org = self.org
        self.schema = dict(org.schema)
        self.permissions = {row["DeveloperName"] for row in org.tables["CustomPermission"].rows.values()}
        self.named = set(org.metadata)
        self.report_columns = {name: set(columns) for name, columns in org.report_columns.items()}

    def known(self, component: Component) -> bool:
        """Whether the org has it already: then it is changed, not made."""
        if component.type == "CustomObject":
            return component.name in self.org.schema
        if component.type == "CustomField":
            about, _, name = component.name.partition(".")
            return about in self.org.schema and name in self.org.schema[about].fields
        if component.type == "PermissionSet":
            return any(row["Name"] == component.name for row in self.org.tables["PermissionSet"].rows.values())
        if component.type == "CustomPermission":
            return any(row["DeveloperName"] == component.name for row in self.org.tables["CustomPermission"].rows.values())
        return component.key in self.org.metadata

    def object_of(self, component: Component) -> ObjectDef:
        """The object a part belongs to. Raises Refused."""
        name = component.name.split(".")[0]
        if name not in self.schema:
            raise Refused(f"Entity Enumeration Or ID: bad value for restricted picklist field: {name}")
        return self.schema[name]

    def field(self, path: str, at: Node | None = None, element: str = "field") -> FieldDef:
        """The field behind ``Object.Field``. Raises Refused as the org words it."""
        about, _, name = path.partition(".")
        definition = self.schema.get(about)
        found = definition.fields.get(name) if definition is not None else None
        if found is None:
            raise Refused(NOT_FOUND.format(element=element, type="CustomField", name=path), at)
        return found

    def scope(self, about: str, *, blank_as_zero: bool = False, rule: bool = False) -> Scope:
        """Where the names in a formula of an object are looked up."""
        return Scope(self.org, self.schema, about, self.permissions, blank_as_zero, rule)


def shaped(node: Node, shape: Shape) -> None:
    """Raises Refused where the element has not the form of its type."""
    try:
        check(node, shape)
    except ShapeProblem as problem:
        raise Refused(problem.message, Node(node.tag, problem.line, problem.column)) from None


def within(node: Node, tag: str, most: int, name: str) -> None:
    """Raises Refused for a text that is longer than its column of the org."""
    found = node.first(tag)
    if found is not None and len(found.text) > most:
        raise Refused(f"Value too long for field: {name} maximum length is:{most}", found)


def one_of(node: Node, tag: str, choices: frozenset[str], enum: str) -> None:
    """Raises Refused for a word that the enumeration does not have."""
    found = node.first(tag)
    if found is not None and found.text not in choices:
        raise Refused(f"Error parsing file: '{found.text}' is not a valid value for the enum '{enum}'", found)
