"""Permission sets, each with its whole list of permissions, and custom permissions."""

from __future__ import annotations

import re

from connector.sandbox.salesforce.metadata.draft import NOT_FOUND, Commit, Draft, Refused, shaped, within
from connector.sandbox.salesforce.metadata.fields import BAD_NAME
from connector.sandbox.salesforce.metadata.package import Component
from connector.sandbox.salesforce.metadata.shapes import CUSTOM_PERMISSION, PERMISSION_SET
from connector.sandbox.salesforce.metadata.xml import Node
from connector.sandbox.salesforce.permission_objects import USER_PERMISSIONS
from connector.sandbox.salesforce.schema import Row

NAME = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*")
RIGHTS = {
    "allowCreate": "Create", "allowRead": "Read", "allowEdit": "Edit", "allowDelete": "Delete", "viewAllRecords": "ViewAllRecords",
    "modifyAllRecords": "ModifyAllRecords",
}  # fmt: skip
RESTS_ON = {
    "Create": ("Read",), "Edit": ("Read",), "Delete": ("Read", "Edit"), "ViewAllRecords": ("Read",),
    "ModifyAllRecords": ("Read", "Edit", "Delete", "ViewAllRecords"),
}  # fmt: skip
CHILD_ROWS = ("FieldPermissions", "ObjectPermissions", "SetupEntityAccess")


def custom_permission(draft: Draft, component: Component) -> Commit:
    """Check a custom permission and put it into the draft. Raises Refused."""
    node, name = component.node, component.name
    shaped(node, CUSTOM_PERMISSION)
    if not NAME.fullmatch(name):
        raise Refused(BAD_NAME.format(what="Custom Permission Name"))
    within(node, "label", 80, "MasterLabel")
    within(node, "description", 255, "Description")
    draft.permissions.add(name)

    def commit() -> str:
        table = draft.org.tables["CustomPermission"]
        values = {"MasterLabel": node.get("label"), "Description": node.get("description")}
        known = next((key for key, row in table.rows.items() if row["DeveloperName"] == name), None)
        if known is None:
            return draft.org.insert("CustomPermission", {"DeveloperName": name, **values}, by=draft.by)
        draft.org.update("CustomPermission", known, values, by=draft.by)
        return known

    return commit


def permission_set(draft: Draft, component: Component) -> Commit:
    """Check a permission set; committing it replaces whatever the set allowed before. Raises Refused."""
    node, name = component.node, component.name
    shaped(node, PERMISSION_SET)
    if not NAME.fullmatch(name) or len(name) > 80:
        raise Refused(BAD_NAME.format(what="Permission Set Name"))
    within(node, "label", 80, "Label")
    within(node, "description", 255, "Description")
    rows = {
        "FieldPermissions": [_field(draft, each) for each in _once(node, "fieldPermissions", "field")],
        "ObjectPermissions": [_object(draft, each) for each in _once(node, "objectPermissions", "object")],
    }
    custom = [_custom(draft, each) for each in _once(node, "customPermissions", "name") if each.flag("enabled")]
    head: Row = {"Label": node.get("label"), "Description": node.get("description"), "HasActivationRequired": node.flag("hasActivationRequired")}
    head |= {f"Permissions{each}": False for each in USER_PERMISSIONS} | {f"Permissions{each}": True for each in _user_permissions(node)}

    def commit() -> str:
        org = draft.org
        known = next((key for key, row in org.tables["PermissionSet"].rows.items() if row["Name"] == name), None)
        if known is None:
            known = org.insert("PermissionSet", {"Name": name, **head}, by=draft.by)
        else:
            org.update("PermissionSet", known, head, by=draft.by)
            for kind in CHILD_ROWS:
                for key in list(org.tables[kind].ids_with("ParentId", (known,))):
                    org.delete(kind, key, by=draft.by)
        for kind, held in rows.items():
            for values in held:
                org.insert(kind, {"ParentId": known, **values}, by=draft.by)
        named = {row["DeveloperName"]: key for key, row in org.tables["CustomPermission"].rows.items()}
        for each in custom:
            org.insert("SetupEntityAccess", {"ParentId": known, "SetupEntityId": named[each]}, by=draft.by)
        return known

    return commit


def _once(node: Node, tag: str, key: str) -> list[Node]:
    """The entries of a list, of which no two are about the same thing."""
    found: dict[str, Node] = {}
    for entry in node.all(tag):
        name = entry.get(key) or ""
        if name in found:
            raise Refused(f"Duplicate {tag} specified for {name}", entry)
        found[name] = entry
    return list(found.values())


def _field(draft: Draft, entry: Node) -> Row:
    path = entry.get("field") or ""
    found, editable, readable = draft.field(path, entry.first("field")), entry.flag("editable"), entry.flag("readable")
    if not found.nillable and found.type != "boolean":
        raise Refused(f"You cannot deploy to a required field: {path}", entry.first("field"))
    if editable and not readable:
        raise Refused(f"Permission Edit {path} depends on permission(s): Read {path}", entry.first("editable"))
    if editable and (found.calculated or not found.updateable):
        raise Refused(f"You cannot grant edit permission to the read-only field: {path}", entry.first("editable"))
    return {"SobjectType": path.split(".")[0], "Field": path, "PermissionsRead": readable, "PermissionsEdit": editable}


def _object(draft: Draft, entry: Node) -> Row:
    name = entry.get("object") or ""
    if name not in draft.schema:
        raise Refused(NOT_FOUND.format(element="object", type="CustomObject", name=name), entry.first("object"))
    rights = {right: entry.flag(tag) for tag, right in RIGHTS.items()}
    for right, needed in RESTS_ON.items():
        missing = [each for each in needed if rights[right] and not rights[each]]
        if missing:
            raise Refused(f"Permission {right} {name} depends on permission(s): {', '.join(f'{each} {name}' for each in missing)}", entry)
    return {"SobjectType": name, **{f"Permissions{right}": allowed for right, allowed in rights.items()}}


def _custom(draft: Draft, entry: Node) -> str:
    name = entry.get("name") or ""
    if name not in draft.permissions:
        raise Refused(NOT_FOUND.format(element="customPermission", type="CustomPermission", name=name), entry.first("name"))
    return name


def _user_permissions(node: Node) -> list[str]:
    found = []
    for entry in _once(node, "userPermissions", "name"):
        name = entry.get("name") or ""
        if name not in USER_PERMISSIONS:
            raise Refused(f"Unknown user permission: {name}", entry.first("name"))
        if entry.flag("enabled"):
            found.append(name)
    return found
