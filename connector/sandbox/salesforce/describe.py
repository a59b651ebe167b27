"""The bodies of describe, the object list and the picklist values of a record type."""

from __future__ import annotations

import hashlib
from typing import Any

from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.schema import MASTER_RECORD_TYPE, NUMBER_TYPES, SOAP, TEXT_TYPES, FieldDef, ObjectDef, Pick

SYSTEM_DEFAULTS = frozenset({"Id", "IsDeleted", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp", "OwnerId"})
UNGROUPED = (NUMBER_TYPES - {"int"}) | {"datetime"}
UNPERMISSIONED = frozenset({"Id", "Name", "StageName", "CloseDate", "OwnerId", "IsDeleted"})


def summary(definition: ObjectDef, version: str) -> dict[str, Any]:
    """What the list of objects says of one, which is also the head of its describe."""
    base = f"/services/data/v{version}/sobjects/{definition.name}"
    shown = definition.updateable
    return {
        "activateable": False, "associateEntityType": None, "associateParentEntity": None, "createable": definition.createable,
        "custom": definition.custom, "customSetting": False, "deepCloneable": False, "deletable": definition.deletable, "deprecatedAndHidden": False,
        "feedEnabled": shown, "hasSubtypes": False, "isInterface": False, "isSubtype": False, "keyPrefix": definition.prefix,
        "label": definition.label, "labelPlural": definition.plural, "layoutable": shown, "mergeable": definition.mergeable,
        "mruEnabled": shown, "name": definition.name, "queryable": True, "replicateable": definition.replicateable,
        "retrieveable": definition.retrieveable, "searchable": shown, "triggerable": shown, "undeletable": definition.undeletable,
        "updateable": definition.updateable,
        "urls": _urls(base, shown),
    }  # fmt: skip


def _urls(base: str, shown: bool) -> dict[str, str]:
    """Where more about an object is; what people see on pages has more."""
    found = {"sobject": base, "describe": f"{base}/describe", "rowTemplate": base + "/{ID}"}
    if shown:
        more = ("approvalLayouts", "compactLayouts", "layouts")
        found |= {name: f"{base}/describe/{name}" for name in more} | {name: f"{base}/{name}" for name in ("listviews", "quickActions")}
    return found


def describe(org: Org, definition: ObjectDef, version: str, user: str) -> dict[str, Any]:
    """The whole describe of an object as a user sees it, with those of its children that they see too."""
    base = f"/services/data/v{version}/sobjects/{definition.name}"
    return summary(definition, version) | {
        "actionOverrides": [], "childRelationships": [
            {
                "cascadeDelete": child.cascade, "childSObject": child.object, "deprecatedAndHidden": False, "field": child.field,
                "junctionIdListNames": [], "junctionReferenceTo": [], "relationshipName": child.relationship, "restrictedDelete": False,
            } for child in definition.children if (seen := org.seen(child.object, user)) is not None and child.field in seen.fields
        ],
        "compactLayoutable": definition.updateable, "defaultImplementation": None, "extendedBy": None, "extendsInterfaces": None,
        "fields": [field(found) for found in definition.fields.values()],
        "implementedBy": None, "implementsInterfaces": None, "listviewable": None, "lookupLayoutable": None, "namedLayoutInfos": [],
        "networkScopeFieldName": None, "recordTypeInfos": _record_types(org, definition, base),
        "searchLayoutable": definition.updateable, "sobjectDescribeOption": "FULL",
        "supportedScopes": [{"label": f"All {definition.plural.lower()}", "name": "everything"}],
        "urls": summary(definition, version)["urls"] | {"defaultValues": f"{base}/defaultValues?recordTypeId&fields"} | {
            name: f"https://sandbox.example/{path}"
            for name, path in (("uiDetailTemplate", "{ID}"), ("uiEditTemplate", "{ID}/e"), ("uiNewRecord", f"{definition.prefix}/e"))
        },
    }  # fmt: skip


def field(found: FieldDef) -> dict[str, Any]:
    """One field, with the keys that real describes have."""
    text = found.type in TEXT_TYPES
    length = found.length if text or found.type in ("id", "reference") else 0
    return {
        "aggregatable": found.filterable and found.type != "boolean", "aiPredictionField": False, "autoNumber": bool(found.auto),
        "byteLength": length * 3 if text else length, "calculated": found.calculated, "calculatedFormula": found.formula,
        "cascadeDelete": False, "caseSensitive": False, "compoundFieldName": None, "controllerName": None, "createable": found.createable,
        "custom": found.custom, "defaultValue": found.default if found.type == "boolean" else None, "defaultValueFormula": None,
        "defaultedOnCreate": found.name in SYSTEM_DEFAULTS or found.type == "boolean" or found.options_default,
        "dependentPicklist": False, "deprecatedAndHidden": False,
        "digits": found.precision if found.type == "int" else 0, "displayLocationInDecimal": False, "encrypted": False,
        "externalId": found.external_id,
        "extraTypeInfo": None, "filterable": found.filterable, "filteredLookupInfo": None,
        "formulaTreatNullNumberAsZero": found.blank_as_zero, "groupable": found.filterable and found.type not in UNGROUPED,
        "highScaleNumber": False, "htmlFormatted": False, "idLookup": found.type in ("id", "email") or found.name_field or found.external_id,
        "inlineHelpText": found.help_text or None,
        "label": found.label if found.type != "id" else "ID", "length": length, "mask": None, "maskType": None, "name": found.name,
        "nameField": found.name_field, "namePointing": len(found.reference_to) > 1, "nillable": found.nillable,
        "permissionable": found.nillable and found.name not in UNPERMISSIONED,
        "picklistValues": [_option(option, found.default) for option in found.options],
        "polymorphicForeignKey": len(found.reference_to) > 1, "precision": 0 if found.type == "int" else found.precision, "queryByDistance": False,
        "referenceTargetField": None, "referenceTo": list(found.reference_to), "relationshipName": found.relationship, "relationshipOrder": None,
        "restrictedDelete": False, "restrictedPicklist": found.restricted, "scale": found.scale, "searchPrefilterable": False,
        "soapType": SOAP.get(found.type, "xsd:string"), "sortable": found.sortable, "type": found.type, "unique": found.unique,
        "updateable": found.updateable, "writeRequiresMasterRead": False,
    }  # fmt: skip


def picklists(org: Org, record_type: str, version: str) -> dict[str, Any]:
    """ui-api: what each picklist of Opportunity offers to one record type; the master record type offers all that is active."""
    base = f"/services/data/v{version}/ui-api/object-info/Opportunity/picklist-values/{record_type}"
    values: dict[str, dict[str, Any]] = {}
    for found in org.schema["Opportunity"].fields.values():
        if found.type != "picklist":
            continue
        offered = [option for option in found.options if option.active]
        if found.name == "StageName" and record_type != MASTER_RECORD_TYPE:
            allowed = set(org.offered[record_type])
            offered = [option for option in offered if option.value in allowed]
        if (record_type, found.name) in org.granted:
            offered = [option for option in offered if option.value in org.granted[record_type, found.name]]
        values[found.name] = {
            "controllerValues": {}, "defaultValue": None, "eTag": etag(*(o.value for o in offered)), "url": f"{base}/{found.name}",
            "values": [{"attributes": None, "label": o.label or o.value, "validFor": [], "value": o.value} for o in offered],
        }  # fmt: skip
    return {"eTag": etag(record_type, *(found["eTag"] for found in values.values())), "picklistFieldValues": values}


def etag(*parts: object) -> str:
    """A short mark of some state."""
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()[:8]


def _option(option: Pick, default: Any) -> dict[str, Any]:
    label = option.label or option.value
    return {"active": option.active, "defaultValue": option.value == default, "label": label, "validFor": None, "value": option.value}


def _record_types(org: Org, definition: ObjectDef, base: str) -> list[dict[str, Any]]:
    master = (MASTER_RECORD_TYPE, "Master", "Master")
    own = [(key, name, str((org.find(key) or {}).get("Name"))) for name, key in org.record_types.items()] if definition.record_types else []
    return [
        {
            "active": True, "available": True, "defaultRecordTypeMapping": place == 0, "developerName": name, "master": key == MASTER_RECORD_TYPE,
            "name": label, "recordTypeId": key, "urls": {"layout": f"{base}/describe/layouts/{key}"},
        } for place, (key, name, label) in enumerate([*own, master])
    ]  # fmt: skip
