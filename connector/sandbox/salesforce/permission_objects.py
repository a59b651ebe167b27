"""Who may do what, as objects: profiles, permission sets, who has them, what they allow, custom permissions."""

from __future__ import annotations

from connector.sandbox.salesforce.schema import (
    ID,
    FieldDef,
    ObjectDef,
    audit,
    flag,
    instant,
    lookup,
    pick,
    read_only,
    sobject,
    text,
)

USER_PERMISSIONS = (
    "ApiEnabled", "ModifyMetadata", "CustomizeApplication", "ViewSetup", "ModifyAllData", "ViewAllData", "AssignPermissionSets", "ManageUsers",
    "ManageProfilesPermissionsets", "ViewAllUsers", "ViewRoles", "RunReports", "ExportReport", "ManageReportsInPubFolders",
    "CreateCustomizeReports", "ViewPublicDashboards", "ViewDeveloperName", "EditEvent", "EditTask", "BulkApiHardDelete", "LightningExperienceUser",
)  # fmt: skip
"""Names of user permissions as metadata writes them; on records they are the fields ``Permissions…``."""
CREATE, READ, EDIT, DELETE, VIEW_ALL, MODIFY_ALL = RIGHTS = ("Create", "Read", "Edit", "Delete", "ViewAllRecords", "ModifyAllRecords")

PROFILE = sobject(
    "Profile", "00e",
    tuple(read_only(f) for f in (ID, text("Name", 255, nillable=False, name_field=True), text("UserType", 40, "User Type"), *audit())),
    createable=False, updateable=False, deletable=False, undeletable=False, replicateable=False,
)  # fmt: skip

PERMISSION_SET = sobject(
    "PermissionSet", "0PS",
    (
        ID,
        text("Name", 80, "Permission Set Name", nillable=False, name_field=True),
        text("Label", 80, "Permission Set Label", nillable=False),
        text("Description", 255),
        text("LicenseId", 18, "License ID", updateable=False),
        read_only(lookup("ProfileId", "Profile")),
        read_only(flag("IsOwnedByProfile", "Is Owned By Profile")),
        read_only(flag("IsCustom", "Custom")),
        flag("HasActivationRequired", "Has Activation Required"),
        read_only(text("NamespacePrefix", 15, "Namespace Prefix")),
        read_only(pick("Type", "Regular", "Profile", "Group", "Session", label="Type", restricted=True, default="Regular")),
        *(flag(f"Permissions{name}") for name in USER_PERMISSIONS),
        *audit(),
    ),
    label="Permission Set", undeletable=False,
)  # fmt: skip

ASSIGNMENT = sobject(
    "PermissionSetAssignment", "0Pa",
    (
        ID,
        lookup("PermissionSetId", "PermissionSet", nillable=False, updateable=False),
        lookup("AssigneeId", "User", nillable=False, updateable=False),
        read_only(flag("IsActive", "Is Active")),
        instant("ExpirationDate", "Expires On"),
        read_only(instant("SystemModstamp", "System Modstamp", nillable=False)),
    ),
    label="Permission Set Assignment", undeletable=False,
)  # fmt: skip

FIELD_PERMISSIONS = sobject(
    "FieldPermissions", "01k",
    (
        ID,
        lookup("ParentId", "PermissionSet", nillable=False, updateable=False, relationship="Parent"),
        text("SobjectType", 40, "Sobject Type Name", nillable=False, updateable=False),
        text("Field", 255, "Field Name", nillable=False, updateable=False),
        flag("PermissionsEdit", "Edit Field"),
        flag("PermissionsRead", "Read Field"),
        read_only(instant("SystemModstamp", "System Modstamp", nillable=False)),
    ),
    plural="Field Permissions", undeletable=False,
)  # fmt: skip

OBJECT_PERMISSIONS = sobject(
    "ObjectPermissions", "110",
    (
        ID,
        lookup("ParentId", "PermissionSet", nillable=False, updateable=False, relationship="Parent"),
        text("SobjectType", 40, "Sobject Type Name", nillable=False, updateable=False),
        *(flag(f"Permissions{right}") for right in RIGHTS),
        *audit(),
    ),
    plural="Object Permissions", undeletable=False,
)  # fmt: skip

CUSTOM_PERMISSION = sobject(
    "CustomPermission", "0CP",
    tuple(read_only(f) for f in (
        ID,
        text("DeveloperName", 80, "Custom Permission Name", nillable=False, name_field=True),
        text("MasterLabel", 80, "Custom Permission Label", nillable=False),
        text("Description", 255),
        text("NamespacePrefix", 15, "Namespace Prefix"),
        *audit(),
    )),
    label="Custom Permission", createable=False, updateable=False, deletable=False, undeletable=False, replicateable=False,
)  # fmt: skip

SETUP_ACCESS = sobject(
    "SetupEntityAccess", "0J0",
    (
        ID,
        lookup("ParentId", "PermissionSet", nillable=False, updateable=False, relationship="Parent"),
        FieldDef("SetupEntityId", "reference", "Setup Entity ID", 18, nillable=False, updateable=False, reference_to=("CustomPermission",),
                 relationship="SetupEntity"),
        read_only(text("SetupEntityType", 40, "Setup Entity Type")),
        read_only(instant("SystemModstamp", "System Modstamp", nillable=False)),
    ),
    label="Setup Entity Access", undeletable=False,
)  # fmt: skip

OBJECTS: tuple[ObjectDef, ...] = (
    PROFILE, PERMISSION_SET, ASSIGNMENT, FIELD_PERMISSIONS, OBJECT_PERMISSIONS, CUSTOM_PERMISSION, SETUP_ACCESS,
)  # fmt: skip
ACCESS = frozenset(definition.name for definition in OBJECTS)
"""Objects whose rows decide what a user sees: a change of one changes the schema that people are shown."""
