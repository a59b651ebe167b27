"""Endpoints of definitions: properties and their groups, rules on values, pipelines and their audits."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from connector.sandbox.hubspot.call import Answer, Call
from connector.sandbox.hubspot.errors import Failure, NotFound, invalid
from connector.sandbox.hubspot.formulas import RESULTS, FormulaError, compiled
from connector.sandbox.hubspot.records import stamp
from connector.sandbox.hubspot.schema import ObjectType, Property
from connector.sandbox.hubspot.setup import GROUPS, PLANS

BATCH_MAX = 100
PAIRS = {
    "bool": {"booleancheckbox", "calculation_equation"}, "enumeration": {"booleancheckbox", "checkbox", "radio", "select", "calculation_equation"},
    "date": {"date"}, "datetime": {"date"}, "string": {"file", "text", "textarea", "html", "phonenumber", "calculation_equation"},
    "number": {"number", "calculation_equation"}, "phone_number": {"phonenumber"},
}  # fmt: skip
"""Type → field types that can go with it."""
HINTS = ("formatted", "unformatted", "currency", "percentage", "duration", "probability")
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
    return Answer({"results": [row for _, row in sorted(_groups(call, kind).items())]})


def read_group(call: Call) -> Answer:
    """GET /crm/properties/{v}/{object}/groups/{name}."""
    kind = call.kind()
    call.allow(kind.schema_needs("read"))
    found = _groups(call, kind).get(call.path["name"])
    if found is None:
        raise NotFound
    return Answer(found)


def _groups(call: Call, kind: ObjectType) -> dict[str, dict[str, Any]]:
    """Groups by name: those that were made, and those that properties name."""
    used = {prop.group for prop in call.portal.properties[kind.name].values()} | {f"{kind.singular}information"}
    rows = {name: {"name": name, "label": GROUPS.get(name, name), "displayOrder": -1, "archived": False} for name in used}
    return rows | call.portal.groups[kind.name]


def create_group(call: Call) -> Answer:
    """POST /crm/properties/{v}/{object}/groups: 201, 409 if it is there."""
    kind, body = _defining(call), call.json()
    name = _name(body)
    known = _groups(call, kind)
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
    if group not in _groups(call, kind):
        raise invalid(f"Property group '{group}' does not exist")
    now, formula = stamp(call.portal.now), body.get("calculationFormula")
    if (formula is not None) is not (field_type == "calculation_equation"):
        raise invalid("calculationFormula and the fieldType calculation_equation go together")
    _no_wrong_formula(call, kind, type_, name, formula)
    return Property(
        name, str(body.get("label") or name), type_, field_type, group, native=False, created=now, updated=now,
        description=str(body.get("description") or ""), display_order=int(body.get("displayOrder", -1)), form_field=bool(body.get("formField")),
        unique=bool(body.get("hasUniqueValue")), hidden=bool(body.get("hidden")), sensitivity=str(body.get("dataSensitivity") or "non_sensitive"),
        calculated=formula is not None, read_only=formula is not None, formula=None if formula is None else str(formula),
        **_shown(body), **_options(body),
    )  # fmt: skip


def _shown(body: dict[str, Any]) -> dict[str, Any]:
    """How a number is shown. Raises Failure (400)."""
    hint = body.get("numberDisplayHint")
    if hint is not None and hint not in HINTS:
        raise invalid(f"Invalid numberDisplayHint {hint}")
    given = {"number_hint": hint, "currency_symbol": body.get("showCurrencySymbol")}
    return {key: value for key, value in given.items() if value is not None}


def _no_wrong_formula(call: Call, kind: ObjectType, type_: str, name: str, formula: object) -> None:
    """Raises Failure: 403 where the plan has no calculated properties, 400 for a formula that will not do. The 403's words are unverified."""
    if formula is None:
        return
    portal = call.portal
    if not PLANS[portal.plan]:
        raise Failure(403, "Calculated properties are not part of this account's subscription.", category="FORBIDDEN")
    try:
        found = compiled(str(formula), {known: prop for known, prop in portal.properties[kind.name].items() if known != name})
    except FormulaError as error:
        raise invalid(str(error), code="INVALID_CALCULATION_FORMULA") from None
    if found.kind != RESULTS.get(type_):
        raise invalid(f"There was a problem with your formula. It returns a {found.kind}, the property is of type {type_}.",
                      code="INVALID_CALCULATION_FORMULA")  # fmt: skip


def _room(call: Call, kind: ObjectType, made: list[Property]) -> None:
    """Raises Failure (400) for more properties than the portal may have. Its code is unverified."""
    portal = call.portal
    own = sum(not prop.native for prop in portal.properties[kind.name].values())
    if own + len(made) > portal.custom_max:
        raise invalid(f"This object type may have {portal.custom_max} custom properties.", code="PROPERTY_LIMIT_REACHED")
    more = sum(prop.calculated for prop in made)
    held = sum(not prop.native and prop.calculated for table in portal.properties.values() for prop in table.values())
    if more and held + more > portal.calculated_allowed:
        raise invalid(f"This account may have {portal.calculated_allowed} calculated properties.", code="PROPERTY_LIMIT_REACHED")


def _exists(call: Call, kind: ObjectType, name: str) -> bool:
    return name in call.portal.properties[kind.name] or name in call.portal.archived_properties[kind.name]


def create_property(call: Call) -> Answer:
    """POST /crm/properties/{v}/{object}: 201, 409 if the name is taken (by an archived one too)."""
    kind = _defining(call)
    made = _made(call, kind, call.json())
    if _exists(call, kind, made.name):
        raise Failure(409, f"A property named '{made.name}' already exists.", category="OBJECT_ALREADY_EXISTS")
    _room(call, kind, [made])
    call.portal.add_property(kind.name, made)
    kept = call.portal.properties[kind.name][made.name]
    return Answer(kept.wire(), 201, {"Location": f"{API_LINK}/crm/properties/{call.version}/{kind.name}/{made.name}"})


def batch_create(call: Call) -> Answer:
    """POST …/batch/create: 201, 207 where a name is taken."""
    kind = _defining(call)
    made = [_made(call, kind, one) for one in call.rows(call.json(), BATCH_MAX)]
    errors: list[dict[str, Any]] = []
    results: list[dict[str, object]] = []
    _room(call, kind, [prop for prop in made if not _exists(call, kind, prop.name)])
    for prop in made:
        if _exists(call, kind, prop.name):
            message = f"A property named '{prop.name}' already exists."
            errors.append({"status": "error", "category": "OBJECT_ALREADY_EXISTS", "message": message, "context": {"name": [prop.name]}})
            continue
        call.portal.add_property(kind.name, prop)
        results.append(call.portal.properties[kind.name][prop.name].wire())
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
    if "calculationFormula" in body and found.formula is not None:
        changes["formula"] = str(body["calculationFormula"])
    changed = replace(found, updated=stamp(call.portal.now), **changes, **_shown(body), **_options(body))
    _no_wrong_formula(call, kind, changed.type, changed.name, changed.formula)
    if changed.field_type not in PAIRS.get(changed.type, ()):
        raise invalid(f"Invalid fieldType {changed.field_type} for type {changed.type}")
    call.portal.add_property(kind.name, changed)
    return Answer(call.portal.properties[kind.name][changed.name].wire())


def archive_property(call: Call) -> Answer:
    """DELETE /crm/properties/{v}/{object}/{name}: 204."""
    kind = _defining(call)
    found = call.portal.properties[kind.name].get(call.path["name"])
    if found is None:
        raise NotFound
    if found.native:
        raise invalid(f"Property {found.name} cannot be archived")
    portal = call.portal
    if (kind.name, found.name) in portal.in_workflows or any(found.name in formula.reads for formula in portal.formulas[kind.name].values()):
        message = f"Property {found.name} cannot be deleted because it is used elsewhere"
        raise Failure(400, message, category="VALIDATION_ERROR", subCategory="PropertyError.CANNOT_DELETE_PROPERTY_IN_USE")
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
