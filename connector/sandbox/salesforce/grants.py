"""What the profile and the permission sets of a user grant together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from connector.sandbox.salesforce.permission_objects import READ, RIGHTS, USER_PERMISSIONS
from connector.sandbox.salesforce.rows import Table
from connector.sandbox.salesforce.schema import ObjectDef, Row

EVERYTHING = frozenset(RIGHTS)


class Tables(Protocol):
    """The org as far as rights are concerned."""

    tables: dict[str, Table]
    schema: dict[str, ObjectDef]

    def find(self, record_id: str) -> Row | None: ...


@dataclass(frozen=True, slots=True)
class Grants:
    """What the profile and permission sets of one user allow together. ``read``, ``edit``: ``Object.Field``; ``objects``: name → rights;
    ``permissions``: user permissions; ``custom``: developer names of custom permissions; ``sets``: ids of the permission sets."""

    sets: tuple[str, ...] = ()
    read: frozenset[str] = frozenset()
    edit: frozenset[str] = frozenset()
    objects: Mapping[str, frozenset[str]] | None = None
    permissions: frozenset[str] = frozenset()
    custom: frozenset[str] = frozenset()

    def rights(self, name: str) -> frozenset[str]:
        """What may be done with a custom object's records."""
        if "ModifyAllData" in self.permissions:
            return EVERYTHING
        found = (self.objects or {}).get(name, frozenset())
        return found | {READ} if "ViewAllData" in self.permissions else found


def granted(org: Tables, user: str) -> Grants:
    """The grants of a user, read from the org's records."""
    sets = tuple(dict.fromkeys(
        row["PermissionSetId"] for row in org.tables["PermissionSetAssignment"].rows.values() if row["AssigneeId"] == user
    ))  # fmt: skip
    fields = [row for row in _of(org, "FieldPermissions", sets) if row.get("PermissionsRead")]
    objects: dict[str, frozenset[str]] = {}
    for row in _of(org, "ObjectPermissions", sets):
        rights = frozenset(right for right in RIGHTS if row.get(f"Permissions{right}"))
        objects[row["SobjectType"]] = objects.get(row["SobjectType"], frozenset()) | rights
    owned = [org.tables["PermissionSet"].rows[key] for key in sets]
    custom = [org.find(row["SetupEntityId"]) for row in _of(org, "SetupEntityAccess", sets)]
    return Grants(
        sets, frozenset(row["Field"] for row in fields), frozenset(row["Field"] for row in fields if row.get("PermissionsEdit")), objects,
        frozenset(name for name in USER_PERMISSIONS if any(row.get(f"Permissions{name}") for row in owned)),
        frozenset(row["DeveloperName"] for row in custom if row is not None),
    )  # fmt: skip


def _of(org: Tables, name: str, sets: Iterable[str]) -> list[Row]:
    table = org.tables[name]
    return [table.rows[key] for key in table.ids_with("ParentId", sets)]
