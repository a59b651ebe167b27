"""Custom fields: what an org asks of each type, formulas, picklist values, lookups."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from connector.sandbox.salesforce.formulas import Formula, FormulaError, compiled
from connector.sandbox.salesforce.formulas import functions as kinds
from connector.sandbox.salesforce.metadata.draft import Commit, Draft, Refused, one_of, shaped, within
from connector.sandbox.salesforce.metadata.package import Component
from connector.sandbox.salesforce.metadata.shapes import FIELD
from connector.sandbox.salesforce.metadata.xml import Node
from connector.sandbox.salesforce.rows import stamp, wire
from connector.sandbox.salesforce.schema import Child, Compute, FieldDef, ObjectDef, Pick

NAME = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*__c")
BAD_NAME = (
    "The {what} can only contain underscores and alphanumeric characters. It must be unique, begin with a letter, not include spaces, not end with "
    "an underscore, and not contain two consecutive underscores."
)
TOO_MANY = "You have reached the maximum number of custom fields for this object"
LONGEST_NAME = 40
MOST_TRACKED = 20
TYPES = {
    "Text": "string", "Number": "double", "Percent": "percent", "Currency": "currency", "Date": "date", "DateTime": "datetime",
    "Checkbox": "boolean", "Picklist": "picklist", "MultiselectPicklist": "multipicklist", "TextArea": "textarea", "LongTextArea": "textarea",
    "Email": "email", "Phone": "phone", "Url": "url", "Lookup": "reference",
}  # fmt: skip
NEEDED = {
    "Text": ("length",), "Number": ("precision", "scale"), "Percent": ("precision", "scale"), "Currency": ("precision", "scale"),
    "Checkbox": ("defaultValue",), "Picklist": ("valueSet",), "MultiselectPicklist": ("valueSet", "visibleLines"),
    "LongTextArea": ("length", "visibleLines"), "Lookup": ("referenceTo",),
}  # fmt: skip
ONLY_FOR = {
    "length": ("Text", "LongTextArea"), "precision": ("Number", "Percent", "Currency"), "scale": ("Number", "Percent", "Currency"),
    "visibleLines": ("LongTextArea", "MultiselectPicklist"), "valueSet": ("Picklist", "MultiselectPicklist"), "referenceTo": ("Lookup",),
    "relationshipName": ("Lookup",), "relationshipLabel": ("Lookup",), "deleteConstraint": ("Lookup",), "displayFormat": (),
    "startingNumber": (), "unique": ("Text", "Number", "Email"), "externalId": ("Text", "Number", "Email"), "caseSensitive": ("Text",),
}  # fmt: skip
NOT_OF_FORMULAS = (
    "length", "defaultValue", "valueSet", "visibleLines", "referenceTo", "required", "trackHistory", "unique", "externalId", "caseSensitive",
)  # fmt: skip
FORMULA_KINDS = {
    "Text": kinds.TEXT, "Number": kinds.NUMBER, "Percent": kinds.NUMBER, "Currency": kinds.NUMBER, "Date": kinds.DATE, "DateTime": kinds.DATETIME,
    "Checkbox": kinds.BOOLEAN,
}  # fmt: skip
WORDS = {soap: word for word, soap in TYPES.items() if word not in ("LongTextArea",)}


def is_formula(component: Component) -> bool:
    return component.node.first("formula") is not None


def field(draft: Draft, component: Component) -> Commit:
    """Check a field and put it into the draft. Raises Refused."""
    node, definition = component.node, draft.object_of(component)
    shaped(node, FIELD)
    name = node.get("fullName") or ""
    if not name.endswith("__c"):
        return _standard(draft, definition, node)
    _named(node, name)
    _texts(node)
    kind = node.get("type")
    if kind is None:
        raise Refused("Required field is missing: type")
    if kind not in TYPES:
        raise Refused(f"Error parsing file: '{kind}' is not a valid value for the enum 'FieldType'", node.first("type"))
    made = _formula(draft, definition, node, kind) if is_formula(component) else _stored(draft, definition, node, kind)
    _unlike(definition, made, kind, node)
    if made.name not in definition.fields and sum(field.custom for field in definition.fields.values()) >= draft.org.most_fields:
        raise Refused(TOO_MANY)
    _put(draft, definition, made)
    child = _child(draft, definition, made, node) if kind == "Lookup" else None

    def commit() -> str:
        draft.org.put_field(definition.name, made, child=child)
        if node.flag("trackHistory") and definition.name == "Opportunity":
            draft.org.track_field(made.name)
        return draft.org.field_id(definition.name, made.name)

    return commit


def _standard(draft: Draft, definition: ObjectDef, node: Node) -> Commit:
    """A field that the platform has: whether its history is kept is all that is changed here."""
    name = node.get("fullName") or ""
    found = definition.fields.get(name) or definition.parent(name)
    if found is None:
        raise Refused("Could not resolve standard field's name.")

    def commit() -> str:
        if node.flag("trackHistory") and definition.name == "Opportunity":
            draft.org.track_field(found.name)
        return ""

    return commit


def _named(node: Node, name: str) -> None:
    if not NAME.fullmatch(name):
        raise Refused(BAD_NAME.format(what="Field Name"), node.first("fullName"))
    if len(name.removesuffix("__c")) > LONGEST_NAME:
        raise Refused(f"Value too long for field: DeveloperName maximum length is:{LONGEST_NAME}", node.first("fullName"))


def _texts(node: Node) -> None:
    if not node.get("label"):
        raise Refused("Required field is missing: label")
    within(node, "label", 40, "MasterLabel")
    within(node, "description", 1000, "Description")
    within(node, "inlineHelpText", 510, "InlineHelpText")


def _stored(draft: Draft, definition: ObjectDef, node: Node, kind: str) -> FieldDef:
    if node.first("formulaTreatBlanksAs") is not None:
        raise Refused(f"Can not specify 'formulaTreatBlanksAs' for a CustomField of type {kind}", node.first("formulaTreatBlanksAs"))
    for tag in NEEDED.get(kind, ()):
        if node.first(tag) is None:
            raise Refused(f"Must specify '{tag}' for a CustomField of type {kind}")
    _only(node, kind, ONLY_FOR)
    if node.flag("required") and kind in ("Checkbox", "LongTextArea", "Picklist", "MultiselectPicklist"):
        raise Refused(f"Can not specify 'required' for a CustomField of type {kind}", node.first("required"))
    if node.flag("trackHistory") and node.get("fullName") not in draft.org.tracked and len(draft.org.tracked) >= MOST_TRACKED:
        raise Refused(f"You have reached the maximum number of {MOST_TRACKED} tracked fields", node.first("trackHistory"))
    return FieldDef(
        node.get("fullName") or "", TYPES[kind], node.get("label") or "", _length(node, kind), **_number(node, kind),
        nillable=not node.flag("required") and kind != "Checkbox", unique=node.flag("unique"), external_id=node.flag("externalId"),
        guarded=not node.flag("required"), filterable=kind != "LongTextArea", sortable=kind not in ("LongTextArea", "MultiselectPicklist"),
        default=node.get("defaultValue") == "true" if kind == "Checkbox" else None, **_values(node, kind), **_reference(draft, node, kind),
        **_words(node),
    )  # fmt: skip


def _only(node: Node, kind: str, allowed: dict[str, tuple[str, ...]]) -> None:
    for child in node.children:
        types = allowed.get(child.tag)
        if types is not None and kind not in types and child.text != "false":
            raise Refused(f"Can not specify '{child.tag}' for a CustomField of type {kind}", child)


def _words(node: Node) -> dict[str, Any]:
    return {"description": node.get("description") or "", "help_text": node.get("inlineHelpText") or ""}


def _length(node: Node, kind: str) -> int:
    if kind in ("Picklist", "TextArea", "Url"):
        return 255
    if kind not in ("Text", "LongTextArea"):
        return {"Email": 80, "Phone": 40, "Lookup": 18, "MultiselectPicklist": 4099}.get(kind, 0)
    least, most = (1, 255) if kind == "Text" else (256, 131_072)
    length = int(node.get("length") or 0)
    if not least <= length <= most:
        raise Refused(f"Length must be between {least} and {most}", node.first("length"))
    return length


def _number(node: Node, kind: str) -> dict[str, Any]:
    if kind not in ("Number", "Percent", "Currency"):
        return {}
    precision, scale = int(node.get("precision") or 0), int(node.get("scale") or 0)
    if not 1 <= precision <= 18:
        raise Refused("Precision must be between 1 and 18", node.first("precision"))
    if scale > precision:
        raise Refused("Scale must be less than or equal to the precision", node.first("scale"))
    return {"precision": precision, "scale": scale}


def _values(node: Node, kind: str) -> dict[str, Any]:
    values = node.first("valueSet")
    if kind not in ("Picklist", "MultiselectPicklist") or values is None:
        return {}
    held = values.first("valueSetDefinition")
    options: list[Pick] = []
    for value in held.all("value") if held is not None else ():
        name = value.get("fullName") or ""
        if len(name) > 255:
            raise Refused("Value too long for field: picklist value maximum length is:255", value)
        if any(option.value.casefold() == name.casefold() for option in options):
            raise Refused(f"Duplicate picklist value: {name}", value)
        options.append(Pick(name, value.get("isActive") != "false", value.get("label") or name))
    if not options:
        raise Refused("Must specify at least one picklist value", values)
    return {"options": tuple(options), "restricted": values.flag("restricted")}


def _reference(draft: Draft, node: Node, kind: str) -> dict[str, Any]:
    if kind != "Lookup":
        return {}
    parent = node.get("referenceTo") or ""
    if parent not in draft.schema:
        raise Refused(f"referenceTo value of '{parent}' does not resolve to a valid sObject type", node.first("referenceTo"))
    one_of(node, "deleteConstraint", frozenset({"SetNull", "Restrict", "Cascade"}), "DeleteConstraint")
    return {"reference_to": (parent,), "relationship": (node.get("fullName") or "").removesuffix("__c") + "__r"}


def _formula(draft: Draft, definition: ObjectDef, node: Node, kind: str) -> FieldDef:
    """A calculated field: its formula compiles, and what it gives fits the field."""
    wanted = FORMULA_KINDS.get(kind)
    if wanted is None:
        raise Refused(f"Can not specify 'formula' for a CustomField of type {kind}", node.first("formula"))
    for tag in ("precision", "scale") if wanted == kinds.NUMBER else ():
        if node.first(tag) is None:
            raise Refused(f"Must specify '{tag}' for a CustomField of type {kind}")
    _only(node, kind, {**dict.fromkeys(NOT_OF_FORMULAS, ()), "precision": ONLY_FOR["precision"], "scale": ONLY_FOR["scale"]})
    one_of(node, "formulaTreatBlanksAs", frozenset({"BlankAsBlank", "BlankAsZero"}), "TreatBlanksAs")
    zero = node.get("formulaTreatBlanksAs") != "BlankAsBlank"
    name = node.get("fullName") or ""
    try:
        formula = compiled(node.get("formula") or "", draft.scope(definition.name, blank_as_zero=zero), wanted)
    except FormulaError as problem:
        raise Refused(problem.message, node.first("formula")) from None
    if name in _behind(draft.schema[definition.name], formula):
        raise Refused(f"Circular reference: the formula of {name} refers to itself", node.first("formula"))
    return FieldDef(
        name, TYPES[kind], node.get("label") or "", 1300 if kind == "Text" else 0, **_number(node, kind), nillable=kind != "Checkbox",
        createable=False, updateable=False, calculated=True, formula=formula.text, guarded=True, blank_as_zero=zero,
        compute=computing(kind, formula, int(node.get("scale") or 0)), reads=formula.names, **_words(node),
    )  # fmt: skip


def computing(kind: str, formula: Formula, scale: int) -> Compute:
    """A formula as a field's value in wire form."""
    shape = FieldDef("", TYPES[kind], scale=scale)

    def compute(row: dict[str, Any], moment: Any) -> Any:
        value = formula.value(row, moment)
        if kind == "Checkbox":
            return bool(value)
        if value is None or value == "":
            return None
        if isinstance(value, datetime):
            return stamp(value)
        if isinstance(value, date | str):
            return value if isinstance(value, str) else value.isoformat()
        return wire(shape, value * 100 if kind == "Percent" else value)

    return compute


def _behind(definition: ObjectDef, formula: Formula) -> set[str]:
    """Every field that a formula reads, those that its fields read included."""
    found: set[str] = set()
    waiting = list(formula.names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += definition.fields[name].reads if name in definition.fields else ()
    return found


def _unlike(definition: ObjectDef, made: FieldDef, kind: str, node: Node) -> None:
    """A field of the same name and another type stays what it is."""
    old = definition.fields.get(made.name)
    if old is None:
        return
    if old.calculated != made.calculated or (old.type, old.long_text, old.reference_to) != (made.type, made.long_text, made.reference_to):
        was = WORDS.get(old.type, old.type)
        before, after = (f"{word} formula" if calculated else word for word, calculated in ((was, old.calculated), (kind, made.calculated)))
        message = f"Cannot change field type from {before} to {after} for field {definition.name}.{made.name}"
        raise Refused(message, node.first("type"))


def _put(draft: Draft, definition: ObjectDef, made: FieldDef) -> None:
    fields = {**definition.fields, made.name: made}
    parents = {**definition.relationships, **({made.relationship.lower(): made} if made.relationship else {})}
    draft.schema[definition.name] = replace(definition, fields=fields, lowered={**definition.lowered, made.name.lower(): made}, relationships=parents)


def _relationship(node: Node, definition: ObjectDef) -> str:
    return (node.get("relationshipName") or definition.plural.replace(" ", "_")) + "__r"


def _child(draft: Draft, definition: ObjectDef, made: FieldDef, node: Node) -> Child:
    """How the parent reaches the records; a lookup that says nothing of it is emptied when its parent is deleted."""
    parent, name = draft.schema[made.reference_to[0]], _relationship(node, definition)
    others = tuple(child for child in parent.children if (child.object, child.field) != (definition.name, made.name))
    if any(child.relationship == name for child in others):
        raise Refused(f"There is already a Child Relationship named {name.removesuffix('__r')} on {parent.name}.", node.first("relationshipName"))
    constraint = node.get("deleteConstraint") or "SetNull"
    found = Child(definition.name, made.name, name, cascade=constraint == "Cascade", clears=constraint == "SetNull")
    draft.schema[parent.name] = replace(parent, children=(*others, found))
    return found
