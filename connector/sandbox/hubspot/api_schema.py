"""Endpoints of definitions: properties and their groups, rules on values, pipelines and their audits."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from connector.sandbox.hubspot.call import Answer, Call
from connector.sandbox.hubspot.errors import Failure, NotFound, invalid
from connector.sandbox.hubspot.records import stamp
from connector.sandbox.hubspot.schema import ObjectType, Property
from connector.sandbox.hubspot.setup import GROUPS

BATCH_MAX = 100
PAIRS = {
    "bool": {"booleancheckbox", "calculation_equation"}, "enumeration": {"booleancheckbox", "checkbox", "radio", "select", "calculation_equation"},
    "date": {"date"}, "datetime": {"date"}, "string": {"file", "text", "textarea", "html", "phonenumber", "calculation_equation"},
    "number": {"number", "calculation_equation"}, "phone_number": {"phonenumber"},
}  # fmt: skip
"""Type → field types that can go with it."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")
API_LINK = "https://api.hubapi.com"


def properties(call: Call) -> Answer:
    """GET /crm/properties/{v}/{object}: not paged. Sensitive ones only with ``dataSensitivity`` and a scope for it."""
    kind = call.kind()
    call.allow(kind.schema_needs("read"))
    sensitivity = call.query.get("dataSensitivity", "non_sensitive")
    if sensitivity != "non_sensitive":
        call.allow(f"crm.schemas.{kind.scope}.{sensitivity}.read.v2")
    table = (call.portal.archived_properties if call.flag("archived") else call.portal.properties)[kind.name]
    return Answer({"results": [table[name].wire() for name in sorted(table) if table[name].sensitivity == sensitivity]})


def read_property(call: Call) -> Answer:
    """GET /crm/properties/{v}/{object}/{name}."""
    kind = call.kind()
    call.allow(kind.schema_needs("read"))
    found = call.portal.properties[kind.name].get(call.path["name"])
    if found is None:
        raise NotFound
    return Answer(found.wire())


def groups(call: Call) -> Answer:
    """GET /crm/properties/{v}/{object}/groups."""
    kind = call.kind()
    call.allow(kind.schema_needs("read"))
    used = {prop.group for prop in call.portal.properties[kind.name].values()}
    rows = {name: {"name": name, "label": GROUPS.get(name, name), "displayOrder": -1, "archived": False} for name in used}
    return Answer({"results": [row for _, row in sorted({**rows, **call.portal.groups[kind.name]}.items())]})


def create_group(call: Call) -> Answer:
    """POST /crm/properties/{v}/{object}/groups: 201, 409 if it is there."""
    kind, body = _defining(call), call.json()
    name = _name(body)
    known = {prop.group for prop in call.portal.properties[kind.name].values()} | set(call.portal.groups[kind.name])
    if name in known:
        raise Failure(409, f"A property group named '{name}' already exists.", category="CONFLICT")
    row = {"name": name, "label": str(body.get("label") or name), "displayOrder": len(known), "archived": False}
    call.portal.groups[kind.name][name] = row
    return Answer(row, 201, {"Location": f"{API_LINK}/crm/properties/{call.version}/{kind.name}/groups/{name}"})


# -- changing definitions ------------------------------------------------------------------------------------------------


def _defining(call: Call) -> ObjectType:
    kind = call.kind()
    call.allow(kind.schema_needs("write"))
    return kind


def _name(body: dict[str, Any]) -> str:
    name = str(body.get("name") or "")
    if not _NAME.fullmatch(name):
        raise invalid(f"Property name '{name}' must be lower case letters, digits and underscores, and begin with a letter")
    return name


def _options(body: dict[str, Any]) -> dict[str, Any]:
    given = body.get("options")
    if given is None:
        return {}
    if not isinstance(given, list) or not all(isinstance(one, dict) and one.get("value") and one.get("label") for one in given):
        raise invalid("options must be a list of objects with value and label")
    return {
        "options": tuple((str(one["value"]), str(one["label"])) for one in given),
        "hidden_options": frozenset(str(one["value"]) for one in given if one.get("hidden")),
    }


def _made(call: Call, kind: ObjectType, body: dict[str, Any]) -> Property:
    """The definition that a body asks for. Raises Failure (400) on names, types and groups that will not do."""
    name, type_, field_type = _name(body), str(body.get("type")), str(body.get("fieldType"))
    if field_type not in PAIRS.get(type_, ()):
        raise invalid(f"Invalid fieldType {field_type} for type {type_}")
    group = str(body.get("groupName"))
    if group not in {prop.group for prop in call.portal.properties[kind.name].values()} | set(call.portal.groups[kind.name]) | {
        f"{kind.singular}information"
    }:
        raise invalid(f"Property group '{group}' does not exist")
    now, formula = stamp(call.portal.now), body.get("calculationFormula")
    return Property(
        name, str(body.get("label") or name), type_, field_type, group, native=False, created=now, updated=now,
        description=str(body.get("description") or ""), display_order=int(body.get("displayOrder", -1)), form_field=bool(body.get("formField")),
        unique=bool(body.get("hasUniqueValue")), hidden=bool(body.get("hidden")), sensitivity=str(body.get("dataSensitivity") or "non_sensitive"),
        calculated=formula is not None, read_only=formula is not None, formula=None if formula is None else str(formula), **_options(body),
    )  # fmt: skip


def _exists(call: Call, kind: ObjectType, name: str) -> bool:
    return name in call.portal.properties[kind.name] or name in call.portal.archived_properties[kind.name]


def create_property(call: Call) -> Answer:
    """POST /crm/properties/{v}/{object}: 201, 409 if the name is taken (by an archived one too)."""
    kind = _defining(call)
    made = _made(call, kind, call.json())
    if _exists(call, kind, made.name):
        raise Failure(409, f"A property named '{made.name}' already exists.", category="OBJECT_ALREADY_EXISTS")
    call.portal.add_property(kind.name, made)
    return Answer(made.wire(), 201, {"Location": f"{API_LINK}/crm/properties/{call.version}/{kind.name}/{made.name}"})


def batch_create(call: Call) -> Answer:
    """POST …/batch/create: 201, 207 where a name is taken."""
    kind = _defining(call)
    made = [_made(call, kind, one) for one in call.rows(call.json(), BATCH_MAX)]
    errors: list[dict[str, Any]] = []
    results: list[dict[str, object]] = []
    for prop in made:
        if _exists(call, kind, prop.name):
            message = f"A property named '{prop.name}' already exists."
            errors.append({"status": "error", "category": "OBJECT_ALREADY_EXISTS", "message": message, "context": {"name": [prop.name]}})
            continue
        call.portal.add_property(kind.name, prop)
        results.append(prop.wire())
    return call.batch(results, errors, 201)


def patch_property(call: Call) -> Answer:
    """PATCH /crm/properties/{v}/{object}/{name}: label, description, options … of a property that is not HubSpot's own."""
    kind, body = _defining(call), call.json()
    found = call.portal.properties[kind.name].get(call.path["name"])
    if found is None:
        raise NotFound
    if found.native:
        raise invalid(f"Property {found.name} is read only: its definition cannot be changed")
    plain = {"label": "label", "description": "description", "groupName": "group", "displayOrder": "display_order", "formField": "form_field",
             "hidden": "hidden", "type": "type", "fieldType": "field_type"}  # fmt: skip
    changes = {field: body[key] for key, field in plain.items() if key in body}
    changed = replace(found, updated=stamp(call.portal.now), **changes, **_options(body))
    if changed.field_type not in PAIRS.get(changed.type, ()):
        raise invalid(f"Invalid fieldType {changed.field_type} for type {changed.type}")
    call.portal.add_property(kind.name, changed)
    return Answer(changed.wire())


def archive_property(call: Call) -> Answer:
    """DELETE /crm/properties/{v}/{object}/{name}: 204."""
    kind = _defining(call)
    found = call.portal.properties[kind.name].get(call.path["name"])
    if found is None:
        raise NotFound
    if found.native:
        raise invalid(f"Property {found.name} cannot be archived")
    call.portal.remove_property(kind.name, found.name)
    return Answer(b"", 204)


# -- rules -----------------------------------------------------------------------------------------------------------------


def validations(call: Call) -> Answer:
    """GET /crm/property-validations/{v}/{objectTypeId}: properties with rules on their values."""
    kind = call.kind()
    call.allow(kind.schema_needs("read"))
    rules = call.portal.validations.of_property
    return Answer({"results": [
        {"propertyName": name, "propertyValidationRules": [rule.wire() for rule in held]} for (of, name), held in rules.items() if of == kind.name
    ]})  # fmt: skip


def property_validations(call: Call) -> Answer:
    """GET /crm/property-validations/{v}/{objectTypeId}/{name}."""
    kind = call.kind()
    call.allow(kind.schema_needs("read"))
    return Answer({"results": [rule.wire() for rule in call.portal.validations.of_property.get((kind.name, call.path["name"]), ())]})


# -- pipelines -----------------------------------------------------------------------------------------------------------


def pipelines(call: Call) -> Answer:
    """GET /crm/pipelines/{v}/{object}: of deals, tickets and leads; other objects have none here."""
    kind = call.kind()
    call.allow(kind.schema_needs("read"))
    return Answer({"results": [pipeline.wire(n) for n, pipeline in enumerate(call.portal.pipelines_of.get(kind.name, []))]})


def _one(call: Call) -> dict[str, Any]:
    kind = call.kind()
    call.allow(kind.schema_needs("read"))
    for n, known in enumerate(call.portal.pipelines_of.get(kind.name, [])):
        if known.id == call.path["pipeline"]:
            return known.wire(n)
    raise NotFound


def pipeline(call: Call) -> Answer:
    """GET /crm/pipelines/{v}/{object}/{pipelineId}."""
    return Answer(_one(call))


def stages(call: Call) -> Answer:
    """GET /crm/pipelines/{v}/{object}/{pipelineId}/stages."""
    return Answer({"results": _one(call)["stages"]})


def _audits(call: Call, identifier: str) -> Answer:
    kind = call.kind()
    call.allow(kind.schema_needs("read"))
    rows = [row for row in call.portal.audits if (row["kind"], row["pipeline"], row["identifier"]) == (kind.name, call.path["pipeline"], identifier)]
    return Answer({"results": [{key: value for key, value in row.items() if key not in ("kind", "pipeline")} for row in reversed(rows)]})


def pipeline_audit(call: Call) -> Answer:
    """GET …/{pipelineId}/audit: changes of the pipeline itself, newest first."""
    return _audits(call, call.path["pipeline"])


def stage_audit(call: Call) -> Answer:
    """GET …/{pipelineId}/stages/{stageId}/audit: newest first; of a deleted stage too."""
    return _audits(call, call.path["stage"])
