"""Page layouts as describe shows them: which fields are on the page of a record type, as far as the caller may see them."""

from __future__ import annotations

from typing import Any

from connector.sandbox.salesforce.frames import not_found
from connector.sandbox.salesforce.gate import Call, Reply
from connector.sandbox.salesforce.ids import full_id, new_id
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.schema import MASTER_RECORD_TYPE, FieldDef, ObjectDef

Section = tuple[str, tuple[str, ...]]
HIDDEN = frozenset({"Id", "IsDeleted", "SystemModstamp"})


def sections(org: Org, name: str, record_type: str) -> list[Section]:
    """Heading and fields of each section of a record type's page. What nobody has placed is not on it: fields that are deployed are not."""
    placed = org.layouts.get(record_type, []) if name == "Opportunity" else []
    own = [field.name for field in org.schema[name].fields.values() if not field.guarded and field.name not in HIDDEN]
    return [(f"{org.schema[name].label} Information", tuple(own)), *placed]


async def layouts(call: Call) -> Reply:
    """GET sobjects/{type}/describe/layouts: the layout of every record type."""
    definition, org = _seen(call), call.org
    types = [*org.record_types.values(), MASTER_RECORD_TYPE] if definition.record_types else [MASTER_RECORD_TYPE]
    shown = [_layout(org, definition, key, place) for place, key in enumerate(types, 1)]
    mappings = [
        {
            "active": True, "available": True, "defaultRecordTypeMapping": place == 0, "layoutId": layout["id"], "master": key == MASTER_RECORD_TYPE,
            "name": str((org.find(key) or {}).get("Name") or "Master"), "picklistsForRecordType": [], "recordTypeId": key,
        }
        for place, (key, layout) in enumerate(zip(types, shown, strict=True))
    ]  # fmt: skip
    return Reply({"layouts": shown, "recordTypeMappings": mappings, "recordTypeSelectorRequired": [len(types) > 1]})


async def layout(call: Call) -> Reply:
    """GET sobjects/{type}/describe/layouts/{record type}."""
    definition, org = _seen(call), call.org
    key = full_id(str(call.request.path_params["record_type"])) or ""
    if key != MASTER_RECORD_TYPE and not (definition.record_types and key in org.record_types.values()):
        raise not_found()
    return Reply(_layout(org, definition, key, 1))


def _seen(call: Call) -> ObjectDef:
    found = call.org.seen(call.definition_name, call.user)
    if found is None or not found.updateable:
        raise not_found()
    return found


def _layout(org: Org, definition: ObjectDef, record_type: str, place: int) -> dict[str, Any]:
    details = []
    for heading, names in sections(org, definition.name, record_type):
        shown = [definition.fields[name] for name in names if name in definition.fields]
        if shown:
            details.append(_section(heading, shown))
    return {
        "buttonLayoutSection": None, "detailLayoutSections": details, "editLayoutSections": details, "feedView": None,
        "highlightsPanelLayoutSection": None, "id": new_id("00h", place), "multirowEditLayoutSections": [], "offlineLinks": [],
        "quickActionList": None, "relatedContent": None, "relatedLists": [], "saveOptions": [],
    }  # fmt: skip


def _section(heading: str, fields: list[FieldDef]) -> dict[str, Any]:
    rows = [{"layoutItems": [_item(field)], "numItems": 1} for field in fields]
    return {
        "collapsed": False, "columns": 1, "heading": heading, "layoutRows": rows, "layoutSectionId": None, "parentLayoutId": None,
        "rows": len(rows), "tabOrder": "LeftToRight", "useCollapsibleSection": True, "useHeading": True,
    }  # fmt: skip


def _item(field: FieldDef) -> dict[str, Any]:
    component = {"displayLines": 1, "tabOrder": 1, "type": "Field", "value": field.name}
    return {
        "editableForNew": field.createable, "editableForUpdate": field.updateable, "label": field.label, "layoutComponents": [component],
        "placeholder": False, "required": not field.nillable and field.type != "boolean",
    }  # fmt: skip
