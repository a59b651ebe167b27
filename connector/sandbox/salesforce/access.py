"""Who may do what with which records, worked out when asked; and what is refused to whoever would change access itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connector.sandbox.salesforce.ids import full_id, new_id
from connector.sandbox.salesforce.org import Org, RowError
from connector.sandbox.salesforce.permission_objects import ACCESS, DELETE, EDIT, READ
from connector.sandbox.salesforce.schema import ObjectDef, Row
from connector.sandbox.salesforce.soql import Compare, SoqlError

MOST_RECORDS = 200
ASSIGNS = frozenset({"AssignPermissionSets", "ManageUsers"})
SETS_UP = frozenset({"ManageProfilesPermissionsets", "CustomizeApplication"})


def record_access(org: Org, comparisons: Iterable[Compare]) -> list[Row]:
    """Rows for the users and records that the condition names. Raises SoqlError where it does not name both, or too many records."""
    named: dict[str, list[str]] = {"userid": [], "recordid": []}
    for found in comparisons:
        if found.operator in ("=", "in") and found.field.text.lower() in named:
            named[found.field.text.lower()] += [full for value in found.values if (full := full_id(str(value.value)))]
    if not named["userid"] or not named["recordid"]:
        raise SoqlError("MALFORMED_QUERY", "When querying UserRecordAccess, the UserId and RecordId fields must be filtered")
    if len(named["recordid"]) > MOST_RECORDS:
        raise SoqlError("MALFORMED_QUERY", f"UserRecordAccess can be queried for at most {MOST_RECORDS} records")
    return [_row(org, user, record) for user in named["userid"] for record in named["recordid"]]


def _row(org: Org, user: str, record: str) -> Row:
    table, found = org.tables["UserRecordAccess"], org.find(record)
    definition = org.schema.get(org.prefixes.get(record[:3], ""))
    rights = org.grants(user).rights(definition.name) if definition is not None and definition.guarded else {READ, EDIT}
    seen = found is not None and not found.get("IsDeleted") and READ in rights
    edits = seen and EDIT in rights and not (record in org.uneditable and user == org.api_user)
    deletes = edits and definition is not None and definition.guarded and DELETE in rights
    level = "Delete" if deletes else "Edit" if edits else "Read" if seen else "None"
    key = org.keys.setdefault(("access", user + record), new_id("0rA", len(table.rows) + 1))
    row: Row = {
        "Id": key, "UserId": user, "RecordId": record, "HasReadAccess": seen, "HasEditAccess": edits, "HasDeleteAccess": deletes,
        "MaxAccessLevel": level,
    }  # fmt: skip
    table.rows[key] = row
    return row


def refused(org: Org, definition: ObjectDef, row: Row, values: Mapping[str, Any], user: str) -> RowError | None:
    """Why a user may not write these values of one of the objects that decide who sees what; None for any other object."""
    name = definition.name
    if name not in ACCESS:
        return None
    if not org.grants(user).permissions & (ASSIGNS if name == "PermissionSetAssignment" else SETS_UP):
        return RowError("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
    merged = {**row, **values}
    twin = _twin(org, name, merged)
    if twin is not None:
        return RowError("DUPLICATE_VALUE", f"duplicate value found: {_KEYS[name][1]} duplicates value on record with id: {twin[:15]}")
    return _field(org, merged) if name == "FieldPermissions" else _object(org, merged) if name == "ObjectPermissions" else None


_KEYS: Mapping[str, tuple[str, ...]] = {
    "PermissionSetAssignment": ("AssigneeId", "PermissionSetId"), "FieldPermissions": ("ParentId", "Field"),
    "ObjectPermissions": ("ParentId", "SobjectType"), "SetupEntityAccess": ("ParentId", "SetupEntityId"),
    "PermissionSet": ("NamespacePrefix", "Name"),
}  # fmt: skip
"""Object → the fields of which two records may not hold the same values."""


def _twin(org: Org, name: str, wanted: Mapping[str, Any]) -> str | None:
    keys = _KEYS[name]
    for key, row in org.tables[name].rows.items():
        if key != wanted.get("Id") and all(row.get(field) == wanted.get(field) for field in keys):
            return key
    return None


def _field(org: Org, wanted: Mapping[str, Any]) -> RowError | None:
    about, _, name = str(wanted.get("Field")).partition(".")
    definition = org.schema.get(about)
    field = definition.find(name) if definition is not None else None
    if field is None or about != wanted.get("SobjectType"):
        return RowError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", f"Field Name: bad value for restricted picklist field: {wanted.get('Field')}",
                        ("Field",))  # fmt: skip
    if not field.nillable and field.type != "boolean":
        return RowError("FIELD_INTEGRITY_EXCEPTION", f"You cannot set field permissions on the required field {about}.{field.name}", ("Field",))
    if wanted.get("PermissionsEdit") and (field.calculated or not wanted.get("PermissionsRead")):
        return RowError("FIELD_INTEGRITY_EXCEPTION", f"Invalid permissions: {about}.{field.name} cannot be edited", ("PermissionsEdit",))
    return None


def _object(org: Org, wanted: Mapping[str, Any]) -> RowError | None:
    if wanted.get("SobjectType") in org.schema:
        return None
    message = f"Sobject Type Name: bad value for restricted picklist field: {wanted.get('SobjectType')}"
    return RowError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, ("SobjectType",))
