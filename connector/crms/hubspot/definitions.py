"""Definitions of properties, both ways: what is wanted as the body of a request, what HubSpot tells as what is there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.crms.provisioning import FieldSpec, Seen

GROUP = "kpi_scorecard"
GROUP_LABEL = "KPI Scorecard"
NUMBERS = frozenset({"number", "percent", "money"})
SHAPES: Mapping[str, tuple[str, str]] = {
    "text": ("string", "text"), "number": ("number", "number"), "percent": ("number", "number"), "money": ("number", "number"),
    "date": ("date", "date"), "datetime": ("datetime", "date"), "picklist": ("enumeration", "select"), "boolean": ("bool", "booleancheckbox"),
}  # fmt: skip
"""What is wanted → HubSpot's type and fieldType."""
WORDS: Mapping[str, str] = {"string": "text", "date": "date", "datetime": "datetime", "bool": "boolean", "number": "number"}
LONGEST_TEXT = 65_536
NAME = re.compile(r"[a-z][a-z0-9_]*")
_TOKEN = re.compile(r""""[^"]*"|'[^']*'|<=|>=|!=|==|[=<>+\-*/(),]|[\w.]+""")


@dataclass(frozen=True, slots=True)
class Chosen:
    """One option as the portal should have it."""

    value: str
    label: str
    hidden: bool = False


def normal(formula: str | None) -> str:
    """A formula by which two spellings of one are equal: HubSpot rewrites quotes, ``=``, spaces and line breaks of what it is given.

    >>> normal("IF kpi_pace = 'Slow'  then max(1,2) endif") == normal('if kpi_pace equals "Slow" then max( 1, 2 ) endif')
    True
    >>> normal("a - b") == normal("b - a")
    False
    """
    out = []
    for word in _TOKEN.findall(formula or ""):
        if word[0] in "\"'":
            out.append(f'"{word[1:-1]}"')
        else:
            out.append("equals" if word in ("=", "==") else word.lower())
    return " ".join(out)


def body(spec: FieldSpec) -> dict[str, Any]:
    """The body that creates a property. ``dataSensitivity`` is never named: there is nothing sensitive to store."""
    type_, field_type = SHAPES[spec.type]
    made: dict[str, Any] = {
        "groupName": GROUP, "name": spec.name, "label": spec.label, "type": type_, "fieldType": field_type, "formField": False,
        "description": spec.help,
    }  # fmt: skip
    if spec.options:
        made["options"] = options_body(chosen(spec))
    if spec.formula is not None:
        made |= {"fieldType": "calculation_equation", "calculationFormula": spec.formula}
    return made | display(spec)


def display(spec: FieldSpec) -> dict[str, Any]:
    """How a number is shown."""
    if spec.type == "percent":
        return {"numberDisplayHint": "percentage"}
    return {"numberDisplayHint": "currency", "showCurrencySymbol": True} if spec.type == "money" else {}


def chosen(spec: FieldSpec) -> tuple[Chosen, ...]:
    return tuple(Chosen(option.value, option.label) for option in spec.options)


def options_body(options: Sequence[Chosen]) -> list[dict[str, Any]]:
    return [{"label": o.label, "value": o.value, "displayOrder": n, "hidden": o.hidden} for n, o in enumerate(options)]


def held_options(raw: Mapping[str, Any]) -> tuple[Chosen, ...]:
    """The options that a property has, in the order in which they are shown."""
    rows = sorted(raw.get("options") or (), key=lambda o: int(o.get("displayOrder") or 0))
    return tuple(Chosen(str(o["value"]), str(o.get("label") or o["value"]), bool(o.get("hidden"))) for o in rows)


def seen(raw: Mapping[str, Any], spec: FieldSpec | None) -> Seen:
    """One property as it is, told against what is wanted of that name: a formula that is the same in other words counts as the same."""
    read_only = bool((raw.get("modificationMetadata") or {}).get("readOnlyValue"))
    calculated = bool(raw.get("calculated")) or str(raw.get("fieldType", "")).startswith("calculation_")
    formula = raw.get("calculationFormula")
    if spec is not None and spec.formula is not None and normal(formula) == normal(spec.formula):
        formula = spec.formula
    return Seen(
        name=str(raw["name"]), type=_word(raw, spec), editable=not read_only and not calculated, calculated=calculated,
        label=str(raw.get("label") or ""), length=LONGEST_TEXT,
        scale=spec.scale if spec is not None else 0,  # a number property has no scale to differ in
        options=tuple(o.value for o in held_options(raw) if not o.hidden), closed=raw.get("type") == "enumeration", formula=formula,
        help=str(raw.get("description") or ""),
        differs=_differs(raw, spec) if spec is not None else (),
    )  # fmt: skip


def _word(raw: Mapping[str, Any], spec: FieldSpec | None) -> str:
    """The type in our words. Number, share and money are one type of HubSpot's, shown in different ways."""
    type_, control = str(raw.get("type")), str(raw.get("fieldType"))
    if type_ == "number" and spec is not None and spec.type in NUMBERS:
        return spec.type
    if type_ == "enumeration":
        return {"booleancheckbox": "boolean", "checkbox": "multi-select"}.get(control, "picklist")
    return WORDS.get(type_, type_)


def _differs(raw: Mapping[str, Any], spec: FieldSpec) -> tuple[str, ...]:
    said = [f"not shown as {spec.type}" for key, value in display(spec).items() if key == "numberDisplayHint" and raw.get(key) != value]
    held = held_options(raw)
    if spec.options and held:
        labels = {option.value: option.label for option in spec.options}
        said += [f"value {o.value} called {o.label} → {labels[o.value]}" for o in held if labels.get(o.value, o.label) != o.label]
        said += [f"value {o.value} is used no more" for o in held if o.value not in labels and not o.hidden]
        present = [o.value for o in held if o.value in labels]
        if present != [o.value for o in spec.options if o.value in present]:
            said.append("order of the values")
    return tuple(said)
