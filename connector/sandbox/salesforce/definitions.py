"""FieldDefinition and CustomField: the schema as rows, worked out when a query asks."""

from __future__ import annotations

from collections.abc import Iterable

from connector.sandbox.salesforce.ids import new_id
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.schema import FieldDef, ObjectDef, Row
from connector.sandbox.salesforce.soql import Compare, SoqlError

SEES_ALL = frozenset({"ViewSetup", "CustomizeApplication"})
MOST_LOOKUPS = 40
NAMES = {
    "string": "Text", "textarea": "Text Area", "double": "Number", "int": "Number", "percent": "Percent", "currency": "Currency", "date": "Date",
    "datetime": "Date/Time", "boolean": "Checkbox", "picklist": "Picklist", "multipicklist": "Picklist (Multi-Select)", "reference": "Lookup",
    "email": "Email", "phone": "Phone", "url": "URL", "combobox": "Text", "id": "Id", "address": "Address", "location": "Geolocation",
    "anyType": "Any",
}  # fmt: skip


def data_type(field: FieldDef) -> str:
    """``Text(40)``, ``Number(18, 0)``, ``Formula (Number)``, ``Lookup(Account)``: as the set-up pages say it."""
    name = NAMES.get(field.type, field.type)
    if field.calculated:
        return f"Formula ({name})"
    if field.type in ("double", "int", "percent", "currency"):
        return f"{name}({field.precision - field.scale}, {field.scale})"
    if field.type == "reference":
        return f"Lookup({','.join(field.reference_to)})"
    return f"{name}({field.length})" if field.type in ("string", "combobox") else f"Long Text Area({field.length})" if field.long_text else name


def field_rows(org: Org, user: str, comparisons: Iterable[Compare]) -> list[Row]:
    """FieldDefinition: every field that a user sees, all of them for whoever may look into the set-up. Raises SoqlError where the condition
    does not name the object, as the platform demands."""
    asked = {found.field.text.lower() for found in comparisons if found.operator in ("=", "in")}
    if not asked & {"entitydefinitionid", "entitydefinition.qualifiedapiname", "durableid"}:
        message = "EXTERNAL_OBJECT_EXCEPTION: Where clauses should contain only filters on EntityDefinition, EntityDefinitionId or DurableId"
        raise SoqlError("EXTERNAL_OBJECT_EXCEPTION", message)
    entities = _entities(org)
    table = org.tables["FieldDefinition"]
    table.rows.clear()
    for name, entity in entities.items():
        definition = _shown(org, name, user)
        for field in definition.fields.values() if definition is not None else ():
            key = new_id("00F", len(table.rows) + 1)
            table.rows[key] = {
                "Id": key, "DurableId": f"{name}.{field.name}", "QualifiedApiName": field.name, "DeveloperName": field.name.removesuffix("__c"),
                "Label": field.label, "DataType": data_type(field), "EntityDefinitionId": entity, "IsCalculated": field.calculated,
                "IsNillable": field.nillable, "Length": field.length, "Precision": field.precision, "Scale": field.scale,
                "ExtraTypeInfo": None, "Description": field.description or None,
            }  # fmt: skip
    return list(table.rows.values())


def _entities(org: Org) -> dict[str, str]:
    return {row["QualifiedApiName"]: key for key, row in org.tables["EntityDefinition"].rows.items()}


def limit_rows(org: Org) -> list[Row]:
    """EntityLimit: how many custom fields and relationships of each object there may be, and how many more."""
    table = org.tables["EntityLimit"]
    table.rows.clear()
    for name, entity in _entities(org).items():
        custom = [field for field in org.schema[name].fields.values() if field.custom]
        lookups = sum(1 for field in custom if field.type == "reference")
        for kind, label, most, used in (
            ("CustomFields", "Custom Fields", org.most_fields, len(custom)),
            ("CustomRelationship", "Custom Relationships", MOST_LOOKUPS, lookups),
        ):
            key = new_id("7sl", len(table.rows) + 1)
            table.rows[key] = {
                "Id": key, "DurableId": f"{name}.{kind}", "EntityDefinitionId": entity, "Label": label, "Type": kind, "Max": most,
                "Remaining": max(0, most - used),
            }  # fmt: skip
    return list(table.rows.values())


def _shown(org: Org, name: str, user: str) -> ObjectDef | None:
    return org.schema[name] if not user or org.grants(user).permissions & SEES_ALL else org.seen(name, user)


def custom_field_rows(org: Org) -> list[Row]:
    """CustomField of the Tooling API: the custom fields of every object."""
    entities = _entities(org)
    table = org.tables["CustomField"]
    table.rows.clear()
    for name, definition in org.schema.items():
        for field in definition.fields.values():
            if field.custom:
                key = org.field_id(name, field.name)
                table.rows[key] = {
                    "Id": key, "DeveloperName": field.name.removesuffix("__c"), "TableEnumOrId": name, "FullName": f"{name}.{field.name}",
                    "EntityDefinitionId": entities[name], "Description": field.description or None, "InlineHelpText": field.help_text or None,
                }  # fmt: skip
    return list(table.rows.values())
